# SPDX-License-Identifier: MIT
"""tests/programs/bus-server: the bus outputs alone, on a state that the test changes at will."""

import os
import pathlib
import select
import signal
import subprocess

from lib.dbus import Client
from lib.process import CLEAN_ENVIRONMENT, SLOWNESS
from lib.vitald import INHERITED, REPORTS, VALGRIND, build_directory


class BusServer:
    def __init__(self, directory, bus=None, mode="system", services=2, units=False):
        self.directory = pathlib.Path(directory)
        self.runtime_directory = self.directory / "run"
        self.runtime_directory.mkdir(parents=True, exist_ok=True)
        self.bus = bus
        self.mode = mode if bus else "none"
        self.services = services
        self.units = units          # Whether they stand for units.
        self.log_path = self.directory / "bus-server.log"
        self.environment = {}
        self.wrap = list        # A function of argv.
        self.process = None

    def __enter__(self):
        program = build_directory() / "tests/programs/bus-server"
        argv = [*(VALGRIND if os.environ.get("VITALD_VALGRIND") else []), program, self.mode,
                self.runtime_directory, self.services, *(["units"] if self.units else [])]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                ["/usr/bin/setpriv", "--pdeathsig", "KILL", *map(str, self.wrap(argv))],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                env={**CLEAN_ENVIRONMENT, **(self.bus.environment if self.bus else {}),
                     **self.environment,
                     "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:exitcode=98",
                     "UBSAN_OPTIONS": "print_stacktrace=1"})
        self.order("release")       # Until it takes commands.
        return self

    def __exit__(self, kind, *_):
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.close()
        try:
            code = self.process.wait(20 * SLOWNESS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.process.stdout.close()
        log = INHERITED.sub("", self.log)
        if kind is not None:
            print(log)
            return
        assert not REPORTS.search(log), log
        assert code == 0, f"exit code {code}:\n{log}"

    @property
    def pid(self):
        return self.process.pid

    @property
    def log(self):
        return self.log_path.read_text(errors="replace")

    @property
    def private(self):
        return f"unix:path={self.runtime_directory}/private"

    def order(self, command, within=10):
        os.write(self.process.stdin.fileno(), f"{command}\n".encode())
        answer = select.poll()
        answer.register(self.process.stdout, select.POLLIN)
        assert answer.poll(within * SLOWNESS * 1000), f"no answer to {command!r}:\n{self.log}"
        line = os.read(self.process.stdout.fileno(), 4096).decode().strip()
        assert line == "ok", f"{command!r}: {line}"

    def client(self):
        return Client(self.bus.address)

    def peer(self):
        return Client(self.private, peer=True)

    def open_fds(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))
