# SPDX-License-Identifier: MIT
"""Type=rabbitmq against a real RabbitMQ, and against scripted peers where it never says so."""

import struct

import pika
import pytest

from lib.checks import section
from lib.peers import (TcpServer, close_at_once, hold, refused_address, reset_at_once,
                       send_then_close, send_then_hold)
from lib.process import eventually
from lib.runner import assert_result
from lib.vitald import needs_module

pytestmark = needs_module("rabbitmq")


def rmq(server, *lines, user="health", **options):
    return section("rabbitmq", f"Address={getattr(server, 'address', server)}", f"Username={user}",
                   "PasswordCredential=rabbitmq", *lines, **options)


@pytest.fixture
def check(runner):
    runner.credential("rabbitmq", "s3cret\n")

    def first(server, *lines, **options):
        return runner.start(rmq(server, *lines, **options)).next()
    return first


@pytest.fixture
def client(rabbitmq):
    """An ordinary client of the broker, with a channel."""
    connection = pika.BlockingConnection(pika.ConnectionParameters(
        rabbitmq.host, rabbitmq.port, credentials=pika.PlainCredentials("health", "s3cret")))
    yield connection.channel()
    if connection.is_open:
        connection.close()


# -- a real broker ---------------------------------------------------------------------------------

def test_answers(check, rabbitmq):
    assert_result(check(rabbitmq), "pass", "", "RabbitMQ 3.")


def fill(rabbitmq, messages):
    """Exactly so many, and nobody takes them: whoever did may still be on his way out."""
    eventually(lambda: rabbitmq.consumers() == 0, what="no consumers")
    eventually(lambda: rabbitmq.purge() or rabbitmq.depth() == [0, 0], what="an empty queue")
    rabbitmq.publish(messages)
    eventually(lambda: rabbitmq.depth() == [messages, 0], what="the messages")


def test_queue(check, rabbitmq):
    fill(rabbitmq, 5)
    result = check(rabbitmq, "Queue=jobs")
    assert_result(result, "pass", "", "RabbitMQ 3.", "jobs has 5 messages, 0 consumers")
    assert result["depth"] == 5 and result["consumers"] == 0


def test_consumers(check, rabbitmq, client):
    client.basic_consume("jobs", lambda *_: None)
    assert check(rabbitmq, "Queue=jobs")["consumers"] == 1


@pytest.mark.parametrize("lines, outcome, reason", [
    (["VirtualHost=orders", "Queue=jobs"], "pass", ""),
    (["VirtualHost=nothing"], "fail", "missing/vhost"),
    (["Queue=nothing"], "fail", "missing/queue"),
    (["VirtualHost=orders", "Publish=yes"], "pass", ""),
    (["Heartbeat=0"], "pass", ""),
])
def test_places(check, rabbitmq, lines, outcome, reason):
    assert_result(check(rabbitmq, *lines), outcome, reason, "nothing" if reason else "RabbitMQ")


@pytest.mark.parametrize("user, lines, outcome, reason", [
    ("reader", ["Queue=jobs"], "pass", ""),
    ("reader", ["Publish=yes"], "fail", "auth/permission"),
    ("reader", ["VirtualHost=orders"], "fail", "auth/permission"),
    ("stranger", [], "fail", "auth/permission"),
    ("nobody", [], "fail", "auth/password"),
])
def test_users(check, rabbitmq, user, lines, outcome, reason):
    assert_result(check(rabbitmq, *lines, user=user), outcome, reason)


def test_wrong_password(runner, rabbitmq):
    runner.credential("rabbitmq", "wr0ng")
    result = runner.start(rmq(rabbitmq)).next()
    assert_result(result, "fail", "auth/password", "refused")
    assert "wr0ng" not in result["message"]


def test_credential_that_is_not_there(runner, rabbitmq):
    assert_result(runner.start(rmq(rabbitmq)).next(), "fail", "credential", "rabbitmq")


def test_password_too_long_for_the_protocol(runner, rabbitmq):
    runner.credential("rabbitmq", 9000 * "x")
    assert_result(runner.start(rmq(rabbitmq)).next(), "error", "configuration", "too long")


def test_queue_of_another_connection(check, rabbitmq, client):
    client.queue_declare("mine", exclusive=True)
    assert_result(check(rabbitmq, "Queue=mine"), "fail", "status/locked", "mine")


