# SPDX-License-Identifier: MIT
"""Type=grpc against a real gRPC server, and against others where it never says so."""

import time

import pytest

from lib.checks import section
from lib.dns import NOERROR, NXDOMAIN, DnsServer
from lib.grpcserver import GrpcServer
from lib.peers import (HttpServer, TcpServer, close_at_once, refused_address, reset_at_once,
                       send_then_close, send_then_hold)
from lib.process import SLOWNESS, eventually
from lib.runner import CheckRunner, assert_result


def rpc(server, *lines, **options):
    return section("grpc", f"Address={getattr(server, 'address', server)}", *lines, **options)


@pytest.fixture
def server(directory):
    with GrpcServer(directory) as s:
        yield s


@pytest.fixture
def check(runner):
    def first(server, *lines, **options):
        return runner.start(rpc(server, *lines, **options)).next()
    return first


# -- what the server says of itself ----------------------------------------------------------------

@pytest.mark.parametrize("service, outcome, reason, words", [
    (None, "pass", "", "SERVING"),
    ("orders", "pass", "", "SERVING"),
    (200 * "x", "pass", "", "SERVING"),
    ("billing", "fail", "status/not-serving", "NOT_SERVING"),
    ("unset", "fail", "status/unknown", "UNKNOWN"),
    ("gone", "fail", "status/service-unknown", "SERVICE_UNKNOWN"),
    ("odd", "fail", "status", "7"),
    ("nobody", "fail", "status/not-found", "NOT_FOUND: unknown service"),
    ("denied", "fail", "auth/permission", "PERMISSION_DENIED: not for you"),
    ("crash", "fail", "status/unknown", "UNKNOWN"),
])
def test_services(check, server, service, outcome, reason, words):
    result = check(server, *[f"Service={service}"] if service else [])
    assert_result(result, outcome, reason, words)
    assert "\x1b" not in result["message"]


def test_unix_socket(check, directory):
    with GrpcServer(directory, unix_path=directory / "g.sock") as server:
        assert_result(check(server), "pass", "")


def test_credential(runner, directory):
    runner.credential("grpc", "Bearer s3cret")
    runner.credential("other", "Bearer wr0ng")
    with GrpcServer(directory, token="Bearer s3cret") as server:
        runner.start(rpc(server, "HeaderCredential=authorization: grpc", name="good")
                     + rpc(server, "HeaderCredential=authorization: other", name="wrong")
                     + rpc(server, "HeaderCredential=authorization: none", name="none")
                     + rpc(server, name="without"))
        results = runner.first_of(4)
        assert_result(results["good"], "pass", "")
        assert_result(results["wrong"], "fail", "auth/missing", "UNAUTHENTICATED: who are you?")
        assert_result(results["without"], "fail", "auth/missing")
        assert_result(results["none"], "fail", "credential")


# -- connections -----------------------------------------------------------------------------------

def test_holds_one_connection_for_all_runs(runner, server):
    runner.start(rpc(server))
    runner.next()
    assert runner.run("it", 1000)["pass"] == 1000
    assert server.connections() == 1


def test_holds_one_connection_by_tls(runner, directory, authority):
    with GrpcServer(directory, tls=authority.issue()) as server:
        runner.start(rpc(server, "TLS=yes", f"CACertificate={authority.ca}"))
        runner.next()
        assert runner.run("it", 300)["pass"] == 300
        assert server.connections() == 1


def test_renews_the_connection_after_its_age(runner, server):
    runner.start(rpc(server, "ConnectionMaxAge=1s", interval="100ms"))
    seen = set()

    def renewed():
        assert runner.next()["outcome"] == "pass"
        seen.update(server.peers())
        return len(seen) > 1
    eventually(renewed)
    eventually(lambda: server.connections() == 1)


def test_checks_do_not_share_a_connection(runner, server):
    """So that one which hangs is nobody else's fault."""
    runner.start(rpc(server, name="good")
                 + rpc(server, "Service=slow", name="slow", timeout="1min"))
    assert runner.next()["check"] == "good"
    assert runner.run("good", 50)["pass"] == 50
    eventually(lambda: server.connections() == 2)


def test_a_run_that_hung_leaves_no_connection(runner, server):
    runner.start(rpc(server, "Service=slow", timeout="200ms"))
    assert_result(runner.next(), "fail", "timeout", "waiting for the reply")
    eventually(lambda: server.connections() == 0)


