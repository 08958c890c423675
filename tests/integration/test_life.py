# SPDX-License-Identifier: MIT
"""The daemon's life: signals at any time, kills, a second instance, and its end."""

import contextlib
import os
import pathlib
import random
import signal
import socket
import time

import pytest

from lib.dns import DnsServer
from lib.peers import HANG, HttpServer, Reply, TcpServer, hold
from lib.process import SLOWNESS, eventually, in_a_hurry
from lib.vitald import Vitald

# What an end may take on a machine that does other things, too; what goes on would take longer.
STOP_SECONDS = 10

CHECK = "[Check {name}]\nType=http\nURL={url}\nInterval=200ms\n"


def many(n, url="http://127.0.0.1:1/"):
    """So many that loading takes a while."""
    return "".join(f"[Check c{i}]\nType=http\nURL={url}{i}\nInterval=1d\n" for i in range(n))


def stop(daemon, *numbers, within=STOP_SECONDS):
    """Sends the signals; asserts a clean exit in time and returns how long it took."""
    before = time.monotonic()
    for number in numbers or (signal.SIGTERM,):
        daemon.process.signal(number)
    code = daemon.process.wait(within + 30)
    took = time.monotonic() - before
    assert code == 0, daemon.log
    assert took < within * SLOWNESS, f"{took:.2f} s\n{daemon.log}"
    daemon.check_reports()
    return took


def reloads(daemon):
    return daemon.log.count("Configuration reloaded")


# -- signals --

@pytest.mark.valgrind
def test_fault_7_storm_of_reloads(vitald, http_server):
    """Those that come too fast are one, the last one is never lost, and nothing piles up."""
    vitald.service("app", CHECK.format(name="web", url=http_server.url()))
    vitald.start()
    vitald.wait_status("/health/ready", 200)
    for _ in range(3):      # Until it has all the memory that it needs.
        n = reloads(vitald)
        vitald.reload()
        eventually(lambda: reloads(vitald) > n)
    fds, memory, n = vitald.open_fds(), vitald.memory_kib(), reloads(vitald)
    connections = http_server.connections
    before = time.monotonic()
    for i in range(1000):
        if i == 999:
            vitald.service("late", "[Check disk]\nType=disk\nMinFree=1K\n")
        vitald.reload()
        time.sleep(0.001)
    seconds = time.monotonic() - before
    vitald.wait_status("/health/ready/late", 200)
    assert reloads(vitald) - n <= seconds / 0.5 + 2
    assert vitald.get("/health/ready").status == 200
    # Held throughout, but for one whose peer may have gone unseen.
    assert http_server.connections <= connections + vitald.log.count("stood still")
    eventually(lambda: vitald.open_fds() <= fds)
    assert vitald.memory_kib() < memory + 4096    # A sanitizer keeps what was freed for a while.
    stop(vitald)


def test_fault_8_end_during_the_start(make_vitald, http_server):
    daemon = make_vitald()
    daemon.service("many", many(300, http_server.url()))
    for delay in range(0, 60, 2):
        (daemon.directory / "vitald.log").write_text("")
        daemon.start(wait=False)
        time.sleep(delay / 1000 * SLOWNESS)
        daemon.process.signal(signal.SIGTERM)
        code = daemon.process.wait(STOP_SECONDS)
        # Before it could say anything about signals it had done nothing either.
        assert code == 0 or (code == -signal.SIGTERM and "Listening" not in daemon.log), daemon.log
        daemon.check_reports()
    # And now for sure once it has begun.
    (daemon.directory / "vitald.log").write_text("")
    daemon.start(wait=False)
    eventually(lambda: "Listening" in daemon.log, within=30)
    stop(daemon)
    assert "Stopping" in daemon.log


@pytest.mark.parametrize("numbers", [
    (signal.SIGTERM, signal.SIGHUP), (signal.SIGHUP, signal.SIGTERM),
    (signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)],
    ids=lambda numbers: "-".join(n.name for n in numbers))
