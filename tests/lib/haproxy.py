# SPDX-License-Identifier: MIT
"""A real HAProxy in front of servers, with what it thinks of them."""

import csv
import io
import pathlib
import socket
import subprocess

from lib.process import CLEAN_ENVIRONMENT, PATIENCE, SLOWNESS, eventually, free_port


class Haproxy:
    """backend: the lines of the one backend, its servers among them."""

    def __init__(self, directory, backend):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(exist_ok=True)
        self.backend = backend
        self.port = free_port()
        self.stats = self.directory / "haproxy.sock"
        self.process = None

    def __enter__(self):
        configuration = self.directory / "haproxy.cfg"
        configuration.write_text("\n".join([
            "global", f"    stats socket {self.stats} mode 600 level admin",
            "defaults", "    mode http", "    timeout connect 1s", "    timeout client 10s",
            "    timeout server 10s", "    timeout check 1s",
            "frontend f", f"    bind 127.0.0.1:{self.port}", "    default_backend b",
            "backend b", *(f"    {line}" for line in self.backend), ""]))
        with open(self.directory / "haproxy.log", "wb") as log:
            self.process = subprocess.Popen(
                ["/usr/bin/setpriv", "--pdeathsig", "KILL", "--", "/usr/sbin/haproxy", "-db", "-f",
                 str(configuration)], stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, env=CLEAN_ENVIRONMENT)
        eventually(self.servers, what="HAProxy's statistics")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(PATIENCE * SLOWNESS)

    @property
    def log(self):
        return (self.directory / "haproxy.log").read_text(errors="replace")

    def command(self, text):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(PATIENCE * SLOWNESS)
            s.connect(str(self.stats))
            s.sendall(text.encode() + b"\n")
            return b"".join(iter(lambda: s.recv(65536), b"")).decode()

    def servers(self):
        """{server: its row of the statistics}"""
        rows = csv.DictReader(io.StringIO(self.command("show stat").removeprefix("# ")))
        return {row["svname"]: row for row in rows
                if row["pxname"] == "b" and row["svname"] != "BACKEND"}
