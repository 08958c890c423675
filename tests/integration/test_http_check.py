# SPDX-License-Identifier: MIT
"""Type=http against real servers, good and bad ones."""

import datetime
import email.utils
import pathlib
import time

import pytest

from lib.checks import http
from lib.peers import (HANG, HttpServer, Reply, TcpServer, refused_address,
                       reset_at_once, send_then_hold)
from lib.process import SLOWNESS, eventually
from lib.runner import assert_result


def first(runner, text, within=15):
    return runner.start(text).next(within=within)


def unread_by_peer(connection):
    """Bytes that the kernel holds for the other end of a connection on this host."""
    ports = [f":{name[1]:04X}" for name in (connection.getpeername(), connection.getsockname())]
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        local, remote, _, queues = line.split()[1:5]
        if local.endswith(ports[0]) and remote.endswith(ports[1]):
            return int(queues.partition(":")[2], 16)
    return None


# -- healthy --------------------------------------------------------------------------------------

@pytest.mark.valgrind
def test_request_and_held_connection(runner, http_server):
    runner.credential("key", "c4n4ry")
    result = first(runner, http(http_server.url("/live?a=b"), "Header=X-Probe: vitald",
                                 "Header=Host: app.example", "HeaderCredential=Api-Key: key"))
    assert_result(result, "pass", "", "HTTP 200")
    assert result["latency_ms"] > 0 and result["body"] == len(b"ok\n")
    assert runner.run("it", 50)["pass"] == 50
    assert http_server.connections == 1 and len(http_server.requests) == 51
    request = http_server.requests[-1]
    assert (request.method, request.target) == ("GET", "/live?a=b")
    assert request.headers == {"host": "app.example", "user-agent": request.headers["user-agent"],
                               "accept": "*/*", "x-probe": "vitald", "api-key": "c4n4ry"}
    assert request.headers["user-agent"].startswith("vitald/")
    assert "c4n4ry" not in runner.log


def test_bearer_token(runner, http_server):
    runner.credential("token", "c4n4ry\n")
    text = http(http_server.url(), "BearerCredential=token") + \
        http(http_server.url("/none"), "BearerCredential=none", name="none")
    assert_result(runner.start(text).next_of("it"), "pass", "")
    assert http_server.requests[-1].headers["authorization"] == "Bearer c4n4ry"
    runner.run("none")
    assert not [r for r in http_server.requests if r.target == "/none"]
    assert "c4n4ry" not in runner.log


def test_head(runner, http_server):
    http_server.reply = Reply(body=b"x" * 1000)
    assert_result(first(runner, http(http_server.url(), "Method=HEAD")), "pass", "")
    assert runner.run("it", 5)["pass"] == 5
    assert {r.method for r in http_server.requests} == {"HEAD"} and http_server.connections == 1


def test_unix_socket(runner, directory):
    with HttpServer(unix_path=directory / "app.sock") as server:
        result = first(runner, http("http://app/live", f"UnixSocket={server.address}"))
        assert_result(result, "pass", "")
        assert server.requests[0].headers["host"] == "app"
        server.kill()
        assert_result(runner.next(), "fail", "refused", server.address)
        server.unix_path.unlink()
        assert_result(runner.run("it"), "fail", "missing", server.address)


def test_ipv6(runner):
    with HttpServer(host="::1") as server:
        assert_result(first(runner, http(server.url())), "pass", "")


@pytest.mark.parametrize("status, expect, outcome, reason", [
    (204, "", "pass", ""),
    (401, "ExpectStatus=200-299 401", "pass", ""),
    (301, "", "fail", "status/301"),
    (404, "", "fail", "status/404"),
    (503, "ExpectStatus=503", "pass", ""),
    (200, "ExpectStatus=503", "fail", "status/200"),
])
def test_status(runner, http_server, status, expect, outcome, reason):
    http_server.reply = Reply(status=status)
    result = first(runner, http(http_server.url(), expect))
    assert_result(result, outcome, reason, f"HTTP {status}")


