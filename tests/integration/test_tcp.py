# SPDX-License-Identifier: MIT
"""Type=tcp against real and scripted servers."""

import socket
import time

import pytest

from lib.dns import DnsServer, NOERROR, SERVFAIL
from lib.peers import (TcpServer, close_at_once, hold, refused_address, reset, send_then_close,
                       send_then_hold, until_read)
from lib.process import SLOWNESS, Stopwatch
from lib.runner import CheckRunner, assert_result

ONCE = "Interval=1d\nRetryInterval=1d\n"


def check(address, more="", name="tcp", interval=ONCE, timeout="10s"):
    return f"[Check {name}]\nType=tcp\nAddress={address}\nTimeout={timeout}\n{interval}{more}"


@pytest.fixture
def run(directory):
    """The first result of a check on the address."""
    def first(address, more="", **options):
        with CheckRunner(directory, check(address, more, **options)) as runner:
            return runner.next()
    return first


def test_connects(redis, run):
    for address in (redis.address, redis.unix_path):
        began = time.monotonic()
        result = run(address)
        assert_result(result, "pass", "", "Connected")
        assert 0 < result["latency_ms"] < (result["time"] - began) * 1000


@pytest.mark.valgrind
def test_talks_with_a_real_server(redis, run):
    talk = "Send=PING\\r\\n\nExpect="
    assert_result(run(redis.address, talk + "+PONG\\r\\n\n"), "pass", "")
    result = run(redis.address, "Send=QUIT\\r\\n\nExpect=+PONG\n")
    assert_result(result, "fail", "mismatch", '"+OK"')


def test_expects_across_pieces(run):
    def script(connection):
        for piece in (b"220 ma", b"\0il", b" rea", b"dy\r\n"):
            connection.sendall(piece)
            time.sleep(0.05)
        hold(connection)
    with TcpServer(script) as server:
        assert_result(run(server.address, "Expect=ma\\x00il ready\n"), "pass", "")


