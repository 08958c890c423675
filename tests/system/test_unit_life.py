# SPDX-License-Identifier: MIT
"""Services that stand for a unit (Unit=), with real units of a real systemd."""

import os
import signal
import time

import pytest

from lib.process import eventually, throughout
from lib.scenario import assert_prompt
from lib.units import add_units, left_active_at, main_pid, system_bus
from lib.vitald import Vitald

READY = "/run/app.ready"
GO = "/run/late.go"
UNITS = {
    "app.service": "[Unit]\nStartLimitIntervalSec=0\n[Service]\n"
                   f"ExecStart=/bin/sleep 1000\nExecStopPost=/bin/rm -f {READY}\n",
    # What it wants stays loaded while it is stopped, with the times of its past.
    "keeper.service": "[Unit]\nWants=app.service\n[Service]\nExecStart=/bin/sleep 1000\n",
    "idle.service": "[Service]\nExecStart=/bin/sleep 1000\n",
    "slow.service": "[Service]\nExecStart=/bin/sleep 1000\nExecStop=/bin/sleep 1000\n",
    # Activating for as long as it takes to listen, like Type=notify and Type=forking.
    "late.service": "[Service]\nType=oneshot\nRemainAfterExit=yes\n"
                    f"ExecStart=/bin/sh -c 'while ! [ -e {GO} ]; do sleep 0.05; done; "
                    f"touch {READY}'\n"
                    f"ExecStopPost=/bin/rm -f {READY}\n",
    "loop.service": "[Unit]\nStartLimitIntervalSec=0\n"
                    "[Service]\nExecStart=/bin/false\nRestart=always\nRestartSec=1h\n",
}


@pytest.fixture(scope="module")
def units(host):
    host.drop_in("dbus.service", "[Unit]\nStartLimitIntervalSec=0\n")
    add_units(host, UNITS)
    host.systemctl("start", "keeper.service")
    return host


def service(host, unit, *lines):
    """Its check is good while READY is there."""
    return "\n".join(("[Service]", f"Unit={unit}", "[Check file]", "Type=file",
                      f"Path={host.root}{READY}", "Probes=startup readiness", "Interval=50ms",
                      "RetryInterval=50ms", "FailureThreshold=1", *lines, ""))


def start(host):
    host.systemctl("start", "app.service")
    host.write(READY, "")


@pytest.fixture
def vitald(directory, units):
    """With two services: app, which stands for a unit that runs, and one that is always good."""
    start(units)
    made = Vitald(directory, bus=system_bus(units))
    made.service("app", service(units, "app.service"))
    made.service("other", "[Check disk]\nType=disk\nMinFree=1\n")
    yield made
    made.close()


@pytest.fixture
def running(vitald):
    vitald.start()
    vitald.wait_status("/health/ready/app", 200)
    return vitald


def unit_state(vitald, name="app"):
    """As the second line of `vitalctl status` shows it: "app.service (active)"."""
    lines = vitald.vitalctl("status", name).stdout.splitlines()
    return lines[1].partition("(")[2].rstrip(")")


def rests(vitald, name="app/file"):
    """The check is not run for some intervals, and its state stays."""
    def is_skipped():
        return vitald.show(name)["State"] == "skipped"
    eventually(is_skipped)
    before = len(vitald.runs(name))
    throughout(is_skipped, 0.4, every=0.05)
    return len(vitald.runs(name)) <= before + 1     # What was under way ends.


def test_life(units, running):
    """Stopped, started, restarted: inactive is no alarm, and each start begins anew."""
    assert unit_state(running) == "active"
    units.systemctl("stop", "app.service")
    answer = running.wait_status("/health/ready/app", 503)
    eventually(lambda: unit_state(running) == "inactive")
    answer = running.get("/health/ready/app")
    assert answer.json["reason"] == "inactive", answer.text
    assert running.get("/health/live/app").status == 200
    assert running.ready().status == 200
    assert rests(running)
    assert "app.service is not running" in running.vitalctl("status").stdout
    assert running.show("app/file")["Message"] == "app.service is not running"

    units.systemctl("start", "app.service")
    # The file of the start before is gone, and the startup probe says so.
    eventually(lambda: running.get("/health/started/app").json["status"] == "starting")
    units.write(READY, "")
    running.wait_status("/health/started/app", 200)
    running.wait_status("/health/ready/app", 200)

    units.systemctl("restart", "app.service")
    running.wait_status("/health/started/app", 503)
    units.write(READY, "")
    running.wait_status("/health/ready/app", 200)


