# SPDX-License-Identifier: MIT
"""Type=kafka against librdkafka's own brokers."""

import pathlib
import shutil
import tempfile
import time

import pytest

from lib.kafka import KafkaCluster, kafka
from lib.kafkawire import LIST_OFFSETS, METADATA, OFFSET_FETCH, Broker
from lib.peers import TcpServer, refused_address
from lib.process import SLOWNESS, eventually
from lib.runner import CheckRunner, assert_result
from lib.vitald import needs_module

pytestmark = needs_module("kafka")

UNKNOWN_TOPIC, TOPIC_DENIED, GROUP_DENIED = 3, 29, 30


@pytest.fixture(scope="module")
def clusters():
    """One broker, and three; with the topic orders, of which the group workers has read some."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="vitald-test-"))
    for n in 1, 3:
        (directory / str(n)).mkdir()
    with KafkaCluster(directory / "1", 1) as one, KafkaCluster(directory / "3", 3) as three:
        for cluster in one, three:
            cluster("topic orders 4 1")
            cluster("topic nothing 1 1")
            cluster(f"topic-error nothing {UNKNOWN_TOPIC}")
            cluster("produce orders 0 10")
            cluster("produce orders 1 5")
            cluster("commit workers orders 0 4")
            cluster("commit workers orders 1 5")
        yield one, three
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def cluster(clusters):
    yield clusters[0]
    clusters[0].thaw()
    clusters[0]("up 1")


@pytest.fixture
def three(clusters):
    yield clusters[1]
    for n in 1, 2, 3:
        clusters[1](f"up {n}")


@pytest.fixture
def check(runner):
    def first(server, *lines, **options):
        return runner.start(kafka(server, *lines, **options)).next(within=30)
    return first


def passes(runner):
    return runner.run("it")["pass"] == 1


def threads(runner):
    return len(list(pathlib.Path(f"/proc/{runner.pid}/task").iterdir()))


# -- what a cluster says ---------------------------------------------------------------------------

def test_brokers(check, three):
    result = check(three)
    assert_result(result, "pass", "", "3 brokers")
    assert result["brokers"] == 3


def test_topic(check, cluster):
    result = check(cluster, "Topic=orders")
    assert_result(result, "pass", "", "1 broker, 4 partitions")
    assert (result["partitions"], result["leaderless"], result["in_sync"]) == (4, 0, 1)


def test_no_such_topic_and_none_is_made(runner):
    """librdkafka's own brokers make every topic that is asked for."""
    with Broker() as broker:
        runner.start(kafka(broker, "Topic=nothing"))
        assert_result(runner.next(), "fail", "missing/topic")
        assert runner.run("it", 5)["fail"] == 5
    asked = [body for key, body in broker.requests if key == METADATA and b"nothing" in body]
    assert len(asked) >= 6
    assert not any(body[-1] for body in asked)      # allow_auto_topic_creation


def test_partition_without_leader(runner, check, cluster):
    cluster("topic leaderless 3 1")
    cluster("leader leaderless 1 -1")
    result = check(cluster, "Topic=leaderless")
    assert_result(result, "fail", "status/no-leader", "partition 1 of leaderless")
    assert result["leaderless"] == 1
    cluster("leader leaderless 1 1")
    assert_result(runner.run("it"), "pass", "")


def test_many_partitions_without_leader(check):
    parts = [(-1, [1], [1])] * 2000
    with Broker(topics={"orders": parts}) as broker:
        result = check(broker, "Topic=orders")
    assert_result(result, "fail", "status/no-leader", "partitions 0 1 2 3")
    assert result["leaderless"] == 2000


def test_replicas_out_of_sync(check):
    parts = [(1, [1, 2, 3], [1, 2, 3]), (1, [1, 2, 3], [1]), (1, [1, 2, 3], [1, 3])]
    with Broker(topics={"orders": parts}) as broker:
        result = check(broker, "Topic=orders", "Fail=in_sync:2:")
    assert_result(result, "pass", "")       # The daemon grades.
    assert (result["under_replicated"], result["in_sync"]) == (2, 1)


def test_topic_that_is_denied(check, cluster):
    cluster("topic denied 1 1")
    cluster(f"topic-error denied {TOPIC_DENIED}")
    assert_result(check(cluster, "Topic=denied"), "fail", "auth/permission", "Topic denied")


