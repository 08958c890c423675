# SPDX-License-Identifier: MIT
"""Type=amqp against a real broker, RabbitMQ with its plug-in, and against scripted peers."""

import re
import struct

import pytest

from lib.checks import section
from lib.peers import (Proxy, TcpServer, close_at_once, hold, refused_address, reset_at_once,
                       send_then_close, send_then_hold)
from lib.process import eventually, peers_of
from lib.runner import assert_result
from lib.vitald import needs_module

pytestmark = needs_module("amqp")

JOBS = "Source=/amq/queue/jobs"


def amqp(server, *lines, user="health", timeout="5s", **options):
    login = [f"Username={user}", "PasswordCredential=amqp"] if user else []
    if not any(line.startswith("Source=") for line in lines):
        login.append(JOBS)
    return section("amqp", f"Address={getattr(server, 'address', server)}", *login, *lines,
                   timeout=timeout, **options)


@pytest.fixture
def check(runner):
    runner.credential("amqp", "s3cret\n")

    def first(server, *lines, **options):
        return runner.start(amqp(server, *lines, **options)).next(within=10)
    return first


# -- a real broker ---------------------------------------------------------------------------------

def test_answers(check, rabbitmq):
    assert_result(check(rabbitmq), "pass", "", "RabbitMQ 3.", "/amq/queue/jobs")


@pytest.mark.parametrize("lines, user, outcome, reason", [
    (["Hostname=vhost:orders"], "health", "pass", ""),
    (["Hostname=vhost:nothing"], "health", "fail", "auth/permission"),
    (["Source=/amq/queue/nothing"], "health", "fail", "missing/source"),
    (["Source=/exchange/nothing"], "health", "fail", "missing/source"),
    (["Source=/nonsense/x/y"], "health", "fail", ""),
    (["Heartbeat=0"], "health", "pass", ""),
    ([], "reader", "pass", ""),
    (["Hostname=vhost:orders"], "reader", "fail", "auth/permission"),
    ([], "stranger", "fail", "auth/permission"),
    ([], None, "fail", "auth/missing"),
])
def test_places_and_users(check, rabbitmq, lines, user, outcome, reason):
    result = check(rabbitmq, *lines, user=user)
    assert result["outcome"] == outcome, result
    assert not reason or result["reason"] == reason, result


def test_wrong_password(runner, rabbitmq):
    runner.credential("amqp", "wr0ng")
    result = runner.start(amqp(rabbitmq)).next(within=10)
    assert_result(result, "fail", "auth/password", "PLAIN")
    assert "wr0ng" not in result["message"]


def test_credential_that_is_not_there(runner, rabbitmq):
    assert_result(runner.start(amqp(rabbitmq)).next(), "fail", "credential", "amqp")


def test_no_message_is_taken_and_nothing_is_left(runner, check, rabbitmq):
    rabbitmq.purge()
    rabbitmq.publish(7)
    check(rabbitmq)
    eventually(lambda: len(peers_of(rabbitmq.port)) == 1)    # Those of other tests are gone.
    peers = peers_of(rabbitmq.port)
    assert runner.run("it", 200)["pass"] == 200
    before = runner.usage()
    assert runner.run("it", 1000)["pass"] == 1000
    fds, memory = runner.usage()
    assert fds <= before[0]
    assert memory - before[1] <= runner.memory_limit_kib / 2, (before, memory)
    assert rabbitmq.depth() == [7, 0]
    assert peers_of(rabbitmq.port) == peers
    eventually(lambda: rabbitmq.consumers() == 0, every=0.1)