def test_retry_after(runner, http_server):
    http_server.reply = Reply(status=429, headers={"Retry-After": "7"})
    result = first(runner, http(http_server.url(), interval="20s"))
    assert_result(result, "warn", "status/429", f"HTTP 429 from 127.0.0.1:{http_server.port}",
                  ", asked again after 7s")
    assert result["retry_after_ms"] == 7000
    http_server.reply = Reply(status=429, headers={"Retry-After": "99999999999"})
    assert runner.run("it")["retry_after_ms"] == 3600 * 1000
    http_server.reply = Reply(status=429)
    assert_result(runner.run("it"), "warn", "status/429")
    # Who is down does not say when it is looked at.
    http_server.reply = Reply(status=503, headers={"Retry-After": "99999999999"})
    result = runner.run("it")
    assert_result(result, "fail", "status/503")
    assert result["retry_after_ms"] == 20 * 1000
    http_server.reply = Reply(headers={"Retry-After": "7"})
    result = runner.run("it")
    assert_result(result, "pass", "", "HTTP 200")
    assert result["retry_after_ms"] == 7000


@pytest.mark.parametrize("make", [email.utils.format_datetime,
                                  lambda t: t.strftime("%A, %d-%b-%y %H:%M:%S GMT"),
                                  lambda t: t.strftime("%a %b %e %H:%M:%S %Y")])
def test_retry_after_a_date(runner, http_server, make):
    def date(seconds):
        now = datetime.datetime.now(datetime.timezone.utc)
        text = make(now + datetime.timedelta(seconds=seconds))
        return Reply(status=429, headers={"Retry-After": text.replace("+0000", "GMT")})
    http_server.reply = date(600)
    result = first(runner, http(http_server.url()))
    assert_result(result, "warn", "status/429")
    assert 500 * 1000 < result["retry_after_ms"] <= 600 * 1000
    http_server.reply = date(-600)
    assert "retry_after_ms" not in runner.run("it")
    http_server.reply = date(86400 * 400)
    assert runner.run("it")["retry_after_ms"] == 3600 * 1000
    for text in ("soon", "-5", "", "1e9", "Fri, 99 Nov 2026 99:99:99 GMT"):
        http_server.reply = Reply(status=429, headers={"Retry-After": text})
        result = runner.run("it")
        assert_result(result, "warn", "status/429")
        assert result.get("retry_after_ms", 0) <= 3600 * 1000


def test_pause_is_kept(runner):
    """Neither Interval= nor a connection that ends brings the next run forward."""
    def script(connection):
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 429 Slow Down\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n")
        reset_at_once(connection)
    with TcpServer(script) as server:
        runner.start(http(f"http://{server.address}/", interval="200ms"))
        times = [runner.next()["time"] for _ in range(3)]
        assert min(b - a for a, b in zip(times, times[1:])) > 1


def test_trailers(runner, http_server):
    http_server.reply = (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
                         b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                         b"2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n")
    assert_result(first(runner, http(http_server.url(), "ExpectBody=^ok$")), "pass", "")
    http_server.reply = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    assert_result(runner.run("it"), "fail", "truncated")


# -- faults ---------------------------------------------------------------------------------------

def test_fault_13_black_hole(runner, black_hole, http_server):
    """Its own timeout, and nobody else is late."""
    runner.start(http(f"http://{black_hole.address}/", name="hole", interval="1s", timeout="500ms")
                 + http(http_server.url(), name="good", interval="100ms"))
    results = [runner.next() for _ in range(40)]
    holes = [r for r in results if r["check"] == "hole"]
    good = [r["time"] for r in results if r["check"] == "good"]
    assert holes and len(good) > 20
    for r in holes:
        assert_result(r, "fail", "timeout", "Timeout after 500ms, connecting")
    # Four while the other hangs, if the machine does not stand still; none if that is waited for.
    beside = [sum(0 < r["time"] - t < 0.45 for t in good) for r in holes]
    assert sum(beside) >= len(holes), beside


