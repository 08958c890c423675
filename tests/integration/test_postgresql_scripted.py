# SPDX-License-Identifier: MIT
"""Type=postgresql against servers that do what a real one can hardly be made to do."""

import itertools
import pathlib
import struct
import time

import pytest

from lib import pgwire
from lib.checks import postgresql
from lib.peers import TcpServer, close_at_once, reset, send_then_close, send_then_hold
from lib.process import SLOWNESS, eventually
from lib.runner import assert_result


def first(runner, server, *lines, **options):
    string = f"host={server.host} port={server.port} user=health dbname=orders"
    return runner.start(postgresql(string, *lines, **options)).next(within=30)


def test_healthy_old_version(runner):
    """And what a session begins with."""
    seen = []

    def script(connection):
        seen.append(pgwire.startup(connection))
        connection.sendall(pgwire.WELCOME)
        while True:
            kind, body = pgwire.query(connection)
            if kind == b"X":
                return
            seen.append(body)
            connection.sendall(pgwire.ANSWER)
    with TcpServer(script) as server:
        result = first(runner, server)
        assert_result(result, "pass", "", "PostgreSQL 9.6.24")
        assert runner.run("it", 20)["pass"] == 20
        assert seen[0] == {"user": "health", "database": "orders", "application_name": "vitald",
                           "client_encoding": "UTF8", "options": "-c statement_timeout=10000 "}
        assert seen[1:] == [b"SELECT 1\0"] * 21 and server.connections == 1


def test_pooler_that_takes_no_options(runner):
    """As PgBouncer, unless told otherwise. It is asked once only."""
    parameters = []

    def script(connection):
        parameters.append(pgwire.startup(connection))
        if "options" in parameters[-1]:
            connection.sendall(pgwire.error("08P01", "unsupported startup parameter: options"))
            return
        connection.sendall(pgwire.WELCOME)
        for _ in range(3):
            pgwire.query(connection)
            connection.sendall(pgwire.ANSWER)
    with TcpServer(script) as server:
        assert_result(first(runner, server), "pass", "")
        assert runner.run("it", 10)["pass"] == 10
        assert ["options" in p for p in parameters].count(True) == 1


@pytest.mark.parametrize("sqlstate, text, reason", [
    ("57P03", "the database system is starting up", "status/starting"),
    ("57P03", "the database system is shutting down", "status/stopping"),
    ("57P03", "the database system is in recovery mode", "status/recovery"),
    ("57P03", "das Datenbanksystem startet", "status/starting"),
    ("53300", "sorry, too many clients already", "status/too-many-connections"),
    ("28000", "role \"x\" is not permitted to log in", "auth/rejected"),
    ("3D000", "database \"x\" does not exist", "missing/database"),
    ("57P01", "terminating connection due to administrator command", "status/stopping"),
    ("XX000", "internal error", "status/XX000"),
])
def test_fault_29_refusals(runner, sqlstate, text, reason):
    with TcpServer(pgwire.refuses(pgwire.error(sqlstate, text))) as server:
        assert_result(first(runner, server), "fail", reason, text)
        assert runner.run("it", 20)["fail"] == 20


def test_fault_29_error_after_the_login(runner):
    reply = pgwire.error("57014", "canceling statement due to user request", "ERROR")
    with TcpServer(pgwire.answers(reply + pgwire.READY)) as server:
        assert_result(first(runner, server), "fail", "status/cancelled", "canceling statement")


@pytest.mark.parametrize("script, reason", [
    (pgwire.refuses(b""), "truncated"),
    (pgwire.refuses(pgwire.AUTHENTICATED[:5]), "truncated"),
    (pgwire.refuses(pgwire.WELCOME[:-3]), "truncated"),
    (pgwire.refuses(pgwire.WELCOME), "truncated"),
], ids=["start", "authentication", "login", "query"])
def test_fault_16_closed_early(runner, script, reason):
    with TcpServer(script) as server:
        assert_result(first(runner, server), "fail", reason, "Connection closed")


