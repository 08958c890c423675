# SPDX-License-Identifier: MIT
"""A real HTTP server in a process of its own, which can be killed and stopped like the others."""

import pathlib

from lib.process import Process, Server, eventually, free_port
from lib.vitald import fetch


class WebServer(Server):
    """Python's own, with HTTP/1.1 so that connections can be held. Serves its directory."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.host, self.port = "127.0.0.1", free_port()

    @property
    def address(self):
        return f"{self.host}:{self.port}"

    def url(self, path="/"):
        return f"http://{self.address}{path}"

    def start(self):
        self.process = Process(
            ["/usr/bin/python3", "-m", "http.server", self.port, "--bind", self.host, "--protocol",
             "HTTP/1.1", "--directory", self.directory], self.directory / "web.log")
        eventually(self._answers, within=10, what=f"HTTP server on {self.port}")

    def _answers(self):
        assert self.process.exit_code is None, self.process.log
        return fetch((self.host, self.port), "/").status == 200
