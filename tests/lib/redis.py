# SPDX-License-Identifier: MIT
"""A real redis-server on a port and a unix socket of its own."""

import pathlib
import socket

from lib.process import Process, Server, eventually, free_port


class Redis(Server):
    def __init__(self, directory, password=None, options=(), tls=None):
        """options: further arguments, e.g. ["--maxclients", "10"]; tls: a lib.tls.Certificate."""
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.password = password
        self.options = list(options)
        self.host = "127.0.0.1"
        self.port = free_port()
        self.tls_port = free_port() if tls else None
        self.tls = tls
        self.unix_path = self.directory / "redis.sock"

    @property
    def address(self):
        return f"{self.host}:{self.port}"

    def start(self):
        argv = ["/usr/bin/redis-server", "--port", self.port, "--bind", "127.0.0.1",
                "--unixsocket", self.unix_path, "--dir", self.directory, "--save", "",
                "--appendonly", "no", "--daemonize", "no", "--enable-debug-command", "local"]
        if self.password:
            argv += ["--requirepass", self.password]
        if self.tls:
            argv += ["--tls-port", self.tls_port, "--tls-cert-file", self.tls.certificate,
                     "--tls-key-file", self.tls.key, "--tls-ca-cert-file", self.tls.ca,
                     "--tls-auth-clients", "no"]
        self.process = Process(argv + self.options, self.directory / "redis.log")
        eventually(self._answers, within=10, what=f"redis-server on {self.port}")

    def _answers(self):
        assert self.process.exit_code is None, self.process.log
        return self.command("PING", login=False)[:1] in (b"+", b"-")

    def command(self, *words, login=True, within=5.0):
        """One command; the raw reply, without its last line end."""
        with socket.create_connection((self.host, self.port), timeout=within) as s:
            if login and self.password:
                s.sendall(encode("AUTH", self.password))
                assert s.recv(64).startswith(b"+OK")
            s.sendall(encode(*words))
            return s.recv(65536).rstrip(b"\r\n")


def encode(*words):
    """A command as the protocol's array of bulk strings."""
    parts = [str(w).encode() for w in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)
