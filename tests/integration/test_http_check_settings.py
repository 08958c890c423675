# SPDX-License-Identifier: MIT
"""Type=http: what a configuration may say, and what the request is then."""

import base64

import pytest

from lib.checks import http
from lib.peers import HttpServer, Reply
from lib.process import SLOWNESS
from lib.runner import assert_result


def first(runner, text, within=15):
    return runner.start(text).next(within=within)


# -- the request ----------------------------------------------------------------------------------

@pytest.mark.valgrind
def test_post(runner, http_server):
    """A body as it is written, on a connection that is kept, between other checks' requests."""
    body = '{"prompt": "a \\n b %s $x \\"q\\"", "dry_run": true}'
    runner.start(http(http_server.url("/post"), "Method=POST", f"Body={body}")
                 + http(http_server.url("/get"), name="get")
                 + http(http_server.url("/head"), "Method=HEAD", name="head")
                 + http(http_server.url("/empty"), "Method=POST", name="empty")
                 + http(http_server.url("/text"), "Method=POST", "Body=x", "ContentType=text/plain",
                        name="text")
                 + http(http_server.url("/own"), "Method=POST", "Body=x",
                        "Header=content-type: a/b", name="own"))
    for result in runner.first_of(6).values():
        assert_result(result, "pass", "")
    for _ in range(3):
        for name in ("it", "get", "head", "empty", "text", "own"):
            assert runner.run(name, 2)["pass"] == 2
    requests = {r.target: r for r in http_server.requests}
    assert {(r.target, r.method, r.body) for r in http_server.requests} == {
        ("/post", "POST", body.encode()), ("/get", "GET", b""), ("/head", "HEAD", b""),
        ("/empty", "POST", b""), ("/text", "POST", b"x"), ("/own", "POST", b"x")}
    types = {target: r.headers.get("content-type") for target, r in requests.items()}
    assert types == {"/post": "application/json", "/get": None, "/head": None, "/empty": None,
                     "/text": "text/plain", "/own": "a/b"}
    assert requests["/empty"].headers["content-length"] == "0"
    assert not [r for r in http_server.requests if "expect" in r.headers]


def test_long_body(runner, http_server):
    body = "x" * 16000
    assert_result(first(runner, http(http_server.url(), "Method=POST", f"Body={body}")), "pass", "")
    assert http_server.requests[0].body == body.encode()


@pytest.mark.valgrind
def test_basic_credentials(runner, http_server):
    def reply(request):
        good = "Basic " + base64.b64encode("me:c4n4ry: \u00e4".encode()).decode()
        return Reply(status=200 if request.headers.get("authorization") == good else 401)
    http_server.reply = reply
    runner.credential("good", "c4n4ry: \u00e4\n")
    runner.credential("bad", "c4n4ry")
    runner.start(http(http_server.url(), "Username=me", "PasswordCredential=good")
                 + http(http_server.url(), "Username=me", "PasswordCredential=bad", name="bad")
                 + http(http_server.url("/none"), "Username=me", "PasswordCredential=none",
                        name="none")
                 + http(http_server.url(), name="without"))
    results = runner.first_of(4)
    assert_result(results["it"], "pass", "")
    assert_result(results["bad"], "fail", "auth/401", "HTTP 401 from 127.0.0.1")
    assert_result(results["none"], "fail", "credential", "none")
    assert_result(results["without"], "fail", "status/401")
    assert not [r for r in http_server.requests if r.target == "/none"]
    assert "c4n4ry" not in runner.log


def test_credential_with_a_line_break(runner, http_server):
    runner.credential("token", "one\nX-Evil: two")
    result = first(runner, http(http_server.url(), "BearerCredential=token"))
    assert result["outcome"] in ("error", "fail"), result
    assert not http_server.requests


def test_resolve(runner, authority):
    """The host of the URL somewhere else: it is named and verified as ever, and two checks of one
    name never share a connection."""
    context = authority.issue(names=["DNS:app.example"]).server_context()
    context.sni_callback = lambda socket, name, context: names.append(name)
    names = []
    with HttpServer(tls=context) as one, HttpServer(host="127.0.0.2") as two:
        two.port = one.port
        two.close()
        two.tls = authority.issue("two", names=["DNS:app.example"]).server_context()
        two.start()
        lines = f"CACertificate={authority.ca}", "ExpectStatus=200"
        url = f"https://app.example:{one.port}/"
        runner.start(http(url, *lines, "Resolve=127.0.0.1", name="one")
                     + http(url, *lines, "Resolve=127.0.0.2", name="two"))
        for result in runner.first_of(2).values():
            assert_result(result, "pass", "")
        for _ in range(3):
            for name in ("one", "two"):
                assert runner.run(name, 2)["pass"] == 2
        assert len(one.requests) == len(two.requests) == 7
        assert one.connections == two.connections == 1
        assert one.requests[0].headers["host"] == f"app.example:{one.port}"
        assert names == ["app.example"]
        two.kill()
        assert_result(runner.next_of("two"), "fail", "refused", f"127.0.0.2:{one.port}")
        assert runner.run("one")["pass"] == 1


def test_resolve_ipv6(runner):
    with HttpServer(host="::1") as server:
        result = first(runner, http(f"http://app.example:{server.port}/", "Resolve=::1"))
        assert_result(result, "pass", "")
        assert server.requests[0].headers["host"] == f"app.example:{server.port}"