def test_fault_8_signals_at_once(vitald, numbers):
    vitald.service("many", many(500))
    vitald.start()
    n = reloads(vitald)
    stop(vitald, *numbers)
    assert vitald.log.count("Stopping") == 1
    assert "Configuration reloaded" not in vitald.log.partition("Stopping")[2]
    assert reloads(vitald) - n <= 1


def test_fault_8_end_during_a_reload(vitald):
    vitald.service("many", many(2000))
    for delay in (0, 0.01, 0.03, 0.1):
        vitald.start()
        vitald.reload()
        time.sleep(delay)
        stop(vitald)


@pytest.fixture
def busy(vitald, directory, black_hole):
    """Checks of each kind that wait for something that does not come."""
    with DnsServer(directory) as dns, HttpServer(HANG) as server, TcpServer(hold) as silent:
        vitald.wrap = dns.wrap
        vitald.service("busy", "".join(
            f"[Check {name}]\nTimeout=1min\nInterval=1min\n{text}\n" for name, text in {
                "dns-http": "Type=http\nURL=http://app.vitald.test/",
                "dns-redis": "Type=redis\nAddress=cache.vitald.test:6379",
                "dns-tcp": "Type=tcp\nAddress=app.vitald.test:80",
                "hole-http": f"Type=http\nURL=http://{black_hole.address}/",
                "hole-redis": f"Type=redis\nAddress={black_hole.address}",
                "hole-tcp": f"Type=tcp\nAddress={black_hole.address}",
                "hang-http": f"Type=http\nURL={server.url()}",
                "hang-redis": f"Type=redis\nAddress={silent.address}",
                "hang-tcp": f"Type=tcp\nAddress={silent.address}\nExpect=hello",
            }.items()))
        yield vitald, dns, server, silent


@pytest.mark.skipif(os.geteuid() != 0, reason="a name server needs port 53")
@pytest.mark.valgrind
def test_fault_9_end_while_checks_run(busy):
    vitald, dns, server, silent = busy
    vitald.start()
    took = []
    for n in 1, 2, 3:
        eventually(lambda: len(dns.queries) >= 3 * n and len(server.requests) >= n
                   and silent.connections >= 2 * n, within=30)
        took.append(stop(vitald))
        # No check failed because of it.
        assert "busy/" not in vitald.log.rpartition("Stopping")[2]
        if n < 3:
            vitald.start()
    assert sorted(took)[1] < 1 * SLOWNESS, took


def finish(s, rest):
    """All that comes back until the end of the connection."""
    answer = b""
    with contextlib.suppress(ConnectionError):
        s.sendall(rest)
        while data := s.recv(4096):
            answer += data
    return answer


def test_fault_9_answers_in_flight_are_finished(vitald):
    vitald.start()
    request = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    with socket.create_connection(vitald.address) as whole, \
            socket.create_connection(vitald.address) as half, \
            socket.create_connection(vitald.address) as slow:
        for s in (whole, half, slow):
            s.settimeout(30)
            s.sendall(request)
            assert s.recv(4096).startswith(b"HTTP/1.1 200 ")
        slow.sendall(request[:20])
        vitald.freeze()
        whole.sendall(request)
        half.sendall(request[:10])
        vitald.process.signal(signal.SIGTERM)
        with in_a_hurry():
            began = time.monotonic()
            vitald.thaw()
            assert whole.recv(4096).startswith(b"HTTP/1.1 200 ")
            eventually(lambda: "Stopping" in vitald.log, every=0.001)
            answers = [finish(s, request[sent:]) for s, sent in ((half, 10), (slow, 20))]
            took = time.monotonic() - began
        for answer in answers:
            # For a second; who comes later than that is late.
            assert answer.startswith(b"HTTP/1.1 200 ") or took > 0.9
            assert b"\r\nConnection: close\r\n" in answer or took > 0.9
        assert whole.recv(4096) == b""
    assert vitald.process.wait(STOP_SECONDS) == 0


