# SPDX-License-Identifier: MIT
"""Type=unit against a real systemd with real units."""

import os
import signal
import time

import pytest

from lib.process import eventually
from lib.runner import CheckRunner, assert_result
from lib.scenario import assert_prompt
from lib.units import SLEEP, add_units, left_active_at, main_pid, on_host, system_bus
from lib.vitald import Vitald

UNITS = {
    "runs.service": SLEEP,
    # What it needs stays loaded while it is stopped, with the times of its past.
    "keeper.service": SLEEP.replace("[Unit]", "[Unit]\nWants=runs.service"),
    "stopped.service": SLEEP,
    "exits.service": "[Service]\nExecStart=/bin/sh -c 'exit 3'\n",
    "killed.service": "[Service]\nExecStart=/bin/sh -c 'kill -KILL $$$$'\n",
    "late.service": "[Service]\nType=notify\nExecStart=/bin/sleep 1000\nTimeoutStartSec=100ms\n",
    "starts.service": "[Service]\nType=notify\nExecStart=/bin/sleep 1000\n",
    "stops.service": "[Service]\nExecStart=/bin/sleep 1000\nExecStop=/bin/sleep 1000\n",
    "reloads.service": "[Service]\nExecStart=/bin/sleep 1000\nExecReload=/bin/sleep 1000\n",
    "once.service": "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n",
    "job.service": "[Service]\nType=oneshot\nExecStart=/bin/true\n",
    "broken.service": "[Service]\nType=simple\n",
    "many@.service": "[Service]\nExecStart=/bin/sleep 1000\n",
    "tick.timer": "[Timer]\nOnActiveSec=1h\nUnit=job.service\n",
    "door.socket": "[Socket]\nListenStream=/run/door\n[Install]\nWantedBy=sockets.target\n",
    "door.service": SLEEP,
    "srv.mount": "[Mount]\nWhat=tmpfs\nWhere=/srv\nType=tmpfs\n",
    "loop.service": "[Unit]\nStartLimitIntervalSec=0\n"
                    "[Service]\nExecStart=/bin/sh -c 'exit 4'\nRestart=always\nRestartSec=100ms\n",
    "limited.service": "[Unit]\nStartLimitBurst=3\n"
                       "[Service]\nExecStart=/bin/false\nRestart=always\nRestartSec=10ms\n",
}

# Unit, more lines, outcome, reason, words of the message.
STATES = {
    "runs": ("runs.service", "", "pass", "", "runs.service: active (running)"),
    "alias": ("other-name.service", "", "pass", "", "other-name.service: active (running)"),
    "stopped": ("stopped.service", "", "fail", "status/inactive", "inactive (dead)"),
    "exits": ("exits.service", "", "fail", "status/failed", "failed (exit status 3)"),
    "killed": ("killed.service", "", "fail", "status/failed", "failed (killed by SIGKILL)"),
    "late": ("late.service", "", "fail", "status/failed", "failed (timeout)"),
    "limited": ("limited.service", "", "fail", "status/failed", "failed (exit status 1)"),
    "masked": ("masked.service", "", "fail", "missing/masked", "masked"),
    "missing": ("missing.service", "", "fail", "missing", "missing.service: no such unit"),
    "broken": ("broken.service", "", "fail", "status/bad-setting", "cannot load it (bad-setting)"),
    "starts": ("starts.service", "", "fail", "status/activating", "activating (start)"),
    "starting": ("starts.service", "State=active activating\n", "pass", "", "activating (start)"),
    "stops": ("stops.service", "", "fail", "status/deactivating", "deactivating (stop)"),
    "reloads": ("reloads.service", "", "pass", "", "reloading (reload)"),
    "once": ("once.service", "SubState=exited\n", "pass", "", "active (exited)"),
    "sub": ("once.service", "SubState=running\nSubState=start\n", "fail", "mismatch",
            "active (exited), which SubState= does not name"),
    "job": ("job.service", "State=active activating deactivating inactive\n", "pass", "",
            "inactive (dead)"),
    "down": ("runs.service", "State=inactive\n", "fail", "status/active", "active (running)"),
    "typo": ("typo.service", "State=inactive\n", "fail", "missing", "no such unit"),
    "off": ("masked.service", "State=inactive\n", "pass", "", "inactive (dead), masked"),
    "timer": ("tick.timer", "SubState=waiting\n", "pass", "", "active (waiting)"),
    "socket": ("door.socket", "SubState=listening\n", "pass", "", "active (listening)"),
    "mount": ("srv.mount", "SubState=mounted\n", "pass", "", "active (mounted)"),
    "target": ("multi-user.target", "", "pass", "", "active (active)"),
    "slice": ("system.slice", "", "pass", "", "active (active)"),
    "instance": ("many@a-b.service", "", "pass", "", "many@a-b.service: active (running)"),
    "other": ("many@c.service", "", "fail", "status/inactive", "inactive (dead)"),
}


