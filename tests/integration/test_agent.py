# SPDX-License-Identifier: MIT
"""HAProxy's agent-check: the lines, and what a real HAProxy makes of them."""

import json
import socket
import time

import pytest

from lib.ctl import TIMED_OUT, ctl
from lib.haproxy import Haproxy
from lib.peers import HttpServer
from lib.process import SLOWNESS, eventually, free_port


def service(name, url, more=""):
    return f"[Check app]\nType=http\nURL={url}\nInterval=50ms\nRetryInterval=50ms\n{more}"


def ask(address, line=b"", close=False):
    """What an agent check gets."""
    with socket.create_connection(address, timeout=5 * SLOWNESS) as s:
        if line:
            s.sendall(line)
        if close:
            s.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: s.recv(4096), b""))
    assert answer.endswith(b"\n") and answer.count(b"\n") == 1
    return answer.decode().strip()


@pytest.fixture
def app(directory):
    with HttpServer() as server:
        yield server


@pytest.fixture
def cache(directory):
    with HttpServer() as server:
        yield server


@pytest.fixture
def agent(vitald, app, cache):
    """Two services, the cache of one of which is not critical."""
    port = free_port()
    vitald.conf(f"[Agent]\nListen=127.0.0.1:{port}\nDegradedWeight=40\n")
    vitald.service("orders", service("orders", app.url("/"))
                   + f"[Check cache]\nType=http\nURL={cache.url('/')}\nInterval=50ms\n"
                     "RetryInterval=50ms\nCritical=no\n")
    vitald.service("billing", service("billing", app.url("/")))
    vitald.start()
    vitald.wait_status("/health/ready", 200)
    return "127.0.0.1", port


def test_words(agent, vitald, app, cache):
    assert ask(agent) == "up ready 100%"
    assert ask(agent, close=True) == "up ready 100%"
    assert ask(agent, b"orders\n") == ask(agent, b"orders\r\n") == "up ready 100%"
    assert ask(agent, b"orders", close=True) == "up ready 100%"
    assert ask(agent, b"nobody\n") == "down #no service of that name"
    assert ask(agent, b"x" * 100000 + b"\n") == "down #no service of that name"

    cache.kill()
    eventually(lambda: ask(agent, b"orders\n") == "up ready 40%")
    assert ask(agent, b"billing\n") == "up ready 100%"
    assert ask(agent) == "up ready 40%"

    assert vitald.vitalctl("drain", "billing").returncode == 0
    assert ask(agent, b"billing\n") == "up drain"
    assert vitald.vitalctl("undrain", "billing").returncode == 0
    assert ask(agent, b"billing\n") == "up ready 100%"

    app.kill()
    eventually(lambda: ask(agent, b"billing\n") == "ready down #billing/app refused")
    assert ask(agent).startswith("ready down #")


def test_who_asks_is_waited_for(agent, vitald):
    """By a drain that waits, like who asks by HTTP."""
    def probers(service=None):
        view = json.loads(vitald.vitalctl("status", "--json=short").stdout)
        if service:
            view = next(s for s in view["Services"] if s["Name"] == service)
        return {p["Route"]: (p["UserAgent"], p["NotReadyInRow"]) for p in view["Probers"]
                if p["UserAgent"] == "agent-check"}

    assert ask(agent, b"orders\n") == "up ready 100%"
    assert ask(agent, b"nobody\n") == "down #no service of that name"
    assert probers("billing") == {}
    assert probers("orders") == {"/health/ready/orders": ("agent-check", 0)}
    done = vitald.vitalctl("drain", "orders", "--wait", "--count=1", "--timeout=300ms")
    assert done.returncode == TIMED_OUT and " by agent-check: 0 times" in done.stderr
    assert ask(agent, b"orders\n") == "up drain"
    ctl(vitald, "drain", "orders", "--wait", "--count=1")
    assert "up ready" not in ask(agent)
    assert probers("billing")["/health/ready"][1] == 1


