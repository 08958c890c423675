# SPDX-License-Identifier: MIT
"""Type=rabbitmq and Type=amqp with TLS=yes against RabbitMQ, and against peers that spoil it."""

import pytest

from lib.checks import section
from lib.peers import TcpServer, close_at_once, refused_address, send_then_hold
from lib.runner import assert_result

LOGIN = ["Username=health", "PasswordCredential=mq"]
KINDS = {"rabbitmq": ["Queue=jobs"], "amqp": ["Source=/amq/queue/jobs"]}


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def check(runner, rabbitmq, kind):
    """The first result of a check that trusts the authority."""
    runner.credential("mq", "s3cret")

    def first(*lines, server=None, login=LOGIN, trust=True, **options):
        address = getattr(server, "address", server) or rabbitmq.tls_address
        ca = [f"CACertificate={rabbitmq.authority.ca}"] if trust else []
        return runner.start(section(kind, f"Address={address}", "TLS=yes", *KINDS[kind], *ca,
                                    *login, *lines, **options)).next(within=10)
    return first


def test_answers(check):
    result = check()
    assert_result(result, "pass", "", "RabbitMQ 3.", "jobs")
    assert 6 < result["certificate"] <= 7


def test_holds_one_connection_and_leaves_nothing(runner, rabbitmq, check):
    rabbitmq.purge()
    rabbitmq.publish(3)
    check()
    connections = rabbitmq.connections()
    assert runner.run("it", 200)["pass"] == 200
    usage = runner.usage()
    assert runner.run("it", 500)["pass"] == 500
    fds, memory = runner.usage()
    assert fds <= usage[0] and memory - usage[1] <= runner.memory_limit_kib / 2, (usage, memory)
    assert rabbitmq.connections() == connections
    assert rabbitmq.depth() == [3, 0]


def test_new_connections_leave_nothing(runner, rabbitmq, check):
    check(trust=False)
    assert runner.run("it", 100)["fail"] == 100
    usage = runner.usage()
    assert runner.run("it", 200)["fail"] == 200
    fds, memory = runner.usage()
    assert fds <= usage[0] and memory - usage[1] <= runner.memory_limit_kib / 2, (usage, memory)


def test_client_certificate(rabbitmq, check):
    mine = rabbitmq.authority.issue("certified")
    assert_result(check(f"ClientCertificate={mine.certificate}", f"ClientKey={mine.key}",
                        login=[]), "pass", "")


def test_certificate_of_a_stranger(rabbitmq, check):
    mine = rabbitmq.authority.issue("unknown")
    result = check(f"ClientCertificate={mine.certificate}", f"ClientKey={mine.key}", login=[],
                   timeout="5s")
    assert_result(result, "fail", "auth/password")


def test_not_trusted(check):
    assert_result(check(trust=False), "fail", "tls/untrusted")


def test_another_name(check):
    assert_result(check("ServerName=mq.example"), "fail", "tls/name", "mq.example")


def test_plaintext(rabbitmq, check):
    assert_result(check(server=rabbitmq.address), "fail", "tls/plaintext")


def test_no_tls_where_it_is_wanted(runner, rabbitmq, kind):
    runner.credential("mq", "s3cret")
    result = runner.start(section(kind, f"Address={rabbitmq.tls_address}", *KINDS[kind],
                                  *LOGIN)).next()
    assert result["outcome"] == "fail", result
    assert result["reason"] in ("protocol", "truncated", "reset"), result


@pytest.mark.parametrize("script, reason", [
    (close_at_once, "tls/handshake"), (send_then_hold(b"AMQP\0\0\x09\1"), "tls/plaintext"),
])
def test_spoilt_handshakes(check, script, reason):
    with TcpServer(script) as server:
        assert_result(check(server=server), "fail", reason)


def test_hangs_in_the_handshake(check):
    with TcpServer() as silent:
        assert_result(check(server=silent, timeout="300ms"), "fail", "timeout", "TLS handshake")


def test_refused(check):
    assert_result(check(server=refused_address()), "fail", "refused")


def test_file_that_is_not_there(check, directory):
    result = check(f"CACertificate={directory}/none.pem", trust=False)
    assert_result(result, "error", "configuration", "none.pem")


@pytest.mark.parametrize("lines, words", [
    (["TLS=no", "ServerName=mq"], "needs TLS=yes"),
    (["Username=health"], "need each other"),
    (["PasswordCredential=mq"], "need each other"),
    (["ClientKey=/etc/key.pem", "TLS=yes", *LOGIN], "needs ClientCertificate="),
])
def test_settings_that_exclude_each_other(runner, kind, lines, words):
    runner.start(section(kind, "Address=127.0.0.1", *KINDS[kind], *lines))
    assert runner.popen.wait(10) != 0
    assert words in runner.log
    runner.stop(is_checked=False)


def test_rabbitmq_needs_somebody(runner):
    runner.start(section("rabbitmq", "Address=127.0.0.1"))
    assert runner.popen.wait(10) != 0
    assert "or ClientCertificate= instead" in runner.log
    runner.stop(is_checked=False)
