# SPDX-License-Identifier: MIT
"""Type=redis by way of sentinels: real ones, and a real failover."""

import time

import pytest

from lib.checks import section
from lib.peers import TcpServer, answer_with, hold, refused_address
from lib.process import eventually
from lib.redis import Redis, Sentinel, replica_of
from lib.runner import CheckRunner, assert_result


def check(*sentinels, lines=(), **options):
    addresses = [f"Sentinel={getattr(s, 'address', s)}" for s in sentinels]
    return section("redis", "SentinelMaster=orders", *addresses, *lines, **options)


@pytest.fixture
def sentinel(redis, directory):
    with Sentinel(directory / "sentinel", redis) as server:
        yield server


@pytest.fixture
def run(directory):
    """The first result of a check."""
    def first(*sentinels, lines=(), credentials=None):
        with CheckRunner(directory, check(*sentinels, lines=lines), credentials) as runner:
            return runner.next()
    return first


@pytest.mark.valgrind
def test_checks_the_master_that_it_is_told(redis, sentinel, run):
    result = run(sentinel)
    assert_result(result, "pass", "", f"Master {redis.address}, 0 replicas")
    assert result["replicas"] == 0


def accepted(server):
    return int(server.info("total_connections_received"))


def test_holds_both_connections(redis, sentinel, directory):
    with CheckRunner(directory, check(sentinel)) as runner:
        assert runner.next()["outcome"] == "pass"
        before = accepted(sentinel)
        assert runner.run("it", 1000)["pass"] == 1000
        assert accepted(sentinel) - before == 1      # Our own question.
        usage = runner.usage()
        assert runner.run("it", 3000)["pass"] == 3000
        fds, memory = runner.usage()
        assert fds <= usage[0]
        assert memory - usage[1] <= runner.memory_limit_kib / 4, (usage, memory)


@pytest.fixture
def replica(redis, directory):
    with replica_of(redis, directory / "replica") as server:
        yield server


@pytest.fixture
def ready(redis, replica, directory):
    """A sentinel that can make the replica the master."""
    with Sentinel(directory / "sentinel", redis) as sentinel:
        eventually(lambda: sentinel.knows_replicas(1), within=30, what="known replica")
        yield sentinel


def test_failover_is_followed(redis, replica, ready, directory):
    """The master is killed, and the sentinel makes the replica the master."""
    with CheckRunner(directory, check(ready, interval="200ms", timeout="1s")) as runner:
        assert_result(runner.next_that(outcome="pass"), "pass", "", redis.address)
        killed = time.monotonic()
        redis.kill9()
        eventually(lambda: runner.next_that(outcome="fail")["reason"] in ("refused", "reset"))
        result = runner.next_that(within=60, outcome="pass")
        assert_result(result, "pass", "", f"Master {replica.address}")
        print(f"failover seen after {result['time'] - killed:.1f} s")


def test_failover_by_hand_is_seen(redis, replica, ready, directory):
    """The old master lives on, and its held connection with it: what the sentinel says counts."""
    with CheckRunner(directory, check(ready, interval="200ms")) as runner:
        assert_result(runner.next_that(outcome="pass"), "pass", "", redis.address)
        eventually(lambda: ready.command("SENTINEL", "FAILOVER", "orders") == b"+OK", within=40)

        def moved():
            return replica.address in runner.next_that(outcome="pass")["message"]
        eventually(moved, within=60, what="new master")


# -- sentinels that do not help --------------------------------------------------------------------

def test_others_are_asked(redis, sentinel, black_hole, run):
    with TcpServer(hold) as silent:
        for useless in (refused_address(), silent, black_hole):
            assert_result(run(useless, sentinel), "pass", "", redis.address)


def test_a_sentinel_that_hangs_costs_little(redis, sentinel, directory):
    """Once: the next run begins with the one that has answered."""
    with TcpServer(hold) as silent:
        with CheckRunner(directory, check(silent, sentinel)) as runner:
            assert 200 <= runner.next()["latency_ms"]
            assert runner.run("it", 100)["pass"] == 100
            assert silent.connections == 1


def test_a_held_sentinel_hangs(redis, sentinel, directory):
    with Sentinel(directory / "second", redis) as second:
        with CheckRunner(directory, check(sentinel, second)) as runner:
            assert runner.next()["outcome"] == "pass"
            sentinel.freeze()
            assert runner.run("it", 3)["pass"] == 3
            sentinel.thaw()