def test_fault_16_closed_at_once(runner):
    """The start-up message may meet a socket that is closed already, which answers with a reset."""
    with TcpServer(close_at_once) as server:
        result = first(runner, server)
        assert result["outcome"] == "fail" and result["reason"] in ("truncated", "reset"), result


def test_fault_16_closed_in_the_result(runner):
    def script(connection):
        pgwire.startup(connection)
        connection.sendall(pgwire.WELCOME)
        pgwire.query(connection)
        connection.sendall(pgwire.ANSWER[:20])
    with TcpServer(script) as server:
        assert_result(first(runner, server), "fail", "truncated", "closed after 20 bytes")


def is_read(connection):
    """Whether our peer, which is on this host, has read all that we sent."""
    ours, theirs = (f"0100007F:{name[1]:04X}" for name in
                    (connection.getsockname(), connection.getpeername()))
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines():
        words = line.split()
        if words[1:3] == [theirs, ours]:
            return words[4].endswith(":00000000")       # tx_queue:rx_queue
    return False


def test_fault_15_reset_in_the_result(runner):
    def script(connection):
        pgwire.startup(connection)
        connection.sendall(pgwire.WELCOME)
        pgwire.query(connection)
        connection.sendall(pgwire.ANSWER[:20])
        # The bytes are to be read before the reset discards them.
        eventually(lambda: is_read(connection), within=30)
        reset(connection)
    with TcpServer(script) as server:
        assert_result(first(runner, server), "fail", "reset", "reset after 20 bytes")


def test_fault_18_one_byte_at_a_time(runner):
    def script(connection):
        pgwire.startup(connection)
        for byte in itertools.chain(pgwire.WELCOME, itertools.cycle(pgwire.parameter("a", "b"))):
            connection.sendall(bytes([byte]))
            time.sleep(0.02)
    with TcpServer(script) as server:
        begin = time.monotonic()
        result = first(runner, server, timeout="600ms")
        assert_result(result, "fail", "timeout", "Timeout after 600ms")
        assert time.monotonic() - begin < 10 * SLOWNESS


@pytest.mark.parametrize("banner", [b"220 mail ESMTP\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n",
                                    b"\0" * 100, b"\xff" * 5000],
                         ids=["smtp", "http", "zeros", "ones"])
def test_fault_19_other_protocols(runner, banner):
    with TcpServer(send_then_hold(banner)) as server:
        result = first(runner, server, timeout="1s")
        assert result["outcome"] == "fail" and result["reason"] in ("protocol", "timeout"), result
        runner.stop()
        server.script = send_then_close(banner)
        result = first(runner, server)
        assert result["reason"] in ("protocol", "truncated", "reset"), result


def endless(head, chunk=b"x" * 2**20):
    """After the login, or in its place where there is none, a message without end."""
    def script(connection):
        connection.sendall(head)
        for _ in range(1024):
            connection.sendall(chunk)
    return script


def long_message(kind):
    return kind + struct.pack("!I", 2**30)


def after_login(script):
    def whole(connection):
        pgwire.startup(connection)
        connection.sendall(pgwire.WELCOME)
        pgwire.query(connection)
        script(connection)
    return whole


def instead_of_login(script):
    def whole(connection):
        pgwire.startup(connection)
        script(connection)
    return whole


@pytest.mark.parametrize("script", [
    after_login(endless(pgwire.ROW_DESCRIPTION + long_message(b"D"))),
    after_login(endless(long_message(b"E"))),
    after_login(endless(long_message(b"N"))),
    after_login(endless(b"", pgwire.error("00000", "words", "NOTICE", b"N") * 10000)),
    after_login(endless(b"", pgwire.parameter("a", "b") * 10000)),
    after_login(endless(pgwire.ROW_DESCRIPTION,
                        pgwire.message(b"D", struct.pack("!HI", 1, 1) + b"1") * 10000)),
    instead_of_login(endless(long_message(b"E"))),
    instead_of_login(endless(pgwire.AUTHENTICATED + long_message(b"N"))),
    instead_of_login(endless(pgwire.AUTHENTICATED, pgwire.parameter("a", "b") * 10000)),
], ids=["row", "error", "notice", "notices", "parameters", "rows", "login-error", "login-notice",
        "login-parameters"])
