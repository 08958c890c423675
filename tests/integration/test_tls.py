# SPDX-License-Identifier: MIT
"""Type=tls against servers with good and bad certificates and manners."""

import ssl
import subprocess
import time

import pytest

from lib.checks import section
from lib.dns import NOERROR, SERVFAIL, DnsServer
from lib.peers import (TcpServer, close_at_once, hold, refused_address, reset_at_once,
                       send_then_close, send_then_hold)
from lib.process import eventually
from lib.runner import assert_result


def tls(server, *lines, **options):
    return section("tls", f"Address={getattr(server, 'address', server)}", *lines, **options)


@pytest.fixture
def check(runner, authority):
    """The first result of a check that trusts the authority."""
    def first(server, *lines, **options):
        return runner.start(tls(server, f"CACertificate={authority.ca}", *lines, **options)).next()
    return first


def serve(certificate, script=hold, **options):
    return TcpServer(script, tls=certificate.server_context(**options))


# -- good ones -------------------------------------------------------------------------------------

@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_good(check, authority, version):
    with serve(authority.issue(ends=90), maximum_version=version) as server:
        result = check(server)
        assert_result(result, "pass", "", version.name.replace("_", "."))
        assert 29 < result["certificate"] <= 30     # The authority's own days.


def test_leaves_in_order(check, authority):
    """The server reads the end of the session, not a reset."""
    seen = []

    def script(connection):
        seen.append(connection.recv(100))
        connection.unwrap().close()
    with serve(authority.issue(ends=90), script) as server:
        assert_result(check(server), "pass", "")
        eventually(lambda: seen == [b""])


def test_banner_after_the_handshake(check, authority):
    with serve(authority.issue(ends=90), send_then_hold(b"220 mail.example ESMTP\r\n")) as server:
        assert_result(check(server), "pass", "")


def test_unix_socket(runner, authority, directory):
    with TcpServer(unix_path=directory / "s.sock",
                   tls=authority.issue(ends=90).server_context()) as server:
        result = runner.start(tls(server, f"CACertificate={authority.ca}",
                                  "ServerName=localhost")).next()
        assert_result(result, "pass", "")


@pytest.fixture
def names(directory):
    with DnsServer(directory, mode=NOERROR, records={"web.test": [("A", "127.0.0.1")]}) as server:
        yield server


@pytest.mark.parametrize("host", ["web.test", "web.test."])
def test_server_is_told_the_name(runner, authority, names, host):
    told = []
    certificate = authority.issue(names=["DNS:web.test"], ends=90)
    context = certificate.server_context()
    context.sni_callback = lambda _, name, __: told.append(name)
    runner.wrap = names.wrap
    with TcpServer(tls=context) as server:
        result = runner.start(tls(f"{host}:{server.port}",
                                  f"CACertificate={authority.ca}")).next()
        assert_result(result, "pass", "")
    assert told == ["web.test"]


def test_server_name(check, authority):
    with serve(authority.issue(names=["DNS:shop.example"], ends=90)) as server:
        assert_result(check(server, "ServerName=shop.example"), "pass", "")


def test_unknown_name_and_silent_name_server(runner, names):
    names.mode = SERVFAIL
    runner.wrap = names.wrap
    assert_result(runner.start(tls("web.test:1")).next(), "fail", "dns/server-failed")


def test_client_certificate(runner, authority):
    own = authority.issue("client", ends=90)
    runner.credential("client-key", own.key.read_text())
    ca = f"CACertificate={authority.ca}"
    with serve(authority.issue(ends=90), client_ca=authority.ca) as server:
        runner.start(
            tls(server, ca, f"ClientCertificate={own.certificate}", f"ClientKey={own.key}",
                name="path")
            + tls(server, ca, f"ClientCertificate={own.certificate}",
                  "ClientKeyCredential=client-key", name="credential"))
        assert {r["outcome"] for r in runner.first_of(2).values()} == {"pass"}


@pytest.mark.parametrize("tickets", [0, 2])
def test_client_certificate_that_is_only_wished_for(check, authority, tickets):
    context = authority.issue(ends=90).server_context(client_ca=authority.ca)
    context.verify_mode, context.num_tickets = ssl.CERT_OPTIONAL, tickets
    with TcpServer(tls=context) as server:
        assert_result(check(server), "pass", "")


# -- days ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("ends, lines, outcome, reason", [
    (90, ["CertificateWarn=29d"], "pass", ""),      # The authority has 30 days itself.
    (90, ["CertificateWarn=30d"], "warn", "tls/expires"),
    (20, [], "warn", "tls/expires"),
    (6, [], "fail", "tls/expires"),
    (6, ["CertificateFail=5d"], "warn", "tls/expires"),
    (6, ["CertificateFail=0", "CertificateWarn=0"], "pass", ""),
])
def test_days_left(check, authority, ends, lines, outcome, reason):
    with serve(authority.issue(ends=ends)) as server:
        result = check(server, *lines)
        assert_result(result, outcome, reason, *(["CN = "] if reason else []))
        assert min(ends, 30) - 1 < result["certificate"] <= min(ends, 30)