# -- lag -------------------------------------------------------------------------------------------

def test_lag(runner, check, cluster):
    result = check(cluster, "Topic=orders", "ConsumerGroup=workers")
    assert_result(result, "pass", "", "lag 6")
    assert (result["lag"], result["most_lag"]) == (6, 6)
    cluster("produce orders 2 3")       # Of which the group has read nothing.
    assert runner.run("it")["lag"] == 9
    cluster("commit workers orders 0 10")
    cluster("commit workers orders 2 3")
    assert runner.run("it")["lag"] == 0
    cluster("commit workers orders 0 4")


def test_lag_of_several_brokers(check, three):
    assert check(three, "Topic=orders", "ConsumerGroup=workers")["lag"] == 6


def test_nothing_is_read_and_no_group_is_made(runner, check, cluster):
    result = check(cluster, "Topic=orders", "ConsumerGroup=nobody")
    assert_result(result, "fail", "missing/group", "nobody has read nothing of orders")
    before = check_lag(cluster)
    runner.run("it", 50)
    assert check_lag(cluster) == before


def check_lag(cluster):
    directory = tempfile.mkdtemp(prefix="vitald-test-")
    try:
        with CheckRunner(directory, kafka(cluster, "Topic=orders",
                                          "ConsumerGroup=workers")) as runner:
            return runner.next()["lag"]
    finally:
        shutil.rmtree(directory)


def test_group_without_messages(check, cluster):
    cluster("topic empty 2 1")
    result = check(cluster, "Topic=empty", "ConsumerGroup=nobody")
    assert_result(result, "pass", "", "lag 0")


def test_group_that_is_denied(check, cluster):
    cluster(f"error {OFFSET_FETCH} {GROUP_DENIED} 1")
    assert_result(check(cluster, "Topic=orders", "ConsumerGroup=workers"), "fail",
                  "auth/permission")


@pytest.mark.parametrize("request_, phase", [
    (METADATA, "waiting for the metadata"), (OFFSET_FETCH, "waiting for the group's offsets"),
    (LIST_OFFSETS, "waiting for the topic's offsets")])
def test_slow_answers(runner, check, cluster, request_, phase):
    check(cluster, "Topic=orders", "ConsumerGroup=workers", timeout="1500ms")
    eventually(lambda: passes(runner), what="a held connection")
    cluster("rtt 1 3000" if request_ == METADATA else f"slow 1 {request_} 3000")
    assert_result(runner.run("it"), "fail", "timeout", phase)
    cluster("rtt 1 0")
    eventually(lambda: passes(runner))


def test_lag_is_graded(vitald, cluster):
    vitald.service("orders", "[Service]\n" + kafka(cluster, "Topic=orders", "Warn=lag:5",
                                                   "ConsumerGroup=workers", name="queue",
                                                   interval="1s"))
    vitald.start()
    assert vitald.vitalctl("wait", "orders", "--timeout=30s", within=60).returncode == 0
    shown = vitald.vitalctl("show", "orders/queue").stdout
    assert "degraded" in shown and "threshold" in shown and "lag" in shown, shown


# -- held connections ------------------------------------------------------------------------------

@pytest.mark.parametrize("lines, address, outcome", [
    (["Topic=orders", "ConsumerGroup=workers"], None, "pass"),
    (["Topic=nothing"], None, "fail"), ([], refused_address(), "fail")],
    ids=["held", "no topic", "refused"])
def test_a_thousand_runs_leave_nothing(runner, check, cluster, lines, address, outcome):
    check(address or cluster, *lines)
    assert runner.run("it", 500)[outcome] == 500
    eventually(lambda: threads(runner) < 12, within=30)
    before, n_threads = runner.usage(), threads(runner)
    assert runner.run("it", 1000)[outcome] == 1000
    eventually(lambda: runner.usage()[0] <= before[0] and threads(runner) <= n_threads + 2,
               within=30)
    # A failed run ends threads, of which allocators and a sanitizer's books keep something.
    limit = runner.memory_limit_kib * (8 if outcome == "fail" else 1)
    assert runner.usage()[1] - before[1] <= limit, (before, runner.usage())


