# SPDX-License-Identifier: MIT
"""Type=pressure: memory that is really short, by triggers of the kernel and without them."""

import subprocess
import time

import pytest

from lib.checks import section
from lib.pressure import (PRIVILEGED, UNPRIVILEGED, Pressure, Trigger, is_measured, memory_cgroup)
from lib.process import CLEAN_ENVIRONMENT
from lib.runner import CheckRunner, assert_result

FAST = ("MaxStall=50ms", "Window=500ms")
ALLOWED = ("MaxStall=200ms", "Window=2s")

pytestmark = pytest.mark.skipif(not is_measured(), reason="this kernel measures no pressure")


@pytest.fixture(scope="module")
def thrash(tmp_path_factory):
    with memory_cgroup() as cgroup:
        if cgroup is None:
            pytest.skip("no cgroup with a memory limit can be made here")
        with Pressure(cgroup, tmp_path_factory.mktemp("thrash")) as pressure:
            yield pressure


@pytest.fixture
def namespaces():
    done = subprocess.run([*PRIVILEGED, "/bin/true"], env=CLEAN_ENVIRONMENT, capture_output=True)
    if done.returncode != 0:
        pytest.skip("no user namespaces here")


def as_nobody(argv):
    return [*UNPRIVILEGED, *argv]


def privileged(argv):
    return [*PRIVILEGED, *argv]


def text(*lines, **options):
    return section("pressure", *lines, "RetryInterval=10ms", **options)


@pytest.mark.parametrize("resource", ["cpu", "memory", "io"])
def test_figures_are_the_kernels(directory, resource):
    with CheckRunner(directory, text(f"Resource={resource}", "MaxStall=10s", "Window=10s")) as r:
        result = r.next()
    # A machine that is busy all the time may reach even this limit.
    assert result["outcome"] == "pass" or result["reason"].startswith("threshold"), result
    assert f"{resource}: some tasks stalled" in result["message"]
    for name in "avg10", "avg60", "avg300":
        assert 0 <= result[name] <= 100


def test_stalled_by_all_tasks(directory):
    with CheckRunner(directory, text("Stalled=full")) as r:
        result = r.next()
    assert result["outcome"] == "pass" or result["reason"].startswith("threshold"), result
    assert "memory: full tasks stalled" in result["message"]


def falls_and_recovers(runner, thrash):
    thrash.on()
    result = runner.next_that(outcome="fail", within=30)
    assert_result(result, "fail", "threshold", "memory: some tasks stalled for over")
    thrash.off()
    return runner.next_that(outcome="pass", within=30)


def test_pressure_is_seen_at_once_where_triggers_are_free(directory, thrash):
    """Interval= is a day: only a trigger can say so; and so can the end of the pressure."""
    with CheckRunner(directory, text(*ALLOWED), wrap=as_nobody) as runner:
        first = runner.next()
        result = falls_and_recovers(runner, thrash)
    for one in (first, result):
        assert "pressure.conf" not in one["message"]


def test_pressure_is_polled_where_triggers_are_refused_and_it_is_said(directory, thrash):
    with CheckRunner(directory, text(*FAST), wrap=as_nobody) as runner:
        # The pressure of the test before may not have gone.
        assert_result(runner.next_that(outcome="pass", within=30), "pass", "", "polled",
                      "drop-in pressure.conf")
        assert_result(falls_and_recovers(runner, thrash), "pass", "", "drop-in pressure.conf")


def test_pressure_with_the_privilege(directory, thrash, namespaces):
    with CheckRunner(directory, text(*FAST), wrap=privileged) as runner:
        assert "polled" not in runner.next()["message"]
        falls_and_recovers(runner, thrash)


@pytest.mark.timing
def test_not_ready_within_50_ms_of_the_kernels_word(vitald, thrash, namespaces):
    """Twenty times; the kernel's word is that of a trigger of the same kind in another program.

    The kernel looks at its triggers every 50 ms, a tenth of the window, and need not find two of
    them exceeded at the same look: so much more is allowed to single ones."""
    vitald.wrap = privileged
    vitald.service("default", text(*FAST, "FailureThreshold=1", interval="1d", name="memory"))
    vitald.start()
    vitald.wait_status("/health/ready", 200)
    delays = []
    for _ in range(20):
        trigger = Trigger("some 50000 500000")
        thrash.on()
        fired = trigger.next()
        while vitald.ready().status != 503:
            pass
        delays.append(time.monotonic() - fired)
        trigger.close()
        thrash.off()
        vitald.wait_status("/health/ready", 200)
    delays.sort()
    print(f"median {1000 * delays[10]:.1f} ms, maximum {1000 * delays[-1]:.1f} ms")
    assert delays[10] < 0.05 and delays[15] < 0.05 + 3 * 0.05, delays


def test_processor(directory):
    """Two programs that want the same processor."""
    check = text("Resource=cpu", "MaxStall=1ms", "Window=2s")
    loop = ["/usr/bin/taskset", "-c", "0", "/bin/sh", "-c", "while :; do :; done"]
    loops = [subprocess.Popen(loop) for _ in range(3)]
    try:
        with CheckRunner(directory, check) as runner:
            assert_result(runner.next_that(outcome="fail", within=30), "fail", "threshold", "cpu")
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def test_not_measured(directory):
    """As on a kernel without it."""
    def wrap(argv):
        return ["/usr/bin/unshare", "--mount", "--propagation", "private", "/bin/sh", "-ec",
                'mount -t proc -o subset=pid proc /proc; exec "$@"', "sh", *map(str, argv)]
    with CheckRunner(directory, text(), wrap=wrap) as runner:
        assert_result(runner.next(), "error", "configuration", "/proc/pressure/memory", "psi=1")


@pytest.mark.parametrize("lines, words", [
    (("MaxStall=3s",), "MaxStall= is longer than Window="),
    (("Resource=cpu", "Stalled=full"), "Stalled=full"),
    (("Window=100ms",), "500ms"),
    (("Resource=net",), "cpu, memory, io"),
])
def test_faults_of_settings(vitald, lines, words):
    vitald.service("x", text(*lines))
    done = vitald.verify()
    assert done.returncode == 78 and words in done.stdout + done.stderr


def test_a_thousand_runs_leave_nothing(directory):
    with CheckRunner(directory, text()) as runner:
        runner.next()
        runner.run("it", 2000)
        before = runner.usage()
        assert runner.run("it", 1000)["error"] == 0
        fds, memory = runner.usage()
        assert fds <= before[0] and memory - before[1] <= 256, (before, memory)
