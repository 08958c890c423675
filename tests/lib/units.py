# SPDX-License-Identifier: MIT
"""Units of a host, and checks outside of it that ask its systemd."""

import types

SLEEP = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sleep 1000\n"


def system_bus(host):
    """What lib.vitald.Vitald takes as its bus."""
    socket = host.root / "run/dbus/system_bus_socket"
    return types.SimpleNamespace(
        environment={"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={socket}"})


def on_host(runner, host):
    """A runner whose checks ask the host's systemd."""
    runner.bus = "system"
    runner.environment |= system_bus(host).environment
    return runner


def add_units(host, units):
    """{name: text of its file}"""
    for name, text in units.items():
        host.write(f"/etc/systemd/system/{name}", text)
    host.systemctl("daemon-reload")


def main_pid(host, unit):
    """By the number that this machine knows the unit's first process by."""
    procs = host.cgroup / "system.slice" / unit / "cgroup.procs"
    return int(procs.read_text().split()[0])


def left_active_at(host, unit):
    """When the unit was last no longer active, as time.monotonic() counts."""
    return int(host.show(unit, "ActiveExitTimestampMonotonic")) / 1e6
