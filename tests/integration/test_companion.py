# SPDX-License-Identifier: MIT
"""vitald-run without systemd: what the program gets, and what the companion tells."""

import json
import os
import pathlib
import re
import signal
import socket
import statistics
import time

import pytest

from bus_server import BusServer
from lib.notify import NotifySocket
from lib.process import CLEAN_ENVIRONMENT, Process, eventually, is_running, throughout
from lib.vitald import REPORTS, build_directory

PROGRAM = build_directory() / "vitald-run"
NOW, BEFORE = "0123456789abcdef0123456789abcdef", "f" * 32
WATCHDOG = {"WATCHDOG_USEC": "600000"}
EXACTLY_THIS = ["/usr/bin/python3", "-c", """
import json, os, signal, sys
print(json.dumps({
    "pid": os.getpid(), "environment": dict(os.environ), "fds": os.listdir("/proc/self/fd"),
    "status": open("/proc/self/status").read(),
    "children": open(f"/proc/self/task/{os.getpid()}/children").read()}), flush=True)
signal.pause()
"""]


class Run:
    """vitald-run and what became of it; `notify` is systemd's end."""

    def __init__(self, directory, server, bus):
        self.directory, self.server = pathlib.Path(directory), server
        self.environment = {**bus.environment, "INVOCATION_ID": NOW,
                            "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:exitcode=98"}
        self.options = ["--service=s000"]
        self.private = server.runtime_directory
        self.process = None

    def start(self, *program, env=None, before=(), **options):
        argv = [*before, PROGRAM, f"--runtime-directory={self.private}", *self.options, "--",
                *(program or ("/bin/sleep", "1000"))]
        self.process = Process(argv, self.directory / "run.log", env={
            **self.environment, **self.notify.environment, **(env or {})}, **options)
        return self

    def companion(self):
        """Its pid, or None: the only process that still has the address of systemd."""
        for path in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if b"NOTIFY_SOCKET=%s\0" % self.notify.name.encode() in \
                        (path / "environ").read_bytes() and \
                        (path / "cmdline").read_bytes().startswith(b"vitald-run: health of"):
                    return int(path.name)
            except OSError:
                pass
        return None

    @property
    def status(self):
        return (self.notify.values("STATUS") or [""])[-1]

    @property
    def is_ready(self):
        return self.notify.values("READY") == ["1"]

    def pings(self):
        return len(self.notify.times("WATCHDOG", "1"))

    def is_fed(self):
        """Now, and not just by what is on its way."""
        before = self.pings()
        return eventually(lambda: self.pings() >= before + 3)

    def started(self):
        """vitald sees this start, and its checks pass."""
        self.server.order(f"unit 0 activating {NOW}")
        self.server.order("all pass")
        eventually(lambda: self.is_ready)
        return self

    def dies(self):
        """Of the second check; that the first fails as well does not hide it."""
        self.server.order("result 0 fail")
        for _ in range(3):
            self.server.order("result 1 fail")
        eventually(lambda: self.status.startswith("DEAD, the watchdog is not fed: b: "))

    def close(self):
        if self.process:
            self.process.kill9()
        eventually(lambda: self.companion() is None)
        if self.process:
            assert not REPORTS.search(self.process.log), self.process.log


@pytest.fixture
def server(directory, bus):
    """Stands for vitald; a test may end it."""
    s = BusServer(directory / "server", bus, units=True).__enter__()
    yield s
    if s.process.poll() is None:
        s.__exit__(None)
    else:
        s.process.stdin.close()
        s.process.stdout.close()


def kill(server):
    server.process.kill()
    server.process.wait()


@pytest.fixture
def run(request, directory, bus, server):
    made = Run(directory, server, bus)
    if getattr(request, "param", "private") == "bus":
        made.private = directory / "nothing"
    with NotifySocket(directory) as made.notify:
        yield made
        made.close()


in_both_ways = pytest.mark.parametrize("run", ["private", "bus"], indirect=True)


# -- the program -----------------------------------------------------------------------------------