def test_fault_14_refused(runner):
    address = refused_address()
    result = first(runner, http(f"http://{address}/", timeout="1min"))     # Not at its end.
    assert_result(result, "fail", "refused", f"{address}: Connection refused")


def test_fault_14_reset_on_connect(runner):
    with TcpServer(reset_at_once) as server:
        assert_result(first(runner, http(f"http://{server.address}/")), "fail", "reset")


def test_fault_14_no_route(runner):
    """A network namespace of its own has no routes."""
    runner.wrap = lambda argv: ["/usr/bin/unshare", "--net", *argv]
    assert_result(first(runner, http("http://10.0.0.1/")), "fail", "unreachable",
         "10.0.0.1:80: Network is unreachable")


@pytest.mark.valgrind
def test_fault_15_reset_in_the_reply(runner, http_server):
    http_server.reply = Reply(body=b"x" * 100, content_length=5000, give_up="reset")
    result = first(runner, http(http_server.url()))
    assert result["reason"] in ("reset", "truncated"), result
    assert result["outcome"] == "fail"


def test_fault_15_reset_after_bytes(runner):
    """The bytes are surely read before the reset comes."""
    def script(connection):
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        eventually(lambda: unread_by_peer(connection) == 0)
        reset_at_once(connection)
    with TcpServer(script) as server:
        runner.start(http(f"http://{server.address}/"))
        assert_result(runner.next(), "fail", "reset", "reset after 44 bytes")


