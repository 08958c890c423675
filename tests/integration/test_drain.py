# SPDX-License-Identifier: MIT
"""Drains that know who has read of them: probers, and what vitalctl says of them."""

import contextlib
import json
import re
import signal
import socket
import threading
import time

import pytest

from lib.ctl import NO, TIMED_OUT, USAGE, ctl, start
from lib.haproxy import Haproxy
from lib.peers import HttpServer
from lib.probes import ProbeLoad
from lib.process import SLOWNESS, Process, eventually, free_port, hurry

CHECK = "[Check app]\nType=http\nURL={}\nInterval=50ms\nRetryInterval=50ms\n"


@pytest.fixture
def app():
    with HttpServer() as server:
        yield server


@pytest.fixture
def two(vitald, app):
    """Two services that are started; nobody has asked for their readiness."""
    for name in ("orders", "billing"):
        vitald.service(name, CHECK.format(app.url()))
    vitald.service("apart", "[Service]\nHost=no\n" + CHECK.format(app.url()))
    vitald.start()
    for name in ("orders", "billing", "apart"):
        ctl(vitald, "wait", name)
    return vitald


def told(daemon, service=None):
    """{route: answers in a row that said not ready}"""
    done = daemon.vitalctl("status", "--json=short")
    view = json.loads(done.stdout)
    if service:
        view, = (s for s in view["Services"] if s["Name"] == service)
    return {p["Route"]: p["NotReadyInRow"] for p in view["Probers"]}


# -- who has read of it ----------------------------------------------------------------------------

def test_who_is_a_prober_of_what(two):
    assert told(two) == {}
    for route in ("/health/ready", "/health/ready/orders", "/health/ready/billing",
                  "/health/ready/apart", "/health/ready/orders/app", "/health/live/orders",
                  "/health/started", "/metrics", "/no/such"):
        two.get(route)
    assert set(told(two, "orders")) == {"/health/ready", "/health/ready/orders"}
    assert set(told(two, "billing")) == {"/health/ready", "/health/ready/billing"}
    assert set(told(two, "apart")) == {"/health/ready/apart"}
    assert set(told(two)) == {"/health/ready", "/health/ready/orders", "/health/ready/billing",
                              "/health/ready/apart"}


def test_status_says_who_has_read_of_the_drain(two):
    two.get("/health/ready/orders")
    time.sleep(2)       # Who asks seldom is one of them for some seconds.
    two.get("/health/ready/orders")
    two.get("/health/ready", headers={"User-Agent": "a balancer"})
    ctl(two, "drain", "orders", "--reason=disk", "--timeout=1h")
    out = ctl(two, "status", code=3)
    assert "0 of 2 probers have read 503" in out
    assert re.search(r"^! orders +draining +drained by root \d+s ago, until \S+: disk$", out,
                     re.MULTILINE)
    two.get("/health/ready/orders")
    two.get("/health/ready/orders")
    two.get("/health/ready/billing")
    assert told(two, "orders") == {"/health/ready/orders": 2, "/health/ready": 0}
    assert "1 of 2 probers have read 503" in ctl(two, "status", code=3)
    two.get("/health/ready", headers={"User-Agent": "a balancer"})
    out = ctl(two, "status", "orders", code=3)
    assert "Drain: 2 of 2 probers have read 503: " in out
    assert re.search(r"127\.0\.0\.1 /health/ready/orders every \S+ was told 503", out)
    assert "probers" not in ctl(two, "status", "billing")

    ctl(two, "undrain", "orders")
    assert "prober" not in ctl(two, "status")
    two.get("/health/ready/orders")
    assert told(two, "orders")["/health/ready/orders"] == 0
    ctl(two, "drain", "--all")
    assert "Drain: 1 of 3 probers have read 503: " in ctl(two, "status", code=3)


def test_who_asks_no_more_is_no_prober(two):
    for _ in range(3):
        two.get("/health/ready/orders")
    assert set(told(two, "orders")) == {"/health/ready/orders"}
    eventually(lambda: told(two, "orders") == {})


# -- waiting until they have -----------------------------------------------------------------------

def asking(daemon, route, every):
    """Somebody who asks until told to stop."""
    stop = threading.Event()

    def run():
        while not stop.wait(every):
            daemon.get(route)
    thread = threading.Thread(target=run)
    thread.start()
    return stop, thread


