# SPDX-License-Identifier: MIT
"""vitald or its host stands still, or gets too little processor time: nobody else has failed."""

import collections
import contextlib
import itertools
import os
import pathlib
import signal
import socket
import threading
import time

import pytest

from lib.checks import section
from lib.notify import NotifySocket
from lib.peers import HANG, Proxy, Reply, copy
from lib.preload import Clock, compile_library
from lib.probes import ProbeLoad
from lib.process import eventually, hurry, throughout
from lib.push import report
from lib.runner import assert_result
from lib.vitald import needs_module

STALL_SECONDS = 2.6     # more than the two from which on it is called one
CHECKS = 10


def many(url, *lines):
    return "".join("\n".join((f"[Check c{i}]", "Type=http", f"URL={url}c{i}", *lines, ""))
                   for i in range(CHECKS))


def paths(http_server, after):
    return [r.target for r in list(http_server.requests)[after:]]


class Asked:
    """Set when the server is asked; it answers when go is set, or never. `at` is when."""

    def __init__(self, http_server, reply):
        self.event, self.go, self.reply, self.at = (threading.Event(), threading.Event(), reply,
                                                    None)
        http_server.reply = self._answer

    def _answer(self, _):
        self.at = self.at or time.monotonic()
        self.event.set()
        if self.reply != HANG:
            self.go.wait(20)
        return self.reply

    def wait(self):
        assert self.event.wait(20), "the server was not asked"

    def is_within(self, seconds):
        return time.monotonic() - self.at < seconds


def is_waiting(pid):
    """For something to happen, with nothing left to do."""
    stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "S"


def processor_seconds(pid):
    return int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


