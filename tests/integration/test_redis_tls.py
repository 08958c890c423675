# SPDX-License-Identifier: MIT
"""Type=redis with TLS=yes against a real redis-server, and against peers that spoil it."""

import socket
import ssl

import pytest

from lib.checks import section
from lib.peers import TcpServer, close_at_once, hold, refused_address, reset, send_then_hold
from lib.process import eventually
from lib.redis import Redis
from lib.runner import assert_result


@pytest.fixture
def check(runner, authority):
    """The first result of a check that trusts the authority."""
    def first(server, *lines, trust=True, **options):
        return runner.start(tls(server, *lines, ca=authority.ca if trust else None,
                                **options)).next()
    return first


def tls(server, *lines, ca=None, **options):
    address = getattr(server, "tls_address", None) or getattr(server, "address", server)
    return section("redis", f"Address={address}", "TLS=yes",
                   *([f"CACertificate={ca}"] if ca else []), *lines, **options)


@pytest.fixture
def server(directory, authority):
    with Redis(directory / "redis", tls=authority.issue(ends=90)) as redis:
        yield redis


# -- good ones -------------------------------------------------------------------------------------

def test_answers(check, server):
    result = check(server, "Command=DBSIZE", "Role=master")
    assert_result(result, "pass", "", "DBSIZE is 0")
    assert result["value"] == 0 and 29 < result["certificate"] <= 30   # The authority's own days.


def accepted(redis):
    return int(redis.info("total_connections_received"))


def test_holds_one_connection_and_leaves_nothing(server, runner, authority):
    runner.start(tls(server, ca=authority.ca))
    assert runner.next()["outcome"] == "pass"
    before = accepted(server)
    assert runner.run("it", 1000)["pass"] == 1000
    assert accepted(server) - before == 1       # Our own question.
    usage = runner.usage()
    assert runner.run("it", 3000)["pass"] == 3000
    fds, memory = runner.usage()
    assert fds <= usage[0] and memory - usage[1] <= runner.memory_limit_kib, (usage, memory)


def test_new_connections_leave_nothing(server, runner, authority):
    """A failure closes the connection."""
    runner.start(tls(server, "Command=GET nothing", ca=authority.ca))
    assert_result(runner.next(), "fail", "missing/value")
    assert runner.run("it", 300)["fail"] == 300
    usage = runner.usage()
    assert runner.run("it", 700)["fail"] == 700
    fds, memory = runner.usage()
    assert fds <= usage[0] and memory - usage[1] <= runner.memory_limit_kib, (usage, memory)


def test_restarted_under_a_held_connection(server, runner, authority):
    runner.start(tls(server, ca=authority.ca))
    assert runner.next()["outcome"] == "pass"
    server.kill9()
    # A dying server may still take the new connection.
    assert runner.next()["reason"] in ("refused", "reset", "truncated", "tls/handshake")
    assert_result(runner.run("it"), "fail", "refused")
    server.start()
    assert runner.run("it")["pass"] == 1


def test_hangs(server, runner, authority):
    runner.start(tls(server, ca=authority.ca, timeout="2s"))
    eventually(lambda: runner.run("it")["pass"] == 1)
    server.freeze()
    late = runner.log.count("late by")
    result = runner.run("it")       # By the held connection, unless a run that was late has had it.
    is_held = runner.log.count("late by") == late
    assert_result(result, "fail", "timeout", "waiting for the reply to PING" if is_held else
                  "in the TLS handshake")
    assert_result(runner.run("it"), "fail", "timeout", "in the TLS handshake")
    server.thaw()
    eventually(lambda: runner.run("it")["pass"] == 1)


def test_large_values_come_in_many_records(server, check):
    server.command("SET", "large", 60000 * "x")
    assert_result(check(server, "Command=GET large"), "pass", "", "is there")


def test_fault_20_huge_value(server, check):
    server.command("SET", "huge", 200000 * "x")
    assert_result(check(server, "Command=GET huge"), "fail", "protocol", "too long")


def test_password(directory, authority, runner):
    with Redis(directory / "guarded", password="s3cret", tls=authority.issue(ends=90)) as redis:
        runner.credential("redis", "s3cret")
        runner.start(tls(redis, "PasswordCredential=redis", ca=authority.ca)
                     + tls(redis, ca=authority.ca, name="none"))
        results = runner.first_of(2)
        assert_result(results["it"], "pass", "")
        assert_result(results["none"], "fail", "auth/missing")


@pytest.mark.valgrind
def test_client_certificate(directory, authority, runner):
    mine = authority.issue("mine")
    with Redis(directory / "redis", tls=authority.issue(ends=90), tls_auth="yes") as redis:
        runner.start(tls(redis, f"ClientCertificate={mine.certificate}", f"ClientKey={mine.key}",
                         ca=authority.ca, timeout="20s")
                     + tls(redis, ca=authority.ca, name="none", timeout="20s"))
        results = runner.first_of(2)
        assert_result(results["it"], "pass", "")
        assert_result(results["none"], "fail", "tls/client-certificate")