def test_the_server_sees_a_client_that_came_and_went(directory):
    """Also when it accepts later than the check connects: an end of file, no reset."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with CheckRunner(directory, check("127.0.0.1:%d" % listener.getsockname()[1])) as runner:
            assert runner.next()["outcome"] == "pass"
            connection, _ = listener.accept()
            connection.settimeout(20)
            assert connection.recv(1) == b""


def test_fault_13_black_hole_delays_nobody(black_hole, redis, directory):
    holes = "".join(check(black_hole.address, name=f"hole{i}", timeout="1s") for i in range(20))
    with CheckRunner(directory, holes + check(redis.address, interval="Interval=100ms\n")) \
            as runner:
        watch = Stopwatch(runner.pid)
        times, results = [], []
        while len(results) < 20:
            result = runner.next()
            if result["check"] == "tcp":
                assert result["outcome"] == "pass"
                times.append(result["time"])
            else:
                results.append(result)
        for result in results:
            assert_result(result, "fail", "timeout", "connecting to")
        others_had = watch.elapsed() - watch.seconds()
        gaps = [b - a for a, b in zip(times, times[1:])]
        assert len(times) >= 5
        assert max(gaps) < 0.15 * SLOWNESS + 0.1 + others_had


def test_fault_14_refused(run):
    assert_result(run(refused_address()), "fail", "refused", "Connection refused")


@pytest.mark.valgrind
def test_fault_15_reset(run):
    def script(connection):
        connection.sendall(b"22")
        until_read(connection)
        reset(connection)
    with TcpServer(script) as server:
        assert_result(run(server.address, "Expect=220\n"), "fail", "reset", "after 2 bytes")


def test_fault_16_closed(run):
    with TcpServer(close_at_once) as server:
        assert_result(run(server.address, "Expect=220\n"), "fail", "truncated", "without a reply")
    with TcpServer(send_then_close(b"554 \x1b[31mno\r\n")) as server:
        result = run(server.address, "Expect=220\n")
    assert_result(result, "fail", "mismatch", '"554 ')
    assert "\x1b" not in result["message"]


def test_fault_18_one_byte_after_the_other(run):
    def script(connection):
        while True:
            connection.sendall(b"x")
            time.sleep(0.05)
    with TcpServer(script) as server:
        assert_result(run(server.address, "Expect=220\n", timeout="1s"), "fail", "timeout",
                      "waiting for the expected answer")


def test_fault_20_flood(directory):
    def script(connection):
        while True:
            connection.sendall(65536 * b"x")
    with TcpServer(script) as server, \
            CheckRunner(directory, check(server.address, "Expect=220\n")) as runner:
        assert_result(runner.next(), "fail", "mismatch", "xxx")
        assert runner.run("tcp", 10)["fail"] == 10
        before = runner.usage()[1]
        assert runner.run("tcp", 100)["fail"] == 100
        assert runner.usage()[1] - before < runner.memory_limit_kib


def test_nothing_came_yet(run):
    with TcpServer(hold) as server:
        assert_result(run(server.address, "Expect=220\n", timeout="1s"), "fail", "timeout")


def test_banner_without_expect(run):
    with TcpServer(send_then_hold(b"220 hello\r\n")) as server:
        assert run(server.address)["outcome"] == "pass"


@pytest.mark.parametrize("line, words", [
    ("Send=\\q", "backslash"), ("Address=host", "port"), ("Address=[::1", "]"),
    ("Address=1.2.3.4:0", "65535"), ("Address=[::ffff:1.2.3.4]:1", "mapped"),
    ("Address=/" + 107 * "x", "107"),
])
def test_fault_26_bad_settings(line, words, directory):
    with pytest.raises(AssertionError) as failure:
        with CheckRunner(directory, check("127.0.0.1:1", line + "\n")) as runner:
            runner.next()
    assert words in str(failure.value)


def test_fault_25_names(directory):
    records = {"good.test": [("A", "127.0.0.1")], "six.test": [("AAAA", "2001:db8::1")]}
    with TcpServer() as server, DnsServer(directory, NOERROR, records) as dns:
        text = "".join(check(f"{name}.test:{server.port}", name=name)
                       for name in ("good", "none", "six"))
        with CheckRunner(directory, text, wrap=dns.wrap) as runner:
            results = runner.first_of(3)
    assert results["good"]["outcome"] == "pass"
    assert_result(results["none"], "fail", "dns/not-found", "none.test")
    assert results["six"]["outcome"] == "fail"
    assert results["six"]["reason"] in ("unreachable", "timeout")


def test_fault_25_last_good_address(directory):
    """While the name server fails, the address it gave last is used, and the message says so."""
    with TcpServer() as server, \
            DnsServer(directory, NOERROR, {"good.test": [("A", "127.0.0.1")]}) as dns:
        text = check(f"good.test:{server.port}", interval="Interval=100ms\n")
        with CheckRunner(directory, text, wrap=dns.wrap) as runner:
            assert runner.next()["message"] == "Connected"
            dns.mode = SERVFAIL
            result = next(r for r in iter(runner.next, None) if r["message"] != "Connected")
    assert_result(result, "pass", "", "last known address", "SERVFAIL")


@pytest.mark.valgrind
def test_fault_25_black_hole(directory):
    with DnsServer(directory) as dns:
        with CheckRunner(directory, check("db.test:1", timeout="1s"), wrap=dns.wrap) as runner:
            assert_result(runner.next(), "fail", "timeout", "resolving db.test")


# Runs argv in a network of its own, whose two local ports are taken.
NO_LOCAL_PORT = """
import os, pathlib, socket, subprocess, sys
subprocess.run(["/usr/sbin/ip", "link", "set", "lo", "up"], check=True)
pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("40000 40001")
sockets = [socket.create_server(("127.0.0.1", 4000))]
for _ in range(2):
    sockets.append(socket.create_connection(("127.0.0.1", 4000)))
for s in sockets:
    s.set_inheritable(True)
os.execv(sys.argv[1], sys.argv[1:])
"""


def in_own_network(*program):
    return lambda argv: ["/usr/bin/unshare", "--net", "--", *program, *map(str, argv)]


def test_fault_27_no_local_port(directory):
    """Our own lack, and not the server's fault."""
    wrap = in_own_network("/usr/bin/python3", "-c", NO_LOCAL_PORT)
    with CheckRunner(directory, check("127.0.0.1:4000"), wrap=wrap) as runner:
        assert_result(runner.next(), "error", "resource", "assign requested address")


def test_fault_14_unreachable(directory):
    text = check("192.0.2.1:80", name="four") + check("[2001:db8::1]:80", name="six")
    with CheckRunner(directory, text, wrap=in_own_network()) as runner:
        for result in runner.first_of(2).values():
            assert_result(result, "fail", "unreachable", "Network is unreachable")
