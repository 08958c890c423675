# SPDX-License-Identifier: MIT
"""A real HTTP server, nginx, as one process that answers everything with 200."""

import pathlib
import socket

from lib.process import Process, Server, eventually, free_port

CONFIGURATION = """
daemon off; master_process off; pid {dir}/pid; error_log {dir}/error.log;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi; uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
    server {{
        listen {host}:{port} {listen};
        {tls}
        location / {{ return 200 'ok'; }}
    }}
}}
"""


class Nginx(Server):
    """listen: more words for that line, such as "http2"; tls: a lib.tls.Certificate."""

    def __init__(self, directory, listen="", tls=None):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.host, self.port = "127.0.0.1", free_port()
        self.listen = listen + " ssl" * bool(tls)
        self.tls = "" if tls is None else \
            f"ssl_certificate {tls.certificate}; ssl_certificate_key {tls.key};"

    @property
    def address(self):
        return f"{self.host}:{self.port}"

    def start(self):
        configuration = self.directory / "nginx.conf"
        configuration.write_text(CONFIGURATION.format(dir=self.directory, host=self.host,
                                                      port=self.port, listen=self.listen,
                                                      tls=self.tls))
        self.process = Process(["/usr/sbin/nginx", "-p", self.directory, "-c", configuration],
                               self.directory / "nginx.log")
        eventually(self._answers, what=f"nginx on {self.port}")

    def _answers(self):
        assert self.process.exit_code is None, self.process.log
        with socket.socket() as s:
            return s.connect_ex((self.host, self.port)) == 0