def test_fault_20_endless_messages(runner, script):
    """Given up on soon, with a megabyte at most, and nobody else waits meanwhile."""
    with TcpServer(pgwire.answers(*[pgwire.ANSWER] * 1000)) as good, TcpServer(script) as bad:
        string = "host=127.0.0.1 port=%d user=health"
        runner.start(postgresql(string % good.port, name="good", interval="20ms")
                     + postgresql(string % bad.port, name="bad", timeout="30s"))
        result = runner.next_of("bad", within=40)
        assert result["outcome"] == "fail" and result["reason"] in ("protocol", "truncated"), result
        before = runner.usage()[1]
        runner.forget()
        assert runner.run("bad", 3)["fail"] == 3
        assert runner.usage()[1] - before < runner.memory_limit_kib
        good_times = [runner.next_of("good")["time"] for _ in range(11)]
        gaps = sorted(b - a for a, b in zip(good_times, good_times[1:]))
        assert gaps[5] < 0.3 * SLOWNESS, gaps


@pytest.mark.parametrize("rounds, reason", [
    (4096, "truncated"), (50000, "truncated"), (100200, "auth/scram"), (2**31 - 1, "auth/scram")])
def test_fault_20_endless_hashing(runner, rounds, reason):
    """The rounds that a password has to go through are the server's to say, who may be anybody."""
    runner.credential("key", "secret")
    with TcpServer(pgwire.wants_scram(rounds)) as server:
        result = first(runner, server, "PasswordCredential=key", timeout="60s")
        assert_result(result, "fail", reason)
        assert runner.run("it", 2)["reason"] == reason


def test_fault_28_one_fresh_retry(runner):
    """A held connection that breaks when it is used again is tried once anew, a new one is not."""
    def script(connection):
        pgwire.startup(connection)
        connection.sendall(pgwire.WELCOME)
        pgwire.query(connection)
        connection.sendall(pgwire.ANSWER)
        pgwire.query(connection)
    with TcpServer(script) as server:
        assert_result(first(runner, server), "pass", "")
        assert runner.run("it", 10)["pass"] == 10
        assert server.connections == 11
        server.script = pgwire.refuses(pgwire.WELCOME)
        assert_result(runner.run("it"), "fail", "truncated")
        assert server.connections == 12


def test_fault_28_fatal_error_on_a_held_connection(runner):
    fatal = pgwire.error("57P01", "terminating connection due to administrator command")

    def script(connection):
        pgwire.startup(connection)
        connection.sendall(pgwire.WELCOME)
        pgwire.query(connection)
        connection.sendall(pgwire.ANSWER)
        pgwire.query(connection)
        connection.sendall(fatal)
    with TcpServer(script) as server:
        assert_result(first(runner, server), "pass", "")
        assert runner.run("it", 5)["pass"] == 5
        assert server.connections == 6


def test_last_words_are_enough(runner):
    """A server that says that it ends the session, but leaves the connection open."""
    def script(connection):
        pgwire.startup(connection)
        connection.sendall(pgwire.WELCOME)
        pgwire.query(connection)
        connection.sendall(pgwire.ANSWER)
        eventually(lambda: last_words, within=30)
        connection.sendall(pgwire.error("57P01", "terminating connection"))
        while connection.recv(4096):
            pass
    last_words = []
    with TcpServer(script) as server:
        assert_result(first(runner, server), "pass", "")
        server.script = pgwire.refuses(pgwire.error("57P03", "the system is shutting down"))
        last_words.append(True)
        assert_result(runner.next(), "fail", "status/stopping", "shutting down")


def test_hostile_text(runner):
    """What a server says is shown as one clean line."""
    text = "a\nb\x1b[31m\x7fc \t d" + "é" * 300
    with TcpServer(pgwire.refuses(pgwire.error("XX000", text))) as server:
        result = first(runner, server)
        assert_result(result, "fail", "status/XX000", "a")
        assert "\n" not in result["message"] and "\x1b" not in result["message"]
        assert len(result["message"].encode()) < 256