def test_what_failed_before_the_unit_was_up_is_looked_at_again_at_once(units, vitald):
    """And does not count any more."""
    units.systemctl("stop", "app.service", "late.service")
    lines = "Interval=1d", "RetryInterval=1h", "FailureThreshold=2", "Probes=readiness"
    vitald.service("late", service(units, "late.service", *lines).replace(
        "Probes=startup readiness\nInterval=50ms\nRetryInterval=50ms\nFailureThreshold=1\n", ""))
    vitald.start()
    eventually(lambda: unit_state(vitald, "late") == "inactive")
    units.systemctl("start", "--no-block", "late.service")
    eventually(lambda: vitald.show("late/file")["FailuresInRow"] == 1)
    assert unit_state(vitald, "late") == "activating"
    units.write(GO, "")
    vitald.wait_status("/health/ready/late", 200)
    shown = vitald.show("late/file")
    assert shown["State"] == "healthy" and not shown["FirstFailureMessage"]
    units.systemctl("stop", "late.service")


def test_measures_belong_to_one_start(units, running):
    units.run(["rm", READY])
    eventually(lambda: running.show("app/file")["FailuresInRow"] > 3)
    units.systemctl("restart", "app.service")
    units.write(READY, "")
    running.wait_status("/health/ready/app", 200)
    shown = running.show("app/file")
    assert shown["FailuresInRow"] == 0 and not shown["FirstFailureMessage"]


def test_readiness_ends_when_the_unit_begins_to_stop(units, vitald):
    units.systemctl("start", "slow.service")
    vitald.service("slow", service(units, "slow.service"))
    vitald.start()
    vitald.wait_status("/health/ready/slow", 200)
    units.systemctl("stop", "--no-block", "slow.service")
    answer = vitald.wait_status("/health/ready/slow", 503)      # It takes far longer to stop.
    assert answer.json["reason"] == "inactive"
    assert unit_state(vitald, "slow") == "deactivating"
    assert "slow.service is stopping" in vitald.vitalctl("why", "slow").stdout
    assert rests(vitald, "slow/file")
    units.systemctl("kill", "-s", "KILL", "slow.service")


def test_a_unit_that_fails_counts_for_the_host(units, running):
    os.kill(main_pid(units, "app.service"), signal.SIGKILL)
    running.wait_status("/health/ready", 503)
    eventually(lambda: unit_state(running) == "failed")
    assert "app.service has failed" in running.vitalctl("status").stdout
    assert running.get("/health/live/app").status == 200
    assert rests(running)
    units.systemctl("reset-failed", "app.service")
    running.wait_status("/health/ready", 200)
    start(units)
    running.wait_status("/health/ready/app", 200)


def test_a_unit_that_waits_for_its_restart_and_one_that_is_not_there(units, vitald):
    units.systemctl("start", "--no-block", "loop.service")
    eventually(lambda: units.show("loop.service", "SubState") == "auto-restart")
    vitald.service("loop", service(units, "loop.service"))
    vitald.service("typo", service(units, "typo.service"))
    vitald.start()
    eventually(lambda: unit_state(vitald, "loop") == "auto-restart")
    eventually(lambda: unit_state(vitald, "typo") == "failed")
    assert vitald.log.count("typo: there is no unit typo.service") == 1
    assert vitald.ready().status == 503
    units.systemctl("stop", "loop.service")
    eventually(lambda: unit_state(vitald, "loop") == "inactive")


def is_never_run(vitald):
    """Checks wait for word of the unit, but no longer than a second."""
    before = len(vitald.log)
    vitald.stop()
    vitald.start()
    eventually(lambda: unit_state(vitald) == "inactive")
    return vitald.runs("app/file", before) == []


def test_a_stopped_unit_is_no_alarm_when_vitald_starts_or_reloads(units, vitald):
    """Its check, which would fail at once, is never run."""
    units.systemctl("stop", "app.service")
    assert any(is_never_run(vitald) for _ in range(5))
    vitald.service("new", "[Check disk]\nType=disk\nMinFree=1\n")
    vitald.reload()
    vitald.wait_status("/health/ready/new", 200)
    assert unit_state(vitald) == "inactive"
    before = len(vitald.runs("app/file"))
    assert rests(vitald) and len(vitald.runs("app/file")) == before
    # Another unit for the same service.
    start(units)
    vitald.wait_status("/health/ready/app", 200)
    vitald.service("app", service(units, "idle.service"))
    vitald.reload()
    eventually(lambda: unit_state(vitald) == "inactive")
    # And none.
    vitald.service("app", service(units, "idle.service").replace("Unit=idle.service", ""))
    vitald.reload()
    vitald.wait_status("/health/ready/app", 200)


