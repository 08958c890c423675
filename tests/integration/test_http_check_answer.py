# SPDX-License-Identifier: MIT
"""Type=http: what is expected of a body, and of the certificate of its connection."""

import time

import pytest

from lib.checks import http
from lib.peers import HttpServer, Reply
from lib.process import SLOWNESS
from lib.runner import assert_result


def first(runner, text, within=15):
    return runner.start(text).next(within=within)


def answer(http_server, body, **options):
    http_server.reply = Reply(body=body if isinstance(body, bytes) else body.encode(), **options)


# -- ExpectBody= ----------------------------------------------------------------------------------

@pytest.mark.valgrind
@pytest.mark.parametrize("pattern, body, found", [
    ("ready", "we are ready.", True),
    ("^ready$", "one\r\nready\r\ntwo", True),
    ("^ready$", "not ready", False),
    (r'"status"\s*:\s*"(UP|OK)"', '{"status" : "UP"}', True),
    ("(?i)ÄPFEL", "zwölf äpfel", True),
    ("x", "", False),
    ("ok", b"\xff\x00ok", True),
])
def test_body(runner, http_server, pattern, body, found):
    answer(http_server, body)
    result = first(runner, http(http_server.url(), f"ExpectBody={pattern}"))
    if found:
        assert_result(result, "pass", "", "HTTP 200")
    else:
        assert_result(result, "fail", "mismatch/body", "HTTP 200, but ExpectBody= is not in the")


def test_body_behind_what_is_read(runner, http_server):
    answer(http_server, b"x" * 70000 + b"end")
    result = first(runner, http(http_server.url(), "ExpectBody=end"))
    assert_result(result, "fail", "mismatch/body", "first 64K of its body")
    assert result["body"] == 65536
    answer(http_server, b"begin" + b"x" * 70000)
    runner.stop()
    result = first(runner, http(http_server.url(), "ExpectBody=begin"))
    assert_result(result, "pass", "")


def test_a_bad_status_comes_first(runner, http_server):
    answer(http_server, "ok", status=500)
    result = first(runner, http(http_server.url(), "ExpectBody=ok", "ExpectJSON=/x exists"))
    assert_result(result, "fail", "status/500", "HTTP 500 from")


def test_an_expression_that_never_ends_delays_nobody(runner, http_server):
    """(a+)+$ on 64 KiB would take longer than the world will stand."""
    http_server.reply = lambda r: Reply(body=b"ok" if r.target == "/ok" else b"a" * 65000 + b"!x")
    runner.start(http(http_server.url(), "ExpectBody=(a+)+$x?", name="slow", interval="100ms")
                 + http(http_server.url("/ok"), name="good", interval="100ms"))
    begin = time.monotonic()
    results = [runner.next() for _ in range(20)]
    slow = [r for r in results if r["check"] == "slow"]
    assert slow and len(results) > len(slow)
    for r in slow:
        assert_result(r, "fail", "mismatch/body", "too many steps")
    assert time.monotonic() - begin < 15 * SLOWNESS


# -- ExpectJSON= ----------------------------------------------------------------------------------

HEALTH = '{"status":"UP","checks":[{"name":"db","latency_ms":3.5}],"queue":{"depth":12}}'


@pytest.mark.valgrind
@pytest.mark.parametrize("lines, reason, words", [
    (['/status = "UP"'], "", "HTTP 200"),
    (['/status = "UP"', "/queue/depth < 100", "/checks/0/name ~ ^db$", "/error missing"], "", ""),
    (['/status = "DOWN"'], "mismatch/json", 'HTTP 200, but /status is "UP", expected = "DOWN"'),
    (['/status = "UP"', "/queue/depth < 10"], "mismatch/json", "/queue/depth is 12, expected < 10"),
    (["/checks/1 exists"], "mismatch/json", "/checks/1 is not there"),
])
def test_json(runner, http_server, lines, reason, words):
    answer(http_server, HEALTH)
    result = first(runner, http(http_server.url(), *(f"ExpectJSON={line}" for line in lines)))
    assert_result(result, "fail" if reason else "pass", reason, words)


