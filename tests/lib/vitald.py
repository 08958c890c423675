# SPDX-License-Identifier: MIT
"""The daemon that was built, on a configuration tree of its own, and an HTTP client for it."""

import dataclasses
import fcntl
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess

import pytest

from lib.process import (CLEAN_ENVIRONMENT, PATIENCE, Process, SLOWNESS, eventually, free_port,
                         is_stopped)

SOURCE = pathlib.Path(__file__).resolve().parents[2]

VALGRIND = ["/usr/bin/valgrind", "-q", "--track-fds=yes", "--leak-check=full",
            "--show-leak-kinds=definite,indirect,possible", "--error-exitcode=99",
            "--exit-on-first-error=no"]

# What sanitizers and valgrind write; none of it may be on stderr when a test ends.
REPORTS = re.compile(r"ERROR: \w*Sanitizer|runtime error:|WARNING: \w*Sanitizer|"
                     r"^==\d+== |detected memory leaks|Assertion .* failed", re.MULTILINE)

# Of --track-fds these are no faults: what was inherited, and the sentence before it.
INHERITED = re.compile(r"^==\d+== *(FILE DESCRIPTORS: \d+ open.*|Open file descriptor \d+:.*|"
                       r"<inherited from parent>|)$\n?", re.MULTILINE)


def build_directory():
    """$VITALD_BUILD, or the first of the usual places that holds a daemon."""
    if "VITALD_BUILD" in os.environ:
        return pathlib.Path(os.environ["VITALD_BUILD"]).resolve()
    for place in (SOURCE / "build" / "gcc", SOURCE / "build", SOURCE, SOURCE.parent / "build"):
        if (place / "vitald").exists():
            return place
    return SOURCE / "build" / "gcc"


def needs_module(name):
    """For pytestmark: of a build that has the check type."""
    return pytest.mark.skipif(not (build_directory() / f"check-{name}.so").exists(),
                              reason=f"this build has no check type {name}")


# With these freed memory is given back at once, so that what stays is what somebody holds.
EAGER_ALLOCATOR = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_TRIM_THRESHOLD_": "4096",
    "MALLOC_MMAP_THRESHOLD_": "32768",
    "MALLOC_TOP_PAD_": "0",
    "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:exitcode=98:quarantine_size_mb=1"
                    ":thread_local_quarantine_size_kb=64",
}

# What the daemon says of each run at debug level.
RUN = re.compile(r"^(\S+): run (\d+): (\w+)(?: (\S+))?, took ([\d.]+)ms, began ([\d.]+)ms late$",
                 re.MULTILINE)


@dataclasses.dataclass
class Run:
    check: str          # "default/redis"
    number: int
    outcome: str
    reason: str
    took_ms: float
    late_ms: float      # how long after it was due it began


@dataclasses.dataclass
class Answer:
    status: int
    headers: dict       # lower-case names
    body: bytes

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body, object_pairs_hook=unique_keys)


def unique_keys(pairs):
    assert len({k for k, _ in pairs}) == len(pairs), f"a key stands twice in {pairs}"
    return dict(pairs)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def fetch(address, path="/health", method="GET", headers=None, within=PATIENCE):
    """One request on a connection of its own; address is (host, port) or a unix socket's path."""
    within *= SLOWNESS
    if isinstance(address, tuple):
        connection = http.client.HTTPConnection(*address, timeout=within)
    else:
        connection = UnixConnection(address, within)
    try:
        connection.request(method, path, headers=headers or {})
        reply = connection.getresponse()
        return Answer(reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read())
    finally:
        connection.close()


def parse_metrics(text):
    """{'name{label="x"}': value} of every sample."""
    samples = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, value = re.match(r"(\S+?(?:\{.*\})?) (\S+)", line).groups()
            assert name not in samples, f"{name} stands twice"
            samples[name] = float(value)
    return samples