def test_a_check_that_is_shared_rests_for_one_and_runs_for_the_other(units, vitald):
    units.systemctl("stop", "idle.service")
    vitald.write("checks/ready.conf", f"[Check]\nType=file\nPath={units.root}{READY}\n"
                 "Interval=50ms\n")
    vitald.service("idle", "[Service]\nUnit=idle.service\n[Check ready]\nFrom=ready\n")
    vitald.service("all", "[Check ready]\nFrom=ready\n")
    vitald.start()
    vitald.wait_status("/health/ready/all", 200)
    eventually(lambda: vitald.show("idle/ready")["State"] == "skipped")
    units.systemctl("start", "idle.service")
    vitald.wait_status("/health/ready/idle", 200)
    units.systemctl("stop", "idle.service")
    vitald.wait_status("/health/ready/idle", 503)
    before = vitald.show("all/ready")["NRuns"]
    eventually(lambda: vitald.show("all/ready")["NRuns"] > before + 3)
    eventually(lambda: vitald.show("idle/ready")["State"] == "skipped")


def test_nothing_flips_while_systemd_or_the_bus_begins_anew(units, running):
    before = len(running.log)
    for begin_anew in (lambda: units.systemctl("daemon-reload"), units.reexec,
                       lambda: units.systemctl("restart", "dbus.service")):
        begin_anew()
        throughout(lambda: running.get("/health/ready/app").status == 200, 0.3)
    eventually(lambda: "The units of services are followed again" in running.log[before:])
    lines = running.log[before:].splitlines()
    assert not [line for line in lines if "app is not ready" in line]
    units.systemctl("stop", "app.service")
    running.wait_status("/health/ready/app", 503)


def test_fault_58_the_last_state_stays_while_the_bus_is_away(units, vitald):
    """With one warning; what happened meanwhile is seen when it is back."""
    units.systemctl("start", "idle.service")
    vitald.service("idle", "[Service]\nUnit=idle.service\n[Check disk]\nType=disk\nMinFree=1\n")
    vitald.start()
    eventually(lambda: unit_state(vitald, "idle") == "active")
    vitald.wait_status("/health/ready/idle", 200)
    units.systemctl("stop", "dbus.socket", "dbus.service")
    try:
        eventually(lambda: "The units of services cannot be followed" in vitald.log)
        os.kill(main_pid(units, "idle.service"), signal.SIGTERM)
        throughout(lambda: vitald.get("/health/ready/idle").status == 200, 1)
        assert vitald.log.count("The units of services cannot be followed") == 1
    finally:
        units.systemctl("start", "dbus.socket", "dbus.service")
    vitald.wait_status("/health/ready/idle", 503)
    eventually(lambda: unit_state(vitald, "idle") == "inactive")
    eventually(lambda: vitald.log.count("The units of services are followed again") == 1)


def test_fault_58_the_bus_hangs_when_vitald_starts(units, vitald):
    """Checks wait for word of the unit, but not for long."""
    pid = main_pid(units, "dbus.service")
    os.kill(pid, signal.SIGSTOP)
    try:
        vitald.start()
        vitald.wait_status("/health/ready/app", 200)
    finally:
        os.kill(pid, signal.SIGCONT)
    eventually(lambda: unit_state(vitald) == "active")


def test_a_drain_of_execstop_ends_with_the_next_start(units, running):
    """systemd sets SERVICE_RESULT for what it runs there; who drains by hand has to undrain."""
    def drain(**env):
        done = running.vitalctl("drain", "app", "--wait", env=env)
        assert done.returncode == 0, done.stderr
        assert running.get("/health/ready/app").status == 503

    drain(SERVICE_RESULT="success")
    throughout(lambda: running.get("/health/ready/app").status == 503, 0.3)
    units.systemctl("restart", "app.service")
    assert running.get("/health/ready/app").status == 503
    start(units)
    running.wait_status("/health/ready/app", 200)

    drain()
    units.systemctl("restart", "app.service")
    start(units)
    eventually(lambda: running.show("app/file")["State"] == "healthy")
    throughout(lambda: running.get("/health/ready/app").status == 503, 0.3)
    assert running.vitalctl("undrain", "app").returncode == 0
    running.wait_status("/health/ready/app", 200)

    # A service without a unit has no next start.
    assert running.vitalctl("drain", "other", env={"SERVICE_RESULT": "success"}).returncode == 0
    assert running.vitalctl("undrain", "other").returncode == 0


@pytest.mark.timing
def test_a_stop_is_seen_within_50_ms(units, running):
    delays = []
    for _ in range(20):
        start(units)
        running.wait_status("/health/ready/app", 200)
        units.busctl("call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                     "org.freedesktop.systemd1.Manager", "StopUnit", "ss", "app.service",
                     "replace")
        eventually(lambda: running.get("/health/ready/app").status == 503, every=0)
        delays.append(time.monotonic() - left_active_at(units, "app.service"))
    assert_prompt(delays)
