# SPDX-License-Identifier: MIT
"""Type=clock: by the kernel, and where it may not be asked, by systemd-timesyncd's file."""

import pytest

from lib.checks import section
from lib.clock import kernel_clock
from lib.refusal import refusing
from lib.runner import CheckRunner, assert_result


@pytest.fixture(scope="module")
def say():
    try:
        with kernel_clock() as say:
            yield say
    except PermissionError:
        pytest.skip("may not tell the kernel about the clock")


def first(directory, *lines, wrap=list):
    with CheckRunner(directory, section("clock", *lines), wrap=wrap) as runner:
        return runner.next()


def without_kernel(age=None):
    """The kernel refuses; timesyncd has set the clock so long ago, or not at all."""
    touch = f"mkdir -p /run/systemd/timesync; touch -d '-{age}' /run/systemd/timesync/synchronized;"
    script = f'mount -t tmpfs tmpfs /run; {touch if age else ""} exec "$@"'
    return lambda argv: ["/usr/bin/unshare", "--mount", "--propagation", "private", "/bin/sh",
                         "-ec", script, "sh", *map(str, refusing("adjtimex")(argv))]


def test_synchronised(directory, say):
    say(True, 2500)
    result = first(directory)
    assert_result(result, "pass", "", "Synchronised", "error at most ")
    assert 0.0025 <= result["error"] < 0.01 and result["offset"] == 0


def test_not_synchronised(directory, say):
    say(False)
    assert_result(first(directory), "fail", "status/unsynchronised", "not synchronised")


def test_it_may_be_too_wrong(directory, say):
    say(True, 300000)
    assert_result(first(directory, "MaxError=200ms"), "fail", "threshold", "MaxError=")
    assert_result(first(directory, "MaxError=400ms", "MaxOffset=1s"), "pass", "")


def test_the_next_run_sees_the_change(directory, say):
    say(True)
    with CheckRunner(directory, section("clock", interval="50ms")) as runner:
        runner.next_that(outcome="pass")
        say(False)
        runner.next_that(outcome="fail")
        say(True)
        runner.next_that(outcome="pass")


def test_the_kernel_refuses_and_nobody_else_knows(directory):
    result = first(directory, wrap=without_kernel())
    assert_result(result, "error", "configuration", "may not be asked", "drop-in clock.conf")


def test_the_kernel_refuses_and_timesyncd_knows(directory):
    result = first(directory, wrap=without_kernel("100 minutes"))
    assert_result(result, "pass", "", "systemd-timesyncd")
    assert 2.99 < result["error"] < 3.02 and "offset" not in result


def test_timesyncd_has_not_been_heard_of_for_too_long(directory):
    assert_result(first(directory, wrap=without_kernel("9 hours")), "fail", "status/unsynchronised")
    result = first(directory, "MaxError=2s", wrap=without_kernel("100 minutes"))
    assert_result(result, "fail", "threshold", "MaxError=")


def test_timesyncd_does_not_know_the_offset(directory):
    result = first(directory, "MaxOffset=1s", wrap=without_kernel("1 minute"))
    assert_result(result, "error", "configuration", "MaxOffset=", "drop-in clock.conf")


def test_a_thousand_runs_leave_nothing(directory):
    with CheckRunner(directory, section("clock")) as runner:
        runner.next()
        runner.run("it", 2000)
        before = runner.usage()
        assert runner.run("it", 1000)["error"] == 0
        fds, memory = runner.usage()
        assert fds <= before[0] and memory - before[1] <= 256, (before, memory)
