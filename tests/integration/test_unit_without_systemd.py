# SPDX-License-Identifier: MIT
"""Type=unit and Type=systemd where no systemd can be asked; with one: tests/system/test_unit.py."""

import pytest

from lib.process import eventually
from lib.runner import assert_result

CHECKS = """
[Check unit]
Type=unit
Unit=orders.service
Interval=100ms
[Check systemd]
Type=systemd
Interval=100ms
"""
BOTH = "unit", "systemd"


def both(runner, words):
    """The next result of each that says so."""
    for name in BOTH:
        yield eventually(lambda: words in (r := runner.next_of(name))["message"] and r)


def test_no_bus_is_wanted(runner):
    runner.start(CHECKS)
    for result in both(runner, ""):
        assert_result(result, "error", "configuration", "vitald runs with --bus=none",
                      "--bus=system")


def test_the_daemon_without_a_bus_says_so(vitald):
    vitald.service("default", CHECKS)
    vitald.start()
    for name in BOTH:
        eventually(lambda: vitald.show(name)["LastOutcome"] == "error")
    assert vitald.ready().status == 503


@pytest.mark.parametrize("on_bus", [False, True])
def test_a_service_with_a_unit_that_nobody_can_follow(make_vitald, bus, on_bus):
    """It is as one without, and the log says so; also where the bus has no systemd."""
    vitald = make_vitald(bus=bus if on_bus else None)
    vitald.service("shop", "[Service]\nUnit=shop.service\n[Check disk]\nType=disk\nMinFree=1\n")
    vitald.start()
    vitald.wait_status("/health/ready/shop", 200)
    if not on_bus:
        assert vitald.log.count("shop: without a bus shop.service cannot be followed") == 1
    vitald.reload()
    eventually(lambda: "Configuration reloaded" in vitald.log)
    assert vitald.get("/health/ready/shop").status == 200
    shown = vitald.vitalctl("status", "shop").stdout
    assert "shop.service\n" in shown, shown


@pytest.mark.parametrize("scope, unit", [("system", "dbus.service"), ("user", "dbus.service")])
def test_no_bus_is_there(runner, directory, scope, unit):
    variable = {"system": "DBUS_SYSTEM_BUS_ADDRESS", "user": "DBUS_SESSION_BUS_ADDRESS"}[scope]
    runner.bus = scope
    runner.environment[variable] = f"unix:path={directory}/nothing"
    runner.start(CHECKS)
    for result in both(runner, "bus"):
        assert_result(result, "error", "unreachable", f"the {scope} bus is not there", unit)


def test_no_systemd_is_on_the_bus(runner, bus):
    runner.bus = "system"
    runner.environment |= bus.environment
    runner.start(CHECKS)
    for result in both(runner, "no systemd"):
        assert_result(result, "error", "unreachable", "no systemd is on the system bus")
    # Another bus in its place is found, and nobody is there either.
    bus.process.kill9()
    for result in both(runner, "is not there"):
        assert_result(result, "error", "unreachable", "dbus.service")
    bus.start()
    for result in both(runner, "no systemd"):
        assert_result(result, "error", "unreachable")


def test_a_bus_that_hangs(runner, bus):
    runner.bus = "system"
    runner.environment |= bus.environment
    bus.freeze()
    try:
        runner.start(CHECKS.replace("Interval=100ms", "Interval=100ms\nTimeout=300ms"))
        for name in BOTH:
            assert_result(runner.next_of(name), "error", "timeout",
                          "systemd does not answer over D-Bus")
    finally:
        bus.thaw()


@pytest.mark.parametrize("kind, lines, words", [
    ("unit", "", "Unit="),
    ("unit", "Unit=orders", "a unit's name with its suffix"),
    ("unit", "Unit=orders@.service", "a unit's name with its suffix"),
    ("unit", "Unit=a.service\nState=on", "active"),
    ("unit", "Unit=a.service\nRestartWindow=1y", "RestartWindow"),
    ("unit", "Unit=a.service\nFail=restart:3", "restart"),
    ("systemd", "MaxFailed=-1", "MaxFailed"),
    ("systemd", "ClockSynchronized=perhaps", "ClockSynchronized"),
])
def test_faults_of_settings(vitald, kind, lines, words):
    vitald.service("x", f"[Check it]\nType={kind}\n{lines}\n")
    done = vitald.verify()
    assert done.returncode == 78 and words in done.stdout + done.stderr


def test_a_thousand_runs_without_a_bus_leave_nothing(runner, directory):
    runner.bus = "system"
    runner.environment["DBUS_SYSTEM_BUS_ADDRESS"] = f"unix:path={directory}/nothing"
    runner.start(CHECKS.replace("100ms", "1h"))
    for name in BOTH:
        runner.run(name, 1000)
    before = runner.usage()
    for name in BOTH:
        assert runner.run(name, 1000)["error"] == 1000
    fds, memory = runner.usage()
    assert fds <= before[0], (before, fds)
    assert memory - before[1] <= runner.memory_limit_kib / 4, (before, memory)