@contextlib.contextmanager
def prober(daemon, route="/health/ready/orders", every=0.1):
    seen = told(daemon)
    stop, thread = asking(daemon, route, every)
    try:
        eventually(lambda: set(told(daemon)) > set(seen))
        yield
    finally:
        stop.set()
        thread.join()


def test_nobody_asks_nobody_waits(two):
    began = time.monotonic()
    assert ctl(two, "drain", "orders", "--wait", "--timeout=1min") == "nobody has asked of late\n"
    assert time.monotonic() - began < 30
    two.get("/health/ready/apart")
    assert ctl(two, "drain", "billing", "--wait") == "nobody has asked of late\n"


def test_returns_once_all_have_read_it_often_enough(two):
    with prober(two), prober(two, "/health/ready"):
        assert ctl(two, "drain", "orders", "--wait") == "2 of 2 probers have read 503 2 times\n"
        assert min(told(two, "orders").values()) >= 2
        ctl(two, "undrain", "orders")
        eventually(lambda: set(told(two, "orders").values()) == {0})
        ctl(two, "drain", "--all", "--wait", "--count=7")
        assert min(told(two).values()) >= 7


def test_says_who_has_not_read_it(two):
    two.get("/health/ready", headers={"User-Agent": "slow"})
    done = two.vitalctl("drain", "orders", "--wait", "--timeout=300ms")
    assert done.returncode == TIMED_OUT and done.stdout == ""
    assert done.stderr == ("vitalctl: timed out: 0 of 1 prober has read 503 2 times; "
                           "127.0.0.1 /health/ready by slow: 0 times\n")
    assert two.get("/health/ready/orders").status == 503    # It stays drained.


def test_a_restart_forgets_nobody(two):
    """Who asked before it is waited for, and has to read 503 of the vitald that runs now."""
    with prober(two, every=2):      # Somebody who is missed only after some seconds.
        ctl(two, "drain", "orders", "--wait")
    two.stop()
    two.start()
    done = two.vitalctl("drain", "orders", "--wait", "--timeout=300ms")
    assert done.returncode == TIMED_OUT, done
    assert "0 of 1 prober has read 503 2 times; 127.0.0.1 /health/ready/orders" in done.stderr


def test_ended_while_it_waits(two):
    with prober(two):
        waiting = start(two, "drain", "orders", "--wait", "--count=100", log="wait.log")
        two.wait_status("/health/ready/orders", 503)
        ctl(two, "undrain", "orders")
        assert waiting.wait() == NO
        assert "the drain was ended" in (two.directory / "wait.log").read_text()


def test_options(two):
    for argv in (["--count=2"], ["--wait", "--count=0"], ["--wait", "--count=x"],
                 ["--wait", "--count=101"], ["--connections=80"], ["--wait", "--connections=0"],
                 ["--wait", "--connections=80:"], ["--wait", "--connections=65536"]):
        assert two.vitalctl("drain", "orders", *argv).returncode == USAGE
    assert two.vitalctl("undrain", "orders", "--wait").returncode == USAGE
    assert two.get("/health/ready/orders").status == 200


def test_counts_connections(two):
    with socket.create_server(("127.0.0.1", 0)) as server, \
            socket.create_server(("::1", 0), family=socket.AF_INET6) as other:
        port = server.getsockname()[1]
        v6 = socket.create_connection(other.getsockname()[:2])
        accepted = other.accept()[0]
        held = [socket.create_connection(server.getsockname()) for _ in range(3)]
        ends = [server.accept()[0] for _ in held]
        argv = "drain", "orders", "--wait", "--timeout=300ms"
        done = two.vitalctl(*argv, f"--connections={port}")
        assert done.returncode == TIMED_OUT
        assert done.stderr == ("vitalctl: timed out: nobody has asked of late; "
                               f"port {port} has 3 connections\n")
        assert f"port {port} has 3 " in ctl(two, *argv, f"--connections={port}:3")
        done = two.vitalctl(*argv, f"--connections={other.getsockname()[1]}")
        assert done.returncode == TIMED_OUT and "has 1 connection\n" in done.stderr

        waiting = start(two, "drain", "orders", "--wait", "--timeout=1min",
                        f"--connections={port}:1", log="wait.log")
        for s in (*held[:2], *ends[:2]):
            assert waiting.popen.poll() is None
            s.close()
        assert waiting.wait() == 0
        assert f"port {port} has 1 connection\n" in (two.directory / "wait.log").read_text()
        for s in (*held[2:], *ends[2:], v6, accepted):
            s.close()
    assert f"port {port} has 0 " in ctl(two, *argv, f"--connections={port}")


