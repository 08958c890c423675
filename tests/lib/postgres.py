# SPDX-License-Identifier: MIT
"""A real PostgreSQL cluster in a temporary directory, run as the user postgres when we are root."""

import os
import pathlib
import shutil
import signal
import subprocess

from lib.process import CLEAN_ENVIRONMENT, Process, Server, eventually, free_port

# A postmaster that is told to stop does so at once with SIGINT (fast shutdown).
FAST_SHUTDOWN = signal.SIGINT


def program(name):
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob(f"*/bin/{name}"),
                   key=lambda p: int(p.parts[4]))
    assert found, f"{name} of the Debian package postgresql is missing"
    return found[-1]


def unprivileged_user():
    """PostgreSQL refuses to run as root."""
    return "postgres" if os.geteuid() == 0 else None


class Postgres(Server):
    """Role postgres (superuser), role `health` with password `secret`, database `orders`.

    Connections to `health` need the password (scram-sha-256), `postgres` is trusted.
    """

    def __init__(self, directory, options=(), tls=None):
        """options: further settings, e.g. ["max_connections=5"]; tls: a lib.tls.Certificate."""
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.data = self.directory / "data"
        self.options = list(options)
        self.tls = tls
        self.host = "127.0.0.1"
        self.port = free_port()
        self.user = unprivileged_user()
        self._give(self.directory)

    @property
    def address(self):
        return f"{self.host}:{self.port}"

    @property
    def connection_string(self):
        return f"host={self.host} port={self.port} user=postgres dbname=orders"

    def _give(self, path):
        """The server's user must own its files."""
        if self.user is not None:
            shutil.chown(path, self.user, self.user)

    def _run(self, *argv):
        as_user = ["/usr/sbin/runuser", "-u", self.user, "--"] if self.user else []
        subprocess.run([*as_user, *map(str, argv)], check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=CLEAN_ENVIRONMENT,
                       cwd="/")

    def _create(self):
        self._run(program("initdb"), "-D", self.data, "-U", "postgres", "--no-sync",
                  "--encoding=UTF8", "--locale=C.UTF-8", "--auth=trust")
        (self.data / "pg_hba.conf").write_text("local all all trust\n"
                                               "local replication all trust\n"
                                               "host all postgres all trust\n"
                                               "host all all all scram-sha-256\n")

    def start(self):
        fresh = not self.data.exists()
        if fresh:
            self._create()
        settings = [f"port={self.port}", "listen_addresses=127.0.0.1",
                    f"unix_socket_directories={self.directory}", "fsync=off",
                    "shared_buffers=1MB", "dynamic_shared_memory_type=mmap", *self.options]
        if self.tls:
            settings += ["ssl=on", f"ssl_cert_file={self._own_copy(self.tls.certificate)}",
                         f"ssl_key_file={self._own_copy(self.tls.key)}"]
        argv = [program("postgres"), "-D", self.data]
        for setting in settings:
            argv += ["-c", setting]
        self.process = Process(argv, self.directory / "postgres.log", user=self.user,
                               cwd=self.directory)
        eventually(self._answers, within=60, what=f"postgres on {self.port}")
        if fresh:
            self._fill()

    def _fill(self):
        self.sql("CREATE DATABASE orders", database="postgres")
        self.sql("CREATE ROLE health LOGIN PASSWORD 'secret'")

    def _own_copy(self, path):
        """A private key must belong to the server's user."""
        copy = self.data / pathlib.Path(path).name
        shutil.copyfile(path, copy)
        copy.chmod(0o600)
        self._give(copy)
        return copy

    def _answers(self):
        assert self.process.exit_code is None, self.process.log
        return self.sql("SELECT 1", database="postgres") == "1"

    def sql(self, statement, database="orders", user="postgres"):
        """The result as psql's unaligned text."""
        done = subprocess.run(
            ["/usr/bin/psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", self.directory, "-p",
             str(self.port), "-U", user, "-d", database, "-c", statement],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, env=CLEAN_ENVIRONMENT)
        if done.returncode != 0:
            raise ValueError(done.stderr)
        return done.stdout.strip()

    def close(self):
        if self.process is not None and self.process.exit_code is None:
            self.thaw()
            self.process.signal(FAST_SHUTDOWN)
            self.process.stop()


class Replica(Postgres):
    """A streaming replica of a running Postgres; it tries soon again to reach a primary it lost."""

    def __init__(self, directory, primary, options=()):
        super().__init__(directory, options=["wal_retrieve_retry_interval=100ms", *options])
        self.primary = primary

    def _create(self):
        self._run(program("pg_basebackup"), "-h", self.primary.directory, "-p", self.primary.port,
                  "-U", "postgres", "-D", self.data, "--write-recovery-conf", "--no-sync",
                  "--checkpoint=fast")

    def _fill(self):
        """All there is comes from the primary."""

    def promote(self):
        self.sql("SELECT pg_promote(true, 60)")

    def has_all(self):
        """Whether all has been replayed that the primary has written."""
        position = self.primary.sql("SELECT pg_current_wal_lsn()")
        return self.sql(f"SELECT pg_last_wal_replay_lsn() >= '{position}'") == "t"
