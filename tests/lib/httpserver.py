# SPDX-License-Identifier: MIT
"""tests/programs/http-server on sockets of ours, and a client that sends bytes as they are."""

import os
import resource
import socket
import struct

from lib.process import PATIENCE, SLOWNESS, Process, Server
from lib.vitald import build_directory

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Client:
    """One connection; read_answer() gives (status, headers, body) of the next answer."""

    def __init__(self, address, within=PATIENCE, bind=None, receive_buffer=None):
        if isinstance(address, tuple):
            family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        else:
            family = socket.AF_UNIX
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if bind:
            self.socket.bind((bind, 0))
        self.socket.settimeout(within * SLOWNESS)
        self.socket.connect(address)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def fill(self):
        data = self.socket.recv(65536)
        self.buffer += data
        return data

    def read_answer(self, is_head=False):
        while b"\r\n\r\n" not in self.buffer:
            assert self.fill(), f"closed after {self.buffer!r}"
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("ascii").split("\r\n")
        version, status, _ = first.split(" ", 2)
        assert version == "HTTP/1.1"
        headers = {}
        for line in lines:
            name, value = line.split(": ", 1)
            assert name.lower() not in headers
            headers[name.lower()] = value
        length = 0 if is_head else int(headers.get("content-length", 0))
        while len(self.buffer) < length:
            assert self.fill(), "closed within the body"
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return int(status), headers, body

    def is_closed(self):
        """Waits for the end of the stream, in order: a reset is an error."""
        return not self.buffer and self.fill() == b""

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class BareServer(Server):
    """The server without the daemon; limits as in HttpServerLimits, times in ms."""

    def __init__(self, directory, files=None, **limits):
        self.log = directory / "http-server.log"
        self.files = files
        self.limits = [f"{name}={value}" for name, value in limits.items()]
        self.v4 = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.v6 = socket.create_server(("::1", 0), family=socket.AF_INET6, backlog=1024)
        self.path = str(directory / "http.sock")
        self.unix = socket.socket(socket.AF_UNIX)
        self.unix.bind(self.path)
        self.unix.listen(1024)
        self.address = self.v4.getsockname()
        self.address6 = self.v6.getsockname()[:2]

    def start(self):
        fds = [s.fileno() for s in (self.v4, self.v6, self.unix)]
        program = build_directory() / "tests/programs/http-server"
        assert program.exists(), f"no {program}; make check, or set VITALD_BUILD"
        argv = [program, *self.limits, str(fds[0]), str(fds[1]), f"{fds[2]}:trusted"]
        if self.files:
            argv = ["/usr/bin/prlimit", f"--nofile={self.files}", "--", *argv]
        self.process = Process(argv, self.log, pass_fds=fds)
        with Client(self.address) as c:
            c.send(GET)
            assert c.read_answer()[0] == 200

    def close(self):
        super().close()
        for s in (self.v4, self.v6, self.unix):
            s.close()
        assert self.process.exit_code in (0, None), self.log.read_text()
        assert self.log.read_text() == ""

    def counters(self):
        """Over the unix socket, so that the addresses' counts are left alone."""
        with Client(self.path) as c:
            c.send(b"GET /counters HTTP/1.0\r\n\r\n")
            body = c.read_answer()[2].decode()
            assert c.is_closed()            # so that it is gone when the next thing is looked at
        return {k: int(v) for k, v in (line.split("=") for line in body.splitlines())}


def raise_own_file_limit(n):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < n:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(n, hard), hard))
