# SPDX-License-Identifier: MIT
"""A real redis-server on a port and a unix socket of its own."""

import pathlib
import socket

from lib.process import PATIENCE, Process, Server, eventually, free_port


class Redis(Server):
    def __init__(self, directory, password=None, options=(), tls=None, tls_auth="no"):
        """options: further arguments, e.g. ["--maxclients", "10"]; tls: a lib.tls.Certificate;
        tls_auth: whether clients must show one."""
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.password = password
        self.options = list(options)
        self.host = "127.0.0.1"
        self.port = free_port()
        self.tls_port = free_port() if tls else None
        self.tls, self.tls_auth = tls, tls_auth
        self.unix_path = self.directory / "redis.sock"

    @property
    def address(self):
        return f"{self.host}:{self.port}"

    @property
    def tls_address(self):
        """The plain port where it has no other."""
        return f"{self.host}:{self.tls_port or self.port}"

    def start(self):
        argv = ["/usr/bin/redis-server", "--port", self.port, "--bind", "127.0.0.1",
                "--unixsocket", self.unix_path, "--dir", self.directory, "--save", "",
                "--appendonly", "no", "--daemonize", "no", "--enable-debug-command", "local",
                "--repl-diskless-sync-delay", "0"]
        if self.password:
            argv += ["--requirepass", self.password]
        if self.tls:
            argv += ["--tls-port", self.tls_port, "--tls-cert-file", self.tls.certificate,
                     "--tls-key-file", self.tls.key, "--tls-ca-cert-file", self.tls.ca,
                     "--tls-auth-clients", self.tls_auth]
        self.process = Process(argv + self.options, self.directory / "redis.log")
        eventually(self._answers, what=f"redis-server on {self.port}")

    def _answers(self):
        assert self.process.exit_code is None, self.process.log
        return self.command("PING", login=False)[:1] in (b"+", b"-")

    def command(self, *words, login=True, within=PATIENCE):
        """One command; the raw reply, without its last line end."""
        with socket.create_connection((self.host, self.port), timeout=within) as s:
            if login and self.password:
                s.sendall(encode("AUTH", self.password))
                assert s.recv(64).startswith(b"+OK")
            s.sendall(encode(*words))
            return s.recv(65536).rstrip(b"\r\n")

    def info(self, field):
        """A line of INFO; None: there is none."""
        text = self.command("INFO").decode()
        return dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line).get(field)


def replica_of(master, directory, options=()):
    """Running, and its link is up."""
    replica = Redis(directory, options=["--replicaof", master.host, str(master.port), *options])
    replica.start()
    eventually(lambda: replica.info("master_link_status") == "up", within=60, what="link")
    eventually(lambda: "state=online" in (master.info("slave0") or ""), within=60, what="link")
    return replica


class Sentinel(Redis):
    """Watches a master by the name orders, and acts when it is gone for half a second."""

    def __init__(self, directory, master, password=None):
        super().__init__(directory, password=password)
        self.master = master

    def start(self):
        file = self.directory / "sentinel.conf"
        if not file.exists():       # It writes there itself.
            file.write_text(f"port {self.port}\nbind 127.0.0.1\ndir {self.directory}\n"
                            f"sentinel monitor orders 127.0.0.1 {self.master.port} 1\n"
                            "sentinel down-after-milliseconds orders 500\n"
                            "sentinel failover-timeout orders 5000\n"
                            + (f"requirepass {self.password}\n" if self.password else ""))
        self.process = Process(["/usr/bin/redis-server", file, "--sentinel"],
                               self.directory / "sentinel.log")
        eventually(self._answers, what=f"sentinel on {self.port}")

    def knows_replicas(self, n):
        """Whether it could make one of them the master."""
        reply = self.command("SENTINEL", "MASTER", "orders").decode().split("\r\n")
        return reply[reply.index("num-slaves") + 2] == str(n)


def encode(*words):
    """A command as the protocol's array of bulk strings."""
    parts = [str(w).encode() for w in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)