def test_the_program_gets_what_systemd_gave(run, directory):
    with socket.create_server(("127.0.0.1", 0)) as listening, \
            open(directory / "out", "wb") as out:
        fd = listening.fileno()
        run.start(*EXACTLY_THIS, env=WATCHDOG | {"MINE": "1"}, stdout=out, pass_fds=[fd],
                  before=["/usr/bin/env", "--block-signal=USR1", "--ignore-signal=HUP"])
        got = eventually(lambda: json.loads((directory / "out").read_text()))
        companion = eventually(run.companion)
        inode = os.stat(fd).st_ino
    assert got["pid"] == run.process.pid
    wanted = {**CLEAN_ENVIRONMENT, **run.environment, "MINE": "1"}
    assert {k: got["environment"][k] for k in wanted} == wanted
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & set(got["environment"])
    assert len(got["fds"]) == 5 and str(fd) in got["fds"], got["fds"]
    assert got["children"] == ""
    signals = {k: int(v, 16) for k, v in re.findall(r"^(Sig\w+):\t(\w+)$", got["status"], re.M)}
    assert signals["SigBlk"] == 1 << signal.SIGUSR1 - 1
    assert signals["SigIgn"] & 1 << signal.SIGHUP - 1
    # What listens is the program's alone, and so is its session.
    links = eventually(lambda: [os.readlink(f"/proc/{companion}/fd/{n}")
                                for n in os.listdir(f"/proc/{companion}/fd")])
    assert f"socket:[{inode}]" not in links
    assert os.getsid(companion) != os.getsid(run.process.pid)
    assert os.readlink(f"/proc/{companion}/cwd") == "/"


@pytest.mark.parametrize("script, code", [("exit 0", 0), ("exit 1", 1), ("exit 42", 42),
                                          ("kill -TERM $$", -15), ("kill -KILL $$", -9),
                                          ("kill -SEGV $$", -11)])
def test_its_end_is_its_own(run, script, code):
    run.start("/bin/sh", "-c", script)
    assert run.process.wait() == code
    eventually(lambda: run.companion() is None)
    assert not run.notify.values("READY")


def test_what_cannot_be_executed(run, directory):
    (directory / "text").write_text("")
    for path, words in (("/no/such", "No such file or directory"),
                        (directory / "text", "Permission denied"), ("no-such-name", "No such")):
        run.start(path)
        assert run.process.wait() == 203
        assert f"vitald-run: cannot execute {path}: {words}" in run.process.log
        eventually(lambda: run.companion() is None)


def test_without_systemd(run):
    run.start("/bin/sh", "-c", "exit 5", env={"NOTIFY_SOCKET": ""})
    assert run.process.wait() == 5
    assert run.process.log.count("\n") == 1
    assert "$NOTIFY_SOCKET is not set" in run.process.log
    run.start("/bin/sh", "-c", "exit 5", env={"INVOCATION_ID": ""})
    assert run.process.wait() == 1
    assert "$INVOCATION_ID" in run.process.log


def test_wrong_options(run):
    for options in (["--bus=mine"], ["--ready-without-vitald=soon"], ["--service="], ["--what"]):
        run.options = options
        assert run.start().process.wait() == 2
    assert run.companion() is None and run.notify.messages == []


# -- the start -------------------------------------------------------------------------------------

@in_both_ways
def test_ready_when_vitald_says_started(run):
    run.start()
    eventually(lambda: run.status.startswith("Starting: "))
    run.server.order(f"unit 0 activating {NOW}")
    run.server.order("result 0 pass")
    throughout(lambda: not run.is_ready, 0.5)
    eventually(lambda: run.notify.values("EXTEND_TIMEOUT_USEC"))
    run.server.order("all pass")
    eventually(lambda: run.is_ready and run.status == "Alive: ready")
    run.server.order("result 0 fail")
    eventually(lambda: run.status.startswith("Alive: not ready: a-1: "))
    assert not run.notify.values("WATCHDOG"), "the unit has none"
    assert run.notify.values("MAINPID") == []


def test_the_verdict_of_an_earlier_start_does_not_count(run):
    run.server.order(f"unit 0 active {BEFORE}")
    run.server.order("all pass")
    run.start(env=WATCHDOG)
    eventually(lambda: "Starting: " in run.status and "asked" not in run.status)
    throughout(lambda: not run.is_ready, 1.5)
    run.started()
    # What is known of another start starves nobody either.
    for _ in range(3):
        run.server.order("result 1 fail")
    run.server.order(f"unit 0 active {BEFORE}")
    eventually(lambda: run.status.startswith("No verdict: "))
    assert run.is_fed()


def test_a_start_that_takes_too_long_is_not_extended(run):
    run.start()
    run.server.order(f"unit 0 activating {NOW}")

    def is_late():
        run.server.order("result 0 fail")       # The clock of this server moves with events.
        return run.status.startswith("Not started in time: ")
    eventually(is_late, every=0.2)
    eventually(lambda: run.process.log.count("s000 has not started in time: ") == 1)
    before = run.notify.values("EXTEND_TIMEOUT_USEC")
    throughout(lambda: not run.is_ready, 3)
    assert run.notify.values("EXTEND_TIMEOUT_USEC") == before
    assert run.process.log.count("s000 has not started in time: ") == 1
    # But it is not final.
    run.server.order("all pass")
    eventually(lambda: run.is_ready)


