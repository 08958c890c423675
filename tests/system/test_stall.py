# SPDX-License-Identifier: MIT
"""A journal that hangs, a processor that is short, and stops, under a real systemd."""

import contextlib
import os
import pathlib
import signal
import time

import pytest

from lib.peers import HttpServer
from lib.probes import ProbeLoad
from lib.process import eventually
from lib.units import main_pid

SERVICE = "/etc/vitald/services/orders.conf"
WATCHDOG_SECONDS = 4
STOP_SECONDS = 1        # Shorter, also where it takes a while to begin and to end.
TELL_SECONDS = 1        # How often lost messages are told of, as in base/log.c.
CHECKS = 40


@pytest.fixture(scope="module")
def app(vitald_host):
    vitald_host.drop_in("vitald.service", f"[Service]\nWatchdogSec={WATCHDOG_SECONDS}s\n"
                        "ExecStart=\nExecStart=/usr/bin/vitald --log-level=debug\n")
    with vitald_host.network():
        server = HttpServer()
        server.start()
    checks = "".join(f"[Check c{i}]\nType=http\nURL={server.url()}\nInterval=400ms\n"
                     "FailureThreshold=1\n" for i in range(CHECKS))
    vitald_host.write(SERVICE, checks)
    vitald_host.systemctl("start", "vitald.socket", "vitald-local.socket")
    yield server
    server.close()


@pytest.fixture
def running(vitald_host, app):
    """Ready, and not restarted since."""
    vitald_host.systemctl("restart", "vitald.service")
    is_ready(vitald_host)
    return vitald_host


def is_ready(host):
    eventually(lambda: host.get("/health/ready").status == 200, within=60)


def metric(host, name):
    (line,) = [line for line in host.get("/metrics").text.splitlines()
               if line.startswith(f"{name} ")]
    return float(line.split()[1])


def restarts(host):
    return int(host.show("vitald.service", "NRestarts"))


def told(host):
    """How many messages each line of the journal that tells of lost ones tells of."""
    return [int(m.split()[0]) for m in host.messages("vitald.service")
            if "log messages were lost" in m]


@contextlib.contextmanager
def stopped(host, unit):
    pid = main_pid(host, unit)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


# -- row 47 --

def test_fault_47_journald_is_stopped(running):
    assert metric(running, "vitald_log_dropped_total") == 0
    with stopped(running, "systemd-journald.service"), \
            ProbeLoad(("127.0.0.1", 9911), "/health/ready", within=running.network) as load:
        eventually(lambda: metric(running, "vitald_log_dropped_total") > 100, within=60)
        runs = metric(running, 'vitald_check_runs_total{service="orders",check="c1",'
                               'outcome="pass"}')
        load.wait_for(300)
        eventually(lambda: metric(running, 'vitald_check_runs_total{service="orders",check="c1",'
                                           'outcome="pass"}') > runs + 3)
    goes_on = time.monotonic()
    assert not load.failures and set(load.answers) == {200}
    eventually(lambda: told(running), within=60)
    eventually(lambda: sum(told(running)) == metric(running, "vitald_log_dropped_total"))
    # Some more may be lost while it catches up.
    assert len(told(running)) <= 1 + (time.monotonic() - goes_on) / TELL_SECONDS
    # The loop did not stand still for as long as that.
    assert restarts(running) == 0


def test_fault_47_journald_is_restarted(running):
    running.systemctl("restart", "systemd-journald.service")
    n = len(running.messages("vitald.service"))
    eventually(lambda: len(running.messages("vitald.service")) > n + 10, within=60)
    assert restarts(running) == 0


# -- row 48 --

@contextlib.contextmanager
def cpu_quota(host, unit, percent):
    """Yields a function that tells how often the unit was kept from running by it."""
    if "cpu" in (host.cgroup / "cgroup.controllers").read_text().split():
        host.systemctl("set-property", "--runtime", unit, f"CPUQuota={percent}%")
        directory = host.cgroup / "system.slice" / unit
    else:       # The processor belongs to the old hierarchy here.
        root = pathlib.Path("/sys/fs/cgroup/cpu")
        if not (root / "cgroup.procs").exists():
            pytest.skip("no cgroup controller for the processor")
        directory = root / host.directory.name
        directory.mkdir()
        (directory / "cpu.cfs_quota_us").write_text(str(percent * 1000))
        (directory / "cgroup.procs").write_text(str(main_pid(host, unit)))

    def throttled():
        stat = dict(line.split() for line in (directory / "cpu.stat").read_text().splitlines())
        return int(stat["nr_throttled"])
    try:
        yield throttled
    finally:
        if directory.parent.name == "system.slice":
            host.systemctl("set-property", "--runtime", unit, "CPUQuota=")
        else:
            for pid in (directory / "cgroup.procs").read_text().split():
                (directory.parent / "cgroup.procs").write_text(pid)
            directory.rmdir()


def test_fault_48_cpu_quota(running):
    """Far more to do than a twentieth of a processor can: nothing flips, nobody is restarted."""
    began = time.monotonic()
    with cpu_quota(running, "vitald.service", 5) as throttled, \
            ProbeLoad(("127.0.0.1", 9911), "/health/ready", threads=2,
                      within=running.network) as load:
        eventually(lambda: time.monotonic() > began + 3 * WATCHDOG_SECONDS and throttled() > 30,
                   within=60, every=0.1)
        load.wait_for(20)
    assert not load.failures and set(load.answers) == {200}
    assert restarts(running) == 0
    assert metric(running, "vitald_lateness_seconds") > 0.03
    messages = running.messages("vitald.service")
    assert not [m for m in messages if "is unhealthy" in m or "is stuck" in m]


# -- row 10 --

def test_fault_10_a_stop_shorter_than_the_watchdog(running, app):
    for _ in range(3):
        with stopped(running, "vitald.service"):
            time.sleep(STOP_SECONDS)
    is_ready(running)
    assert restarts(running) == 0
    assert not [m for m in running.messages("vitald.service") if "is unhealthy" in m]


def test_fault_10_a_stop_that_ends_by_the_watchdog(running):
    """The restart is a clean one: one process, ready again by itself, and nothing said of it."""
    before = len(running.messages("vitald.service"))
    running.run(["kill", "-STOP", running.show("vitald.service", "MainPID")])
    eventually(lambda: restarts(running) == 1, within=60)
    is_ready(running)
    eventually(lambda: running.show("vitald.service", "ActiveState") == "active")
    assert restarts(running) == 1
    after = [m for m in running.messages("vitald.service")[before:] if "run " not in m]
    assert not [m for m in after if "Another vitald" in m or "unhealthy" in m], after
