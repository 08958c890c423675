# SPDX-License-Identifier: MIT
"""Type=http by HTTP/2, against nginx."""

import time

import pytest

from lib.checks import http
from lib.nginx import Nginx
from lib.peers import HttpServer, TcpServer, close_at_once, hold, send_then_hold
from lib.process import SLOWNESS
from lib.runner import assert_result

SETTINGS = bytes.fromhex("000000 04 00 00000000")
GOAWAY = bytes.fromhex("000008 07 00 00000000 00000000 0000000b")


def first(runner, text, within=15):
    return runner.start(text).next(within=within)


@pytest.fixture
def tls_nginx(directory, authority):
    with Nginx(directory / "nginx", "http2", tls=authority.issue()) as server:
        yield server


@pytest.fixture
def plain_nginx(directory):
    with Nginx(directory / "nginx", "http2") as server:
        yield server


def connections(server):
    """Those that are open, as the kernel lists them."""
    port = f":{server.port:04X}"
    with open("/proc/net/tcp") as lines:
        return len([line for line in lines if line.split()[1].endswith(port)
                    and line.split()[3] == "01"])


@pytest.mark.valgrind
def test_over_tls(runner, authority, tls_nginx):
    """By ALPN, on one connection that is kept, beside one by HTTP/1.1."""
    url, ca = f"https://{tls_nginx.address}/", f"CACertificate={authority.ca}"
    runner.start(http(url, ca, "HTTP2=yes", "ExpectBody=^ok$", "MaxLatency=5s")
                 + http(url, ca, "ExpectBody=^ok$", name="one"))
    for result in runner.first_of(2).values():
        assert_result(result, "pass", "", "HTTP 200")
    assert connections(tls_nginx) == 2
    assert runner.run("it", 100)["pass"] == runner.run("one", 10)["pass"] * 10 == 100
    assert connections(tls_nginx) == 2
    tls_nginx.process.kill9()
    failed = set()
    while failed != {"it", "one"}:      # The end of a kept connection is seen at once.
        result = runner.next()
        assert result["outcome"] == "fail", result
        failed.add(result["check"])
    assert_result(runner.run("it"), "fail", "refused")
    tls_nginx.start()
    assert runner.run("it", 5)["pass"] == 5


@pytest.mark.valgrind
def test_plain_with_prior_knowledge(runner, plain_nginx):
    runner.start(http(f"http://{plain_nginx.address}/", "HTTP2=yes", "ExpectBody=^ok$"))
    assert_result(runner.next(), "pass", "", "HTTP 200")
    assert runner.run("it", 100)["pass"] == 100
    plain_nginx.process.kill9()
    assert_result(runner.run("it"), "fail", "refused")
    plain_nginx.start()
    assert runner.run("it", 5)["pass"] == 5


def test_post(runner, plain_nginx):
    runner.start(http(f"http://{plain_nginx.address}/", "HTTP2=yes", "Method=POST", "Body={}"))
    assert_result(runner.next(), "pass", "")


def test_without_it(runner, authority, http_server):
    """A server that does not speak it does not pass for one that does."""
    with HttpServer(tls=authority.issue().server_context()) as server:
        runner.start(http(server.url(), "HTTP2=yes", f"CACertificate={authority.ca}", name="tls")
                     + http(http_server.url(), "HTTP2=yes", name="plain"))
        results = runner.first_of(2)
    assert_result(results["tls"], "fail", "protocol", "The server speaks HTTP/1 only")
    assert results["plain"]["outcome"] == "fail", results
    assert results["plain"]["reason"] in ("protocol", "truncated", "reset"), results


@pytest.mark.parametrize("script, reasons", [
    (close_at_once, ("truncated", "reset", "protocol")),
    (send_then_hold(b"220 mail ESMTP\r\n"), ("protocol", "reset", "truncated")),
    (send_then_hold(SETTINGS + GOAWAY), ("protocol", "truncated", "reset", "timeout")),
    (hold, ("timeout",)),
])
def test_fault_16_and_19_odd_servers(runner, script, reasons):
    with TcpServer(script) as server:
        begin = time.monotonic()
        result = first(runner, http(f"http://{server.address}/", "HTTP2=yes", timeout="500ms"))
        assert result["outcome"] == "fail" and result["reason"] in reasons, result
        assert time.monotonic() - begin < 10 * SLOWNESS


def test_stopped_server(runner, authority, tls_nginx):
    """What no longer answers costs this run its time, and is not asked again on that connection."""
    runner.start(http(f"https://{tls_nginx.address}/", "HTTP2=yes", f"CACertificate={authority.ca}",
                      timeout="2s"))
    assert_result(runner.next(), "pass", "")
    tls_nginx.freeze()
    assert_result(runner.run("it"), "fail", "timeout")
    tls_nginx.thaw()
    assert runner.run("it", 3)["pass"] == 3


@pytest.mark.parametrize("kind", ["tls", "plain"])
def test_a_thousand_runs_are_flat(runner, directory, authority, kind):
    certificate = authority.issue() if kind == "tls" else None
    with Nginx(directory / "nginx", "http2", tls=certificate) as server:
        url = f"{'https' if certificate else 'http'}://{server.address}/"
        ca = [f"CACertificate={authority.ca}"] if certificate else []
        assert_result(first(runner, http(url, "HTTP2=yes", *ca)), "pass", "")
        runner.run("it", 300)
        fds, memory = runner.usage()
        assert runner.run("it", 1000)["pass"] == 1000
        after = runner.usage()
        assert after[0] == fds and after[1] - memory < runner.memory_limit_kib / 4
