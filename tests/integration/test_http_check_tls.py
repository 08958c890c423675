# SPDX-License-Identifier: MIT
"""Type=http over TLS and with host names."""

import ssl
import time

import pytest

from lib.checks import http
from lib.dns import BLACK_HOLE, NOERROR, NXDOMAIN, SERVFAIL, DnsServer
from lib.peers import HttpServer, TcpServer, close_at_once, send_then_hold
from lib.process import SLOWNESS, eventually
from lib.runner import assert_result


def first(runner, text, within=15):
    return runner.start(text).next(within=within)


# -- TLS ------------------------------------------------------------------------------------------

def tls_server(certificate, **options):
    return HttpServer(tls=certificate.server_context(**options))


@pytest.mark.valgrind
def test_tls(runner, authority):
    with tls_server(authority.issue()) as server:
        result = first(runner, http(server.url(), f"CACertificate={authority.ca}"))
        assert_result(result, "pass", "")

        def held():
            before = server.connections
            assert runner.run("it", 20)["pass"] == 20
            return server.connections == before
        eventually(held)    # Behind a handshake that takes long a new one is made first.


def test_tls_client_certificate(runner, authority):
    """By TLS 1.2, where the server refuses before the request is sent: with 1.3 its reset may come
    before its words."""
    own = authority.issue("client")
    runner.credential("client-key", own.key.read_text())
    with tls_server(authority.issue(), client_ca=authority.ca,
                    maximum_version=ssl.TLSVersion.TLSv1_2) as server:
        ca = f"CACertificate={authority.ca}"
        runner.start(
            http(server.url(), ca, f"ClientCertificate={own.certificate}", f"ClientKey={own.key}",
                  name="path")
            + http(server.url(), ca, f"ClientCertificate={own.certificate}",
                    "ClientKeyCredential=client-key", name="credential")
            + http(server.url(), ca, name="none"))
        results = runner.first_of(3)
        assert_result(results["path"], "pass", "")
        assert_result(results["credential"], "pass", "")
        assert_result(results["none"], "fail", "tls/client-certificate")


@pytest.mark.parametrize("issue, reason", [
    (lambda a: a.issue(ends=-1, starts=-5), "tls/expired"),
    (lambda a: a.issue(starts=2), "tls/not-yet-valid"),
    (lambda a: a.issue(names=["DNS:other.example"]), "tls/name"),
    (lambda a: a.issue(names=["IP:127.0.0.2"]), "tls/name"),
    (lambda a: a.self_signed(), "tls/self-signed"),
    (lambda a: a.issue(key_options=["rsa:1024"]), "tls/weak"),
], ids=["expired", "not yet valid", "name", "address", "self-signed", "weak key"])
def test_fault_24_bad_certificate(runner, authority, issue, reason):
    with HttpServer(tls=lax(issue(authority))) as server:
        result = first(runner, http(server.url(), f"CACertificate={authority.ca}"))
        assert_result(result, "fail", reason)
        assert not server.requests


