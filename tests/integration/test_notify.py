# SPDX-License-Identifier: MIT
"""sd_notify(3) and the watchdog, seen from the other end; and with nobody there."""

import itertools
import os
import signal
import socket
import time

import pytest

from lib.notify import NotifySocket
from lib.peers import HttpServer, Reply
from lib.process import SLOWNESS, eventually, throughout

APP = "[Check web]\nType=http\nURL={url}\nInterval=200ms\nFailureThreshold=1\n"


@pytest.fixture
def manager(directory):
    with NotifySocket(directory) as s:
        yield s


def keys(manager):
    """In order of arrival, without those that time alone brings."""
    return [key for _, fields in list(manager.messages) for key in fields
            if key not in ("WATCHDOG", "EXTEND_TIMEOUT_USEC")]


@pytest.mark.valgrind
def test_life_as_systemd_is_told(vitald, manager, http_server):
    vitald.service("app", APP.format(url=http_server.url()))
    vitald.environment.update(manager.environment)
    vitald.start()
    eventually(lambda: "READY" in keys(manager))
    eventually(lambda: manager.values("STATUS")[-1:] == ["READY: 1 of 1 service ready"])

    http_server.reply = Reply(500)
    eventually(lambda: manager.values("STATUS")[-1].startswith(
        "NOT READY: 0 of 1 service ready; app: web status/500"))

    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    vitald.reload()
    eventually(lambda: manager.values("READY") == ["1", "1"])
    (reloading,) = [fields for _, fields in manager.messages if "RELOADING" in fields]
    assert before <= int(reloading["MONOTONIC_USEC"]) <= before + 10_000_000
    order = [key for key in keys(manager) if key in ("READY", "RELOADING")]
    assert order == ["READY", "RELOADING", "READY"]

    vitald.stop()
    eventually(lambda: manager.values("STOPPING") == ["1"])
    assert manager.messages[-1][1]["STOPPING"] == "1"