def test_fault_9_who_never_ends_a_request_holds_nothing_up(vitald):
    vitald.start()
    with socket.create_connection(vitald.address) as s:
        s.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\nGET /health/live HTTP/1.1\r\n")
        assert s.recv(4096).startswith(b"HTTP/1.1 200 ")
        stop(vitald)
        assert s.recv(4096) == b""


def test_fault_9_passed_listeners_stay(make_vitald):
    """What systemd holds goes on taking connections, and the next instance answers them."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        daemon = make_vitald()
        daemon.address = listener.getsockname()
        daemon.start(sockets={"http": listener})
        stop(daemon)
        with socket.create_connection(daemon.address, timeout=30) as s:
            s.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            daemon.start(sockets={"http": listener}, wait=False)
            assert s.recv(4096).startswith(b"HTTP/1.1 200 ")


# -- a stop of some seconds --

def test_fault_10_what_was_green_before_is_not_green_after(vitald, http_server):
    """A probe that waited all the while is not answered from before; nothing is made up for."""
    vitald.service("app", CHECK.format(name="web", url=http_server.url())
                   + "MaxAge=1s\nTimeout=500ms\n")
    vitald.start()
    vitald.wait_status("/health/ready", 200)
    for _ in range(5):
        before = len(http_server.requests)
        http_server.reply = HANG        # So that it stays as it is found.
        eventually(lambda: len(http_server.requests) > before)  # And no answer is on its way.
        before = len(http_server.requests)
        vitald.freeze()
        with socket.create_connection(vitald.address, timeout=30 * SLOWNESS) as s:
            s.sendall(b"GET /health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            time.sleep(1.5)     # What passes is what is tested.
            thawed = time.monotonic()
            vitald.thaw()
            answer = s.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 503 "), answer
        assert b'"reason":"stale"' in answer or b'"reason":"timeout"' in answer, answer
        eventually(lambda: len(http_server.requests) > before)
        # Not the seven runs that were missed: one at once, and then each hangs for half a second.
        n = len(http_server.requests) - before
        assert n <= 2 + (time.monotonic() - thawed) / 0.5
        http_server.kill()
        http_server.reply = Reply(body=b"ok")
        http_server.start()
        vitald.wait_status("/health/ready", 200)
    assert vitald.get("/health/live").status == 200


# -- kills and a second one --

def test_fault_11_killed_in_any_state(make_vitald, http_server):
    daemon = make_vitald()
    daemon.service("app", CHECK.format(name="web", url=http_server.url()))
    daemon.service("many", many(200, http_server.url()))
    dice = random.Random(11)
    for n in range(25):
        daemon.start(wait=False)
        time.sleep(dice.uniform(0, 0.06))
        if n % 5 == 1:
            daemon.reload()
        elif n % 5 == 2:
            daemon.process.signal(signal.SIGTERM)
        time.sleep(dice.uniform(0, 0.02))
        daemon.kill9()
    daemon.start()
    daemon.wait_status("/health/ready/app", 200)
    assert daemon.get("/health/live", local=True).status == 200
    assert daemon.vitalctl("status", "app").returncode == 0
    left = {p.name.removesuffix(".new") for p in daemon.runtime_directory.iterdir()}
    assert left - {"state", "history", "probers"} == {"lock", "private"}


def test_fault_12_second_instance_on_one_runtime_directory(vitald, directory):
    vitald.start()
    other = Vitald(directory / "other")
    other.runtime_directory = vitald.runtime_directory
    other.start(wait=False)
    assert other.process.wait(30) == 1
    assert f"Another vitald runs on {vitald.runtime_directory}" in other.log
    assert other.log.count("\n") == 1
    # The first one still has everything.
    assert vitald.get("/health/live").status == 200
    assert vitald.vitalctl("reload").returncode == 0
    assert pathlib.Path(f"/proc/{vitald.pid}").exists()
    stop(vitald)
    other.start()
    assert other.get("/health/live").status == 200
    other.stop()
