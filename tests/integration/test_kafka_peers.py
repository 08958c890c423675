# SPDX-License-Identifier: MIT
"""Type=kafka: who is let in, TLS, names, and peers that are no Kafka or break off.

librdkafka's own brokers speak neither SASL nor TLS; a scripted one does.
"""

import time

import pytest

from lib.dns import BLACK_HOLE, NOERROR, NXDOMAIN, DnsServer
from lib.kafka import KafkaCluster, kafka
from lib.kafkawire import API_VERSIONS, METADATA, SASL_AUTHENTICATE, Broker
from lib.peers import (TcpServer, close_at_once, refused_address, reset_at_once,
                       send_then_close, send_then_hold)
from lib.process import SLOWNESS
from lib.runner import assert_result
from lib.vitald import needs_module

pytestmark = needs_module("kafka")


@pytest.fixture
def cluster(directory):
    with KafkaCluster(directory) as c:
        c("topic orders 4 1")
        yield c


@pytest.fixture
def check(runner):
    def first(server, *lines, **options):
        return runner.start(kafka(server, *lines, **options)).next(within=30)
    return first


# -- who is let in ---------------------------------------------------------------------------------

SASL = ["Username=health", "PasswordCredential=kafka"]


@pytest.mark.parametrize("mechanism", [None, "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_sasl(runner, check, mechanism):
    runner.credential("kafka", "s3cret\n")
    lines = SASL + ([f"Mechanism={mechanism}"] if mechanism else [])
    with Broker(users={"health": "s3cret"}) as broker:
        assert_result(check(broker, *lines), "pass", "")
        assert_result(runner.run("it"), "pass", "")
        assert [key for key, _ in broker.requests].count(SASL_AUTHENTICATE) in (1, 2, 3)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_wrong_password(runner, check, mechanism):
    runner.credential("kafka", "wr0ng")
    with Broker(users={"health": "s3cret"}) as broker:
        result = check(broker, *SASL, f"Mechanism={mechanism}")
    assert_result(result, "fail", "auth/password", "Invalid username or password")
    assert "wr0ng" not in str(result) + runner.log


def test_many_rounds_of_scram(runner, check):
    """librdkafka goes on for a second or two, and the process may end under it."""
    runner.credential("kafka", "s3cret")
    took = []
    with Broker(users={"health": "s3cret"}, rounds=1000000) as broker:
        for _ in range(3):
            result = check(broker, *SASL, "Mechanism=SCRAM-SHA-512", timeout="50ms")
            assert_result(result, "fail", "timeout")
            assert runner.run("it", 5)["fail"] == 5
            before = time.monotonic()
            runner.stop()
            took.append(time.monotonic() - before)
            runner.forget()
    assert sorted(took)[1] < 2 * SLOWNESS, took


def test_endless_rounds_of_scram(runner, check):
    runner.credential("kafka", "s3cret")
    with Broker(users={"health": "s3cret"}, rounds=2**31 - 1) as broker:
        assert_result(check(broker, *SASL, "Mechanism=SCRAM-SHA-512"), "fail", "auth/password",
                      "Iteration count")


def test_mechanism_that_the_broker_does_not_take(runner, check):
    runner.credential("kafka", "s3cret")
    with Broker(users={"health": "s3cret"}, mechanisms=["GSSAPI"]) as broker:
        assert_result(check(broker, *SASL), "fail", "auth/method")


def test_broker_without_sasl(runner, check, cluster):
    runner.credential("kafka", "s3cret")
    result = check(cluster, *SASL)
    assert result["outcome"] == "fail" and result["reason"].startswith("auth"), result


def test_broker_that_wants_sasl(check):
    with Broker(users={"health": "s3cret"}) as broker:
        result = check(broker, timeout="3s")
    assert result["outcome"] == "fail", result
    assert result["reason"] in ("truncated", "closed"), result


def test_credential_that_is_not_there(check, cluster):
    assert_result(check(cluster, *SASL), "fail", "credential", "kafka")


# -- TLS -------------------------------------------------------------------------------------------

TLS = ["TLS=yes"]


def test_tls(check, authority):
    with Broker(tls=authority.issue().server_context()) as broker:
        assert_result(check(broker, *TLS, f"CACertificate={authority.ca}"), "pass", "")


def test_sasl_over_tls(runner, check, authority):
    runner.credential("kafka", "s3cret")
    with Broker(users={"health": "s3cret"}, tls=authority.issue().server_context()) as broker:
        assert_result(check(broker, *TLS, f"CACertificate={authority.ca}", *SASL), "pass", "")


@pytest.mark.parametrize("options, reason", [
    ({"ends": -1}, "tls/expired"), ({"starts": 1}, "tls/not-yet-valid"),
    ({"names": ["DNS:other.test"]}, "tls/name")], ids=["expired", "future", "name"])
def test_fault_24_certificates(check, authority, options, reason):
    with Broker(tls=authority.issue(**options).server_context()) as broker:
        assert_result(check(broker, *TLS, f"CACertificate={authority.ca}"), "fail", reason,
                      "certificate")


def test_fault_24_authority(check, authority):
    with Broker(tls=authority.issue().server_context()) as broker:
        assert_result(check(broker, *TLS), "fail", "tls/untrusted")


def test_fault_24_self_signed(check, authority):
    with Broker(tls=authority.self_signed().server_context()) as broker:
        assert_result(check(broker, *TLS), "fail", "tls/self-signed")


def test_fault_24_plaintext_on_a_tls_port(check, cluster):
    result = check(cluster, *TLS, timeout="3s")
    assert result["outcome"] == "fail", result
    assert result["reason"] in ("tls/plaintext", "tls/handshake"), result


def test_tls_where_none_is_spoken(check, authority):
    with Broker(tls=authority.issue().server_context()) as broker:
        result = check(broker, timeout="3s")
    assert result["outcome"] == "fail", result
    assert result["reason"] in ("truncated", "closed", "reset", "protocol"), result


@pytest.mark.parametrize("key_from", ["file", "credential", "certificate"])
def test_client_certificate(runner, check, authority, key_from):
    client = authority.issue("client")
    lines = [*TLS, f"CACertificate={authority.ca}", f"ClientCertificate={client.certificate}"]
    if key_from == "file":
        lines.append(f"ClientKey={client.key}")
    elif key_from == "credential":
        runner.credential("key", client.key.read_text())
        lines.append("ClientKeyCredential=key")
    else:
        client.certificate.write_text(client.certificate.read_text() + client.key.read_text())
    with Broker(tls=authority.issue().server_context(client_ca=authority.ca)) as broker:
        assert_result(check(broker, *lines), "pass", "")


def test_fault_24_client_certificate_is_missing(check, authority):
    with Broker(tls=authority.issue().server_context(client_ca=authority.ca)) as broker:
        result = check(broker, *TLS, f"CACertificate={authority.ca}")
    assert_result(result, "fail", "tls/client-certificate")


def test_file_that_cannot_be_read(check, cluster):
    result = check(cluster, *TLS, "CACertificate=/nowhere/ca.pem")
    assert_result(result, "error", "configuration", "/nowhere/ca.pem")


# -- names and addresses ---------------------------------------------------------------------------

def test_host_name(runner, directory, cluster):
    """The first address refuses, the second answers."""
    records = {"kafka.test": [("A", "127.0.0.9"), ("A", "127.0.0.1")]}
    port = cluster.address.rpartition(":")[2]
    with DnsServer(directory, mode=NOERROR, records=records) as names:
        runner.wrap = names.wrap
        runner.start(kafka(f"kafka.test:{port}", "Topic=orders", interval="300ms"))
        runner.next_that(outcome="pass")


def test_fault_25_no_such_host(runner, directory):
    with DnsServer(directory, mode=NXDOMAIN) as names:
        runner.wrap = names.wrap
        assert_result(runner.start(kafka("kafka.test:9092")).next(), "fail", "dns/not-found",
                      "kafka.test")


def test_fault_25_name_servers_are_silent(runner, directory, cluster):
    """Neither the loop nor the end waits for them."""
    with DnsServer(directory, mode=BLACK_HOLE) as names:
        runner.wrap = names.wrap
        runner.start(kafka("kafka.test:9092", name="short", timeout="500ms")
                     + kafka("kafka.test:9092", name="long", timeout="20s")
                     + kafka(cluster, "Topic=orders", name="good", interval="100ms"))
        assert_result(runner.next_of("short"), "fail", "timeout", "kafka.test:9092")
        for _ in range(3):
            assert runner.next_of("good")["outcome"] == "pass"
        before = time.monotonic()
        runner.stop()
        assert time.monotonic() - before < 8 * SLOWNESS     # And not the 20 s that it has.


def test_fault_23_environment(runner, cluster, directory):
    runner.environment |= {"HOME": str(directory), "SASL_PATH": "/nowhere",
                           "http_proxy": "http://127.0.0.1:1", "SSL_CERT_FILE": "/nowhere"}
    assert_result(runner.start(kafka(cluster, "Topic=orders")).next(), "pass", "")


@pytest.mark.parametrize("line, words", [
    ("Address=/run/kafka", "not a unix socket"), ("Address=[::1", "Address"),
    ("Address=k:0", "port"), ("Address=k:65536", "port"), ("Address=[fe80::1%lo]:1", "zone"),
    ("ConsumerGroup=workers", "Topic"), ("Username=x", "PasswordCredential"),
    ("CACertificate=/x", "TLS=yes"), ("Mechanism=GSSAPI", "PLAIN"),
])
def test_fault_26_settings(runner, line, words):
    """The program ends by itself: its configuration is no good."""
    runner.start(kafka(refused_address(), line))
    assert runner.popen.wait(30 * SLOWNESS) != 0
    assert words in runner.log
    runner.popen = None


# -- broken peers ----------------------------------------------------------------------------------

def test_fault_14_refused(check):
    assert_result(check(refused_address()), "fail", "refused", "Connection refused")


def test_fault_13_black_hole(check, black_hole):
    before = time.monotonic()
    result = check(black_hole, timeout="300ms")
    assert_result(result, "fail", "timeout", "connecting to")
    assert result["time"] - before < 8 * SLOWNESS


def test_fault_13_others_are_on_time(runner, black_hole, cluster):
    runner.start(kafka(black_hole, name="hole", interval="100ms", timeout="30s")
                 + kafka(cluster, "Topic=orders", name="good", interval="100ms"))
    seen = [runner.next_of("good")["time"] for _ in range(11)]
    gaps = sorted(b - a for a, b in zip(seen, seen[1:]))
    assert gaps[5] < 1 * SLOWNESS and gaps[-1] < 10 * SLOWNESS, gaps


@pytest.mark.parametrize("script, reasons", [
    (close_at_once, ["truncated", "reset"]),
    (reset_at_once, ["reset", "truncated"]),
    (send_then_close(b"\0\0\0"), ["truncated", "reset"]),
    (send_then_hold(b"HTTP/1.1 400 Bad Request\r\n\r\n"), ["protocol"]),
    (send_then_hold(b"220 mail.example ESMTP \x1b[31m\r\n"), ["protocol"]),
    (send_then_hold(b"\x7f\xff\xff\xff" + 1000 * b"x"), ["protocol"]),
    (send_then_hold(b"\0\0\0\4\0\0\0\1"), ["protocol", "timeout", "truncated"]),
], ids=["closes", "resets", "closes in the size", "http", "smtp", "endless", "empty"])
def test_fault_16_and_19_no_kafka(check, script, reasons):
    with TcpServer(script) as server:
        result = check(server, timeout="1s" if "timeout" in reasons else "10s")
    assert result["outcome"] == "fail" and result["reason"] in reasons, result
    assert "\x1b" not in result["message"]


@pytest.mark.parametrize("request_", [API_VERSIONS, METADATA])
def test_fault_17_falls_silent(check, request_):
    with Broker(silent=request_) as broker:
        assert_result(check(broker, timeout="500ms"), "fail", "timeout")


def test_fault_20_huge_answers(runner, check):
    """A topic of a million partitions is more than is read."""
    with Broker() as broker:
        check(broker, "Topic=orders")
        runner.run("it", 3)
        before = runner.usage()[1]
        broker.topics["orders"] = [(1, [1], [1])] * 100000
        assert_result(runner.run("it"), "fail", "protocol")
        assert runner.usage()[1] - before < 16 * runner.memory_limit_kib


def test_fault_20_flood(runner, check):
    def flood(connection):
        while True:
            connection.sendall(b"\0\x0f\0\0" + 0xf0000 * b"x")
    with TcpServer(flood) as server:
        check(server, timeout="300ms")
        runner.run("it", 2)
        before = runner.usage()[1]
        assert runner.run("it", 5)["fail"] == 5
        assert runner.usage()[1] - before < 16 * runner.memory_limit_kib


def test_http_server(check, http_server):
    result = check(http_server, timeout="1s")
    assert result["outcome"] == "fail", result
