# SPDX-License-Identifier: MIT
"""A real mariadbd on a port and a unix socket of its own, in a temporary directory."""

import pathlib
import subprocess

from lib.process import CLEAN_ENVIRONMENT, Process, Server, eventually, free_port

USERS = """\
CREATE DATABASE IF NOT EXISTS orders;
CREATE USER IF NOT EXISTS health@'%' IDENTIFIED BY 's3cret';
CREATE USER IF NOT EXISTS open@'%';
GRANT SELECT ON orders.* TO health@'%';
"""


class Mariadb(Server):
    """User health (password s3cret), user open (none), database orders; root by the unix socket."""

    def __init__(self, directory, options=(), tls=None):
        """tls: a lib.tls.Certificate."""
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.options, self.port, self.tls = list(options), free_port(), tls
        self.address = f"127.0.0.1:{self.port}"
        self.unix_path = self.directory / "s.sock"
        self.data = self.directory / "data"

    def _create(self):
        subprocess.run(
            ["/usr/bin/mariadb-install-db", "--no-defaults", f"--datadir={self.data}",
             "--user=root", "--skip-test-db", "--auth-root-authentication-method=socket",
             "--auth-root-socket-user=root", "--innodb-buffer-pool-size=8M",
             "--innodb-log-file-size=4M"],
            check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=CLEAN_ENVIRONMENT)

    def start(self):
        if not self.data.exists():
            self._create()
        users = self.directory / "users.sql"
        users.write_text(USERS)
        self.process = Process(
            ["/usr/sbin/mariadbd", "--no-defaults", "--user=root", f"--datadir={self.data}",
             "--bind-address=127.0.0.1", f"--port={self.port}", f"--socket={self.unix_path}",
             f"--pid-file={self.directory}/pid", f"--init-file={users}", "--skip-log-bin",
             "--performance-schema=off", "--innodb-buffer-pool-size=8M",
             "--innodb-log-file-size=4M", "--innodb-flush-log-at-trx-commit=0",
             "--skip-name-resolve", *self._tls_options(), *self.options],
            self.directory / "mariadb.log")
        eventually(self._answers, within=60, what=f"mariadbd on {self.port}", every=0.1)

    def _tls_options(self):
        return [f"--ssl-cert={self.tls.certificate}", f"--ssl-key={self.tls.key}",
                f"--ssl-ca={self.tls.ca}"] if self.tls else []

    def use(self, certificate):
        """For new connections."""
        for end in ("certificate", "key"):
            path = getattr(self.tls, end)
            path.write_bytes(getattr(certificate, end).read_bytes())
        self.sql("FLUSH SSL")

    def _answers(self):
        assert self.process.exit_code is None, self.process.log
        return self.sql("SELECT 1") == "1"

    def sql(self, text):
        """What the statements give, by the unix socket as root."""
        done = subprocess.run(["/usr/bin/mariadb", "--no-defaults", f"--socket={self.unix_path}",
                               "--user=root", "--batch", "--skip-column-names", "-e", text],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, env=CLEAN_ENVIRONMENT, text=True)
        assert done.returncode == 0, done.stdout
        return done.stdout.strip()

    def connections(self):
        """How many there are of the check's users."""
        return int(self.sql("SELECT COUNT(*) FROM information_schema.processlist "
                            "WHERE user IN ('health', 'open')"))