# -- configuration --------------------------------------------------------------------------------

@pytest.mark.parametrize("lines, words", [
    ("URL=", "URL="),
    ("URL=ftp://x/", "neither http nor https"),
    ("URL=/just/a/path", "http://HOST:PORT/PATH"),
    ("URL=http://", "http://HOST:PORT/PATH"),
    ("URL=http://me:pw@x/", "HeaderCredential="),
    ("URL=http://me@x/", "PasswordCredential="),
    ("URL=http://x:0/", "port"),
    ("URL=http://x:65536/", "http://HOST:PORT/PATH"),
    ("URL=http://10.0.0.256/", "IPv4"),
    ("URL=http://[::ffff:1.2.3.4]/", "IPv4-mapped"),
    ("URL=http://a_b..c/", "host name"),
    ("URL=http://x/\nMethod=DELETE", "GET, HEAD, POST"),
    ("URL=http://x/\nHeader=no colon", "not a header"),
    ("URL=http://x/\nHeader=X-Empty:", "empty"),
    ("URL=http://x/\nHeader=A: b\x01c", "control character"),
    ("URL=http://x/\nHeader=Authorization: Bearer xyzzy", "BearerCredential=NAME"),
    ("URL=http://x/\nHeaderCredential=authorization: a\nBearerCredential=b",
     "HeaderCredential= sets Authorization already"),
    ("URL=http://x/\nHeader=cookie: a=b", "HeaderCredential=Cookie: NAME"),
    ("URL=http://x/\nHeader=Content-Length: 5", "as long as Body="),
    ("URL=http://x/\nExpectStatus=20", "\"20\""),
    ("URL=http://x/\nExpectStatus=200 600", "\"600\""),
    ("URL=http://x/\nExpectStatus=299-200", "299-200"),
    ("URL=http://x/\nCACertificate=/x.pem", "https"),
    ("URL=http://x/\nRevocationList=/x.pem", "https"),
    ("URL=https://x/\nClientKey=/x.pem", "ClientCertificate="),
    ("URL=https://x/\nClientCertificate=/x\nClientKey=/x\nClientKeyCredential=x",
     "ClientKeyCredential="),
    ("URL=http://x/\nUnixSocket=relative", "absolute path"),
    ("URL=http://x/\nUnixSocket=/" + "x" * 107, "107 bytes"),
    ("URL=http://x/\nMaxReply=0", "MaxReply="),
    ("Method=GET", "URL= in [Check web]: required, but not set"),
    ("URL=http://x/\nBody={}", "needs Method=POST"),
    ("URL=http://x/\nMethod=POST\nContentType=text/plain", "needs Body="),
    ("URL=http://x/\nMethod=POST\nBody=x\nContentType=text/plain\nHeader=content-type: a/b",
     "Header= sets it already"),
    ("URL=http://x/\nUsername=me", "needs PasswordCredential="),
    ("URL=http://x/\nPasswordCredential=me", "needs Username="),
    ("URL=http://x/\nUsername=me:you\nPasswordCredential=x", "colon"),
    ("URL=http://x/\nUsername=me\nPasswordCredential=x\nBearerCredential=b",
     "BearerCredential= sets Authorization already"),
    ("URL=http://x/\nUsername=me\nPasswordCredential=x\nHeaderCredential=Authorization: b",
     "HeaderCredential= sets Authorization already"),
    ("URL=http://x/\nKeyCredential=k", "needs Profile="),
    ("URL=http://x/\nProfile=openai\nKeyCredential=k\nBearerCredential=b",
     "KeyCredential= sets Authorization already"),
    ("Profile=anthropic\nKeyCredential=k\nHeaderCredential=X-API-Key: b",
     "sets this header already"),
    ("Profile=azure-openai", "https://NAME.openai.azure.com"),
    ("Profile=openia", "openai"),
    ("URL=http://x/\nExpectBody=(", "not a regular expression: missing closing parenthesis"),
    ("URL=http://x/\nExpectJSON=status = 1", "JSON pointer"),
    ("URL=http://x/\nExpectJSON=/status = UP", "JSON value such as 5"),
    ("URL=http://x/\nMethod=HEAD\nExpectBody=x", "HEAD has no body"),
    ("URL=http://x/\nMethod=HEAD\nExpectJSON=/x exists", "HEAD has no body"),
    ("URL=http://x/\nExpectBody=x\nMaxReply=2M", "at most 1M"),
    ("URL=http://x/\nResolve=localhost", "IP address"),
    ("URL=http://x/\nResolve=10.0.0.1:80", "IP address"),
    ("URL=http://10.0.0.2/\nResolve=10.0.0.1", "instead of a host name"),
    ("URL=http://x/\nResolve=10.0.0.1\nUnixSocket=/x", "UnixSocket= is given as well"),
    ("URL=http://x/\nCertificateWarn=21d", "needs an https:// URL"),
    ("URL=http://x/\nCertificateFail=7d", "needs an https:// URL"),
    ("URL=https://x/\nCertificateWarn=4000d", "CertificateWarn="),
])
def test_fault_26_configuration_errors(runner, lines, words):
    runner.start(f"[Check web]\nType=http\n{lines}\n")
    assert runner.popen.wait(30 * SLOWNESS) == 1
    runner.popen = None
    assert words in runner.log, runner.log
    assert "xyzzy" not in runner.log
