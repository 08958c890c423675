# SPDX-License-Identifier: MIT
"""Children that die with us, free ports, and waiting for a condition instead of sleeping."""

import fcntl
import contextlib
import os
import pathlib
import random
import signal
import socket
import subprocess
import tempfile
import time

CLEAN_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                     "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}

# Under valgrind everything takes several times as long; every deadline is stretched alike.
SLOWNESS = 8 if os.environ.get("VITALD_VALGRIND") else 1

# How long is waited for what comes by itself: far longer than it takes, as a machine that has other
# things to do stands still for seconds. What has to be quick is measured, and not waited for.
PATIENCE = 20


def eventually(condition, within=PATIENCE, every=0.01, what=None):
    """Calls condition until it returns something true, and returns that.

    An AssertionError, what is not there and a program that fails or takes too long count as "not
    yet"; the last one is shown when the time is up.
    """
    deadline = time.monotonic() + within * SLOWNESS
    while True:
        error = None
        try:
            value = condition()
            if value:
                return value
        except (AssertionError, OSError, ValueError, LookupError,
                subprocess.SubprocessError) as e:
            value, error = None, e
        if time.monotonic() > deadline:
            name = what or getattr(condition, "__name__", "condition")
            raise AssertionError(
                f"{name}: not within {within * SLOWNESS} s; last: {error or value!r}") from error
        time.sleep(every)


def throughout(condition, seconds, every=0.01):
    """Asserts that the condition holds all the time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert condition()
        time.sleep(every)


CLAIMS = []     # Locks of the ports that this process has given out; held until it ends.


def claim(port):
    """Whether no other test process, nor this one, has given the port out already."""
    directory = pathlib.Path(tempfile.gettempdir()) / "vitald-test-ports"
    directory.mkdir(mode=0o777, exist_ok=True)
    lock = open(directory / str(port), "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return False
    CLAIMS.append(lock)
    return True


def free_port(host="127.0.0.1"):
    """A port below the range from which outgoing connections are given theirs.

    So nothing takes it away while a server on it is being restarted.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    while True:
        port = random.randint(15000, 32000)
        if not claim(port):
            continue
        with socket.socket(family, socket.SOCK_STREAM) as s:
            try:
                s.bind((host, port))
            except OSError:
                continue
            return port


def children_of(pid):
    """The pids of the direct children, as far as they still exist."""
    try:
        tasks = pathlib.Path(f"/proc/{pid}/task")
        return [int(child) for task in tasks.iterdir()
                for child in (task / "children").read_text().split()]
    except OSError:
        return []


def tree_of(pid):
    """pid and all its descendants, parents first."""
    return [pid] + [p for child in children_of(pid) for p in tree_of(child)]