def test_sentinel_and_master(directory, authority, runner):
    """Both speak TLS; the sentinel is a script, for it would need a configuration of its own."""
    with Redis(directory / "redis", tls=authority.issue(ends=90)) as redis:
        port = str(redis.tls_port).encode()
        reply = b"*2\r\n$9\r\n127.0.0.1\r\n$%d\r\n%b\r\n" % (len(port), port)

        def script(connection):
            while connection.recv(1000):
                connection.sendall(reply)
        with TcpServer(script, tls=authority.issue("sentinel").server_context()) as sentinel:
            runner.start(section("redis", "SentinelMaster=orders", f"Sentinel={sentinel.address}",
                                 "TLS=yes", f"CACertificate={authority.ca}"))
            assert_result(runner.next(), "pass", "", f"Master 127.0.0.1:{redis.tls_port}")
            assert runner.run("it", 100)["pass"] == 100


# -- bad ones --------------------------------------------------------------------------------------

@pytest.mark.parametrize("terms, lines, reason, words", [
    ({"ends": -0.001}, [], "tls/expired", "expired"),
    ({"starts": 1, "ends": 2}, [], "tls/not-yet-valid", "not yet valid"),
    ({"names": ["DNS:other.example"]}, [], "tls/name", "127.0.0.1"),
    ({"names": ["DNS:cache.example"]}, ["ServerName=cache.example"], "", "PONG"),
    ({"names": ["IP:127.0.0.1"]}, ["ServerName=cache.example"], "tls/name", "cache.example"),
], ids=str)
def test_fault_24_certificates(terms, lines, reason, words, directory, authority, check):
    with Redis(directory / "redis", tls=authority.issue(**terms)) as redis:
        assert_result(check(redis, *lines), "fail" if reason else "pass", reason, words)


def test_fault_24_untrusted(server, check):
    assert_result(check(server, trust=False), "fail", "tls/untrusted", "127.0.0.1")


def test_fault_24_self_signed(directory, authority, check):
    with Redis(directory / "redis", tls=authority.self_signed()) as redis:
        assert_result(check(redis), "fail", "tls/self-signed")


def test_fault_24_plaintext_on_the_port(check):
    with TcpServer(send_then_hold(b"-ERR Protocol error\r\n")) as server:
        assert_result(check(server), "fail", "tls/plaintext", "wrong version number")


def test_fault_24_redis_waits_for_the_end_of_the_line(redis, check):
    """What a handshake begins with is no command yet."""
    assert_result(check(redis, timeout="300ms"), "fail", "timeout", "in the TLS handshake")


def test_tls_on_a_port_that_is_asked_without(server, runner):
    runner.start(section("redis", f"Address={server.tls_address}"))
    result = runner.next()
    assert result["outcome"] == "fail" and result["reason"] in ("protocol", "truncated", "reset")


def test_fault_24_stall(check):
    with TcpServer(hold) as server:
        result = check(server, timeout="300ms")
        assert_result(result, "fail", "timeout", "in the TLS handshake")


def test_fault_24_closed_in_the_handshake(check):
    def script(connection):
        connection.recv(1000)
        close_at_once(connection)
    with TcpServer(script) as server:
        assert_result(check(server), "fail", "tls/handshake", "closed by the peer")


def test_fault_15_reset_in_the_handshake(check):
    def script(connection):
        connection.recv(1000)
        reset(connection)
    with TcpServer(script) as server:
        assert_result(check(server), "fail", "reset")


def test_fault_14_refused(check):
    assert_result(check(refused_address()), "fail", "refused")


def test_files_that_cannot_be_read(server, runner, directory):
    path = directory / "none.pem"
    runner.start(tls(server, ca=path))
    assert_result(runner.next(), "error", "configuration", str(path), "No such file")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("say, reason, words", [
    (b"", "truncated", "without a reply"),
    (b"+PO", "truncated", "after 3 bytes"),
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", "protocol", "Protocol error"),
])
def test_fault_16_replies_that_end(version, say, reason, words, check, authority):
    def script(connection):
        connection.recv(1000)
        if say:
            connection.sendall(say)
        connection.unwrap().close()
    with TcpServer(script, tls=authority.issue(ends=90).server_context(
            maximum_version=version)) as server:
        assert_result(check(server), "fail", reason, words)


def test_garbage_behind_the_handshake(check, authority):
    """Bytes that are no record of the session."""
    def script(connection):
        connection.recv(1000)
        with socket.socket(fileno=connection.detach()) as s:
            s.sendall(b"\x17\x03\x03\x00\x20" + 32 * b"x")
            s.recv(100)
    with TcpServer(script, tls=authority.issue(ends=90).server_context()) as server:
        result = check(server)
        assert result["outcome"] == "fail" and result["reason"].startswith("tls/"), result


def test_replies_byte_by_byte(check, authority):
    def script(connection):
        connection.recv(1000)
        for byte in b"+PONG\r\n":
            connection.sendall(bytes([byte]))
        hold(connection)
    with TcpServer(script, tls=authority.issue(ends=90).server_context()) as server:
        assert_result(check(server), "pass", "", "PONG")


def test_the_end_between_runs_is_seen_at_once(check, authority, runner):
    ended = []

    def script(connection):
        connection.recv(1000)
        connection.sendall(b"+PONG\r\n")
        if not ended:
            ended.append(True)
            connection.unwrap().close()
        hold(connection)
    with TcpServer(script, tls=authority.issue(ends=90).server_context()) as server:
        assert_result(check(server), "pass", "")
        assert_result(runner.next(), "pass", "")
        assert server.connections == 2