def test_a_sentinel_restarts_under_its_connection(redis, sentinel, directory):
    with CheckRunner(directory, check(sentinel)) as runner:
        assert runner.next()["outcome"] == "pass"
        sentinel.kill9()
        sentinel.start()
        assert runner.run("it", 3)["pass"] == 3


def test_no_sentinel_answers(sentinel, run):
    sentinel.close()
    assert_result(run(refused_address(), sentinel), "fail", "refused",
                  f"Sentinel {sentinel.address}", "Connection refused")


def test_all_sentinels_hang(directory):
    with TcpServer(hold) as one, TcpServer(hold) as other:
        with CheckRunner(directory, check(one, other, timeout="1s")) as runner:
            assert_result(runner.next(), "fail", "timeout", "asking the sentinels")
            assert_result(runner.run("it"), "fail", "timeout")
            runs = 2 + runner.log.count("late by")     # Those that were late are run again.
            eventually(lambda: (one.connections, other.connections) == (runs, runs))


def test_a_name_that_no_sentinel_knows(sentinel, directory):
    text = check(sentinel).replace("SentinelMaster=orders", "SentinelMaster=nobody")
    with CheckRunner(directory, text) as runner:
        assert_result(runner.next(), "fail", "missing/sentinel-master",
                      f'Sentinel {sentinel.address}: knows no master "nobody"')


@pytest.mark.parametrize("reply, reason, words", [
    (b"*2\r\n$9\r\n127.0.0.1\r\n$5\r\n99999\r\n", "protocol", "tells no address"),
    (b"*2\r\n$9\r\n127.0.0.1\r\n:1\r\n", "protocol", "tells no address"),
    (b"*2\r\n$0\r\n\r\n$4\r\n6379\r\n", "protocol", "tells no address"),
    (b"*2\r\n$3\r\n/ab\r\n$4\r\n6379\r\n", "protocol", "tells no address"),
    (b"*0\r\n", "protocol", "tells no address"),
    (b"*3\r\n*1\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n", "protocol", "tells no address"),
    (b"*-1\r\n", "missing/sentinel-master", "orders"),
    (b"+OK\r\n", "protocol", "wrong kind"),
    (b"-ERR unknown command 'SENTINEL'\r\n", "status", "unknown command"),
    (b"HTTP/1.1 400 Bad Request\r\n", "protocol", "Sentinel"),
], ids=str)
def test_fault_30_what_no_sentinel_says(reply, reason, words, run):
    with TcpServer(answer_with(reply)) as server:
        assert_result(run(server), "fail", reason, words)


def test_a_server_that_is_no_sentinel(redis, run):
    assert_result(run(redis), "fail", "status", "SENTINEL", "unknown command")


def test_a_sentinel_that_is_wrong(redis, directory, run):
    """It says that a replica is the master."""
    with replica_of(redis, directory / "replica") as replica:
        port = str(replica.port).encode()
        reply = b"*2\r\n$9\r\n127.0.0.1\r\n$%d\r\n%b\r\n" % (len(port), port)
        with TcpServer(answer_with(reply)) as server:
            assert_result(run(server), "fail", "mismatch/role", redis.address)


def test_password_of_a_sentinel(redis, directory, run):
    with Sentinel(directory / "guarded", redis, password="s3cret") as sentinel:
        lines = ["SentinelPasswordCredential=sentinel"]
        good, bad = {"sentinel": "s3cret"}, {"sentinel": "wrong"}
        assert run(sentinel, lines=lines, credentials=good)["outcome"] == "pass"
        result = run(sentinel, lines=lines, credentials=bad)
        assert_result(result, "fail", "auth/password", f"Sentinel {sentinel.address}: WRONGPASS")
        assert_result(run(sentinel), "fail", "auth/missing", "NOAUTH")


def test_password_of_the_master(directory, run):
    with Redis(directory / "guarded", password="s3cret") as server, \
            Sentinel(directory / "sentinel", server) as sentinel:
        result = run(sentinel, lines=["PasswordCredential=redis"],
                     credentials={"redis": "s3cret"})
        assert_result(result, "pass", "", server.address)
        assert_result(run(sentinel), "fail", "auth/missing", "NOAUTH")


@pytest.mark.valgrind
def test_no_leaks_with_a_question_under_way(directory, black_hole):
    with TcpServer(hold) as silent, \
            CheckRunner(directory, check(silent, black_hole) + check(refused_address(),
                                                                     name="other")) as runner:
        assert_result(runner.next_of("other"), "fail", "refused")
