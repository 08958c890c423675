# SPDX-License-Identifier: MIT
"""A real HTTP server, nginx, as one process that answers everything with 200."""

import pathlib

from lib.process import Process, Server, eventually, free_port
from lib.vitald import fetch

CONFIGURATION = """
daemon off; master_process off; pid {dir}/pid; error_log {dir}/error.log;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi; uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
    server {{
        listen {host}:{port};
        location / {{ return 200 'ok'; }}
    }}
}}
"""


class Nginx(Server):
    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.host, self.port = "127.0.0.1", free_port()

    @property
    def address(self):
        return f"{self.host}:{self.port}"

    def start(self):
        configuration = self.directory / "nginx.conf"
        configuration.write_text(CONFIGURATION.format(dir=self.directory, host=self.host,
                                                      port=self.port))
        self.process = Process(["/usr/sbin/nginx", "-p", self.directory, "-c", configuration],
                               self.directory / "nginx.log")
        eventually(self._answers, within=10, what=f"nginx on {self.port}")

    def _answers(self):
        assert self.process.exit_code is None, self.process.log
        return fetch((self.host, self.port), "/").status == 200