def test_many_connections(two):
    """More than one answer of the kernel holds."""
    with socket.create_server(("127.0.0.1", 0), backlog=400) as server, \
            contextlib.ExitStack() as stack:
        for _ in range(400):
            stack.enter_context(socket.create_connection(server.getsockname()))
            stack.enter_context(server.accept()[0])
        port = server.getsockname()[1]
        out = ctl(two, "drain", "orders", "--wait", f"--connections={port}:400")
        assert f"port {port} has 400 connections" in out


# -- rolling restarts ------------------------------------------------------------------------------

NGINX = """
daemon off; user root; worker_processes 1; pid {dir}/pid; error_log {dir}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi; uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
    server {{ listen 127.0.0.1:{port}; location / {{ return 200 "ok"; }} }}
}}
"""


class Backend:
    """A real server, and the vitald that answers for it."""

    def __init__(self, name, directory, daemon):
        self.name, self.directory, self.daemon, self.port = name, directory, daemon, free_port()
        directory.mkdir()
        (directory / "nginx.conf").write_text(NGINX.format(dir=directory, port=self.port))
        daemon.service("web", CHECK.format(f"http://127.0.0.1:{self.port}/"))
        self.start()
        daemon.start()
        hurry(daemon.pid)
        daemon.wait_status("/health/ready/web", 200)

    def start(self):
        self.process = Process(["/usr/sbin/nginx", "-p", self.directory, "-c",
                                self.directory / "nginx.conf"], self.directory / "log")
        hurry(self.process.pid)

    def line(self):
        return (f"server {self.name} 127.0.0.1:{self.port} check port {self.daemon.address[1]} "
                "inter 50ms fall 2 rise 1")


def load_on(proxy):
    """Clients that ask for as long as it lasts, each request on a connection of its own."""
    return ProbeLoad(("127.0.0.1", proxy.port), "/", threads=4, pause=0.002,
                     patience=20 * SLOWNESS)


@pytest.fixture
def farm(make_vitald, directory):
    backends = [Backend(name, directory / name, make_vitald()) for name in ("a", "b")]
    with Haproxy(directory / "haproxy", [
            "option httpchk",
            "http-check send meth GET uri /health/ready/web ver HTTP/1.1 hdr Host x",
            "http-check expect status 200", "retries 0", *(b.line() for b in backends)]) as proxy:
        hurry(proxy.process.pid)
        yield proxy, backends
    for b in backends:
        b.process.stop()


def is_up(proxy, backend):
    return proxy.servers()[backend.name]["status"] == "UP"


def restart_in_turn(proxy, backends, times, drain):
    for i in range(times):
        backend = backends[i % 2]
        if drain:
            ctl(backend.daemon, "drain", "web", "--wait", "--timeout=20s")
            backend.process.signal(signal.SIGQUIT)      # As Debian's unit stops it.
            backend.process.wait()
        else:
            backend.process.stop()
            eventually(lambda b=backend: not is_up(proxy, b))
        backend.start()
        if drain:
            # What was well before the stop is so until it has failed twice.
            eventually(lambda b=backend: b.daemon.vitalctl("run", "web/app").returncode == 0)
            ctl(backend.daemon, "undrain", "web")
        eventually(lambda b=backend: is_up(proxy, b), within=30)


def test_ten_restarts_without_a_failed_request(farm):
    proxy, backends = farm
    eventually(lambda: all(is_up(proxy, b) for b in backends))
    with load_on(proxy) as load:
        restart_in_turn(proxy, backends, 10, drain=True)
        load.wait_for(max(0, 501 - load.count))
        eventually(lambda: all(int(proxy.servers()[b.name]["stot"]) > 100 for b in backends))
    assert set(load.answers) == {200} and not load.failures


def test_without_a_drain_requests_fail(farm):
    proxy, backends = farm
    eventually(lambda: all(is_up(proxy, b) for b in backends))
    with load_on(proxy) as load:
        restart_in_turn(proxy, backends, 4, drain=False)
    assert load.failures or set(load.answers) != {200}


@pytest.mark.timing
def test_fifty_restarts_without_a_failed_request(farm):
    proxy, backends = farm
    eventually(lambda: all(is_up(proxy, b) for b in backends))
    with load_on(proxy) as load:
        restart_in_turn(proxy, backends, 50, drain=True)
        load.wait_for(20000 - load.count, within=60 * SLOWNESS)
    assert set(load.answers) == {200} and not load.failures