def test_the_queue_comes_and_goes(runner, check, rabbitmq, client):
    """A channel that the broker closes costs no new connection."""
    assert_result(check(rabbitmq, "Queue=seasonal"), "fail", "missing/queue")
    before = rabbitmq.accepted()
    for _ in range(3):
        client.queue_declare("seasonal")
        assert_result(runner.run("it"), "pass", "")
        client.queue_delete("seasonal")
        assert_result(runner.run("it"), "fail", "missing/queue")
    assert rabbitmq.accepted() == before


def test_no_message_is_taken(runner, check, rabbitmq):
    fill(rabbitmq, 7)
    assert check(rabbitmq, "Queue=jobs", "Publish=yes")["depth"] == 7
    before = rabbitmq.accepted()
    assert runner.run("it", 1000)["pass"] == 1000
    assert rabbitmq.depth() == [7, 0]
    assert rabbitmq.accepted() == before, "one connection for all runs"


def test_leaves_in_order(runner, rabbitmq):
    """Neither when a connection is renewed nor at other times does the broker miss us."""
    runner.credential("rabbitmq", "s3cret")
    warnings = rabbitmq.process.log.count("unexpectedly closed")
    before = rabbitmq.accepted()
    runner.start(rmq(rabbitmq, "ConnectionMaxAge=1s", interval="100ms"))
    eventually(lambda: rabbitmq.accepted() >= before + 3, within=40, every=0.1)
    runner.forget()
    assert runner.next()["outcome"] == "pass"
    assert rabbitmq.process.log.count("unexpectedly closed") == warnings


def test_publishers_that_are_blocked(runner, rabbitmq):
    """By the next message of those who publish; its end is seen at once. The broker tells its
    connections of an alarm one by one, a moment after it is raised."""
    runner.credential("rabbitmq", "s3cret")
    runner.start(rmq(rabbitmq, "Publish=yes", name="publisher")
                 + rmq(rabbitmq, "Queue=jobs", name="reader"))
    assert set(runner.first_of(2)) == {"publisher", "reader"}
    try:
        rabbitmq.alarm(True)
        eventually(lambda: runner.run("publisher")["outcome"] == "fail")
        assert_result(runner.run("publisher"), "fail", "status/blocked", "low on memory")
        assert runner.run("publisher", 10)["fail"] == 10
        assert_result(runner.run("reader"), "pass", "")
    finally:
        rabbitmq.alarm(False)
    runner.next_that(check="publisher", outcome="pass")


def test_comes_while_publishers_are_blocked(check, rabbitmq):
    rabbitmq.alarm(True)
    try:
        assert_result(check(rabbitmq, "Publish=yes"), "fail", "status/blocked", "low on memory")
    finally:
        rabbitmq.alarm(False)


@pytest.mark.parametrize("lines, address, outcome", [
    (["Queue=jobs"], None, "pass"), (["Queue=nothing"], None, "fail"),
    ([], refused_address(), "fail"),
], ids=["held", "no queue", "refused"])
def test_a_thousand_runs_leave_nothing(runner, check, rabbitmq, lines, address, outcome):
    check(address or rabbitmq, *lines)
    assert runner.run("it", 300)[outcome] == 300
    before = runner.usage()
    assert runner.run("it", 1000)[outcome] == 1000
    fds, memory = runner.usage()
    assert fds <= before[0]
    assert memory - before[1] <= runner.memory_limit_kib / 2, (before, memory)


# -- the way to it ---------------------------------------------------------------------------------

def test_closed_by_the_operator(runner, check, rabbitmq):
    """A connection that is closed is tried once more before anything is said."""
    check(rabbitmq)
    rabbitmq.close_connections()
    assert_result(runner.next(), "pass", "")


# -- broken peers ----------------------------------------------------------------------------------

def test_hangs_from_the_beginning(check):
    with TcpServer() as silent:
        assert_result(check(silent, timeout="300ms"), "fail", "timeout", "greeting")


def frame(kind, payload, channel=0, end=b"\xce"):
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + end


def method(class_id, method_id, arguments=b"", channel=0):
    return frame(1, struct.pack(">HH", class_id, method_id) + arguments, channel)


def start(mechanisms=b"PLAIN", properties=b""):
    return method(10, 10, b"\0\x09" + struct.pack(">I", len(properties)) + properties
                  + struct.pack(">I", len(mechanisms)) + mechanisms + b"\0\0\0\5en_US")


