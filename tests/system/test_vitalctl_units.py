# SPDX-License-Identifier: MIT
"""vitalctl beside a real systemd: a unit that follows a verdict, and what it says when vitald is
not there."""

import pytest

from lib.process import eventually

READY, NOT_READY, UNREACHABLE = 0, 3, 69


@pytest.fixture(scope="module")
def host(vitald_host):
    vitald_host.write("/etc/vitald/services/orders.conf",
                      "[Check disk]\nType=disk\nMinFree=1K\n")
    vitald_host.systemctl("start", "vitald.service")
    vitald_host.run(["vitalctl", "wait", "orders", "--timeout=20s"])
    return vitald_host


def state(host, unit):
    return host.show(unit, "ActiveState")


def reached(host, unit, wanted):
    eventually(lambda: state(host, unit) == wanted, what=f"{unit} {wanted}")


def test_a_unit_follows_a_verdict(host):
    host.write("/run/systemd/system/edge.service",
               "[Unit]\nBindsTo=vitald-ready@orders.service\nAfter=vitald-ready@orders.service\n"
               "[Service]\nExecStart=/bin/sleep infinity\n"
               "[Install]\nWantedBy=vitald-ready@orders.service\n")
    host.systemctl("daemon-reload")
    host.systemctl("enable", "--runtime", "edge.service")
    host.systemctl("start", "vitald-ready@orders.service")
    reached(host, "edge.service", "active")
    host.run(["vitalctl", "drain", "orders", "--reason=test"])
    reached(host, "vitald-ready@orders.service", "activating")
    reached(host, "edge.service", "inactive")
    eventually(lambda: "orders is not ready: service drained by root: test" in host.show(
        "vitald-ready@orders.service", "StatusText"))
    host.run(["vitalctl", "undrain", "orders"])
    reached(host, "edge.service", "active")
    # A restart of vitald is no change of the verdict.
    pid = host.show("vitald-ready@orders.service", "MainPID")
    host.systemctl("restart", "vitald.service")
    host.run(["vitalctl", "wait", "orders", "--timeout=20s"])
    assert (state(host, "edge.service"), host.show("vitald-ready@orders.service", "MainPID")) == (
        "active", pid)
    host.systemctl("stop", "vitald-ready@orders.service")
    reached(host, "edge.service", "inactive")
    assert host.systemctl("--failed", "--no-legend").stdout.strip() == ""


def test_in_a_unit_with_a_runtime_directory_of_its_own(host):
    host.run(["systemd-run", "--wait", "-q", "-p", "RuntimeDirectory=orders",
              "vitalctl", "is-ready", "orders"])


def test_an_ordinary_user_looks_over_the_system_bus(host):
    assert "READY (200)" in host.run(["vitalctl", "status"], user="nobody").stdout
    done = host.run(["vitalctl", "drain", "orders"], user="nobody", check=False)
    assert done.returncode == 1 and "not permitted" in done.stderr
    host.run(["vitalctl", "is-ready", "-q"])


def test_asking_does_not_start_vitald(host):
    host.systemctl("stop", "vitald.socket", "vitald-local.socket", "vitald.service")
    for user in ("root", "nobody"):
        done = host.run(["vitalctl", "status"], user=user, check=False)
        assert done.returncode == UNREACHABLE and done.stdout == ""
        assert "vitald.service is inactive, since " in done.stderr
        assert "org.freedesktop" not in done.stderr
    assert state(host, "vitald.service") == "inactive"


def test_a_unit_that_fails_is_described_with_its_last_words(host):
    host.write("/run/systemd/system/vitald.service.d/broken.conf",
               "[Service]\nExecStart=\nExecStart=/bin/sh -c 'echo I cannot go on >&2; exit 7'\n"
               "Restart=no\n")
    host.systemctl("daemon-reload")
    try:
        host.systemctl("start", "vitald.service", check=False)
        reached(host, "vitald.service", "failed")
        eventually(lambda: "I cannot go on" in host.messages("vitald.service"))
        done = host.run(["vitalctl", "status"], check=False)
        assert done.returncode == UNREACHABLE
        assert "vitald.service is failed, result exit-code, since " in done.stderr
        assert "  it said: I cannot go on" in done.stderr
    finally:
        host.run(["rm", "-r", "/run/systemd/system/vitald.service.d"])
        host.systemctl("daemon-reload")
        host.systemctl("reset-failed", "vitald.service")
    host.systemctl("start", "vitald.socket", "vitald-local.socket", "vitald.service")
    host.run(["vitalctl", "wait", "orders", "--timeout=20s"])