@contextlib.contextmanager
def starving(pid, on=0.005, off=0.095):
    """The process runs for so long, then not for so long, and so on: as with CPUQuota=. Time that
    others have the processor is not its own."""
    stop = threading.Event()

    def starve():
        while not stop.is_set():
            enough, deadline = processor_seconds(pid) + on, time.monotonic() + 1
            stop.wait(on)
            while (processor_seconds(pid) < enough and not is_waiting(pid)
                   and time.monotonic() < deadline):
                time.sleep(0.001)
            os.kill(pid, signal.SIGSTOP)
            time.sleep(off)
            os.kill(pid, signal.SIGCONT)
    thread = threading.Thread(target=starve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


# -- row 10 --

@pytest.mark.timing
def test_fault_10_each_check_runs_once(vitald, http_server):
    asked = []

    def answer(request):
        asked.append((time.monotonic(), request.target))
        return Reply(body=b"ok")
    http_server.reply = answer
    vitald.service("app", many(http_server.url(), "Interval=1s", "Timeout=1s", "MaxAge=2s",
                               "FailureThreshold=9"))
    vitald.start()
    vitald.wait_status("/health/ready", 200)
    vitald.freeze()
    time.sleep(STALL_SECONDS)
    before = len(asked)
    with socket.create_connection(vitald.address, timeout=20) as probe:
        probe.sendall(b"GET /health/ready HTTP/1.0\r\n\r\n")
        began = time.monotonic()
        vitald.thaw()
        # What is known is too old, until each of them has been looked at.
        text = b"".join(iter(lambda: probe.recv(65536), b""))
    assert text.split()[1] == b"503" and b'"stale"' in text, text
    vitald.wait_status("/health/ready", 200, within=10)
    assert time.monotonic() - began > 0.1, "all at once"
    again = asked[before:]
    assert {path for _, path in again} == {f"/c{i}" for i in range(CHECKS)}
    # Not the 26 runs that were missed; some are due in their phase soon after.
    soon = [path for at, path in again if at < again[0][0] + 0.9]
    assert max(collections.Counter(soon).values()) <= 2
    vitald.wait_check("app/c1", healthy=True)
    stalls = vitald.metrics()["vitald_stalls_total"]
    assert vitald.log.count("stood still for ") == stalls >= 1
    assert "unhealthy" not in vitald.log


def test_fault_10_a_run_of_the_stall_is_void(vitald, http_server):
    """What is unanswered when it begins is asked once more when it is over."""
    vitald.service("app", "[Check web]\nType=http\nFailureThreshold=1\nInterval=200ms\n"
                   f"Timeout=5s\nMaxAge=1min\nURL={http_server.url()}\n")
    vitald.start()
    vitald.wait_status("/health/ready", 200)
    Asked(http_server, HANG).wait()
    eventually(lambda: is_waiting(vitald.pid))
    vitald.freeze()
    http_server.reply = Reply(body=b"ok")
    time.sleep(STALL_SECONDS)
    vitald.thaw()
    eventually(lambda: vitald.show("app/web")["NVoid"] >= 1)
    eventually(lambda: vitald.show("app/web")["NPass"] >= 2)
    assert vitald.show("app/web")["NFail"] == 0
    assert vitald.ready().status == 200 and "unhealthy" not in vitald.log
    # It was no turn of the loop that took so long.
    assert vitald.metrics()["vitald_loop_lag_seconds"] < STALL_SECONDS


# -- row 48 --

@pytest.mark.timing
def test_fault_48_a_twentieth_of_a_processor(vitald, http_server, directory):
    """No verdict flips, no probe goes unanswered, and the watchdog is fed in time."""
    with NotifySocket(directory) as manager:
        vitald.service("app", many(http_server.url(), "Interval=300ms", "FailureThreshold=1"))
        vitald.environment.update(manager.environment, WATCHDOG_USEC="1000000")
        vitald.arguments.append("--log-level=info")
        vitald.start()
        vitald.wait_status("/health/ready", 200)
        hurry(vitald.pid)
        runs = vitald.show("app/c1")["NRuns"]
        with starving(vitald.pid), \
                ProbeLoad(vitald.address, "/health/ready", threads=1, pause=0.05) as load:
            load.wait_for(30)
            n = len(manager.times("WATCHDOG"))
            eventually(lambda: len(manager.times("WATCHDOG")) > n + 8, within=40)
        assert not load.failures and set(load.answers) == {200}
        shown = vitald.show("app/c1")
        assert shown["NFail"] == 0 and shown["NRuns"] > runs + 3
        pings = manager.times("WATCHDOG")
        assert max(b - a for a, b in itertools.pairwise(pings)) < 0.9
        assert vitald.metrics()["vitald_lateness_seconds"] > 0.03
        assert "unhealthy" not in vitald.log and "stuck" not in vitald.log


def test_fault_48_a_deadline_that_was_noticed_late_is_no_failure(vitald, http_server):
    """A stop too short to be a stall, and longer than Timeout=."""
    vitald.service("app", "[Check web]\nType=http\nFailureThreshold=1\nInterval=1s\nMaxAge=1min\n"
                   f"Timeout=1s\nURL={http_server.url()}\n")
    vitald.start()
    is_so = False
    while not is_so:        # Others may have kept us from being quick enough.
        http_server.reply = Reply(body=b"ok")
        vitald.wait_status("/health/ready", 200)
        log = len(vitald.log)
        asked = Asked(http_server, HANG)
        asked.wait()
        vitald.freeze()
        is_so = asked.is_within(0.6)
        time.sleep(1.2)
        vitald.thaw()
        is_so = is_so and asked.is_within(1.9)
    eventually(lambda: "timeout" in [run.reason for run in vitald.runs("app/web", after=log)])
    run = [run for run in vitald.runs("app/web", after=log) if run.outcome != "pass"][0]
    assert (run.outcome, run.reason) == ("error", "late")
    assert 0.7 < vitald.metrics()["vitald_lateness_seconds"] < 5
    # One that has all its time counts, and nothing is withdrawn before.
    vitald.wait_status("/health/ready", 503)
    text = vitald.log[log:]
    assert text.index(": error late, ") < text.index(": fail timeout, ") < text.index(
        "app/web is unhealthy")
    assert "is unknown" not in text and text.count("app/web is ") == 1


def test_fault_48_what_came_while_it_was_late_is_read(vitald, http_server):
    """And a limit of latency is not applied to our own lateness."""
    vitald.service("app", "[Check web]\nType=http\nFailureThreshold=1\nInterval=500ms\n"
                   f"MaxLatency=800ms\nTimeout=1s\nURL={http_server.url()}\n")
    vitald.start()
    vitald.wait_status("/health/ready", 200)
    log, times = len(vitald.log), 0
    while times < 2:
        asked = Asked(http_server, Reply(body=b"ok"))
        asked.wait()
        vitald.freeze()
        is_so = asked.is_within(0.3)
        asked.go.set()
        http_server.reply = asked.reply
        if is_so:       # Others may have kept us from being quick enough.
            time.sleep(1.5)
            times += 1
        vitald.thaw()

    def late_ones():
        return [run for run in vitald.runs("app/web", after=log) if run.took_ms > 1400]
    eventually(lambda: len(late_ones()) >= 2)
    assert {run.outcome for run in late_ones()} == {"pass"}
    vitald.wait_status("/health/ready", 200)


# -- row 51 --

@pytest.fixture(scope="module")
def libraries(tmp_path_factory):
    directory = tmp_path_factory.mktemp("libraries")
    return {name: compile_library(name, directory) for name in ("suspend-clock", "dead-source")}


@pytest.mark.timing     # A library in front of the sanitizers'.
def test_fault_51_suspend(vitald, http_server, directory, libraries):
    """Days that only CLOCK_BOOTTIME has seen; the checks would not be due for hours."""
    clock = Clock(directory, libraries["suspend-clock"], "BOOT_CLOCK")
    vitald.environment.update(clock.environment)
    vitald.service("app", many(http_server.url(), "Interval=1d", "MaxAge=2d"))
    vitald.start()
    vitald.wait_status("/health/ready", 200)
    for days in (3, 6):
        before, log = len(http_server.requests), len(vitald.log)
        clock.jump(days * 86400)
        for i in range(CHECKS):
            eventually(lambda: f"app/c{i} is unknown: No result for" in vitald.log[log:])
        vitald.wait_status("/health/ready", 200)
        assert sorted(paths(http_server, before)) == sorted(f"/c{i}" for i in range(CHECKS))
        assert vitald.log.count("stood still for 3d") == days / 3
        throughout(lambda: len(http_server.requests) == before + CHECKS, 0.7)
    assert "unhealthy" not in vitald.log
    assert vitald.metrics()["vitald_stalls_total"] == vitald.log.count("stood still for ")


@pytest.mark.timing
def test_fault_51_a_short_suspend_changes_nothing(vitald, http_server, directory, libraries):
    clock = Clock(directory, libraries["suspend-clock"], "BOOT_CLOCK")
    vitald.environment.update(clock.environment)
    vitald.service("app", many(http_server.url(), "Interval=1d", "MaxAge=2d"))
    vitald.start()
    vitald.wait_status("/health/ready", 200)
    before = len(http_server.requests)
    clock.jump(5)
    eventually(lambda: "stood still for" in vitald.log)
    throughout(lambda: vitald.ready().status == 200, 0.7)
    assert len(http_server.requests) == before


@pytest.mark.timing
def test_fault_51_a_suspend_is_no_silence(vitald, directory, libraries):
    """Who reports had less time than TTL=, however long before its end the host woke up."""
    clock = Clock(directory, libraries["suspend-clock"], "BOOT_CLOCK")
    vitald.environment.update(clock.environment)
    vitald.service("app", "[Check beat]\nType=push\nTTL=8s\nProbes=readiness liveness\n")
    vitald.start()
    report(vitald, "app/beat", "pass")
    vitald.wait_status("/health/ready", 200)
    clock.jump(5)
    eventually(lambda: "stood still for" in vitald.log)

    def other_state():
        state = vitald.show("app/beat")["State"]
        return state != "healthy" and state
    assert eventually(other_state, every=0.001) == "pending"
    assert vitald.get("/health/live").status == 200
    eventually(lambda: vitald.show("app/beat")["State"] == "unhealthy", within=20)
    assert vitald.get("/health/live").status == 503


class Forgetful(Proxy):
    """Forgets connections when told to, as a firewall does that was not suspended: what comes on
    them is swallowed, and their ends are not told."""

    def __init__(self, server):
        super().__init__(server)
        self.generation = 0

    def _forward(self, connection):
        mine = self.generation
        with socket.create_connection((self.server.host, self.server.port)) as upstream:
            threading.Thread(target=copy, args=(upstream, connection), daemon=True).start()
            while data := connection.recv(65536):
                if self.generation == mine:
                    upstream.sendall(data)


HELD = {
    "http_server": ("http", "URL=http://127.0.0.1:{port}/"),
    "redis": ("redis", "Address=127.0.0.1:{port}"),
    "shared_postgres": ("postgresql", "ConnectionString=host=127.0.0.1 port={port} "
                                      "user=postgres dbname=orders"),
    "rabbitmq": ("rabbitmq", "Address=127.0.0.1:{port}\nUsername=health\n"
                             "PasswordCredential=rabbitmq"),
}


@pytest.mark.parametrize("kinds", [
    ("http_server", "redis", "shared_postgres"),
    pytest.param(("rabbitmq",), marks=needs_module("rabbitmq"))], ids=lambda k: k[-1])
def test_fault_51_held_connections_are_made_anew(runner, request, kinds):
    """Their peers may have given them up meanwhile; the first run behind it passes at once."""
    def all_pass(times):
        return all(runner.run(kind, times)["pass"] == times for kind in kinds)
    runner.credential("rabbitmq", "s3cret\n")
    with contextlib.ExitStack() as stack:
        proxies = [stack.enter_context(Forgetful(request.getfixturevalue(kind)))
                   for kind in kinds]
        runner.start("".join(section(HELD[kind][0], HELD[kind][1].format(port=proxy.port),
                                     timeout="8s", name=kind)
                             for kind, proxy in zip(kinds, proxies)))
        for result in runner.first_of(len(kinds)).values():
            assert_result(result, "pass", "")
        assert all_pass(3)
        for proxy in proxies:
            assert proxy.connections <= 2       # They are held.
            proxy.generation += 1
        os.kill(runner.pid, signal.SIGSTOP)
        time.sleep(STALL_SECONDS)
        os.kill(runner.pid, signal.SIGCONT)
        assert all_pass(1)
        time.sleep(1.2)     # Nor is the old one taken up again later.
        assert all_pass(3)


# -- row 57 --

@pytest.mark.timing
@pytest.mark.parametrize("source, culprit", [("engine", "the check engine"),
                                             ("http", "the HTTP server")])
def test_fault_57_a_dead_part_is_not_fed_for(vitald, directory, http_server, libraries, source,
                                             culprit):
    """The loop turns, and a part of vitald does not."""
    period = 0.8
    dead = directory / "dead"
    with NotifySocket(directory) as manager:
        vitald.service("app", many(http_server.url(), "Interval=200ms"))
        vitald.environment.update(manager.environment, WATCHDOG_USEC=str(int(period * 1e6)),
                                  LD_PRELOAD=str(libraries["dead-source"]), DEAD_SOURCE=source,
                                  DEAD_WHILE=str(dead))
        vitald.start()
        vitald.wait_status("/health/ready", 200)
        hurry(vitald.pid)
        eventually(lambda: len(manager.times("WATCHDOG")) > 8)
        assert "stuck" not in vitald.log
        dead.touch()
        died = time.monotonic()
        eventually(lambda: f"vitald is stuck: {culprit}" in vitald.log)
        throughout(lambda: True, 1.5 * period)
        assert manager.times("WATCHDOG")[-1] < died + period
        assert vitald.log.count("vitald is stuck") == 1
        dead.unlink()
        eventually(lambda: manager.times("WATCHDOG")[-1] > died + 1.5 * period)
        eventually(lambda: "no longer stuck" in vitald.log)


def test_fault_57_a_stall_is_nobodys_fault(vitald, directory, http_server):
    """Behind a stop everything is late; the watchdog is fed at once, and nobody is blamed."""
    with NotifySocket(directory) as manager:
        vitald.service("app", many(http_server.url(), "Interval=200ms"))
        vitald.environment.update(manager.environment, WATCHDOG_USEC="800000")
        vitald.start()
        eventually(lambda: len(manager.times("WATCHDOG")) > 3)
        for _ in range(8):
            vitald.freeze()
            time.sleep(0.35)
            n = len(manager.times("WATCHDOG"))
            vitald.thaw()
            eventually(lambda: len(manager.times("WATCHDOG")) > n)
        assert "stuck" not in vitald.log
