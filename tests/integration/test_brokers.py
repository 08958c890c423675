# SPDX-License-Identifier: MIT
"""What Type=rabbitmq and Type=amqp have in common: hanging and dying brokers, and TLS."""

import time

import pytest

from lib.checks import section
from lib.dns import NOERROR, NXDOMAIN, DnsServer
from lib.peers import Proxy, TcpServer, close_at_once, refused_address, send_then_hold
from lib.process import SLOWNESS, eventually, peers_of
from lib.runner import assert_result

LOGIN = ["Username=health", "PasswordCredential=mq"]
KINDS = {"rabbitmq": ["Queue=jobs"], "amqp": ["Source=/amq/queue/jobs"]}


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def of(kind, server, *lines, **options):
    """A check of this type, which is its name."""
    return section(kind, f"Address={getattr(server, 'address', server)}", *KINDS[kind], *LOGIN,
                   *lines, name=kind, **options)


def both(server, *lines, **options):
    return "".join(of(kind, server, *lines, **options) for kind in KINDS)


def of_each(runner, within=10, **fields):
    """The next result of each type that looks so."""
    found = {}
    while set(found) != set(KINDS):
        result = runner.next_that(within, **fields)
        found.setdefault(result["check"], result)
    return found.values()


@pytest.fixture
def started(runner, rabbitmq):
    def start(*lines, **options):
        runner.credential("mq", "s3cret")
        runner.start(both(rabbitmq, *lines, **options))
        of_each(runner, outcome="pass")
    return start


GONE = ("refused", "reset", "truncated", "closed/forced")


# -- hanging and dying -----------------------------------------------------------------------------

def test_hangs_and_comes_back(runner, rabbitmq, started):
    started(interval="1s", timeout="900ms")
    rabbitmq.freeze()
    for result in of_each(runner, outcome="fail"):
        assert_result(result, "fail", "timeout")
    rabbitmq.thaw()
    of_each(runner, outcome="pass")


def test_heartbeats_keep_the_connection(runner, rabbitmq, started):
    """Both sides give up one that is silent for two of them."""
    rabbitmq.eval("application:set_env(rabbit, heartbeat, 2).")
    try:
        started("Heartbeat=2s")
    finally:
        rabbitmq.eval("application:set_env(rabbit, heartbeat, 60).")
    eventually(lambda: len(peers_of(rabbitmq.port)) == len(KINDS))  # Those of others are gone.
    peers = peers_of(rabbitmq.port)
    time.sleep(6)
    assert runner.is_quiet()
    assert peers_of(rabbitmq.port) == peers
    for kind in KINDS:
        assert_result(runner.run(kind), "pass", "")


def test_missing_heartbeats_are_noticed(runner, rabbitmq, started):
    """A broker that has gone without a word, with the next run a day away."""
    started("Heartbeat=1s", timeout="2s")
    rabbitmq.freeze()
    try:
        for result in of_each(runner, outcome="fail"):
            assert_result(result, "fail", "timeout")
    finally:
        rabbitmq.thaw()
    for kind in KINDS:
        assert_result(runner.run(kind), "pass", "")


@pytest.mark.timing
def test_fault_16_death_is_seen_at_once(runner, rabbitmq, started):
    started()
    killed = time.monotonic()
    rabbitmq.kill9()
    for result in of_each(runner):
        assert result["outcome"] == "fail" and result["reason"] in GONE, result
        assert result["time"] - killed < 2      # And not with the next run, or a heartbeat.
    rabbitmq.start()
    for kind in KINDS:
        assert runner.run(kind)["pass"] == 1


def test_fault_17_the_way_to_it_is_cut(runner, kind, rabbitmq):
    runner.credential("mq", "s3cret")
    with Proxy(rabbitmq) as proxy:
        runner.start(of(kind, proxy, timeout="5s")).next()
        proxy.kill()
        assert_result(runner.next_that(outcome="fail"), "fail", "refused")
        proxy.start()
        assert_result(runner.run(kind), "pass", "")


def test_shutdown(runner, rabbitmq, started):
    started(timeout="5s")
    rabbitmq.eval("rabbit:stop().")
    try:
        for result in of_each(runner, within=20):
            assert result["outcome"] == "fail" and result["reason"] in (*GONE, "timeout"), result
    finally:
        rabbitmq.eval("rabbit:start().")
    for kind in KINDS:
        assert_result(runner.run(kind), "pass", "")


def test_in_the_daemon(vitald, rabbitmq):
    """Values are graded, and a reload leaves connections alone."""
    rabbitmq.purge()
    rabbitmq.publish(6)
    vitald.credential("mq", "s3cret")
    vitald.service("orders", "[Service]\n" + both(rabbitmq, interval="1s").replace(
        "Queue=jobs", "Queue=jobs\nWarn=depth:5\nFail=consumers:0:0"))
    vitald.start()
    vitald.vitalctl("wait", "orders", "--timeout=20s")
    shown = vitald.vitalctl("show", "orders/rabbitmq").stdout
    assert "degraded" in shown and "threshold" in shown and "depth" in shown, shown
    assert "healthy" in vitald.vitalctl("show", "orders/amqp").stdout
    before = rabbitmq.accepted()
    vitald.vitalctl("reload")
    for kind in KINDS:
        vitald.vitalctl("run", f"orders/{kind}")
    assert rabbitmq.accepted() == before
    assert "s3cret" not in vitald.log


# -- names and addresses ---------------------------------------------------------------------------

def test_fault_14_refused(runner, kind):
    runner.credential("mq", "s3cret")
    assert_result(runner.start(of(kind, refused_address())).next(), "fail", "refused",
                  "Connection refused")


def test_fault_13_black_hole(runner, kind, black_hole):
    runner.credential("mq", "s3cret")
    before = time.monotonic()
    result = runner.start(of(kind, black_hole, timeout="300ms")).next()
    assert_result(result, "fail", "timeout", "connecting to")
    assert result["time"] - before < 2 * SLOWNESS


def test_host_name(runner, kind, directory, rabbitmq):
    """The first address refuses, the second answers."""
    runner.credential("mq", "s3cret")
    records = {"mq.test": [("A", "127.0.0.9"), ("A", "127.0.0.1")]}
    with DnsServer(directory, mode=NOERROR, records=records) as names:
        runner.wrap = names.wrap
        result = runner.start(of(kind, f"mq.test:{rabbitmq.port}", timeout="5s")).next()
        assert_result(result, "pass", "")


def test_fault_25_no_such_host(runner, kind, directory):
    runner.credential("mq", "s3cret")
    with DnsServer(directory, mode=NXDOMAIN) as names:
        runner.wrap = names.wrap
        assert_result(runner.start(of(kind, "mq.test")).next(), "fail", "dns/not-found")


# -- TLS -------------------------------------------------------------------------------------------

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
    eventually(lambda: len(peers_of(rabbitmq.tls_port)) == 1)   # Those of other tests are gone.
    peers = peers_of(rabbitmq.tls_port)
    assert runner.run("it", 200)["pass"] == 200
    usage = runner.usage()
    assert runner.run("it", 500)["pass"] == 500
    fds, memory = runner.usage()
    assert fds <= usage[0] and memory - usage[1] <= runner.memory_limit_kib / 2, (usage, memory)
    assert peers_of(rabbitmq.tls_port) == peers
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