@pytest.mark.parametrize("service, words", [
    ("nobody", "vitald knows no service nobody"),
    ("s000", "service s000 has no Unit=, so that vitald cannot tell its starts apart")])
def test_what_will_never_be(directory, bus, service, words):
    """It is said at once, and systemd is not asked to go on waiting."""
    with BusServer(directory / "server", bus) as server, NotifySocket(directory) as notify:
        run = Run(directory, server, bus)
        run.notify, run.options = notify, [f"--service={service}"]
        server.order("all pass")
        run.start()
        eventually(lambda: run.status == f"Starting: {words}")
        eventually(lambda: f"No verdict for this unit: {words}" in run.process.log)
        assert len(notify.values("EXTEND_TIMEOUT_USEC")) <= 1 and not run.is_ready
        run.close()


def test_ready_without_vitald(run):
    kill(run.server)
    run.options.append("--ready-without-vitald=1500ms")
    began = time.monotonic()
    run.start(env=WATCHDOG)
    eventually(lambda: run.is_ready)
    assert run.notify.times("READY")[0] - began >= 1.5
    eventually(lambda: "the unit counts as started without one" in run.process.log)
    assert run.is_fed()


def test_a_start_waits_for_vitald(directory, bus, run):
    kill(run.server)
    run.start()
    eventually(lambda: len(run.notify.values("EXTEND_TIMEOUT_USEC")) > 1, within=15)
    assert not run.is_ready
    with BusServer(directory / "server", bus, units=True) as run.server:
        run.started()


# -- the watchdog ----------------------------------------------------------------------------------

def test_the_watchdog_is_fed_while_it_is_alive(run):
    run.start(env=WATCHDOG).started()
    assert run.is_fed()
    run.dies()
    before = run.pings()
    throughout(lambda: run.pings() == before, 1)
    eventually(lambda: "s000 is dead: " in run.process.log)
    run.server.order("result 1 pass")
    eventually(lambda: run.pings() > before + 9)
    assert run.notify.values("READY") == ["1"]
    eventually(lambda: "s000 is no longer dead" in run.process.log)
    # In time, that is sooner than after a period; now and then a busy machine is late.
    times = run.notify.times("WATCHDOG")[before:]
    assert statistics.median(b - a for a, b in zip(times, times[1:])) < 0.4


def test_an_override_is_no_death(run):
    run.start(env=WATCHDOG).started()
    with run.server.peer() as client:
        from gi.repository import GLib
        client.call("/org/vitald1/service/s000/check/b", "org.vitald1.Check", "Override",
                    GLib.Variant("(sts)", ("unhealthy", 2**64 - 1, "test")))
        assert client.get("/org/vitald1/service/s000", "org.vitald1.Service", "Live") is False
    assert run.is_fed()


@in_both_ways
def test_without_vitald_the_watchdog_is_fed(run):
    run.start(env=WATCHDOG).started()
    run.dies()
    kill(run.server)
    eventually(lambda: run.status.startswith("No verdict: "))
    assert run.is_fed() and run.notify.values("READY") == ["1"]


def test_a_vitald_that_hangs(run):
    run.start(env=WATCHDOG).started()
    run.server.process.send_signal(signal.SIGSTOP)
    eventually(lambda: run.status == "No verdict: vitald does not answer", within=15)
    assert run.is_fed()
    run.server.process.send_signal(signal.SIGCONT)
    eventually(lambda: run.status == "Alive: ready")


@in_both_ways
def test_a_restart_of_the_bus(run, bus):
    run.start(env=WATCHDOG).started()
    bus.freeze()
    assert run.is_fed()
    bus.thaw()
    bus.restart()
    assert run.is_fed()
    eventually(lambda: run.status == "Alive: ready")


# -- its end ---------------------------------------------------------------------------------------

def test_signals_of_the_program_do_not_reach_it(run):
    run.start("/bin/sh", "-c", "trap : TERM HUP; kill -TERM 0; kill -HUP 0; exec sleep 1000",
              env=WATCHDOG, before=["/usr/bin/setsid"]).started()
    companion = run.companion()
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGABRT,
                   signal.SIGRTMIN):
        os.kill(companion, number)
    assert run.is_fed() and is_running(companion)
    os.kill(companion, signal.SIGTERM)
    eventually(lambda: not is_running(companion))
    assert run.process.exit_code is None