def is_running(pid):
    """Whether the process exists and is not a zombie."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def peers_of(port):
    """The other ends of the connections of a server at this port, as the kernel lists them."""
    lines = [line.split() for name in ("tcp", "tcp6")
             for line in pathlib.Path("/proc/net", name).read_text().splitlines()[1:]]
    return {line[2] for line in lines if line[1].endswith(f":{port:04X}") and line[3] == "01"}


class Stopwatch:
    """seconds() since it was made, without those for which we and these processes were ready to run
    while others ran: so that what this machine lacks is not measured as lateness."""

    def __init__(self, *pids):
        self.pids = ("self", *pids)
        self.waits, self.began = self._waits(), time.monotonic()

    def _waits(self):
        """Of each thread; nothing where the kernel does not say."""
        found = {}
        for task in (t for pid in self.pids for t in pathlib.Path(f"/proc/{pid}/task").glob("*")):
            with contextlib.suppress(OSError):
                found[task] = int((task / "schedstat").read_text().split()[1])
        return found

    def elapsed(self):
        return time.monotonic() - self.began

    def seconds(self):
        elapsed, waits = self.elapsed(), self._waits()
        return elapsed - sum(n - self.waits.get(task, 0) for task, n in waits.items()) / 1e9


def hurry(*pids):
    """Lets these processes run before all others of the machine, where we may.

    Then what others do beside is not measured as their lateness.
    """
    for task in (t for pid in pids for t in pathlib.Path(f"/proc/{pid}/task").glob("*")):
        try:
            os.sched_setscheduler(int(task.name), os.SCHED_RR, os.sched_param(1))
        except (PermissionError, ProcessLookupError):
            pass


@contextlib.contextmanager
def in_a_hurry():
    """The same for the calling thread, but not for what it starts."""
    before = os.sched_getscheduler(0)
    try:
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except PermissionError:
        pass
    yield
    os.sched_setscheduler(0, before, os.sched_param(0))


def signal_all(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def is_stopped(pid):
    """Every thread of it; or it is no more."""
    try:
        states = [(task / "stat").read_text().rpartition(")")[2].split()[0]
                  for task in pathlib.Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return True
    return all(state in "TtZX" for state in states)


class Process:
    """One child: its output goes to a file, it is signalled by pid and dies with this process.

    Start it from a thread that lives as long as the child shall: PDEATHSIG belongs to threads.
    """

    def __init__(self, argv, log, env=None, user=None, cwd=None, pass_fds=(),
                 stdin=subprocess.DEVNULL, stdout=None):
        self.log_path = pathlib.Path(log)
        as_user = []
        if user and os.geteuid() == 0:
            as_user = [f"--reuid={user}", f"--regid={user}", "--init-groups"]
        with open(self.log_path, "ab") as out:
            self.popen = subprocess.Popen(
                ["/usr/bin/setpriv", "--pdeathsig", "KILL", *as_user, "--", *map(str, argv)],
                stdin=stdin, stdout=stdout or out, stderr=out, pass_fds=pass_fds, cwd=cwd,
                env={**CLEAN_ENVIRONMENT, **(env or {})})

    @property
    def pid(self):
        return self.popen.pid

    @property
    def exit_code(self):
        """None while it runs; negative numbers are signals."""
        return self.popen.poll()

    @property
    def log(self):
        return self.log_path.read_text(errors="replace")

    def signal(self, number):
        if self.exit_code is None:
            os.kill(self.pid, number)

    def wait(self, within=PATIENCE):
        return self.popen.wait(within * SLOWNESS)

    def stop(self, within=PATIENCE):
        """SIGTERM, and SIGKILL for what does not end in time. Returns the exit code."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            return self.wait(within)
        except subprocess.TimeoutExpired:
            return self.kill9()

    def kill9(self):
        self.signal(signal.SIGKILL)
        return self.popen.wait()


class Server:
    """What the servers below have in common; they define start() and have a `process`."""

    process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def pid(self):
        return self.process.pid

    def _pids(self):
        return tree_of(self.process.pid)

    def kill9(self):
        """Ends it and its children at once, as a crash would. Returns when, by CLOCK_REALTIME."""
        pids = self._pids()
        before = time.time()
        self.process.signal(signal.SIGKILL)
        signal_all(pids[1:], signal.SIGKILL)
        self.process.popen.wait()
        eventually(lambda: not any(map(is_running, pids)), what="children gone")
        return before

    def freeze(self):
        """SIGSTOP: connections stay open, nobody answers; not even for a moment longer."""
        pids = self._pids()
        signal_all(pids, signal.SIGSTOP)
        eventually(lambda: all(map(is_stopped, pids)), what="all threads stopped")

    def thaw(self):
        signal_all(self._pids(), signal.SIGCONT)

    def close(self):
        """Stops it in order; harmless when it has gone already."""
        if self.process is not None and self.process.exit_code is None:
            self.thaw()
            self.process.stop()

    def restart(self):
        """Starts it again on the same address, whatever its state is."""
        self.close()
        self.start()
