# SPDX-License-Identifier: MIT
"""Restarts of the installed vitald, under probes and beside units that live on."""

import json
import os

import pytest

from lib.probes import ProbeLoad
from lib.process import eventually
from lib.units import add_units

ROUNDS = int(os.environ.get("VITALD_RESTARTS", "12"))
READY = "/run/app.ready"

UNITS = {"app.service": "[Unit]\nStartLimitIntervalSec=0\n[Service]\n"
                        "ExecStart=/bin/sleep 1000\n"}

# The one is always good, the other never; the third stands for a unit.
SERVICES = {
    "good": "[Check disk]\nType=disk\nMinFree=1K\nInterval=200ms\nMaxAge=1min\n"
            "[Check command]\nType=exec\nCommand=/bin/true\nInterval=200ms\nMaxAge=1min\n",
    "bad": "[Service]\nHost=no\n[Check file]\nType=file\nPath=/nowhere\nInterval=200ms\n"
           "MaxAge=1min\n",
    "app": f"[Service]\nUnit=app.service\n[Check file]\nType=file\nPath={READY}\n"
           "Probes=startup readiness\nInterval=100ms\nMaxAge=1min\nFailureThreshold=1\n",
}


@pytest.fixture(scope="module")
def running(vitald_host):
    add_units(vitald_host, UNITS)
    vitald_host.systemctl("start", "app.service")
    vitald_host.write(READY, "")
    for name, text in SERVICES.items():
        vitald_host.write(f"/etc/vitald/services/{name}.conf", text)
    vitald_host.systemctl("start", "vitald.socket", "vitald.service")
    for check, state in (("good/disk", "healthy"), ("good/command", "healthy"),
                         ("app/file", "healthy"), ("bad/file", "unhealthy")):
        eventually(lambda: show(vitald_host, check)["State"] == state, what=check)
    return vitald_host


def cursor(host):
    """The end of the journal, with all that was sent until now."""
    host.run(["journalctl", "--sync"])
    return host.run(["journalctl", "-q", "-n", "0", "--show-cursor"]).stdout.split()[-1]


def transitions(host, since):
    """What was told of verdicts and states of these services; the machine's own may change."""
    return [entry["MESSAGE"] for entry in
            host.journal("-u", "vitald", f"--after-cursor={since}")
            if "VITALD_STATE" in entry and entry.get("VITALD_SERVICE") in SERVICES]


def show(host, check):
    return json.loads(host.run(["vitalctl", "show", check, "--json=short"]).stdout)


def is_active(host):
    return host.show("vitald.service", "ActiveState") == "active"


def test_fault_62_restarts_and_reloads_under_probes(running):
    """Nobody is refused, every answer is the right one, and nothing is told, as nothing happens."""
    since, runs = cursor(running), show(running, "good/disk")["NRuns"]
    good = ProbeLoad(("127.0.0.1", 9911), "/health/ready", threads=2, within=running.network)
    bad = ProbeLoad(("127.0.0.1", 9911), "/health/ready/bad", threads=1, within=running.network)
    with good, bad:
        for _ in range(ROUNDS):
            good.wait_for(50)
            running.systemctl("restart", "vitald.service")
            running.systemctl("reload", "vitald.service")
    assert not good.failures and not bad.failures
    assert set(good.answers) == {200} and set(bad.answers) == {503}
    assert good.count >= 50 * ROUNDS and bad.count > ROUNDS
    assert transitions(running, since) == []
    # As if it were one and the same.
    assert show(running, "good/disk")["NRuns"] >= runs + ROUNDS


def test_fault_44_killed_under_probes(running):
    """As by the kernel that is out of memory: systemd starts it again, and the verdict stays."""
    since, file = cursor(running), running.root / "run/vitald/state"
    with ProbeLoad(("127.0.0.1", 9911), "/health/ready", threads=2, within=running.network) as load:
        for _ in range(5):
            eventually(lambda: is_active(running))
            load.wait_for(50)
            written = file.stat().st_mtime_ns
            running.systemctl("kill", "--kill-who=main", "--signal=KILL", "vitald.service")
            load.wait_for(50)
            eventually(lambda: file.stat().st_mtime_ns > written, what="what the new one knows")
    # A connection may end with the one who has taken it; nobody is refused or told another thing.
    assert set(load.answers) == {200}
    assert {failure.split()[0] for failure in load.failures} <= {"reset", "cut"}
    assert transitions(running, since) == []
    eventually(lambda: is_active(running))


def away(running):
    """vitald is stopped, and nothing starts it."""
    eventually(lambda: "active" in (running.root / "run/vitald/state").read_text())
    running.systemctl("stop", "vitald.socket", "vitald-local.socket", "vitald.service")


def back(running):
    running.systemctl("start", "vitald.socket", "vitald.service")


def test_the_same_unit_goes_on(running):
    before = show(running, "app/file")
    since = cursor(running)
    away(running)
    back(running)
    assert running.get("/health/ready/app").status == 200
    eventually(lambda: show(running, "app/file")["NRuns"] > before["NRuns"])
    assert show(running, "app/file")["StateChangeTimestamp"] == before["StateChangeTimestamp"]
    assert transitions(running, since) == []


def test_a_unit_that_was_started_anew_meanwhile_begins_anew(running):
    away(running)
    (running.root / READY.lstrip("/")).unlink()
    running.systemctl("restart", "app.service")
    back(running)
    eventually(lambda: running.get("/health/started/app").json["status"] == "starting",
               what="the startup probe")
    assert running.get("/health/ready/app").status == 503
    running.write(READY, "")
    eventually(lambda: running.get("/health/ready/app").status == 200)


def test_a_unit_that_was_stopped_meanwhile_is_inactive(running):
    away(running)
    running.systemctl("stop", "app.service")
    back(running)
    eventually(lambda: running.get("/health/ready/app").json.get("reason") == "inactive",
               what="a stopped unit")
    running.systemctl("start", "app.service")
    eventually(lambda: running.get("/health/ready/app").status == 200)


def test_the_drain_of_a_stop_ends_with_the_start_that_came_meanwhile(running):
    running.busctl("call", "org.vitald1", "/org/vitald1/service/app", "org.vitald1.Service",
                   "DrainUntilStart", "s", "a stop")
    assert running.get("/health/ready/app").json["reason"] == "drained"
    away(running)
    back(running)
    # The unit is the same: so is the drain.
    assert running.get("/health/ready/app").json["reason"] == "drained"
    assert "a stop" in running.run(["vitalctl", "status"], check=False).stdout
    away(running)
    running.systemctl("restart", "app.service")
    back(running)
    eventually(lambda: running.get("/health/ready/app").status == 200)