class Vitald:
    """Write files, start(), ask, stop().

    It listens on TCP (`address`) and on a unix socket (`local`, trusted). `environment` and
    `arguments` may be changed before each start.
    """

    def __init__(self, directory, bus=None, valgrind=bool(os.environ.get("VITALD_VALGRIND"))):
        """bus: a lib.bus.Bus, otherwise --bus=none."""
        self.directory = pathlib.Path(directory)
        self.root = self.directory / "root"
        self.etc = self.root / "etc/vitald"
        self.etc.mkdir(parents=True, exist_ok=True)
        self.runtime_directory = self.directory / "run"
        self.runtime_directory.mkdir(exist_ok=True)
        self.state_directory = self.directory / "state"     # Not made here: vitald does if need be.
        self.credentials = self.directory / "credentials"
        self.credentials.mkdir(exist_ok=True)
        self.local = self.directory / "http.sock"
        self.address = ("127.0.0.1", free_port())
        self.build = build_directory()
        self.valgrind = valgrind
        self.bus = bus
        self.environment = {"CREDENTIALS_DIRECTORY": str(self.credentials)}
        self.arguments = []
        self.expected_exit_code = 0
        self.process = None
        self.wrap = list        # A function of argv, e.g. DnsServer.wrap.

    # -- files --

    def write(self, name, text):
        """A file below /etc/vitald of its tree; service("x", …) and conf(…) are shorter."""
        path = self.etc / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def conf(self, text):
        return self.write("vitald.conf", text)

    def service(self, name, text):
        return self.write(f"services/{name}.conf", text)

    def credential(self, name, value):
        path = self.credentials / name
        path.write_text(value)
        return path

    # -- life --

    @property
    def pid(self):
        return self.process.pid

    @property
    def log(self):
        return self.process.log if self.process else ""

    def argv(self, *more):
        argv = [self.build / "vitald", f"--root={self.root}", *more]
        return [*VALGRIND, *argv] if self.valgrind else argv

    def _daemon_argv(self, listen):
        more = [f"--runtime-directory={self.runtime_directory}",
                f"--state-directory={self.state_directory}", "--log-level=debug",
                "--bus=system" if self.bus else "--bus=none"]
        if listen:
            more += ["--listen=%s:%d" % self.address, f"--listen={self.local}"]
        return self.argv(*more, *self.arguments)

    def _environment(self):
        return {**(self.bus.environment if self.bus else {}),
                "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:exitcode=98",
                "UBSAN_OPTIONS": "print_stacktrace=1", **self.environment}

    def start(self, wait=True, sockets=None):
        """sockets: {name: listening socket} are passed as systemd does, instead of --listen."""
        argv, fds = self.wrap(self._daemon_argv(listen=not sockets)), ()
        if sockets:
            argv, fds = pass_sockets(argv, sockets)
        try:
            self.process = Process(argv, self.directory / "vitald.log", env=self._environment(),
                                   pass_fds=fds)
        finally:
            for fd in fds:
                os.close(fd)
        if wait:
            self.wait_until_answering()
        return self

    def wait_until_answering(self, within=PATIENCE):
        def answers():
            assert self.process.exit_code is None, f"exited {self.process.exit_code}:\n{self.log}"
            return self.get("/health").status
        return eventually(answers, within=within, what="first answer of vitald")

    def stop(self, within=PATIENCE):
        """SIGTERM; asserts a clean exit and a log without reports, and returns the exit code."""
        if self.process is None:
            return None
        code = self.process.stop(within)
        self.check_reports()
        assert code == self.expected_exit_code, f"exit code {code}:\n{self.log}"
        self.process = None
        return code

    def close(self):
        """At the end of a test: like stop(), unless the test has ended it otherwise itself."""
        if self.process is not None and self.process.exit_code is None:
            self.stop()
        else:
            self.check_reports()

    def kill9(self):
        self.process.kill9()

    def freeze(self):
        """Returns when nothing of it runs any more."""
        self.process.signal(signal.SIGSTOP)
        eventually(lambda: is_stopped(self.pid), what="all threads stopped")

    def thaw(self):
        self.process.signal(signal.SIGCONT)

    def check_reports(self):
        log = INHERITED.sub("", self.log)
        assert not REPORTS.search(log), f"a sanitizer or valgrind complains:\n{log}"

    def reload(self):
        self.process.signal(signal.SIGHUP)

    # -- questions --

    def get(self, path="/health", local=False, method="GET", headers=None, within=PATIENCE):
        return fetch(self.local if local else self.address, path, method, headers, within)

    def ready(self):
        return self.get("/health/ready")

    def metrics(self):
        return parse_metrics(self.get("/metrics").text)

    def wait_status(self, path, status, within=PATIENCE):
        """Until the route answers with this status; returns that answer."""
        def matches():
            answer = self.get(path)
            assert answer.status == status, f"{path}: {answer.status} {answer.text}"
            return answer
        return eventually(matches, within=within, what=f"{path} -> {status}")

    def wait_check(self, name, within=PATIENCE, **fields):
        """Until the check looks so on /health/ready, e.g. healthy=False, reason="timeout"."""
        def matches():
            answer = self.ready()
            check = answer.json["checks"][name]
            got = {key: check.get(key) for key in fields}
            assert got == fields, f"{name}: {check}"
            return check
        return eventually(matches, within=within, what=f"check {name} {fields}")

    def runs(self, check=None, after=0):
        """The runs that have ended, in order; after: the log's first so many characters are not
        looked at."""
        return [Run(name, int(number), outcome, reason, float(took), float(late))
                for name, number, outcome, reason, took, late in RUN.findall(self.log[after:])
                if check in (None, name)]

    def show(self, check):
        """All properties of SERVICE/CHECK."""
        done = self.vitalctl("show", check, "--json=short")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def vitalctl(self, *argv, within=30, env=None):
        return subprocess.run([self.build / "vitalctl", *map(str, argv)],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              env={**CLEAN_ENVIRONMENT, **self._environment(),
                                   "RUNTIME_DIRECTORY": str(self.runtime_directory),
                                   **(env or {})},
                              timeout=within * SLOWNESS)

    def verify(self, within=30):
        return subprocess.run(list(map(str, self.argv("--verify"))), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=within * SLOWNESS,
                              env={**CLEAN_ENVIRONMENT, **self._environment()})

    def open_fds(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def memory_kib(self):
        """Resident memory that is its own, and not of a file: that varies with who else maps it."""
        smaps = pathlib.Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return int(smaps.partition("\nPrivate_Dirty:")[2].split()[0])

    @property
    def growth_max_kib(self):
        """What EAGER_ALLOCATOR may leave after much work; a sanitizer's keeps more."""
        return 8192 if b"__asan_init" in (self.build / "vitald").read_bytes() else 512

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pass_sockets(argv, sockets):
    """The argv and the fds with which bash gives sockets on as 3, 4, …, as systemd does.

    LISTEN_PID must be the pid after exec, which only the child knows.
    """
    fds = [fcntl.fcntl(s.fileno(), fcntl.F_DUPFD, 100) for s in sockets.values()]
    moves = " ".join(f"{3 + i}<&{fd} {fd}<&-" for i, fd in enumerate(fds))
    script = (f"export LISTEN_PID=$$ LISTEN_FDS={len(fds)} LISTEN_FDNAMES={':'.join(sockets)}; "
              f'exec "$@" {moves}')
    return ["/bin/bash", "-c", script, "bash", *argv], fds