def lax(certificate):
    """A server that does not mind weak keys."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.load_cert_chain(certificate.certificate, certificate.key)
    return context


def test_fault_24_revoked(runner, authority):
    good, bad = authority.issue("good"), authority.issue("bad")
    authority.revoke(bad)
    more = [f"CACertificate={authority.ca}", f"RevocationList={authority.revocation_list()}"]
    with tls_server(good) as one, tls_server(bad) as other:
        runner.start(http(one.url(), *more, name="good") + http(other.url(), *more, name="bad")
                     + http(other.url(), more[0], name="unasked"))
        results = runner.first_of(3)
    assert_result(results["good"], "pass", "")
    assert_result(results["bad"], "fail", "tls/revoked")
    assert_result(results["unasked"], "pass", "")


def test_fault_24_old_revocation_list(runner, authority):
    with tls_server(authority.issue()) as server:
        result = first(runner, http(server.url(), f"CACertificate={authority.ca}",
                                    f"RevocationList={authority.revocation_list(ends=-1)}"))
        assert_result(result, "fail", "tls/revocation-list")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_fault_24_client_certificate_required(runner, authority, version):
    with tls_server(authority.issue(), client_ca=authority.ca, maximum_version=version) as server:
        result = first(runner, http(server.url(), f"CACertificate={authority.ca}"))
        assert_result(result, "fail", "tls/client-certificate", "client certificate")


@pytest.mark.parametrize("tickets", [0, 2])
def test_client_certificate_that_is_only_wished_for(runner, authority, tickets):
    context = authority.issue().server_context(client_ca=authority.ca)
    context.verify_mode, context.num_tickets = ssl.CERT_OPTIONAL, tickets
    with HttpServer(tls=context) as server:
        assert_result(first(runner, http(server.url(), f"CACertificate={authority.ca}")),
                      "pass", "")
        assert runner.run("it", 5)["pass"] == 5


def test_fault_24_name_the_server_does_not_know(runner, authority):
    context = authority.issue().server_context()
    context.sni_callback = lambda *_: ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
    with HttpServer(tls=context) as server:
        result = first(runner, http(f"https://other.example:{server.port}/", "Resolve=127.0.0.1",
                                    f"CACertificate={authority.ca}"))
        assert_result(result, "fail", "tls/unknown-name")


def test_fault_24_unknown_authority(runner, authority):
    with tls_server(authority.issue()) as server:
        assert_result(first(runner, http(server.url())), "fail", "tls/untrusted")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_fault_24_old_protocol(runner, authority):
    context = authority.issue().server_context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.options &= ~(ssl.OP_NO_TLSv1 | ssl.OP_NO_TLSv1_1)
    context.options |= ssl.OP_NO_TLSv1_2 | ssl.OP_NO_TLSv1_3
    with HttpServer(tls=context) as server:
        result = first(runner, http(server.url(), f"CACertificate={authority.ca}"))
        assert_result(result, "fail", "tls/version")


def test_fault_24_plaintext_on_the_tls_port(runner, http_server):
    with TcpServer(send_then_hold(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server:
        result = first(runner, http(f"https://{server.address}/"))
    assert_result(result, "fail", "tls/plaintext")


def test_fault_24_handshake_stalls(runner, authority):
    ca = f"CACertificate={authority.ca}"        # Those of the system take valgrind a second.
    with TcpServer() as server:
        result = first(runner, http(f"https://{server.address}/", ca, timeout="1s"))
        assert_result(result, "fail", "timeout", "in the TLS handshake")


def test_fault_24_handshake_closed(runner):
    with TcpServer(close_at_once) as server:
        assert_result(first(runner, http(f"https://{server.address}/")), "fail", "tls/handshake")


def test_missing_files_are_our_fault(runner, authority, directory):
    with tls_server(authority.issue()) as server:
        result = first(runner, http(server.url(), f"CACertificate={directory}/none.pem"))
        assert_result(result, "error", "configuration")


# -- names ----------------------------------------------------------------------------------------

@pytest.fixture
def names(directory):
    with DnsServer(directory, mode=NOERROR) as server:
        yield server


def named(server, path="/"):
    return f"http://web.test:{server.port}{path}"


@pytest.mark.valgrind
def test_host_name(runner, names, http_server):
    """The first address refuses, the second answers; the request still names the host."""
    names.records = {"web.test": [("A", "127.0.0.9"), ("A", "127.0.0.1")]}
    runner.wrap = names.wrap
    assert_result(first(runner, http(named(http_server))), "pass", "")
    assert http_server.requests[0].headers["host"] == f"web.test:{http_server.port}"
    assert runner.run("it", 20)["pass"] == 20 and http_server.connections == 1


def test_host_name_with_final_dot(runner, names, http_server):
    names.records = {"web.test": [("A", "127.0.0.1")]}
    runner.wrap = names.wrap
    assert_result(first(runner, http(f"http://web.test.:{http_server.port}/")), "pass", "")


def test_certificate_is_held_against_the_name(runner, names, authority):
    names.records = {"web.test": [("A", "127.0.0.1")]}
    runner.wrap = names.wrap
    with tls_server(authority.issue(names=["DNS:web.test"])) as server:
        ca = f"CACertificate={authority.ca}"
        runner.start(http(f"https://web.test:{server.port}/", ca)
                     + http(server.url(), ca, name="numeric"))
        results = runner.first_of(2)
        assert_result(results["it"], "pass", "")
        assert_result(results["numeric"], "fail", "tls/name")


@pytest.mark.parametrize("mode, reason", [
    (NXDOMAIN, "dns/not-found"),
    (SERVFAIL, "dns/server-failed"),
])
def test_fault_25_name_servers_say_no(runner, names, http_server, mode, reason):
    names.mode = mode
    runner.wrap = names.wrap
    assert_result(first(runner, http(named(http_server))), "fail", reason, "web.test")


@pytest.mark.valgrind
def test_fault_25_silent_name_server(runner, names, http_server):
    """The check without a name is never late, and the program ends at once."""
    names.mode = BLACK_HOLE
    runner.wrap = names.wrap
    runner.start(http(named(http_server), name="named", interval=f"{SLOWNESS}s",
                      timeout=f"{700 * SLOWNESS}ms")
                 + http(http_server.url(), name="good", interval="50ms"))
    results, failures = [], []
    while len(results) < 60 or len(failures) < 4:
        results.append(runner.next())
        failures += [r for r in results[-1:] if r["check"] == "named"]
    good = [r["time"] for r in results if r["check"] == "good"]
    assert failures and all(r["outcome"] == "fail" and r["reason"] in ("timeout", "dns/timeout")
                            for r in failures), failures
    # A dozen while the other waits, if the machine does not stand still; none if it is waited for.
    beside = [sum(0 < r["time"] - t < 0.65 * SLOWNESS for t in good) for r in failures]
    assert sum(beside) >= 2 * len(failures), beside
    begin = time.monotonic()
    runner.stop()
    assert time.monotonic() - begin < 5 * SLOWNESS


def test_fault_25_last_known_address(runner, names, http_server):
    names.records = {"web.test": [("A", "127.0.0.1")]}
    runner.wrap = names.wrap
    assert_result(first(runner, http(named(http_server))), "pass", "")
    names.mode = SERVFAIL

    def stale():
        result = runner.run("it")
        assert_result(result, "pass", "", "HTTP 200 (last known address: ")
        return True
    eventually(stale, within=30, every=0.2)