@pytest.mark.parametrize("lines, address, times", [
    (["Source=/amq/queue/nothing"], None, 300), ([], refused_address(), 1000),
], ids=["no queue", "refused"])
def test_failures_leave_nothing(runner, check, rabbitmq, lines, address, times):
    check(address or rabbitmq, *lines)
    assert runner.run("it", times // 2)["fail"] == times // 2
    before = runner.usage()
    assert runner.run("it", times)["fail"] == times
    fds, memory = runner.usage()
    assert fds <= before[0]
    assert memory - before[1] <= runner.memory_limit_kib / 2, (before, memory)


def test_renews_the_connection_after_its_age(runner, rabbitmq):
    """In order: the broker has no word for it."""
    runner.credential("amqp", "s3cret")
    start = len(rabbitmq.process.log)

    def ours():
        """What other tests have left behind is told of late."""
        return re.findall(r"accepting AMQP connection (<[\d.]+>)", rabbitmq.process.log[start:])

    runner.start(amqp(rabbitmq, "ConnectionMaxAge=1s", interval="100ms"))
    eventually(lambda: len(ours()) >= 3, every=0.1)
    runner.forget()
    assert runner.next()["outcome"] == "pass"
    for line in rabbitmq.process.log[start:].splitlines():
        assert "[warning]" not in line or not any(f" {pid} " in line for pid in ours()), line


def test_the_library_is_silent(runner, rabbitmq):
    """Whatever the environment wants to see of what is sent."""
    runner.credential("amqp", "s3cret")
    runner.environment |= {"PN_TRACE_FRM": "1", "PN_TRACE_RAW": "1", "PN_TRACE_DRV": "1",
                           "PN_LOG": "all"}
    runner.start(amqp(rabbitmq, name="good") + amqp(refused_address(), name="bad")
                 + amqp(rabbitmq, "Source=/amq/queue/nothing", name="ugly"))
    assert set(runner.first_of(3)) == {"good", "bad", "ugly"}
    assert runner.log == ""


# -- the way to it ---------------------------------------------------------------------------------

def test_silence_during_a_run(runner, check, rabbitmq):
    """The library has a word of its own for it."""
    check(rabbitmq, "Heartbeat=1s", timeout="3500ms")
    rabbitmq.freeze()
    try:
        assert_result(runner.run("it"), "fail", "timeout", "logging in")
    finally:
        rabbitmq.thaw()


def test_queue_that_is_deleted(runner, check, rabbitmq):
    """Nothing is held on it, and the next run says so; another queue of the name is taken."""
    rabbitmq.declare("seasonal")
    check(rabbitmq, "Source=/amq/queue/seasonal")
    rabbitmq.delete("seasonal")
    assert_result(runner.run("it"), "fail", "missing/source", "seasonal")
    rabbitmq.declare("seasonal")
    assert_result(runner.run("it"), "pass", "")
    rabbitmq.delete("seasonal")


def test_fault_28_a_dead_held_connection_is_tried_once_more(runner, check, rabbitmq):
    with Proxy(rabbitmq) as proxy:
        check(proxy)
        proxy.kill()
        proxy.start()
        eventually(lambda: runner.run("it")["pass"] == 1, every=0.1)


# -- broken peers ----------------------------------------------------------------------------------

SASL, AMQP = b"AMQP\3\1\0\0", b"AMQP\0\1\0\0"


def symbol(text):
    return b"\xa3" + bytes([len(text)]) + text


def fields(*values):
    inside = b"".join(values)
    return b"\xc0" + bytes([len(inside) + 1, len(values)]) + inside


def described(code, *values):
    return b"\0\x53" + bytes([code]) + fields(*values)


def frame(kind, body, channel=0):
    return struct.pack(">IBBH", 8 + len(body), 2, kind, channel) + body


def mechanisms(name=b"PLAIN"):
    return SASL + frame(1, described(0x40, symbol(name)))


def outcome(code=0):
    return frame(1, described(0x44, b"\x50" + bytes([code])))


def error(name, text=b"ouch"):
    return described(0x1d, symbol(name), b"\xa1" + bytes([len(text)]) + text)


OPEN = frame(0, described(0x10, b"\xa1\1x"))
BEGIN = frame(0, described(0x11, b"\x60\0\0", b"\x43", b"\x52\x40", b"\x52\x40"))
ATTACH = frame(0, described(0x12, b"\xa1\x08vitald-1", b"\x43", b"\x42", b"\x40", b"\x40",
                            described(0x28, b"\xa1\1q"), b"\x40", b"\x40", b"\x40", b"\x43"))
NO_ATTACH = frame(0, described(0x12, b"\xa1\x08vitald-1", b"\x43", b"\x42", b"\x40", b"\x40",
                               b"\x40", b"\x40", b"\x40", b"\x40", b"\x43"))
TRANSFER = frame(0, described(0x14, b"\x43", b"\x43", b"\xa0\1x", b"\x43") + b"\0\x53\x77\xa1\1x")
LOGIN = mechanisms() + outcome() + AMQP


def close(name):
    return frame(0, described(0x18, error(name)))


def end(name):
    return frame(0, described(0x17, error(name)))


def detach(name):
    return frame(0, described(0x16, b"\x43", b"\x41", error(name)))


def answers(*chunks):
    """Each as an answer to what comes, and then nothing more."""
    def script(connection):
        for chunk in chunks:
            connection.recv(65536)
            connection.sendall(chunk)
        hold(connection)
    return script


def opens(*chunks):
    return answers(mechanisms(), outcome(), AMQP + OPEN, *chunks)


def no_outcome(connection):
    connection.sendall(mechanisms())
    data = b""
    while b"PLAIN" not in data and (more := connection.recv(65536)):
        data += more


@pytest.mark.parametrize("script, reason", [
    (close_at_once, "truncated"),
    (reset_at_once, "reset"),
    (send_then_close(SASL + b"\0\0\0\x34\2"), "truncated"),
    (send_then_hold(b"HTTP/1.1 400 Bad Request\r\n\x1b[31m\r\n"), "protocol"),
    (send_then_hold(b"AMQP\0\0\x09\1"), "protocol"),
    (send_then_hold(AMQP), "protocol"),
    (send_then_hold(mechanisms(b"SCRAM-SHA-256")), "auth/method"),
    (no_outcome, "auth/password"),
    (answers(mechanisms(), outcome(1)), "auth/password"),
    (send_then_hold(SASL + b"\xff\xff\xff\xff\2\1\0\0" + 1000 * b"x"), "protocol"),
    (send_then_hold(SASL + b"\0\0\0\4\2\1\0\0"), "protocol"),
    (send_then_hold(SASL + frame(1, b"\xff\xff\xff")), "timeout"),
    (opens(frame(0, b"\0\x53\x77\xff")), "timeout"),
    (opens(b"\0\1\0\0\2\0\0\0" + 65536 * b"x"), "protocol"),
    (opens(close(b"amqp:connection:forced")), "closed/forced"),
    (opens(close(b"amqp:internal-error")), "status/internal-error"),
    (opens(BEGIN + end(b"com.microsoft:server-busy")), "status/server-busy"),
    (opens(BEGIN + end(b"amqp:unauthorized-access")), "auth/permission"),
    (opens(BEGIN + NO_ATTACH + detach(b"amqp:not-found")), "missing/source"),
    (opens(BEGIN + NO_ATTACH + TRANSFER), "protocol"),
    (opens(BEGIN + ATTACH + TRANSFER), ""),
    (opens(BEGIN), "timeout"),
], ids=["closes", "resets", "closes in a frame", "http", "amqp 0-9-1", "no login", "no plain",
        "no outcome", "refuses", "huge frame", "short frame", "no list", "no code",
        "larger than agreed", "forced", "internal", "busy", "unauthorized", "not found", "message",
        "late message",
        "no link"])
def test_fault_16_and_19_no_broker(check, script, reason):
    with TcpServer(script) as server:
        result = check(server, timeout="1s")
        assert_result(result, "fail" if reason else "pass", reason)
        assert "\x1b" not in result["message"]


def endless(start, data):
    def script(connection):
        connection.sendall(start)
        while True:
            connection.sendall(1000 * data)
    return script


@pytest.mark.parametrize("script", [
    endless(LOGIN + OPEN, frame(0, b"")), endless(SASL, frame(1, b"")),
    endless(LOGIN + OPEN, TRANSFER), endless(LOGIN + OPEN, BEGIN),
], ids=["empty", "empty sasl", "transfers", "begins"])
def test_fault_20_endless_reply(runner, check, script):
    with TcpServer(script) as server:
        assert_result(check(server, timeout="5s"), "fail", "protocol")
        runner.run("it", 2)
        before = runner.usage()
        assert_result(runner.run("it", 5), "fail", "protocol")
        assert runner.usage()[1] - before[1] < runner.memory_limit_kib


@pytest.mark.valgrind
def test_no_leaks_with_runs_under_way(runner, rabbitmq, black_hole):
    runner.credential("amqp", "s3cret")
    with TcpServer(opens(BEGIN)) as silent:
        runner.start(amqp(rabbitmq, name="good") + amqp(black_hole, name="hole", timeout="20s")
                     + amqp(silent, name="silent", timeout="20s"))
        assert runner.next(within=10)["check"] == "good"