def check(name, unit, *lines, interval="1d"):
    return "\n".join((f"[Check {name}]", "Type=unit", f"Unit={unit}", f"Interval={interval}",
                      "RetryInterval=10ms", *lines, ""))


@pytest.fixture(scope="module")
def units(host):
    host.drop_in("dbus.service", "[Unit]\nStartLimitIntervalSec=0\n")
    add_units(host, UNITS)
    host.systemctl("mask", "masked.service")
    host.run(["ln", "-s", "runs.service", "/etc/systemd/system/other-name.service"])
    host.systemctl("daemon-reload")
    host.systemctl("start", "keeper.service", "runs.service", "stops.service", "reloads.service",
                   "once.service", "tick.timer", "door.socket", "srv.mount", "many@a-b.service")
    host.systemctl("start", "--no-block", "exits.service", "killed.service", "late.service",
                   "limited.service", "starts.service")
    host.systemctl("stop", "--no-block", "stops.service")
    host.systemctl("reload", "--no-block", "reloads.service")
    return host


@pytest.fixture
def runner(directory, units):
    with CheckRunner(directory) as made:
        yield on_host(made, units)


@pytest.fixture
def sleeper(units):
    """runs.service, which runs at the beginning."""
    units.systemctl("start", "runs.service")
    return "runs.service"


def results_of(runner, names):
    """The first result of each, but where systemd was too slow."""
    found = {}
    while set(found) != set(names):
        result = runner.next_answered(within=60)
        found.setdefault(result["check"], result)
    return found


def test_each_state_of_a_unit(units, runner):
    for name in ("exits", "killed", "late", "limited"):
        eventually(lambda: units.show(f"{name}.service", "ActiveState") == "failed")
    for name, state in (("reloads", "reloading"), ("stops", "deactivating"),
                        ("starts", "activating")):
        eventually(lambda: units.show(f"{name}.service", "ActiveState") == state)
    runner.start("".join(check(name, unit, more) for name, (unit, more, *_) in STATES.items()))
    found = results_of(runner, STATES)
    for name, (_, _, outcome, reason, words) in STATES.items():
        assert_result(found[name], outcome, reason, words)
        assert found[name]["restarts"] == 0


# -- signals ---------------------------------------------------------------------------------------

def test_what_happens_is_seen_at_once(units, runner, sleeper):
    """Interval= is a day."""
    runner.start(check("it", sleeper))
    assert_result(runner.next_answered(), "pass", "", "running")
    units.systemctl("stop", sleeper)
    runner.next_that(reason="status/inactive")
    units.systemctl("start", sleeper)
    runner.next_that(outcome="pass")
    os.kill(main_pid(units, sleeper), signal.SIGSEGV)
    assert_result(runner.next_that(reason="status/failed"), "fail", "status/failed", "by SIGSEGV")
    units.systemctl("reset-failed", sleeper)
    runner.next_that(reason="status/inactive")