def test_hangs_and_comes_back(runner, server):
    runner.start(rpc(server, interval="400ms", timeout="300ms"))
    runner.next_that(outcome="pass")
    server.freeze()
    result = runner.next_that(outcome="fail")
    assert_result(result, "fail", "timeout")
    server.thaw()
    runner.next_that(outcome="pass")


@pytest.mark.timing
def test_fault_16_death_is_seen_at_once(directory, server):
    for _ in range(3):
        with CheckRunner(directory, rpc(server)) as runner:
            assert runner.next()["outcome"] == "pass"
            killed = time.monotonic()
            server.kill9()
            result = runner.next()
            assert result["outcome"] == "fail" and result["reason"] in ("refused", "reset"), result
            assert result["time"] - killed < 1      # The next run by itself is a day away.
            server.start()
            assert runner.run("it")["pass"] == 1


@pytest.mark.parametrize("lines, address, outcome", [
    ([], None, "pass"), (["Service=nobody"], None, "fail"), ([], refused_address(), "fail"),
], ids=["held", "status", "refused"])
def test_a_thousand_runs_leave_nothing(runner, server, lines, address, outcome):
    runner.start(rpc(address or server, *lines))
    runner.next()
    assert runner.run("it", 500)[outcome] == 500
    before = runner.usage()
    assert runner.run("it", 1000)[outcome] == 1000
    fds, memory = runner.usage()
    assert fds <= before[0]
    assert memory - before[1] <= 256, (before, memory)


# -- TLS and names ---------------------------------------------------------------------------------

def test_tls(runner, directory, authority):
    with GrpcServer(directory, tls=authority.issue()) as server:
        runner.start(rpc(server, "TLS=yes", f"CACertificate={authority.ca}", name="good")
                     + rpc(server, "TLS=yes", name="untrusted") + rpc(server, name="plain"))
        results = runner.first_of(3)
        assert_result(results["good"], "pass", "", "SERVING")
        assert_result(results["untrusted"], "fail", "tls/untrusted")
        assert results["plain"]["outcome"] == "fail", results["plain"]
        assert runner.run("good", 100)["pass"] == 100


@pytest.mark.parametrize("issue, reason", [
    (lambda a: a.issue(ends=-1, starts=-5), "tls/expired"),
    (lambda a: a.issue(names=["DNS:other.example"]), "tls/name"),
], ids=["expired", "name"])
def test_fault_24_bad_certificate(check, directory, authority, issue, reason):
    with GrpcServer(directory, tls=issue(authority)) as server:
        assert_result(check(server, "TLS=yes", f"CACertificate={authority.ca}"), "fail", reason)


def test_client_certificate(runner, directory, authority):
    own = authority.issue("client")
    runner.credential("client-key", own.key.read_text())
    more = ["TLS=yes", f"CACertificate={authority.ca}", f"ClientCertificate={own.certificate}"]
    with GrpcServer(directory, tls=authority.issue(), client_ca=authority.ca) as server:
        runner.start(rpc(server, *more, f"ClientKey={own.key}", name="path")
                     + rpc(server, *more, "ClientKeyCredential=client-key", name="credential"))
        assert {r["outcome"] for r in runner.first_of(2).values()} == {"pass"}


def test_tls_without_http2(check, authority):
    with HttpServer(tls=authority.issue().server_context()) as server:
        assert_result(check(server, "TLS=yes", f"CACertificate={authority.ca}"), "fail",
                      "protocol", "HTTP/2")


def test_host_name(runner, directory, server):
    with DnsServer(directory, mode=NOERROR, records={"rpc.test": [("A", "127.0.0.1")]}) as names:
        runner.wrap = names.wrap
        runner.start(rpc(f"rpc.test:{server.port}"))
        assert_result(runner.next(), "pass", "")
        names.mode = NXDOMAIN


def test_fault_25_no_such_host(runner, directory):
    with DnsServer(directory, mode=NXDOMAIN) as names:
        runner.wrap = names.wrap
        assert_result(runner.start(rpc("rpc.test:1")).next(), "fail", "dns/not-found")


# -- others ----------------------------------------------------------------------------------------

def test_fault_14_refused(check):
    assert_result(check(refused_address()), "fail", "refused")


def test_fault_14_no_socket(check, directory):
    assert_result(check(directory / "none.sock"), "fail", "missing")


def test_fault_13_black_hole(check, black_hole):
    assert_result(check(black_hole, timeout="300ms"), "fail", "timeout", "connecting")