def test_waits_for_the_line_but_not_long(agent):
    took = 1
    while took > 0.08:      # We must be in time ourselves.
        began = time.monotonic()
        with socket.create_connection(agent, timeout=5 * SLOWNESS) as s:
            s.sendall(b"ord")
            time.sleep(0.02)
            s.sendall(b"ers\n")
            took = time.monotonic() - began
            answer = s.recv(100)
    assert answer == b"up ready 100%\n"
    began = time.monotonic()
    assert ask(agent) == "up ready 100%"
    assert time.monotonic() - began < 5


def test_a_line_that_came_while_vitald_stood_still(agent, vitald):
    """Is read, however late that is: nobody else's verdict is given."""
    ctl(vitald, "drain", "billing")
    n = 0
    while n < 5:
        began = time.monotonic()
        with socket.create_connection(agent, timeout=5 * SLOWNESS) as s:
            time.sleep(0.03)        # Most likely it has been taken in by then.
            vitald.freeze()
            s.sendall(b"orders\n")
            in_time = time.monotonic() - began < 0.08   # We must be so ourselves.
            time.sleep(0.15)
            vitald.thaw()
            assert s.recv(100) == b"up ready 100%\n" or not in_time
            n += in_time


def test_nobody_can_hold_it(agent, vitald):
    """More connections than there may be, none of which closes; then one that wants an answer."""
    before = vitald.open_fds()
    held = [socket.create_connection(agent, timeout=5) for _ in range(400)]
    assert ask(agent, b"orders\n") == "up ready 100%"
    assert vitald.open_fds() <= before + 300
    for s in held:
        s.close()
    eventually(lambda: vitald.open_fds() <= before + 2)
    assert vitald.get("/health/ready").status == 200


def test_sockets_by_name(vitald, app):
    """The socket's name says for which service it answers."""
    sockets = {name: socket.create_server(("127.0.0.1", free_port()))
               for name in ("http", "agent", "agent-billing", "agent-nobody")}
    vitald.service("orders", service("orders", app.url("/")))
    vitald.service("billing", service("billing", app.url("/")))
    vitald.address = sockets["http"].getsockname()
    vitald.start(sockets=sockets)
    vitald.wait_status("/health/ready", 200)
    assert vitald.vitalctl("drain", "billing").returncode == 0
    assert ask(sockets["agent-billing"].getsockname()) == "up drain"
    assert ask(sockets["agent-billing"].getsockname(), b"orders\n") == "up drain"
    assert ask(sockets["agent-nobody"].getsockname()) == "down #no service of that name"
    assert ask(sockets["agent"].getsockname(), b"orders\n") == "up ready 100%"


def test_a_real_haproxy(agent, vitald, app, cache, directory):
    """up, degraded, drained, down, up again, vitald restarted."""
    server = (f"server {{}} 127.0.0.1:{app.port} weight 100 check agent-check agent-addr 127.0.0.1 "
              f"agent-port {agent[1]} agent-inter 50ms inter 50ms agent-send {{}}\\n")
    with Haproxy(directory / "haproxy", [server.format(name, name)
                                         for name in ("orders", "billing")]) as proxy:
        def state(name, status, weight=None):
            row = proxy.servers()[name]
            return row["status"].startswith(status) and weight in (None, int(row["weight"]))
        eventually(lambda: state("orders", "UP", 100) and state("billing", "UP", 100))

        cache.kill()
        eventually(lambda: state("orders", "UP", 40))
        cache.start()
        eventually(lambda: state("orders", "UP", 100))

        assert vitald.vitalctl("drain", "billing").returncode == 0
        eventually(lambda: state("billing", "DRAIN"))
        assert state("orders", "UP", 100)
        assert vitald.vitalctl("undrain", "billing").returncode == 0
        eventually(lambda: state("billing", "UP", 100))

        assert vitald.vitalctl("override", "orders/app", "unhealthy").returncode == 0
        eventually(lambda: state("orders", "DOWN"))
        # Empty while HAProxy asks again.
        eventually(lambda: "orders/app" in proxy.servers()["orders"]["last_agt"])
        assert state("billing", "UP", 100)
        assert vitald.vitalctl("clear-override", "orders/app").returncode == 0
        eventually(lambda: state("orders", "UP", 100))

        vitald.stop()
        vitald.start()
        eventually(lambda: state("orders", "UP", 100) and state("billing", "UP", 100))
