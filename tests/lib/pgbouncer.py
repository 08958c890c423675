# SPDX-License-Identifier: MIT
"""A real PgBouncer before a PostgreSQL server, with transaction pooling."""

import pathlib
import shutil
import socket

from lib.postgres import unprivileged_user
from lib.process import Process, Server, eventually, free_port


class PgBouncer(Server):
    """Lets in anybody as the superuser postgres; the database orders, and its own console."""

    def __init__(self, directory, postgres):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True)
        self.postgres = postgres
        self.host = "127.0.0.1"
        self.port = free_port()
        self.user = unprivileged_user()

    def connection_string(self, database="orders"):
        return f"host={self.host} port={self.port} user=postgres dbname={database}"

    def start(self):
        path = self.directory / "pgbouncer.ini"
        path.write_text(f"""\
[databases]
orders = host={self.postgres.directory} port={self.postgres.port} user=postgres pool_size=1

[pgbouncer]
listen_addr = {self.host}
listen_port = {self.port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
""")
        if self.user is not None:
            shutil.chown(self.directory, self.user, self.user)
        self.process = Process(["/usr/sbin/pgbouncer", path], self.directory / "pgbouncer.log",
                               user=self.user)
        eventually(self._answers, what=f"pgbouncer on {self.port}")

    def _answers(self):
        assert self.process.exit_code is None, self.process.log
        with socket.socket() as s:
            return s.connect_ex((self.host, self.port)) == 0