# -- bad ones, each with its reason ----------------------------------------------------------------

@pytest.mark.parametrize("issue, reason", [
    (lambda a: a.issue(ends=-1, starts=-5), "tls/expired"),
    (lambda a: a.issue(starts=2), "tls/not-yet-valid"),
    (lambda a: a.issue(names=["DNS:other.example"]), "tls/name"),
    (lambda a: a.issue(names=["IP:127.0.0.2"]), "tls/name"),
    (lambda a: a.self_signed(), "tls/self-signed"),
    (lambda a: a.issue(key_options=["rsa:1024"]), "tls/weak"),
], ids=["expired", "not yet valid", "name", "address", "self-signed", "weak key"])
def test_fault_24_bad_certificate(check, authority, issue, reason):
    context = issue(authority)
    with TcpServer(tls=lax(context)) as server:
        result = check(server, "CertificateWarn=0", "CertificateFail=0")
        assert_result(result, "fail", reason)
        assert "certificate" in result


def lax(certificate):
    """A server that does not mind weak keys."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.load_cert_chain(certificate.certificate, certificate.key)
    return context


def test_fault_24_expired_since(check, authority):
    with serve(authority.issue(ends=-1, starts=-5)) as server:
        assert -2 < check(server)["certificate"] <= -1


def test_fault_24_unknown_authority(runner, authority):
    with serve(authority.issue(ends=90)) as server:
        assert_result(runner.start(tls(server)).next(), "fail", "tls/untrusted")


def test_fault_24_revoked(runner, authority):
    good, bad = authority.issue("good", ends=90), authority.issue("bad", ends=90)
    authority.revoke(bad)
    more = [f"CACertificate={authority.ca}", f"RevocationList={authority.revocation_list()}"]
    with serve(good) as one, serve(bad) as other:
        runner.start(tls(one, *more, name="good") + tls(other, *more, name="bad"))
        results = runner.first_of(2)
        assert_result(results["good"], "pass", "")
        assert_result(results["bad"], "fail", "tls/revoked")


def test_fault_24_old_revocation_list(check, authority):
    with serve(authority.issue(ends=90)) as server:
        assert_result(check(server, f"RevocationList={authority.revocation_list(ends=-1)}"),
                      "fail", "tls/revocation-list")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_fault_24_old_protocol(check, authority):
    context = lax(authority.issue())
    context.options &= ~(ssl.OP_NO_TLSv1 | ssl.OP_NO_TLSv1_1)
    context.options |= ssl.OP_NO_TLSv1_2 | ssl.OP_NO_TLSv1_3
    with TcpServer(tls=context) as server:
        assert_result(check(server), "fail", "tls/version")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_fault_24_client_certificate_required(check, authority, version):
    with serve(authority.issue(ends=90), client_ca=authority.ca,
               maximum_version=version) as server:
        assert_result(check(server), "fail", "tls/client-certificate", "client certificate")


def test_fault_24_client_certificate_refused(check, authority, directory):
    stranger = type(authority)(directory / "stranger").issue("stranger")
    with serve(authority.issue(ends=90), client_ca=authority.ca,
               maximum_version=ssl.TLSVersion.TLSv1_2) as server:
        assert_result(check(server, f"ClientCertificate={stranger.certificate}",
                            f"ClientKey={stranger.key}"), "fail", "tls/client-certificate")


def test_fault_24_name_the_server_does_not_know(check, authority):
    context = authority.issue(ends=90).server_context()
    context.sni_callback = lambda *_: ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
    with TcpServer(tls=context) as server:
        assert_result(check(server, "ServerName=other.example"), "fail", "tls/unknown-name")


@pytest.mark.parametrize("words", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n",
                                   b"220 mail.example ESMTP\r\n"])
def test_fault_24_plaintext_on_the_tls_port(check, words):
    with TcpServer(send_then_hold(words)) as server:
        assert_result(check(server), "fail", "tls/plaintext")


def test_fault_24_handshake_stalls(check):
    with TcpServer() as server:
        assert_result(check(server, timeout="300ms"), "fail", "timeout", "in the TLS handshake")


def test_fault_24_no_certificate(check, authority):
    """A server whose ciphers have none and ours differ in nothing else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("aNULL:@SECLEVEL=0")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with TcpServer(tls=context) as server:
        assert_result(check(server), "fail", "tls/handshake")


# -- broken peers ----------------------------------------------------------------------------------

def test_fault_14_refused(check):
    assert_result(check(refused_address()), "fail", "refused")