@pytest.mark.parametrize("script", [
    send_then_hold(b"HTTP/1.1 400 Bad Request\r\n\r\n"), send_then_close(b"220 mail.example\r\n"),
    close_at_once, reset_at_once, send_then_close(b"\0\0\0\4\0\0\0\0\0"),
    send_then_hold(b"\0\0\0\4\0\0\0\0\0" + b"\xff\xff\xff\1\5\0\0\0\1"),
], ids=["http/1", "smtp", "closes", "resets", "closes after settings", "frame too long"])
def test_fault_16_and_19_no_grpc(check, script):
    def later(connection):
        connection.recv(100)
        script(connection)
    with TcpServer(later) as server:
        result = check(server)
        assert result["outcome"] == "fail", result
        assert result["reason"] in ("protocol", "truncated", "reset"), result


def frame(kind, flags, stream, payload):
    return (len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
            + payload)


def literal(name, value):
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


HEAD = literal(":status", "200") + literal("content-type", "application/grpc")
OK = literal("grpc-status", "0")


def answer(body, head=HEAD, trailers=OK):
    def script(connection):
        connection.recv(4096)
        frames = frame(4, 0, 0, b"") + frame(1, 4, 1, head)
        for at in range(0, len(body), 16000):
            frames += frame(0, 0, 1, body[at:at + 16000])
        connection.sendall(frames + (frame(1, 5, 1, trailers) if trailers is not None
                                     else frame(0, 1, 1, b"")))
        while connection.recv(4096):
            pass
    return script


@pytest.mark.parametrize("script, outcome, reason", [
    (answer(b"\0\0\0\0\2\x08\1"), "pass", ""),
    (answer(b"\0\0\0\0\x09\x12\2ab\x1d1234"[:14] + b"\x08\1", trailers=OK), "fail", "protocol"),
    (answer(b"\0\0\0\0\x0b\x12\2ab\x1d1234\x08\1"), "pass", ""),
    (answer(b"\0\0\0\0\0"), "fail", "status/unknown"),
    (answer(b""), "fail", "protocol"),
    (answer(b"\1\0\0\0\2\x08\1"), "fail", "protocol"),
    (answer(b"\0\0\0\0\3\x08\1"), "fail", "protocol"),
    (answer(b"\0\0\0\0\2\x08\xff"), "fail", "protocol"),
    (answer(b"\0\0\0\0\2\x12\x7f"), "fail", "protocol"),
    (answer(b"\0\0\0\0\1\x0f"), "fail", "protocol"),
    (answer(b"\0\0\0\0\2\x08\1", trailers=None), "fail", "truncated"),
    (answer(b"\0\0\0\0\2\x08\1", trailers=literal("grpc-status", "x")), "fail", "protocol"),
    (answer(b"\0\0\0\0\2\x08\1", trailers=literal("grpc-status", "99999999")), "fail", "protocol"),
    (answer(b"", trailers=literal("grpc-status", "14")), "fail", "status/unavailable"),
    (answer(b"", trailers=literal("grpc-status", "12")), "fail", "status/unimplemented"),
    (answer(b"hello", head=literal(":status", "200") + literal("content-type", "text/html")),
     "fail", "protocol"),
    (answer(b"", head=literal(":status", "503")), "fail", "status/503"),
    (answer(100000 * b"x"), "fail", "protocol"),
], ids=range(18))
def test_fault_19_and_20_odd_answers(check, script, outcome, reason):
    with TcpServer(script) as server:
        assert_result(check(server), outcome, reason)


def test_fault_20_endless_trailers(check):
    def flood(connection):
        connection.recv(4096)
        connection.sendall(frame(4, 0, 0, b"") + frame(1, 4, 1, HEAD))
        while True:
            connection.sendall(frame(1, 4, 1, 50 * literal("x-" + 90 * "a", 120 * "b")))
    with TcpServer(flood) as server:
        result = check(server)
        assert result["outcome"] == "fail" and result["reason"] in ("protocol", "reset"), result


@pytest.mark.valgrind
def test_no_leaks_with_runs_under_way(runner, server, black_hole):
    runner.start(rpc(server, name="good") + rpc(black_hole, name="hole", timeout="20s")
                 + rpc(server, "Service=slow", name="slow", timeout="20s"))
    assert runner.next(within=10 * SLOWNESS)["check"] == "good"