@pytest.mark.parametrize("data, words", [
    (b"", "without a reply"),
    (b"HTTP/1.1 200 OK\r\nContent-Le", "after 17 bytes"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", "after 44 bytes"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "after"),
])
def test_fault_16_closed_early(runner, http_server, data, words):
    http_server.reply = data
    assert_result(first(runner, http(http_server.url())), "fail", "truncated", words)


def test_fault_18_one_byte_per_second(runner, http_server):
    """The deadline is one over all, however busy the connection is."""
    http_server.reply = Reply(body=b"x" * 100, pause_per_byte=0.05)
    begin = time.monotonic()
    assert_result(first(runner, http(http_server.url(), timeout="600ms")), "fail", "timeout",
         "Timeout after 600ms, waiting for the reply")
    # The whole of it would take seven seconds.
    assert 0.55 < time.monotonic() - begin < 6 * SLOWNESS


@pytest.mark.valgrind
def test_hanging_server(runner, http_server):
    http_server.reply = HANG
    result = first(runner, http(http_server.url(), timeout=f"{300 * SLOWNESS}ms"))
    assert_result(result, "fail", "timeout", f"{300 * SLOWNESS}ms")


def test_fault_19_banner(runner):
    with TcpServer(send_then_hold(b"220 mail ESMTP\r\n")) as server:
        result = first(runner, http(f"http://{server.address}/", timeout="1s"))
        assert_result(result, "fail", "protocol")


def test_fault_19_more_than_the_reply(runner):
    """Bytes that nobody asked for, with a reply and behind it: they are no answer to the next
    request, and are not kept."""
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    forged = b"HTTP/1.1 500 Forged\r\nContent-Length: 0\r\n\r\n"

    def script(connection):
        while connection.recv(65536):
            connection.sendall(reply + forged)
            for _ in range(100):
                connection.sendall(b"x" * 65536)
    with TcpServer(script) as server:
        runner.start(http(f"http://{server.address}/", "ExpectBody=^ok$", "RetryInterval=50ms"))
        assert_result(runner.next(), "pass", "", "HTTP 200")
        before = runner.usage()[1]
        for _ in range(20):
            result = runner.run("it")
            assert_result(result, "pass", "", "HTTP 200")
        assert runner.usage()[1] - before < runner.memory_limit_kib


def test_fault_20_huge_body(runner, http_server):
    """No more than MaxReply= is read, and nothing is kept in memory."""
    assert_result(first(runner, http(http_server.url())), "pass", "")
    runner.run("it", 50)
    before = runner.usage()[1]
    http_server.reply = Reply(body=b"x" * 2**20, repeat_body=10 * 1024)
    result = runner.run("it", 20)
    assert result["pass"] == 20 and result["body"] == 65536
    assert runner.usage()[1] - before < runner.memory_limit_kib


def test_fault_20_a_million_headers(runner, http_server):
    assert_result(first(runner, http(http_server.url())), "pass", "")
    before = runner.usage()[1]
    http_server.reply = b"HTTP/1.1 200 OK\r\n" + b"X-Y: 123456\r\n" * 1000000 + b"\r\n"
    assert_result(runner.run("it", 5), "fail", "protocol", "head is longer than 65536 bytes")
    assert runner.usage()[1] - before < runner.memory_limit_kib


def test_fault_20_endless_interim_replies(runner, http_server):
    http_server.reply = b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100000
    assert_result(first(runner, http(http_server.url())), "fail", "protocol", "head is longer")


def test_fault_21_compressed_body(runner, http_server):
    """Nothing is decompressed: a gzip bomb is only what it weighs."""
    http_server.reply = Reply(headers={"Content-Encoding": "gzip"}, body=b"\x1f\x8b" + b"0" * 98)
    result = first(runner, http(http_server.url()))
    assert_result(result, "pass", "")
    assert result["body"] == 100
    assert "accept-encoding" not in http_server.requests[0].headers


@pytest.mark.parametrize("location", ["/", "/else", "file:///etc/passwd",
                                      "http://169.254.169.254/latest/meta-data/", "gopher://x/"])
def test_fault_22_redirect_is_not_followed(runner, http_server, location):
    for status in (301, 302, 307, 308):
        http_server.reply = Reply(status=status, headers={"Location": location})
        result = runner.run("it") if runner.popen else first(runner, http(http_server.url()))
        assert_result(result, "fail", f"status/{status}")
    assert len(http_server.requests) == 4


def test_fault_23_tls_keys_are_told_nobody(runner, directory, authority):
    keys = directory / "keys"
    runner.environment |= {"SSLKEYLOGFILE": str(keys)}
    with HttpServer(tls=authority.issue().server_context()) as server:
        result = first(runner, http(server.url(), f"CACertificate={authority.ca}"))
        assert_result(result, "pass", "")
    assert not keys.exists()


def test_fault_23_environment_is_ignored(runner, directory, http_server):
    (directory / ".netrc").write_text("default login x password y\n")
    proxy = "http://" + refused_address()
    runner.environment |= {"http_proxy": proxy, "ALL_PROXY": proxy, "HOME": str(directory)}
    assert_result(first(runner, http(http_server.url())), "pass", "")
    assert "authorization" not in http_server.requests[0].headers


# Runs argv in a network of its own, whose two local ports are taken.
NO_LOCAL_PORT = """
import os, pathlib, socket, subprocess, sys
subprocess.run(["/usr/sbin/ip", "link", "set", "lo", "up"], check=True)
pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("40000 40001")
sockets = [socket.create_server(("127.0.0.1", 4000))]
sockets += [socket.create_connection(("127.0.0.1", 4000)) for _ in range(2)]
for s in sockets:
    s.set_inheritable(True)
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_fault_27_no_local_port(runner):
    """Our own lack, and not the server's fault."""
    runner.wrap = lambda argv: ["/usr/bin/unshare", "--net", "--", "/usr/bin/python3", "-c",
                                NO_LOCAL_PORT, *map(str, argv)]
    result = first(runner, http("http://127.0.0.1:4000/"))
    assert_result(result, "error", "resource", "assign requested address")
