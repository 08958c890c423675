# SPDX-License-Identifier: MIT
"""Dependencies that hang, each in the ways that its protocol allows: they delay nobody else."""

import socket
import time

import pytest

from lib.nginx import Nginx
from lib.peers import TcpServer
from lib.probes import ProbeLoad
from lib.process import SLOWNESS, eventually, hurry, in_a_hurry
from lib.redis import Redis
from lib.scenario import check, percentile
from lib.stalls import Stalls

TIMEOUT_MS = 400
TOLERANCE_MS = 50
EXPECT = "Send=PING\\r\\n\nExpect=+PONG\n"
MORE = {"tcp": EXPECT}      # A tcp check that only connects is content with a stopped server.


def drip(data):
    """Answers whatever comes with one byte a second."""
    def script(connection):
        connection.recv(65536)
        for byte in data:
            connection.sendall(bytes([byte]))
            time.sleep(1)
    return script


ENDLESS = 60 * b"x"
DRIPS = {
    "tcp": ENDLESS,
    "redis": b"$100\r\n" + ENDLESS,
    "http": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + ENDLESS,
    # No TLS, AuthenticationOk, then a parameter without an end.
    "postgresql": b"NR\0\0\0\x08\0\0\0\0S\0\0\0\x64" + ENDLESS,
}


class World:
    """Bad checks hole-TYPE, stopped-TYPE and drip-TYPE, and good-TYPE with servers of their own."""

    def __init__(self, vitald, bad, good, black_hole, drips):
        """bad, good: {type: server}."""
        self.vitald, self.servers = vitald, {id(s): s for s in bad.values()}.values()
        self.stopped = [f"stopped-{kind}" for kind in bad]
        self.bad = [f"{how}-{kind}" for how in ("stopped", "hole", "drip") for kind in bad]
        self.good = [f"good-{kind}" for kind in good]
        slow = f"Interval=1s\nFailureThreshold=1\nTimeout={TIMEOUT_MS}ms\n"
        text = ""
        for kind, server in bad.items():
            more = slow + MORE.get(kind, "")
            text += check(f"stopped-{kind}", kind, server, more)
            text += check(f"hole-{kind}", kind, black_hole, more)
            text += check(f"drip-{kind}", kind, drips[kind], more)
        for kind, server in good.items():
            text += check(f"good-{kind}", kind, server, "Interval=100ms\n" + MORE.get(kind, ""))
        vitald.service("shop", text)

    def stop_servers(self):
        """Once all of them have been seen healthy; ends when all bad checks have failed."""
        hurry(self.vitald.pid)
        for name in self.stopped + self.good:
            self.wait_check(name, healthy=True)
        for server in self.servers:
            server.freeze()
        for name in self.bad:
            self.wait_check(name, healthy=False, reason="timeout")

    def wait_check(self, name, **fields):
        def matches():
            return fields.items() <= self.vitald.get("/health/ready/shop").json["checks"][
                name].items()
        eventually(matches, within=30, what=f"{name} {fields}")

    def runs(self, name, after):
        return self.vitald.runs(f"shop/{name}", after)


@pytest.fixture
def world(directory, vitald, shared_postgres, redis, nginx, black_hole):
    drips = {kind: TcpServer(drip(data)) for kind, data in DRIPS.items()}
    with Redis(directory / "redis2") as redis2, Nginx(directory / "nginx2") as nginx2:
        for server in drips.values():
            server.start()
        bad = {"postgresql": shared_postgres, "redis": redis, "http": nginx, "tcp": redis}
        good = {"redis": redis2, "http": nginx2, "tcp": redis2}
        yield World(vitald, bad, good, black_hole, drips)
        for server in drips.values():
            server.close()


