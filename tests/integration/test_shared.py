# SPDX-License-Identifier: MIT
"""From=NAME: one check of a real server for several services, run once, with a state in each."""

import pytest

from lib.ctl import NO, ctl
from lib.process import eventually

RUN = "Interval=1d\nRetryInterval=1d\nTimeout=10s\n"


def share(vitald, redis, more=""):
    vitald.write("checks/cache.conf", f"[Check]\nType=redis\nAddress={redis.address}\n{RUN}{more}")


def take(vitald, service, more=""):
    vitald.service(service, f"[Check cache]\nFrom=cache\n{more}")


def clients(redis):
    """The ids of the connections that the server has, but our own."""
    lines = redis.command("CLIENT", "LIST").decode().split("\r\n")[1].splitlines()
    return sorted(int(line.split()[0].partition("=")[2]) for line in lines)[:-1]


def checks_run(vitald):
    """In order; those of the host have a schedule of their own."""
    return [run.check for run in vitald.runs() if not run.check.startswith("host/")]


def test_one_run_and_one_connection_for_all(vitald, redis):
    share(vitald, redis)
    for service in "abc":
        take(vitald, service)
    vitald.start()
    for service in "abc":
        ctl(vitald, "wait", service, "--timeout=10s")
    assert len(clients(redis)) == 1
    assert [vitald.show(f"{s}/cache")["NRuns"] for s in "abc"] == [1, 1, 1]
    assert checks_run(vitald) == ["a/cache"]

    # Asked for in any of them, it runs for all.
    ctl(vitald, "run", "b/cache")
    assert [vitald.show(f"{s}/cache")["NRuns"] for s in "abc"] == [2, 2, 2]
    assert vitald.show("c/cache")["From"] == "cache"
    assert "run once for all that share it" in ctl(vitald, "show", "c/cache")


def test_each_service_has_its_own_thresholds(vitald, redis):
    share(vitald, redis)
    take(vitald, "quick", "FailureThreshold=1\n")
    take(vitald, "slow", "FailureThreshold=3\n")
    take(vitald, "uncritical", "FailureThreshold=1\nCritical=no\n")
    vitald.start()
    for service in ("quick", "slow", "uncritical"):
        ctl(vitald, "wait", service, "--timeout=10s")
    before = vitald.get("/health/ready").headers["x-health-sequence"]
    redis.kill9()
    vitald.wait_status("/health/ready/quick", 503)
    assert vitald.get("/health/ready/slow").status == 200
    degraded = vitald.get("/health/ready/uncritical")
    assert degraded.status == 200 and degraded.json["degraded"] == ["cache"]
    after = vitald.get("/health/ready").headers["x-health-sequence"]
    assert before != after

    ctl(vitald, "run", "slow/cache", code=NO)
    assert vitald.get("/health/ready/slow").status == 200
    ctl(vitald, "run", "slow/cache", code=NO)
    assert vitald.get("/health/ready/slow").status == 503
    redis.start()
    ctl(vitald, "run", "quick/cache")
    for service in ("quick", "slow", "uncritical"):
        answer = vitald.get(f"/health/ready/{service}")
        assert answer.status == 200 and "degraded" not in answer.json


def test_the_connection_outlives_the_service_that_ran_it(vitald, redis):
    share(vitald, redis)
    take(vitald, "a")
    take(vitald, "b")
    vitald.start()
    for service in "ab":
        ctl(vitald, "wait", service, "--timeout=10s")
    held = clients(redis)
    vitald.etc.joinpath("services/a.conf").unlink()
    ctl(vitald, "reload")
    assert clients(redis) == held
    assert vitald.show("b/cache")["State"] == "healthy"
    ctl(vitald, "run", "b/cache")
    assert clients(redis) == held

    # A service that joins is not kept waiting for the next run, which is far off.
    take(vitald, "0")
    ctl(vitald, "reload")
    ctl(vitald, "wait", "0", "--timeout=10s")
    assert clients(redis) == held
    assert checks_run(vitald)[-1] == "0/cache"


def test_its_own_again_and_back(vitald, redis):
    share(vitald, redis)
    take(vitald, "a")
    take(vitald, "b")
    vitald.start()
    for service in "ab":
        ctl(vitald, "wait", service, "--timeout=10s")
    vitald.service("a", f"[Check cache]\nType=redis\nAddress={redis.address}\n{RUN}")
    ctl(vitald, "reload")
    # The same thing is tested, so the state stays.
    assert vitald.show("a/cache")["State"] == "healthy"
    eventually(lambda: len(clients(redis)) == 2, what="a connection of its own")
    take(vitald, "a")
    ctl(vitald, "reload")
    eventually(lambda: len(clients(redis)) == 1, what="one connection")
    ctl(vitald, "run", "a/cache")
    assert len(clients(redis)) == 1


def test_a_shared_check_at_fault_takes_its_services_along(vitald, redis):
    share(vitald, redis, "Frobnicate=x\n")
    take(vitald, "a")
    vitald.service("b", f"[Check own]\nType=redis\nAddress={redis.address}\n")
    vitald.start()
    ctl(vitald, "wait", "b", "--timeout=10s")
    a = vitald.get("/health/ready/a", local=True)
    assert a.status == 503 and a.json["reason"] == "configuration"
    assert "checks/cache.conf is at fault" in a.json["error"]
    assert "cache.conf:7: unknown key Frobnicate=" in vitald.verify().stderr


@pytest.mark.timing     # A sanitizer keeps what was freed for a while.
def test_thousands_of_runs_leave_nothing(vitald, redis):
    vitald.write("checks/cache.conf", f"[Check]\nType=redis\nAddress={redis.address}\n"
                                      "Interval=10ms\n")
    for service in "abcd":
        take(vitald, service)
    vitald.start()
    ctl(vitald, "wait", "d", "--timeout=10s")
    eventually(lambda: vitald.show("d/cache")["NRuns"] > 200, within=40, what="200 runs")
    fds, memory = vitald.open_fds(), vitald.memory_kib()
    eventually(lambda: vitald.show("d/cache")["NRuns"] > 1200, within=60, what="1200 runs")
    eventually(lambda: vitald.open_fds() <= fds, what="no more descriptors than before")
    assert vitald.memory_kib() - memory <= 256
    counts = [vitald.show(f"{s}/cache")["NRuns"] for s in "abcd"]
    assert counts == sorted(counts)