@pytest.mark.parametrize("body, words", [
    ('{"status":"UP","status":"UP"}', "twice"),
    ('{"status":"UP","x":NaN}', "not a value"),
    ('{"status":"UP","x":Infinity}', "not a value"),
    ('{"status":"UP","x":1e400}', "too large"),
    ('{"status":"UP","x":99999999999999999999}', "too large"),
    ('{"status":"UP","x":' + "[" * 32 + "]" * 32 + "}", "nested too deeply"),
    ("{'status':'UP'}", "double quotes"),
    ('{"status":"UP","x":"\x01"}', "control character"),
    ('{"status":"UP","x":"a\nb"}', "control character"),
    ('{"status":"UP" /* well */}', "comma"),
    ('{"status":"UP"} trailing', "more behind"),
    ('{"status":"UP",}', "double quotes"),
    ('\ufeff{"status":"UP"}', "not a value"),
    (b'{"status":"UP","x":"\xff"}', "UTF-8"),
    ('{"status":"UP"', "too soon"),
    ("", "ends where a value should stand"),
    ("<html>UP</html>", "not a value"),
])
def test_fault_5_json_that_is_none(runner, http_server, body, words):
    answer(http_server, body)
    result = first(runner, http(http_server.url(), 'ExpectJSON=/status = "UP"'))
    assert_result(result, "fail", "protocol/json", "HTTP 200, but its body is no JSON: ", words)


def test_json_that_is_too_long(runner, http_server):
    answer(http_server, b'{"status":"UP","x":"' + b"x" * 70000 + b'"}')
    runner.start(http(http_server.url(), 'ExpectJSON=/status = "UP"')
                 + http(http_server.url(), 'ExpectJSON=/status = "UP"', "MaxReply=100K",
                        name="more"))
    results = runner.first_of(2)
    assert_result(results["it"], "fail", "truncated/json", "longer than MaxReply=")
    assert_result(results["more"], "pass", "")


def test_fault_20_looking_into_huge_bodies_is_flat(runner, http_server):
    lines = "ExpectBody=UP", 'ExpectJSON=/status = "UP"'
    good, huge = Reply(body=HEALTH.encode()), Reply(body=b"UP" * 2**19, repeat_body=1024)
    http_server.reply = good
    assert_result(first(runner, http(http_server.url(), *lines)), "pass", "")
    runner.run("it", 200)
    http_server.reply = huge
    runner.run("it", 5)
    http_server.reply = good
    runner.run("it")
    fds, before = runner.usage()
    http_server.reply = huge
    assert_result(runner.run("it", 20), "fail", "truncated/json")
    http_server.reply = good
    assert runner.run("it", 1000)["pass"] == 1000
    after = runner.usage()
    assert after[0] == fds and after[1] - before < runner.memory_limit_kib


# -- certificates ---------------------------------------------------------------------------------

def test_certificate_days(runner, authority):
    """Those that are left are a value; limits only where they are asked for."""
    with HttpServer(tls=authority.issue(ends=10).server_context()) as server:
        ca = f"CACertificate={authority.ca}"
        runner.start(
            http(server.url(), ca, name="plain")
            + http(server.url(), ca, "CertificateWarn=9d", "CertificateFail=7d", name="well")
            + http(server.url(), ca, "CertificateWarn=21d", "CertificateFail=7d", name="warn")
            + http(server.url(), ca, "CertificateWarn=21d", "CertificateFail=11d", name="fail")
            + http(server.url(), ca, "CertificateFail=11d", "ExpectStatus=500", name="status"))
        results = runner.first_of(5)
        for name in ("plain", "well"):
            assert_result(results[name], "pass", "", "HTTP 200")
        assert_result(results["warn"], "warn", "tls/expires", "CN = server expires in ", "days")
        assert_result(results["fail"], "fail", "tls/expires", "CN = server expires in ")
        assert_result(results["status"], "fail", "status/200")
        for r in results.values():
            assert 9.9 < r["certificate"] < 10.01, r
        # On the kept connection, too, and on one with a session that is resumed.
        connections = server.connections
        for name in results:
            assert 9.9 < runner.run(name, 3)["certificate"] < 10.01
        assert server.connections <= connections
        server.close()
        server.start()
        assert 9.9 < runner.run("plain")["certificate"] < 10.01


def test_no_certificate_without_tls(runner, http_server):
    assert "certificate" not in first(runner, http(http_server.url()))
