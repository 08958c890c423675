# SPDX-License-Identifier: MIT
"""Type=push under a real systemd: whose unit it is that reports, and what a new start ends."""

import json

import pytest

from lib.process import eventually

NOTIFY = ("ExecStart=/usr/bin/env NOTIFY_SOCKET=/run/vitald/notify systemd-notify "
          "CHECK=shop/{check} STATE={state}\n")

SERVICE = """
[Service]
Unit=shop.service

[Check model]
Type=push

[Check nightly]
Type=push
Persistent=yes
AllowUnit=shop-export.service

[Check default]
Type=push
Initial=pass
AllowUser=nobody
AllowUnit=no.service
"""

SHOP = """
[Service]
User=nobody
ExecStart=/bin/sleep infinity
"""


@pytest.fixture(scope="module")
def host(vitald_host):
    vitald_host.write("/etc/vitald/services/shop.conf", SERVICE)
    vitald_host.write("/etc/systemd/system/shop.service", SHOP)
    vitald_host.systemctl("daemon-reload")
    vitald_host.systemctl("start", "shop.service", "vitald.service")
    eventually(lambda: states(vitald_host)["default"] == "healthy")
    return vitald_host


def states(host):
    shown = host.run(["vitalctl", "list", "--json=short"]).stdout
    return {c["Name"]: c["State"] for c in json.loads(shown) if c["Service"] == "shop"}


def send(host, check, state, unit=None, user="daemon"):
    """From a unit of its own, or within this one's control group."""
    name = unit or "sender.service"
    host.write(f"/run/systemd/system/{name}",
               f"[Service]\nType=oneshot\nUser={user}\n" + NOTIFY.format(check=check, state=state))
    host.systemctl("daemon-reload")
    host.systemctl("start", name)


def test_the_socket_is_open_to_all(host):
    done = host.run(["stat", "-c", "%a %U", "/run/vitald/notify"])
    assert done.stdout.split() == ["666", "vitald"]


def test_only_processes_of_the_unit_may(host):
    send(host, "nightly", "fail")
    assert states(host)["nightly"] == "pending"
    send(host, "nightly", "pass", unit="shop-export.service")
    assert states(host)["nightly"] == "healthy"
    # A user in place of a unit.
    send(host, "default", "fail")
    assert states(host)["default"] == "healthy"
    send(host, "default", "warn", user="nobody")
    assert states(host)["default"] == "degraded"
    assert any("was refused" in m for m in host.messages("vitald.service"))


def main_process_says(host, state, check="model"):
    """From within the control group of shop.service, as a child of its own would."""
    pid = host.show("shop.service", "MainPID")
    group = host.show("shop.service", "ControlGroup")
    assert pid != "0"
    script = (f"echo $$ >/sys/fs/cgroup{group}/cgroup.procs && exec setpriv --reuid=nobody "
              f"--regid=nogroup --clear-groups env NOTIFY_SOCKET=/run/vitald/notify "
              f"systemd-notify CHECK=shop/{check} STATE={state}")
    host.run(["/bin/sh", "-c", script])


def test_a_new_start_of_the_unit_begins_anew(host):
    main_process_says(host, "pass")
    assert states(host)["model"] == "healthy"
    # No restart of vitald loses it, nor a reload of the unit's files.
    host.systemctl("restart", "vitald.service")
    host.systemctl("daemon-reload")
    eventually(lambda: states(host) == {
        "model": "healthy", "nightly": "healthy", "default": "degraded"})
    # It rests with its unit, but for what outlasts it.
    host.systemctl("stop", "shop.service")
    eventually(lambda: states(host) == {
        "model": "skipped", "nightly": "healthy", "default": "skipped"})
    host.systemctl("start", "shop.service")
    eventually(lambda: states(host) == {
        "model": "pending", "nightly": "healthy", "default": "healthy"})
    main_process_says(host, "warn")
    assert states(host)["model"] == "degraded"


def test_a_new_start_while_vitald_is_away(host):
    main_process_says(host, "pass")
    assert states(host)["model"] == "healthy"
    host.systemctl("stop", "vitald.socket", "vitald-local.socket", "vitald.service")
    host.systemctl("restart", "shop.service")
    host.systemctl("start", "vitald.socket", "vitald-local.socket", "vitald.service")
    eventually(lambda: states(host)["model"] == "pending")
    assert states(host)["nightly"] == "healthy"


def test_over_the_bus_too(host):
    """vitalctl of an ordinary user in the unit takes the system bus."""
    group = host.show("shop.service", "ControlGroup")
    report = "setpriv --reuid=nobody --regid=nogroup --clear-groups vitalctl report shop/model pass"
    done = host.run(["/bin/sh", "-c", report], check=False)
    assert done.returncode == 1 and "not permitted" in done.stderr
    assert states(host)["model"] == "pending"
    host.run(["/bin/sh", "-c", f"echo $$ >/sys/fs/cgroup{group}/cgroup.procs && exec {report}"])
    assert states(host)["model"] == "healthy"


def test_what_is_kept_is_vitald_s(host):
    for directory in "/run/vitald", "/var/lib/vitald":
        eventually(lambda d=directory: host.run(
            ["stat", "-c", "%a %U", f"{d}/push"]).stdout.split() == ["600", "vitald"])