def nested(depth):
    """A table in a table, and so on."""
    table = b""
    for _ in range(depth):
        table = b"\1aF" + struct.pack(">I", len(table)) + table
    return table


@pytest.mark.parametrize("script, reason", [
    (close_at_once, "truncated"),
    (reset_at_once, "reset"),
    (send_then_close(start()[:40]), "truncated"),
    (send_then_hold(b"HTTP/1.1 400 Bad Request\r\n\x1b[31m\r\n"), "protocol"),
    (send_then_hold(b"AMQP\0\1\0\0"), "protocol/version"),
    (send_then_hold(start(b"AMQPLAIN SCRAM-SHA-256")), "auth/method"),
    (send_then_hold(frame(1, b"")), "protocol"),
    (send_then_hold(frame(1, b"\0\x0a\0\x0a")), "protocol"),
    (send_then_hold(frame(1, b"\0\x0a\0\x0a", end=b"\0")), "protocol"),
    (send_then_hold(b"\1\0\0\xff\xff\xff\xff" + 1000 * b"x"), "protocol"),
    (send_then_hold(b"\1\0\0\x7f\xff\xff\xff" + 1000 * b"x"), "protocol"),
    (send_then_hold(method(99, 99)), "protocol"),
    (send_then_hold(method(20, 11, b"\0\0\0\0")), "protocol"),
    (send_then_hold(start(properties=nested(900))), "timeout"),
    (send_then_hold(start() + method(10, 20, b"\0\0\0\0")), "protocol"),
    (send_then_hold(start() + method(10, 50, b"\1\x40\x03who\0\0\0\0")), "closed/forced"),
    (send_then_hold(start() + method(10, 50, b"\2\x1d\x04ouch\0\0\0\0")), "status/internal"),
    (send_then_hold(start() + method(10, 50, b"\3\xe7\x04ouch\0\0\0\0")), "status/999"),
], ids=["closes", "resets", "closes in a frame", "http", "amqp 1.0", "no plain", "empty method",
        "short method", "no end", "huge frame", "big frame", "unknown method", "other method",
        "deep table", "challenge", "forced", "internal", "unknown code"])
def test_fault_16_and_19_no_broker(check, script, reason):
    with TcpServer(script) as server:
        result = check(server, timeout="1s")
        assert_result(result, "fail", reason)
        assert "\x1b" not in result["message"]


def endless(data):
    def script(connection):
        while True:
            connection.sendall(1000 * data)
    return script


@pytest.mark.parametrize("script", [
    endless(frame(8, b"")), endless(frame(3, 100 * b"x", channel=7)),
    endless(method(20, 20, b"\1", channel=9)),
], ids=["heartbeats", "bodies", "methods"])
def test_fault_20_endless_reply(runner, check, script):
    with TcpServer(script) as server:
        assert_result(check(server, timeout="5s"), "fail", "protocol")
        runner.run("it", 2)
        before = runner.usage()
        assert_result(runner.run("it", 5), "fail", "protocol")
        assert runner.usage()[1] - before[1] < runner.memory_limit_kib


def test_what_nobody_asked_for_ends_a_held_connection(runner, check):
    """It is looked at at once, and without an end only as often as failures are."""
    def script(connection):
        connection.recv(8)
        connection.sendall(start())
        connection.recv(4096)
        connection.sendall(method(10, 30, b"\0\0\0\0\0\0\0\0"))
        connection.recv(4096)
        connection.sendall(method(10, 41, b"\0"))
        connection.recv(4096)
        connection.sendall(method(20, 11, b"\0\0\0\0", channel=1))
        connection.recv(4096)
        connection.sendall(method(60, 11, channel=1) + method(60, 60, b"\1x", channel=1))
        hold(connection)
    with TcpServer(script) as server:
        assert_result(check(server), "pass", "")
        assert_result(runner.next(), "pass", "")
        assert server.connections >= 2


@pytest.mark.valgrind
def test_no_leaks_with_runs_under_way(runner, rabbitmq, black_hole):
    runner.credential("rabbitmq", "s3cret")
    with TcpServer(send_then_hold(start()[:100])) as silent:
        runner.start(rmq(rabbitmq, "Queue=jobs", name="good")
                     + rmq(black_hole, name="hole", timeout="20s")
                     + rmq(silent, name="silent", timeout="20s"))
        assert_result(runner.next_of("good"), "pass", "")