def test_a_unit_that_comes_and_goes(units, runner):
    """Also by files that were not there, and by a mask."""
    runner.start(check("new", "new.service") + check("transient", "transient.service"))
    found = results_of(runner, ("new", "transient"))
    assert {r["reason"] for r in found.values()} == {"missing"}
    add_units(units, {"new.service": SLEEP})
    runner.next_that(check="new", reason="status/inactive")
    units.systemctl("start", "new.service")
    runner.next_that(check="new", outcome="pass")
    units.systemctl("mask", "--runtime", "new.service")
    units.systemctl("stop", "new.service")
    runner.next_that(check="new", outcome="fail")
    units.run(["systemd-run", "--unit=transient.service", "/bin/sleep", "1000"])
    runner.next_that(check="transient", outcome="pass")
    units.systemctl("stop", "transient.service")
    runner.next_that(check="transient", outcome="fail")
    units.systemctl("unmask", "--runtime", "new.service")


def test_restarts_within_the_window(units, runner):
    runner.start(check("loop", "loop.service", "Fail=restarts:20", "RestartWindow=1h",
                       interval="300ms"))
    runner.next()
    units.systemctl("start", "--no-block", "loop.service")
    counts = []
    while not counts or counts[-1] < 3:
        counts.append(runner.next_answered()["restarts"])
    assert counts == sorted(counts)
    assert_result(runner.next_that(reason="status/auto-restart"), "fail", "status/auto-restart",
                  "auto-restart after exit status 4")
    before = counts[-1]
    units.systemctl("stop", "loop.service")
    after = runner.next_that(reason="status/inactive")["restarts"]
    # A start by hand sets systemd's counter back, and what was counted stays.
    units.systemctl("start", "--no-block", "loop.service")
    while (last := runner.next_answered()["restarts"]) <= after:
        assert last >= before
    units.systemctl("stop", "loop.service")


def test_restarts_leave_the_window(units, runner):
    runner.start(check("loop", "loop.service", "RestartWindow=2s", interval="200ms"))
    runner.next()
    units.systemctl("start", "--no-block", "loop.service")
    while runner.next_answered()["restarts"] < 2:
        pass
    units.systemctl("stop", "loop.service")
    runner.next_that(restarts=0)


def test_systemd_reads_its_files_or_itself_anew(units, runner, sleeper):
    """Nothing looks as if it had stopped meanwhile."""
    runner.start(check("it", sleeper))
    runner.next()
    for _ in range(5):
        units.systemctl("daemon-reload")
    for _ in range(2):
        units.reexec()
    units.systemctl("kill", "-s", "CONT", sleeper)
    while not runner.is_quiet():
        assert runner.next()["outcome"] in ("pass", "error")
    # It is followed after that as before.
    units.systemctl("stop", sleeper)
    runner.next_that(reason="status/inactive")


# -- the bus ---------------------------------------------------------------------------------------

def bus_pid(host):
    return main_pid(host, "dbus.service")


def test_fault_58_the_bus_is_restarted(units, runner, sleeper):
    runner.start(check("it", sleeper))
    runner.next_that(outcome="pass")
    for _ in range(3):
        units.systemctl("restart", "dbus.service")
        assert_result(runner.next_that(outcome="error"), "error", "unreachable",
                      "systemd cannot be asked: ")
        runner.next_that(outcome="pass")
    units.systemctl("stop", sleeper)
    runner.next_that(reason="status/inactive")


def test_fault_58_the_bus_is_not_there(units, runner, sleeper):
    """What happened without it is seen when it is back."""
    runner.start(check("it", sleeper, interval="300ms"))
    runner.next_that(outcome="pass")
    units.systemctl("stop", "dbus.socket", "dbus.service")
    found = runner.next_that(reason="unreachable")
    while "it comes with dbus.service" not in found["message"]:
        found = runner.next_that(outcome="error")
    os.kill(main_pid(units, sleeper), signal.SIGTERM)
    units.systemctl("start", "dbus.socket", "dbus.service")
    assert_result(runner.next_that(outcome="fail"), "fail", "status/inactive")