@pytest.mark.timing
def test_fault_13_and_18_what_hangs_delays_nobody(world):
    vitald = world.vitald.start()
    world.stop_servers()
    with Stalls() as stalls:
        mark, before = len(vitald.log), time.monotonic()
        eventually(lambda: all(len(world.runs(name, mark)) >= 4 for name in world.bad), within=40,
                   what="four runs of each bad check")
        after = time.monotonic()
        runs = {name: world.runs(name, mark) for name in world.bad + world.good}
        lag = vitald.metrics()["vitald_loop_lag_seconds"] * 1000
        tolerance = TOLERANCE_MS + stalls.longest(before, after) * 1000
        elapsed = after - before - stalls.during(before, after)

    for name in world.bad:
        for run in runs[name]:
            if run.reason == "late" and tolerance > 2 * TOLERANCE_MS:
                continue        # It was the machine.
            assert (run.outcome, run.reason) == ("fail", "timeout"), run
            assert abs(run.took_ms - TIMEOUT_MS) <= tolerance, run
    for name in world.good:
        # Each at its time, and none left out, but for those that were due while its own server was
        # still to answer.
        held_up = sum(run.took_ms // 100 for run in runs[name])
        assert len(runs[name]) + held_up >= elapsed / 0.1 - 2, (name, len(runs[name]), elapsed)
        assert all(run.outcome == "pass" for run in runs[name])
    late = max(run.late_ms for of_one in runs.values() for run in of_one)
    took = [run.took_ms for name in world.bad for run in runs[name]]
    print(f"{len(took)} timeouts of {TIMEOUT_MS} ms took {min(took):.1f} to {max(took):.1f} ms; "
          f"runs began at most {late:.1f} ms late; loop lag {lag:.1f} ms; the machine stood "
          f"still for {tolerance - TOLERANCE_MS:.1f} ms at a time")
    assert late <= tolerance and lag <= tolerance


@pytest.mark.timing
@pytest.mark.parametrize("is_kept", [True, False], ids=["kept connection", "new connections"])
def test_probes_while_dependencies_hang(is_kept, world):
    world.vitald.start()
    world.stop_servers()
    with in_a_hurry():
        rounds = [probe(world.vitald.address, 200, is_kept) for _ in range(5)]
    seconds = [s for one in rounds for s in one]
    figures = [percentile(seconds, share) * 1000 for share in (0.5, 0.99, 1)]
    print("1,000 probes: median %.2f ms, p99 %.2f ms, most %.2f ms" % tuple(figures))
    # Of most rounds, as the machine may stand still in any of them.
    assert sorted(percentile(one, 0.99) for one in rounds)[2] < 0.005


REQUEST = b"GET /health/ready HTTP/1.1\r\nHost: probe\r\n%s\r\n"


def probe(address, times, is_kept):
    """How long each probe took from its request, or from connecting, to its whole answer."""
    took, connection = [], None
    for _ in range(times):
        before = time.monotonic()
        if connection is None:
            connection = socket.create_connection(address)
        connection.sendall(REQUEST % (b"" if is_kept else b"Connection: close\r\n"))
        answer = read_answer(connection)
        took.append(time.monotonic() - before)
        assert answer.startswith(b"HTTP/1.1 503 ")
        if not is_kept:
            connection.close()
            connection = None
    return took


def read_answer(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split()[0])
    while len(body) < length:
        body += connection.recv(65536)
    return head


def test_probes_of_other_kinds_while_dependencies_hang(world):
    """Liveness and startup do not know of it, and wait for nobody: three at a time, 300 probes
    would take 40 s otherwise."""
    vitald = world.vitald.start()
    world.stop_servers()
    for path in ("/health", "/health/started"):
        with ProbeLoad(vitald.address, path) as load:
            load.wait_for(300, within=20 * SLOWNESS)
        assert not load.failures and set(load.answers) == {200}


@pytest.mark.valgrind
def test_stopped_servers_go_on(world):
    """The checks come back by themselves, with the same server processes."""
    world.vitald.start()
    world.stop_servers()
    for server in world.servers:
        server.thaw()
    for name in world.stopped:
        world.wait_check(name, healthy=True)
