# SPDX-License-Identifier: MIT
"""vitald-ready@.service and its kin: others wait for health, start and stop with it."""

import pytest

from lib.process import eventually

DEPENDENT = """[Unit]
{how}=vitald-ready@orders.service
After=vitald-ready@orders.service
[Service]
ExecStart=sleep infinity
{install}
"""


@pytest.fixture(scope="module")
def host(vitald_host):
    """A service that is ready while there is a file."""
    vitald_host.write("/etc/vitald/services/orders.conf",
                      "[Check file]\nType=file\nPath=/run/orders.up\nInterval=200ms\n"
                      "RetryInterval=50ms\nFailureThreshold=1\nMaxAge=1min\n")
    vitald_host.write("/etc/systemd/system/bound.service",
                      DEPENDENT.format(how="BindsTo", install="[Install]\n"
                                       "WantedBy=vitald-ready@orders.service\n"))
    vitald_host.write("/etc/systemd/system/waiting.service",
                      DEPENDENT.format(how="Requires", install=""))
    vitald_host.systemctl("daemon-reload")
    vitald_host.systemctl("enable", "bound.service")
    vitald_host.systemctl("start", "vitald.socket", "vitald-local.socket", "vitald.service")
    return vitald_host


def state(host, unit):
    return host.show(f"{unit}.service", "ActiveState")


def up(host):
    host.run(["touch", "/run/orders.up"])


def down(host):
    host.run(["rm", "-f", "/run/orders.up"])


def test_others_wait_start_and_stop_with_it(host):
    down(host)
    eventually(lambda: host.get("/health/ready/orders").status == 503)
    host.systemctl("start", "--no-block", "waiting.service", "bound.service")
    eventually(lambda: state(host, "vitald-ready@orders") == "activating")
    assert state(host, "waiting") == state(host, "bound") == "inactive"

    up(host)
    eventually(lambda: state(host, "waiting") == state(host, "bound") == "active")
    assert state(host, "vitald-ready@orders") == "active"

    down(host)
    eventually(lambda: state(host, "bound") == "inactive")
    eventually(lambda: state(host, "vitald-ready@orders") == "activating")

    up(host)
    eventually(lambda: state(host, "bound") == "active")
    host.systemctl("stop", "waiting.service", "bound.service", "vitald-ready@orders.service")


def test_a_restart_of_vitald_stops_nobody(host):
    up(host)
    host.systemctl("start", "bound.service")
    before = host.show("bound.service", "InvocationID")
    for _ in range(3):
        host.systemctl("restart", "vitald.service")
        eventually(lambda: host.get("/health/ready/orders").status == 200)
    assert host.show("bound.service", "InvocationID") == before
    assert host.show("vitald-ready@orders.service", "NRestarts") == "0"
    host.systemctl("stop", "bound.service", "vitald-ready@orders.service")


def test_the_other_verdicts(host):
    down(host)
    eventually(lambda: host.get("/health/ready/orders").status == 503)
    host.systemctl("start", "vitald-live@orders.service")
    assert state(host, "vitald-live@orders") == "active"
    up(host)
    host.systemctl("start", "vitald-started@orders.service")
    assert state(host, "vitald-started@orders") == "active"
    down(host)
    eventually(lambda: host.get("/health/ready/orders").status == 503)
    assert state(host, "vitald-started@orders") == "active"
    host.systemctl("stop", "vitald-live@orders.service", "vitald-started@orders.service")


def test_an_unknown_name_fails(host):
    done = host.systemctl("start", "vitald-ready@nobody.service", check=False)
    assert done.returncode != 0
    eventually(lambda: state(host, "vitald-ready@nobody") == "failed")
    assert int(host.show("vitald-ready@nobody.service", "NRestarts")) <= 1
