# SPDX-License-Identifier: MIT
"""Type=systemd against a real systemd: failed units, the system's state, its jobs, the clock."""

import pytest

from lib.process import eventually
from lib.runner import CheckRunner, assert_result
from lib.units import SLEEP, add_units, on_host

UNITS = {
    "bad-a.service": "[Service]\nExecStart=/bin/false\n",
    "bad-b.service": "[Service]\nExecStart=/bin/false\n",
    "waits.service": "[Service]\nType=oneshot\nExecStart=/bin/sleep 1000\n",
    "queued.service": "[Unit]\nAfter=waits.service\n" + SLEEP.partition("\n")[2],
}


def check(name, *lines):
    """Interval= is a day: only signals can make a run."""
    return "\n".join((f"[Check {name}]", "Type=systemd", "Interval=1d", "RetryInterval=10ms",
                      *lines, ""))


@pytest.fixture(scope="module")
def units(host):
    host.drop_in("dbus.service", "[Unit]\nStartLimitIntervalSec=0\n")
    host.drop_in("shutdown.target", "[Unit]\nRefuseManualStart=no\n")
    add_units(host, UNITS)
    return host


@pytest.fixture
def runner(directory, units):
    units.systemctl("reset-failed")
    eventually(lambda: units.systemctl("is-system-running").stdout == "running\n")
    with CheckRunner(directory) as made:
        yield on_host(made, units)


def test_a_unit_that_fails_is_seen_at_once(units, runner):
    runner.start(check("it"))
    assert_result(runner.next_answered(), "pass", "", "running, no failed unit")
    units.systemctl("start", "bad-a.service")
    result = runner.next_that(failed=1)
    assert_result(result, "fail", "status/failed", "1 failed unit: bad-a.service")
    units.systemctl("start", "bad-b.service")
    result = runner.next_that(failed=2)
    assert_result(result, "fail", "status/failed", "2 failed units: ", "bad-a.service",
                  "bad-b.service")
    units.systemctl("reset-failed")
    # systemd is asked for its state and its units one after the other.
    while "running, no failed unit" not in (result := runner.next_that(failed=0))["message"]:
        assert result["outcome"] == "pass", result


def test_units_that_may_fail(units, runner):
    runner.start(check("by-pattern", "ExcludeUnit=bad-[a-c]*.service")
                 + check("by-name", "ExcludeUnit=x.service", "ExcludeUnit=bad-a.service")
                 + check("by-number", "MaxFailed=1"))
    runner.first_of(3)
    units.systemctl("start", "bad-a.service")
    expected = {"by-pattern": "degraded, no failed unit that counts",
                "by-name": "degraded, no failed unit that counts",
                "by-number": "degraded, 1 failed unit: bad-a.service"}
    while expected:     # Again two answers.
        result = runner.next_answered()
        assert result["outcome"] == "pass", result
        if result["message"] == expected.get(result["check"]):
            del expected[result["check"]]
    units.systemctl("start", "bad-b.service")
    failing = set()
    while failing != {"by-name", "by-number"}:
        failing.add(runner.next_that(outcome="fail")["check"])
        assert "by-pattern" not in failing


def test_more_names_than_a_message_takes(units, runner):
    names = [f"bad-{'x' * 30}-{i}.service" for i in range(20)]
    add_units(units, {name: UNITS["bad-a.service"] for name in names})
    units.systemctl("start", *names)
    eventually(lambda: len(units.systemctl("list-units", "--failed", "--no-legend")
                           .stdout.splitlines()) == 20)
    runner.start(check("it"))
    result = runner.next_that(failed=20)
    assert_result(result, "fail", "status/failed", "20 failed units: bad-x", "...")


def test_jobs_that_are_queued(units, runner):
    units.systemctl("start", "--no-block", "waits.service", "queued.service")
    eventually(lambda: len(units.systemctl("list-jobs", "--no-legend").stdout.splitlines()) == 2)
    runner.start(check("it", "Fail=jobs:1"))
    assert runner.next_answered()["jobs"] == 2
    units.systemctl("cancel")
    units.systemctl("stop", "waits.service")


def test_the_state_of_the_system(units, runner):
    """Without what these targets would stop."""
    runner.start(check("it"))
    runner.next_that(outcome="pass")
    for target, state in (("rescue.target", "maintenance"), ("shutdown.target", "stopping")):
        units.systemctl("start", "--job-mode=ignore-dependencies", target)
        assert_result(runner.next_that(outcome="fail"), "fail", f"status/{state}",
                      f"The system is {state}")
        units.systemctl("stop", "--job-mode=ignore-dependencies", target)
        runner.next_that(outcome="pass")


def test_the_clock(runner):
    """As Type=clock says."""
    runner.start(check("it", "ClockSynchronized=yes") + "[Check clock]\nType=clock\n")
    found = {}
    while set(found) != {"it", "clock"}:
        result = runner.next_answered()
        found[result["check"]] = result
    assert found["it"]["outcome"] == found["clock"]["outcome"]
    if found["clock"]["outcome"] == "fail":
        assert_result(found["it"], "fail", "status/unsynchronised")


def test_fault_58_the_bus_is_restarted(units, runner):
    runner.start(check("it"))
    runner.next_that(outcome="pass")
    for _ in range(2):
        units.systemctl("restart", "dbus.service")
        assert_result(runner.next_that(outcome="error"), "error", "unreachable")
        runner.next_that(outcome="pass")
    units.systemctl("start", "bad-a.service")
    runner.next_that(outcome="fail")


@pytest.mark.time_limit(300)
def test_a_thousand_runs_leave_nothing(units, runner):
    units.systemctl("start", "bad-a.service")
    runner.start(check("it", "MaxFailed=5"))
    runner.next()
    runner.run("it", 1000, within=100)
    before = runner.usage()
    outcomes = runner.run("it", 1000, within=100)
    assert outcomes["pass"] > 990 and not outcomes.get("fail"), outcomes
    fds, memory = runner.usage()
    assert fds <= before[0] and memory - before[1] <= 256, (before, fds, memory)