@pytest.mark.timing
def test_fault_16_death_is_seen_at_once(runner, check, cluster):
    check(cluster, "Topic=orders")
    delays = []
    for _ in range(5):
        killed = time.monotonic()
        cluster("down 1")
        result = runner.next_that(outcome="fail")
        assert_result(result, "fail", "refused", "Connection refused")
        delays.append(result["time"] - killed)
        cluster("up 1")
        eventually(lambda: passes(runner))
    assert sorted(delays)[2] < 0.2, delays


def test_restart_between_runs(runner, check, cluster):
    check(cluster, "Topic=orders")
    cluster("down 1")
    cluster("up 1")
    runner.run("it")
    eventually(lambda: passes(runner))


def test_one_of_three_dies(runner, three):
    """What was asked of it at that moment may be lost with it, but what is asked next is not."""
    three("topic spread 1 1")
    three("leader spread 0 2")
    runner.start(kafka(three.addresses, "Topic=spread", timeout="2s"))
    eventually(lambda: passes(runner))
    three("down 1")
    eventually(lambda: passes(runner))
    three("down 3")
    eventually(lambda: passes(runner))
    three("down 2")
    eventually(lambda: runner.run("it")["reason"] == "refused")


def test_leader_that_cannot_be_reached(runner, three):
    three("topic far 1 1")
    three("leader far 0 3")
    three("coordinator workers 1")
    three("down 3")
    runner.start(kafka(three.addresses[0], "Topic=far", "ConsumerGroup=workers", timeout="4s"))
    result = runner.next()
    assert result["outcome"] == "fail" and result["reason"] == "refused", result
    assert three.addresses[2] in result["message"]


def test_renews_the_connection_after_its_age(runner, directory):
    with Broker() as broker:
        runner.start(kafka(broker, "ConnectionMaxAge=1s", interval="100ms"))
        eventually(lambda: broker.connections >= 3, within=30, every=0.1)
        while not runner.is_quiet():
            assert runner.next()["outcome"] == "pass"


def test_hangs_and_comes_back(runner, check, cluster):
    check(cluster, "Topic=orders", timeout="400ms")
    cluster.freeze()
    for _ in range(2):
        assert_result(runner.run("it"), "fail", "timeout")
    cluster.thaw()
    eventually(lambda: passes(runner))


def test_reload_opens_and_closes(vitald, cluster):
    def usage():
        proc = pathlib.Path(f"/proc/{vitald.process.pid}")
        return len(list((proc / "fd").iterdir())), len(list((proc / "task").iterdir()))

    def reload(n):
        vitald.service("orders", "[Service]\n" + kafka(cluster, "Topic=orders", name=f"k{n % 2}",
                                                       interval=f"{n + 1}min"))
        assert vitald.vitalctl("reload").returncode == 0
        vitald.vitalctl("run", f"orders/k{n % 2}")
    vitald.service("orders", "[Service]\n" + kafka(cluster, "Topic=orders", name="k0"))
    vitald.start()
    for n in range(3):
        reload(n)
    before = usage()
    for n in range(3, 23):
        reload(n)
    # A client that was just made or given up is no leak; twenty would be.
    eventually(lambda: all(now <= then + 10 for now, then in zip(usage(), before)), within=30)


def test_fault_9_ends_at_once_while_the_cluster_hangs(runner, check, cluster):
    check(cluster, "Topic=orders", timeout="30s")
    cluster.freeze()
    runner.popen.stdin.write("run it 1\n")
    runner.popen.stdin.flush()
    eventually(lambda: threads(runner) > 3)
    before = time.monotonic()
    runner.stop()
    assert time.monotonic() - before < 8 * SLOWNESS     # And not the 30 s that it has.


def test_no_leaks_with_runs_under_way(runner, black_hole, cluster):
    """Not for valgrind, to which a thread that is left behind is a leak."""
    with TcpServer() as silent:
        runner.start(kafka(cluster, "Topic=orders", "ConsumerGroup=workers", name="good")
                     + kafka(black_hole, name="hole", timeout="60s")
                     + kafka(silent, name="silent", timeout="60s"))
        assert runner.next_of("good", within=30)["outcome"] == "pass"