def test_fault_13_black_hole(check, black_hole):
    assert_result(check(black_hole, timeout="300ms"), "fail", "timeout", "connecting to")


@pytest.mark.parametrize("script, reason", [
    (close_at_once, "tls/handshake"),
    (reset_at_once, "reset"),
    (send_then_close(b"\x16\x03\x03\x00\x7a\x02"), "tls/handshake"),
    (send_then_close(b"\x15\x03\x03\x00\x02\x02\x50"), "tls/handshake"),
    (send_then_close(b"\x16\x03\x03\x00\x04\x02\x00\x00\x00"), "tls/handshake"),
], ids=["closes", "resets", "closes in a record", "internal error", "empty hello"])
def test_fault_16_ends_in_the_handshake(check, script, reason):
    def later(connection):
        connection.recv(2000)
        script(connection)
    with TcpServer(later) as server:
        assert_result(check(server), "fail", reason)


def test_fault_18_drips(check):
    def drip(connection):
        connection.recv(2000)
        for _ in range(100):
            connection.sendall(b"\x16\x03\x03\x40\x00"[:1])
            time.sleep(0.05)
    with TcpServer(drip) as server:
        result = check(server, timeout="500ms")
        assert result["outcome"] == "fail" and result["reason"] in ("timeout", "tls/plaintext")


def test_fault_20_endless_handshake(check):
    def flood(connection):
        connection.recv(2000)
        while True:
            connection.sendall(b"\x16\x03\x03\x40\x00" + b"\x0b\xff\xff\xff" + 16380 * b"x")
    with TcpServer(flood) as server:
        result = check(server)
        assert result["outcome"] == "fail" and result["reason"] in ("protocol", "tls/handshake")


@pytest.mark.parametrize("key", ["CACertificate", "RevocationList"])
@pytest.mark.parametrize("text", [None, "", "-----BEGIN CERTIFICATE-----\nx\n", "hello\n"])
def test_files_of_ours(runner, authority, directory, key, text):
    path = directory / "file.pem"
    if text is not None:
        path.write_text(text)
    assert_result(runner.start(tls("127.0.0.1:1", f"{key}={path}")).next(), "error",
                  "configuration", str(path))


def test_key_with_a_passphrase(runner, authority, directory):
    own = authority.issue("client")
    locked = directory / "locked.key"
    subprocess.run(["/usr/bin/openssl", "ec", "-in", own.key, "-aes128", "-passout", "pass:x",
                    "-out", locked], check=True, capture_output=True)
    result = runner.start(tls("127.0.0.1:1", f"ClientCertificate={own.certificate}",
                              f"ClientKey={locked}")).next()
    assert_result(result, "error", "configuration", str(locked))


# -- over time -------------------------------------------------------------------------------------

def test_hangs_and_comes_back(runner, authority):
    with serve(authority.issue(ends=90)) as server:
        runner.start(tls(server, f"CACertificate={authority.ca}", interval="100ms",
                         timeout="2s"))
        runner.next_that(outcome="pass")
        server.kill()
        runner.next_that(outcome="fail", reason="refused")
        server.start()
        runner.next_that(outcome="pass")


def test_certificate_is_renewed(runner, authority):
    """The next run sees the new one: nothing of a session is kept."""
    context = authority.issue("one", ends=3).server_context()
    new = authority.issue("two", ends=90)
    with TcpServer(tls=context) as server:
        runner.start(tls(server, f"CACertificate={authority.ca}"))
        assert_result(runner.next(), "fail", "tls/expires")
        context.load_cert_chain(new.certificate, new.key)
        assert_result(runner.run("it"), "pass", "")


@pytest.mark.parametrize("kind", ["good", "expired", "plaintext"])
def test_a_thousand_runs_leave_nothing(runner, authority, kind):
    with serve(authority.issue(ends=-1 if kind == "expired" else 90, starts=-5)) as good, \
            TcpServer(send_then_hold(b"hello\r\n")) as plain:
        runner.start(tls(plain if kind == "plaintext" else good, f"CACertificate={authority.ca}"))
        runner.next()
        outcome = "pass" if kind == "good" else "fail"
        assert runner.run("it", 200)[outcome] == 200
        before = runner.usage()
        assert runner.run("it", 1000)[outcome] == 1000
        fds, memory = runner.usage()
        assert fds <= before[0]
        assert memory - before[1] <= runner.memory_limit_kib / 2, (before, memory)


@pytest.mark.valgrind
def test_no_leaks_with_a_run_under_way(runner, authority):
    with TcpServer() as silent, serve(authority.issue(ends=90)) as good:
        runner.start(tls(silent, f"CACertificate={authority.ca}", name="silent")
                     + tls(good, f"CACertificate={authority.ca}", name="good"))
        assert_result(runner.next_of("good"), "pass", "")
