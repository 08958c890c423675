# SPDX-License-Identifier: MIT
"""What vitald does to itself (restarts, reloads, upgrades) is no news to who asks."""

import contextlib
import json

import pytest

from lib.checks import section
from lib.pressure import memory_cgroup
from lib.probes import ProbeLoad
from lib.process import eventually

TIMES = 100
OLD = """[Check app]
Type=exec
Command=/bin/sh -c 'test ! -e /run/nobody-knows || exit 3'
Interval=500ms
Timeout=1s
MaxAge=1500ms
"""
PLUGIN = "[Check slow]\nType=exec\nCommand=/bin/sleep 0.4\nInterval=500ms\nMaxAge=1min\n"
SICK = ("[Check gone]\nType=tcp\nAddress=127.0.0.1:1\nInterval=1s\nFailureThreshold=1\n"
        "MaxAge=1min\n")
SERVICES = ("orders", "sick", "plugin")


@pytest.fixture(scope="module")
def running(vitald_host):
    """One service that is well, and one that is not."""
    host = vitald_host
    host.write("/etc/vitald/services/orders.conf",
               section("disk", "MinFree=1K", "MaxAge=1min", name="disk", interval="1s")
               + section("tcp", "Address=127.0.0.1:9911", "MaxAge=1min", name="itself",
                         interval="1s"))
    host.write("/etc/vitald/services/sick.conf", SICK)
    host.systemctl("start", "vitald.socket", "vitald-local.socket", "vitald.service")
    eventually(lambda: host.get("/health/ready/orders").status == 200)
    eventually(lambda: host.get("/health/ready/sick").status == 503)
    return host


@contextlib.contextmanager
def probed(host):
    """Probes of both services and of liveness all the while, none refused, none told otherwise."""
    expected = {"/health/live": 200, "/health/ready/orders": 200, "/health/ready/sick": 503}
    with contextlib.ExitStack() as stack:
        loads = [stack.enter_context(ProbeLoad(("127.0.0.1", 9911), path, 2, host.network))
                 for path in expected]

        def wait(more=10):
            for load in loads:
                load.wait_for(more)
        yield wait
        wait()
    print({load.path: (dict(load.answers), f"{load.slowest * 1000:.0f} ms") for load in loads})
    for load in loads:
        assert not load.failures, load.failures[:3]
        assert set(load.answers) == {expected[load.path]}


def told(host):
    """What was said of these services and their checks, and when each came to be as it is."""
    view = json.loads(host.run(["vitalctl", "status", "--json=short"], check=False).stdout)
    return (sum("VITALD_STATE" in entry and entry.get("VITALD_SERVICE") in SERVICES
                for entry in host.journal("-u", "vitald.service")),
            {check["Name"]: check["StateChangeTimestamp"] for service in view["Services"]
             if service["Name"] in SERVICES for check in service["Checks"]})


def upgrade(host):
    """The program on the disk is another one."""
    host.run(["sh", "-c", "cp -p /usr/bin/vitald /usr/bin/vitald.new && "
              "mv /usr/bin/vitald.new /usr/bin/vitald"])


@pytest.mark.time_limit(600)
def test_fault_62_restarts_and_upgrades(running):
    before = told(running)
    with probed(running) as wait:
        for i in range(TIMES):
            wait(3)
            if i % 10 == 0:
                upgrade(running)
            running.systemctl("restart", "vitald.service")
    assert told(running) == before
    assert running.show("vitald.service", "Result") == "success"
    assert running.show("vitald.socket", "ActiveState") == "active"


@pytest.mark.time_limit(600)
def test_fault_62_reloads(running):
    before = told(running)
    with probed(running) as wait:
        for i in range(TIMES):
            wait(1)
            running.write("/etc/vitald/services/sick.conf", SICK + f"Description=The {i}th\n")
            running.systemctl("reload", "vitald.service")
    assert told(running) == before


def test_fault_62_an_upgrade_while_plugins_run(running):
    """They end with the old one, which is no failure of theirs."""
    running.write("/etc/vitald/services/plugin.conf", PLUGIN)
    running.systemctl("reload", "vitald.service")
    eventually(lambda: running.get("/health/ready/plugin").status == 200)
    before = told(running)
    with probed(running) as wait:
        for _ in range(10):
            wait(1)
            eventually(lambda: running.run(["pgrep", "-f", "sleep 0.4"],
                                           check=False).returncode == 0, every=0.02)
            upgrade(running)
            running.systemctl("restart", "vitald.service")
    assert told(running) == before
    (running.root / "etc/vitald/services/plugin.conf").unlink()
    running.systemctl("reload", "vitald.service")


def test_kills(running):
    """What it had accepted is lost with it, and no more."""
    before = told(running)
    with ProbeLoad(("127.0.0.1", 9911), "/health/ready/orders", 2, running.network) as load:
        for _ in range(5):
            load.wait_for(20)
            running.systemctl("kill", "--signal=KILL", "vitald.service")
            load.wait_for(20)
    assert set(load.answers) == {200}
    assert all(f.startswith(("reset", "cut")) for f in load.failures), load.failures
    eventually(lambda: running.show("vitald.service", "ActiveState") == "active")
    assert told(running) == before


def n_oom_kills(cgroup):
    for name in ("memory.events", "memory.oom_control"):
        with contextlib.suppress(OSError):
            return int((cgroup / name).read_text().partition("oom_kill ")[2].split()[0])
    raise AssertionError("not told")


def test_fault_44_killed_for_its_memory(running):
    """By the kernel. What has grown too old meanwhile is told nobody any more."""
    with memory_cgroup(65536) as cgroup:
        if cgroup is None:
            pytest.skip("no cgroup that limits memory can be had here")
        running.write("/etc/vitald/services/orders.conf", OLD)
        running.drop_in("vitald.service", "[Service]\nRestartSec=6s\n")
        running.systemctl("reload", "vitald.service")
        eventually(lambda: running.get("/health/ready/orders").status == 200)
        before = int(running.show("vitald.service", "NRestarts"))
        pid = running.show("vitald.service", "MainPID")
        (cgroup / "cgroup.procs").write_text(running.pid_outside(pid))
        eventually(lambda: running.show("vitald.service", "ActiveState") != "active",
                   within=60)
        running.write("/run/nobody-knows", "")
        assert n_oom_kills(cgroup) >= 1
        with ProbeLoad(("127.0.0.1", 9911), "/health/ready/orders", 1, running.network) as load:
            load.wait_for(100)
        assert set(load.answers) == {503}
        assert int(running.show("vitald.service", "NRestarts")) == before + 1
        assert any(m.startswith("orders/app is unknown")
                   for m in running.messages("vitald.service"))
        (running.root / "run/nobody-knows").unlink()
        eventually(lambda: running.get("/health/ready/orders").status == 200)