def test_fault_58_the_bus_hangs(units, runner, sleeper):
    runner.start(check("it", sleeper, "Timeout=500ms", interval="200ms"))
    runner.next_that(outcome="pass")
    pid = bus_pid(units)
    os.kill(pid, signal.SIGSTOP)
    try:
        assert_result(runner.next_that(outcome="error"), "error", "timeout",
                      "systemd does not answer over D-Bus")
    finally:
        os.kill(pid, signal.SIGCONT)
    runner.next_that(outcome="pass")


def test_fault_58_no_verdict_flips_while_the_bus_is_away(units, directory, sleeper):
    """The daemon: errors age the last state, and nothing else."""
    vitald = Vitald(directory, bus=system_bus(units))
    vitald.service("it", check("it", sleeper, "FailureThreshold=1", "MaxAge=1h",
                               interval="100ms"))
    vitald.start()
    try:
        vitald.wait_status("/health/ready", 200)
        units.systemctl("restart", "dbus.service")
        after = len(vitald.log)
        eventually(lambda: [r for r in vitald.runs("it/it", after) if r.outcome == "pass"])
        outcomes = {r.outcome for r in vitald.runs("it/it")}
        assert "fail" not in outcomes
        assert vitald.ready().status == 200
        assert vitald.show("it/it")["State"] == "healthy"
    finally:
        vitald.stop()


# -- many ------------------------------------------------------------------------------------------

@pytest.mark.time_limit(300)
def test_500_units_are_followed_with_a_few_fds(units, runner):
    """A bus bounds matches and pending answers of a connection; and nothing is left by 1,000 runs,
    nor by following all of them anew."""
    names = [f"u{i}" for i in range(500)]
    runner.start("".join(check(n, f"many@{n}.service", "State=inactive") for n in names))
    found = results_of(runner, names)
    assert {r["reason"] for r in found.values()} == {""}
    runner.run("u7", 1000, within=100)

    def follow_anew():
        runner.forget()
        units.systemctl("restart", "dbus.service")
        seen = set()
        while len(seen) < len(names):
            result = runner.next(within=60)
            if result["outcome"] == "pass":
                seen.add(result["check"])
    follow_anew()
    before = runner.usage()
    outcomes = runner.run("u7", 1000, within=100)
    assert outcomes["pass"] > 990 and not outcomes.get("fail"), outcomes
    follow_anew()
    follow_anew()
    fds, memory = runner.usage()
    print(f"{fds} fds, {memory} KiB, {memory - before[1]} KiB more")
    assert fds == before[0] < 20
    assert memory - before[1] <= runner.memory_limit_kib


# -- Must show -------------------------------------------------------------------------------------

@pytest.fixture
def watched(build, units, sleeper):
    """The installed daemon in its sandbox, whose only check is the unit's, once a minute."""
    units.install(build)
    units.write("/etc/vitald/services/watched.conf",
                check("it", sleeper, "FailureThreshold=1", interval="60s"))
    units.systemctl("restart", "vitald.socket", "vitald-local.socket", "vitald.service")
    yield units
    units.systemctl("stop", "vitald.socket", "vitald-local.socket", "vitald.service")


def is_ready(host):
    return host.get("/health/ready/watched").status == 200


@pytest.mark.timing
@pytest.mark.parametrize("how", ["stop", "kill"])
def test_the_end_of_a_unit_is_seen_within_50_ms(watched, sleeper, how):
    delays = []
    for _ in range(20):
        watched.systemctl("start", sleeper)
        eventually(lambda: is_ready(watched))
        if how == "kill":
            os.kill(main_pid(watched, sleeper), signal.SIGKILL)
        else:
            watched.busctl("call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                           "org.freedesktop.systemd1.Manager", "StopUnit", "ss", sleeper,
                           "replace")
        eventually(lambda: not is_ready(watched), every=0)
        ended = time.monotonic()
        delays.append(ended - left_active_at(watched, sleeper))
        watched.systemctl("reset-failed", sleeper, check=False)
    assert_prompt(delays)
