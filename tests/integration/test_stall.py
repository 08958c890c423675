# SPDX-License-Identifier: MIT
"""vitald or its host stands still, or gets too little processor time: nobody else has failed."""

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
from lib.process import eventually, throughout
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


def is_waiting(pid):
    """For something to happen, with nothing left to do."""
    stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "S"


@contextlib.contextmanager
def starving(pid, on=0.005, off=0.095):
    """The process runs for so long, then not for so long, and so on: as with CPUQuota=."""
    stop = threading.Event()

    def starve():
        while not stop.wait(on):
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
    vitald.service("app", many(http_server.url(), "Interval=1s", "Timeout=500ms",
                               "MaxAge=2s"))
    vitald.start()
    vitald.wait_status("/health/ready", 200)
    vitald.freeze()
    time.sleep(STALL_SECONDS)
    before = len(http_server.requests)
    vitald.thaw()
    # What is known is too old, until each of them has been looked at.
    answer = vitald.ready()
    assert answer.status == 503 and '"stale"' in answer.text, answer.text
    began = time.monotonic()
    vitald.wait_status("/health/ready", 200)
    took = time.monotonic() - began
    asked = paths(http_server, before)
    assert set(asked) == {f"/c{i}" for i in range(CHECKS)}
    # Not the 26 runs that were missed; some are due in their phase soon after.
    assert len(asked) <= 2 * CHECKS
    assert 0.1 < took < 2, "all at once, or late"
    vitald.wait_check("app/c1", healthy=True)
    assert vitald.log.count("stood still for ") == 1
    assert vitald.metrics()["vitald_stalls_total"] == 1
    assert "unhealthy" not in vitald.log


def test_fault_10_a_run_of_the_stall_is_void(vitald, http_server):
    """What is unanswered when it begins is asked once more when it is over."""
    vitald.service("app", "[Check web]\nType=http\nFailureThreshold=1\nInterval=200ms\n"
                   f"Timeout=1s\nMaxAge=1min\nURL={http_server.url()}\n")
    vitald.start()
    vitald.wait_status("/health/ready", 200)
    before = len(http_server.requests)
    http_server.reply = HANG
    eventually(lambda: len(http_server.requests) > before and is_waiting(vitald.pid))
    vitald.freeze()
    http_server.reply = Reply(body=b"ok")
    time.sleep(STALL_SECONDS)
    vitald.thaw()
    eventually(lambda: vitald.show("app/web")["NVoid"] >= 1)
    eventually(lambda: vitald.show("app/web")["NPass"] >= 2)
    assert vitald.show("app/web")["NFail"] == 0
    assert vitald.ready().status == 200 and "unhealthy" not in vitald.log
    # It was no turn of the loop that took so long.
    assert vitald.metrics()["vitald_loop_lag_seconds"] < STALL_SECONDS / 2


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
        runs = vitald.show("app/c1")["NRuns"]
        with starving(vitald.pid), \
                ProbeLoad(vitald.address, "/health/ready", threads=1, pause=0.05) as load:
            load.wait_for(30)
            n = len(manager.times("WATCHDOG"))
            eventually(lambda: len(manager.times("WATCHDOG")) > n + 8, within=20)
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
                   f"Timeout=400ms\nURL={http_server.url()}\n")
    vitald.start()
    vitald.wait_status("/health/ready", 200)
    before, log = len(http_server.requests), len(vitald.log)
    http_server.reply = HANG
    eventually(lambda: len(http_server.requests) > before)
    vitald.freeze()
    time.sleep(1.2)
    vitald.thaw()
    eventually(lambda: vitald.runs("app/web", after=log))
    run = vitald.runs("app/web", after=log)[0]
    assert (run.outcome, run.reason) == ("error", "late")
    assert vitald.ready().status == 200
    assert 0.7 < vitald.metrics()["vitald_lateness_seconds"] < 5
    # The next one has all its time, and counts.
    eventually(lambda: len(vitald.runs("app/web", after=log)) > 1)
    assert vitald.runs("app/web", after=log)[1].reason == "timeout"
    vitald.wait_status("/health/ready", 503)


def test_fault_48_what_came_while_it_was_late_is_read(vitald, http_server):
    """And a limit of latency is not applied to our own lateness."""
    vitald.service("app", "[Check web]\nType=http\nFailureThreshold=1\nInterval=500ms\n"
                   f"MaxLatency=300ms\nTimeout=400ms\nURL={http_server.url()}\n")
    vitald.start()
    vitald.wait_status("/health/ready", 200)
    log = len(vitald.log)
    for _ in range(2):
        asked, go = threading.Event(), threading.Event()

        def answer_late(_, asked=asked, go=go):
            asked.set()
            go.wait(5)
            return Reply(body=b"ok")
        http_server.reply = answer_late
        assert asked.wait(5)
        vitald.freeze()
        go.set()
        http_server.reply = Reply(body=b"ok")
        time.sleep(1)
        vitald.thaw()
    eventually(lambda: len(vitald.runs("app/web", after=log)) >= 3)
    assert {r.outcome for r in vitald.runs("app/web", after=log)} == {"pass"}
    assert vitald.ready().status == 200


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
        before = len(http_server.requests)
        clock.jump(days * 86400)
        eventually(lambda: vitald.ready().status == 503, every=0.001)
        answer = vitald.ready()
        assert answer.status == 200 or '"stale"' in answer.text
        vitald.wait_status("/health/ready", 200)
        assert sorted(paths(http_server, before)) == sorted(f"/c{i}" for i in range(CHECKS))
        assert vitald.log.count("stood still for 3d") == days / 3
        throughout(lambda: len(http_server.requests) == before + CHECKS, 0.7)
    assert "unhealthy" not in vitald.log
    assert vitald.metrics()["vitald_stalls_total"] == 2


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
    vitald.service("app", "[Check beat]\nType=push\nTTL=6s\nProbes=readiness liveness\n")
    vitald.start()
    report(vitald, "app/beat", "pass")
    vitald.wait_status("/health/ready", 200)
    clock.jump(4)
    eventually(lambda: "stood still for" in vitald.log)
    eventually(lambda: vitald.show("app/beat")["State"] != "healthy", every=0.001)
    assert vitald.show("app/beat")["State"] == "pending"
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
                                     timeout="3s", name=kind)
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
        eventually(lambda: all_pass(1), within=1)
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
        assert "no longer stuck" in vitald.log


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
