# SPDX-License-Identifier: MIT
"""The engine with the checks of one service, without states and outputs: for tests of drivers."""

import json
import os
import pathlib
import queue
import signal
import subprocess
import threading
import time

from lib.process import CLEAN_ENVIRONMENT, PATIENCE, SLOWNESS
from lib.vitald import INHERITED, REPORTS, VALGRIND, build_directory


class CheckRunner:
    """Runs until the end of the `with`; wrap is a function of argv, e.g. DnsServer.wrap.

    Each result is a dictionary: check, outcome, reason, message, latency_ms, time, and values.
    Without a text it waits for start(); `wrap`, `environment` and credential() count until then.
    Results of several checks come in any order, and a check may be run again before another one's
    first result is there: first_of(), next_of() and next_that() collect them by name.
    """

    def __init__(self, directory, text=None, credentials=None, wrap=list,
                 valgrind=bool(os.environ.get("VITALD_VALGRIND"))):
        self.directory = pathlib.Path(directory)
        self.log_path = self.directory / "runner.log"
        self.secrets = self.directory / "credentials"
        self.secrets.mkdir(exist_ok=True)
        self.text, self.wrap, self.valgrind = text, wrap, valgrind
        for name, value in (credentials or {}).items():
            self.credential(name, value)
        # With a small quarantine the memory of a sanitized program is flat too.
        self.bus = None         # "system" or "user": the way to systemd.
        self.environment = {**CLEAN_ENVIRONMENT, "CREDENTIALS_DIRECTORY": str(self.secrets),
                            "ASAN_OPTIONS": "detect_leaks=1:exitcode=98:quarantine_size_mb=1"
                                            ":thread_local_quarantine_size_kb=64",
                            "UBSAN_OPTIONS": "print_stacktrace=1"}
        self.results, self.popen = queue.Queue(), None

    def credential(self, name, value):
        (self.secrets / name).write_text(value)

    def start(self, text):
        file = self.directory / "checks.conf"
        file.write_text(text)
        argv = self.wrap([*(VALGRIND if self.valgrind else ()),
                          build_directory() / "tests/programs/check-runner", file,
                          *([self.bus] if self.bus else ())])
        with open(self.log_path, "wb") as log:
            self.popen = subprocess.Popen(
                ["/usr/bin/setpriv", "--pdeathsig", "KILL", "--", *map(str, argv)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                env=self.environment)
        self.results = queue.Queue()
        threading.Thread(target=self._read, args=(self.popen, self.results), daemon=True).start()
        return self

    def __enter__(self):
        return self if self.text is None else self.start(self.text)

    @staticmethod
    def _read(popen, results):
        for line in popen.stdout:
            results.put(json.loads(line) | {"seen": time.monotonic()})
        results.put(None)

    def __exit__(self, kind, *_):
        if self.popen is not None:
            self.stop(kind is None)

    def stop(self, is_checked=True):
        """Asserts a clean end."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGCONT)
            self.popen.stdin.close()
        try:
            code = self.popen.wait(PATIENCE * SLOWNESS)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            code = self.popen.wait()
        log = INHERITED.sub("", self.log)
        self.popen = None
        if is_checked:
            assert not REPORTS.search(log), log
            assert code == 0, f"exit code {code}: {log}"

    @property
    def pid(self):
        return self.popen.pid

    @property
    def log(self):
        return self.log_path.read_text(errors="replace")

    @property
    def memory_limit_kib(self):
        """What may be added while a peer floods us: a megabyte, more under tools."""
        if self.valgrind:
            return 65536
        program = (build_directory() / "tests/programs/check-runner").read_bytes()
        return 4096 if b"__asan_init" in program else 1024

    @property
    def was_late(self):
        """Whether a run came to nothing because this machine gave us no time; it was run again."""
        return "vitald itself was late" in self.log

    def usage(self):
        """(open fds, resident kilobytes that are its own, to the page)"""
        smaps = pathlib.Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return (len(list(pathlib.Path(f"/proc/{self.pid}/fd").iterdir())),
                int(smaps.partition("\nPrivate_Dirty:")[2].split()[0]))

    def next(self, within=PATIENCE):
        """The next result of any check; an error at once when the program has ended."""
        try:
            result = self.results.get(timeout=within * SLOWNESS)
        except queue.Empty:
            raise AssertionError(f"no result within {within} s; {self.log}") from None
        if result is None:
            self.results.put(None)
            raise AssertionError(f"the program has ended; {self.log}")
        return result

    def next_of(self, check, within=PATIENCE):
        while True:
            result = self.next(within)
            if result.get("check") == check:
                return result

    def next_answered(self, within=PATIENCE):
        """The next result that does not only say that nobody answered in time, which may happen
        where this machine has too much to do."""
        while True:
            result = self.next(within)
            if result.get("reason") != "timeout":
                return result

    def first_of(self, count, within=PATIENCE):
        """{check: its first result} of so many checks, whatever else they report meanwhile."""
        results = {}
        while len(results) < count:
            result = self.next(within)
            results.setdefault(result["check"], result)
        return results

    def forget(self):
        """Drops the results that came so far."""
        while not self.results.empty():
            self.results.get()

    def is_quiet(self):
        return self.results.empty()

    def next_that(self, within=PATIENCE, **fields):
        """The next result that looks so."""
        while True:
            result = self.next(within)
            if all(result.get(name) == value for name, value in fields.items()):
                return result

    def run(self, check, times=1, within=100.0):
        """Runs the check so many times in a row; a dictionary with the count of each outcome."""
        self.popen.stdin.write(f"run {check} {times}\n")
        self.popen.stdin.flush()
        while True:
            result = self.next(within)
            if result.get("batch"):
                return result


def assert_result(result, outcome, reason, *words):
    assert (result["outcome"], result["reason"]) == (outcome, reason), result
    for word in words:
        assert word in result["message"], result


def assert_first_of_stuck(runner, result, *words):
    """The run that meets it times out; what comes after one that was late finds it stuck."""
    if not runner.was_late:
        assert_result(result, "fail", "timeout", *words)