def fill(receiver, path):
    """Until nobody else's datagrams are taken any more; how many that took."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.setblocking(False)
        for n in itertools.count():
            try:
                s.sendto(b"X=1", path)
            except BlockingIOError:
                return n


def test_a_manager_that_is_behind_is_told_later(vitald, directory):
    """What it cannot take at once is not lost: that it is ready, and how it is."""
    path = str(directory / "notify.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(path)
        receiver.settimeout(20 * SLOWNESS)
        n = fill(receiver, path)
        vitald.environment["NOTIFY_SOCKET"] = path
        vitald.start()
        eventually(lambda: "Cannot tell the service manager" in vitald.log)
        assert [receiver.recv(100) for _ in range(n)] == n * [b"X=1"]
        while receiver.recv(1000) != b"READY=1":
            pass
        while not receiver.recv(1000).startswith(b"STATUS=NOT READY: "):
            pass


def test_start_is_extended_while_it_waits(vitald, manager):
    with HttpServer("hang") as server:
        vitald.service("app", f"[Check web]\nType=http\nURL={server.url()}\nTimeout=1min\n")
        vitald.environment.update(manager.environment)
        vitald.start()
        eventually(lambda: "READY" in keys(manager), within=30)
        # Not before all has been waited for that was to be, nor as long as the check would take.
        before = keys(manager)[:keys(manager).index("READY")]
        status = "STARTING: waits for the first result of app/web (1 of 3 checks)"
        assert manager.values("STATUS")[before.count("STATUS") - 1] == status
        began = manager.times("EXTEND_TIMEOUT_USEC")[0]
        assert len([t for t in manager.times("EXTEND_TIMEOUT_USEC")
                    if t < manager.times("READY")[0]]) >= 2
        assert 7 < manager.times("READY")[0] - began < 25 + SLOWNESS
        # Each one reaches beyond the next.
        times, by = manager.times("EXTEND_TIMEOUT_USEC"), manager.values("EXTEND_TIMEOUT_USEC")
        for (a, b), usec in zip(itertools.pairwise(times), by):
            assert b - a < int(usec) / 1e6


def test_a_verdict_told_often_is_not_told_too_often(vitald, manager, http_server):
    """A check that flaps does not flood systemd."""
    states = itertools.cycle([200, 500])
    http_server.reply = lambda _: Reply(next(states))
    vitald.service("app", APP.format(url=http_server.url()).replace("200ms", "100ms"))
    vitald.environment.update(manager.environment)
    vitald.start()
    eventually(lambda: "READY" in keys(manager))
    before, began = len(manager.values("STATUS")), time.monotonic()
    eventually(lambda: len(http_server.requests) > 100, within=60)
    # What had been told before and was not taken in yet is allowed for.
    assert len(manager.values("STATUS")) - before <= time.monotonic() - began + 5


# -- row 54 --

def socket_gone(directory):
    path = directory / "gone.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(str(path))
    return str(path)


BAD_SOCKETS = {
    "absent": lambda _: None,
    "empty": lambda _: "",
    "relative": lambda _: "run/notify",
    "slash": lambda _: "/",
    "no-such-file": lambda d: str(d / "none"),
    "directory": lambda d: str(d),
    "gone": socket_gone,
    "too-long": lambda _: "/" + "x" * 200,
    "abstract-gone": lambda _: "@vitald-test-nobody",
    "abstract-empty": lambda _: "@",
    "vsock": lambda _: "vsock:2:1234",
}


@pytest.mark.parametrize("kind", BAD_SOCKETS)
def test_fault_54_nobody_to_tell(vitald, directory, kind):
    value = BAD_SOCKETS[kind](directory)
    if value is not None:
        vitald.environment["NOTIFY_SOCKET"] = value
    vitald.arguments.append("--log-level=info")
    vitald.start()
    vitald.wait_status("/health/live", 200)
    vitald.reload()
    eventually(lambda: "Configuration reloaded" in vitald.log)
    vitald.stop()
    log = (vitald.directory / "vitald.log").read_text()
    assert "service manager" not in log and "NOTIFY" not in log.upper()


def test_fault_54_abstract(vitald, directory):
    with NotifySocket(directory, abstract=True) as manager:
        vitald.environment.update(manager.environment)
        vitald.start()
        eventually(lambda: "READY" in keys(manager))


def test_fault_54_goes_away_and_does_not_read(vitald, manager):
    """What cannot be sent is not waited for."""
    vitald.environment.update(manager.environment, WATCHDOG_USEC="100000")
    vitald.start()
    eventually(lambda: "READY" in keys(manager))
    manager.__exit__()
    manager.path.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(manager.name)         # Nobody reads: its queue is full after some pings.
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        throughout(lambda: vitald.get("/health/live", within=20).status == 200, 1)
    vitald.stop()


# -- row 55 --

def pings(manager):
    return manager.times("WATCHDOG")


@pytest.mark.timing
def test_fault_55_tiny_watchdog(vitald, manager):
    vitald.environment.update(manager.environment, WATCHDOG_USEC="50000")
    vitald.start()
    eventually(lambda: len(pings(manager)) > 60)
    gaps = sorted(b - a for a, b in itertools.pairwise(pings(manager)))
    assert gaps[len(gaps) // 2] < 0.025     # In time, with one to spare.


@pytest.mark.parametrize("variables", [
    {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": ""}, {"WATCHDOG_USEC": "-5"},
    {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "1" * 40},
    {"WATCHDOG_USEC": "50000", "WATCHDOG_PID": "1"},
    {"WATCHDOG_USEC": "50000", "WATCHDOG_PID": "me"}],
    ids=lambda v: "-".join(x or "empty" for x in v.values()))
def test_fault_55_watchdog_of_somebody_else(vitald, manager, variables):
    vitald.environment.update(manager.environment, **variables)
    vitald.start()
    eventually(lambda: "READY" in keys(manager))
    throughout(lambda: not pings(manager), 0.3)


def test_fault_55_no_ping_comes_from_a_stopped_daemon(vitald, manager):
    vitald.environment.update(manager.environment, WATCHDOG_USEC="1000000")
    vitald.start()
    eventually(lambda: len(pings(manager)) > 1)
    vitald.freeze()
    manager.take_in()
    n = len(pings(manager))
    throughout(lambda: len(pings(manager)) == n, 0.5)
    os.kill(vitald.pid, signal.SIGCONT)
    eventually(lambda: len(pings(manager)) > n)
