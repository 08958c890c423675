# SPDX-License-Identifier: MIT
"""What checks need beyond the shipped unit: they say so, and the drop-in that they name is enough.
"""

import os
import pathlib
import signal
import time

import pytest

from lib.pressure import Pressure, Trigger, is_measured, memory_cgroup
from lib.process import eventually
from lib.scenario import assert_prompt

INSTALLED = "/usr/share/vitald/drop-ins"
CAP_SYS_RESOURCE = 24

CHECKS = """
[Check clock]
Type=clock
Interval=200ms
[Check pressure]
Type=pressure
Interval=200ms
Window=500ms
MaxStall=500ms
[Check named]
Type=process
Name=vitald-sleeper
Interval=200ms
[Check write]
Type=disk
Path=/srv/uploads
MinFree=1
WriteTest=yes
Interval=200ms
"""

PRESSED = """
[Check memory]
Type=pressure
Interval=60s
RetryInterval=10ms
Window=500ms
MaxStall=50ms
FailureThreshold=1
"""

# A unit whose processes the sandbox hides; it is killed often.
SLEEPER = """
[Unit]
StartLimitIntervalSec=0
[Service]
ExecStart=/usr/local/bin/vitald-sleeper 1000
Restart=no
"""
UNIT = """
[Check unit]
Type=process
Unit=sleeper.service
Interval=60s
RetryInterval=10ms
FailureThreshold=1
"""


@pytest.fixture(scope="module")
def running(vitald_host):
    vitald_host.write("/etc/vitald/services/local.conf", CHECKS)
    vitald_host.write("/etc/vitald/services/sleeper.conf", UNIT)
    vitald_host.write("/etc/systemd/system/sleeper.service", SLEEPER)
    vitald_host.run(["cp", "/bin/sleep", "/usr/local/bin/vitald-sleeper"])
    vitald_host.run(["mkdir", "-p", "/srv/uploads"])
    vitald_host.systemctl("daemon-reload")
    vitald_host.systemctl("start", "sleeper.service")
    vitald_host.systemctl("start", "vitald.socket", "vitald-local.socket", "vitald.service")
    return vitald_host


def result(host, name):
    """What a run of SERVICE/CHECK says."""
    return host.run(["vitalctl", "run", name], check=False).stdout


def install(host, name):
    place = f"/etc/systemd/system/vitald.service.d/{name}"
    host.run(["install", "-D", "-m", "644", f"{INSTALLED}/{name}", place])
    host.systemctl("daemon-reload")
    host.systemctl("restart", "vitald.service")


def says(host, name, *words):
    def matches():
        shown = result(host, name)
        for word in words:
            assert word in shown
        return True
    eventually(matches)


def test_clock(running):
    says(running, "local/clock", "may not be asked", "drop-in clock.conf")
    running.run(["install", "-D", "/dev/null", "/run/systemd/timesync/synchronized"])
    says(running, "local/clock", "systemd-timesyncd")
    install(running, "clock.conf")
    eventually(lambda: "systemd-timesyncd" not in result(running, "local/clock")
               and "may not be asked" not in result(running, "local/clock"))
    says(running, "local/clock", "ynchronised")


def install_pressure(host):
    """Where nobody on this machine can have the capability, in a user namespace vitald has it: the
    kernel asks for no more than that it is in force where the file is opened."""
    status = pathlib.Path("/proc/self/status").read_text()
    if not int(status.partition("CapBnd:")[2].split()[0], 16) >> CAP_SYS_RESOURCE & 1:
        host.write("/etc/systemd/system/vitald.service.d/users.conf",
                   "[Service]\nPrivateUsers=yes\n")
    install(host, "pressure.conf")


@pytest.mark.skipif(not is_measured(), reason="this kernel measures no pressure")
def test_pressure(running):
    says(running, "local/pressure", "polled", "drop-in pressure.conf")
    install_pressure(running)
    eventually(lambda: "polled" not in result(running, "local/pressure"))
    says(running, "local/pressure", "stalled")


@pytest.mark.timing
@pytest.mark.skipif(not is_measured(), reason="this kernel measures no pressure")
def test_pressure_is_seen_within_50_ms_of_the_kernels_word(running, tmp_path):
    """Interval= is a minute; the kernel's word as in test_pressure.py."""
    running.write("/etc/vitald/services/pressed.conf", PRESSED)
    install_pressure(running)

    def is_good():
        return running.get("/health/ready/pressed").status == 200
    with memory_cgroup() as cgroup:
        if cgroup is None:
            pytest.skip("no cgroup with a memory limit can be made here")
        delays = []
        with Pressure(cgroup, tmp_path) as pressure:
            for _ in range(20):
                eventually(is_good)
                trigger = Trigger("some 50000 500000")
                pressure.on()
                fired = trigger.next()
                eventually(lambda: not is_good(), every=0)
                delays.append(time.monotonic() - fired)
                trigger.close()
                pressure.off()
    running.run(["rm", "/etc/vitald/services/pressed.conf"])
    assert_prompt(delays)


def test_process_by_name(running):
    says(running, "local/named", "hides the processes", "drop-in process.conf")
    install(running, "process.conf")
    says(running, "local/named", "vitald-sleeper: 1 process")


def test_write_test(running):
    says(running, "local/write", "the sandbox keeps it", "drop-in disk-write.conf")
    install(running, "disk-write.conf")
    says(running, "local/write", "may not write there")
    running.run(["chown", "vitald", "/srv/uploads"])
    says(running, "local/write", "/srv/uploads: ", "free")
    eventually(lambda: running.run(["ls", "-A", "/srv/uploads"]).stdout == "")


def pid_outside(host, unit):
    """The first process of a unit, by the number that this machine knows it by."""
    procs = host.cgroup / "system.slice" / unit / "cgroup.procs"
    return int(procs.read_text().split()[0])


def is_ready(host):
    return host.get("/health/ready/sleeper").status == 200


@pytest.mark.timing
def test_a_unit_needs_no_drop_in_and_its_end_is_seen_within_50_ms(running):
    """Its processes are hidden, its control group is not; Interval= is a minute."""
    running.run(["sh", "-c", "rm -f /etc/systemd/system/vitald.service.d/*.conf"])
    running.systemctl("daemon-reload")
    running.systemctl("restart", "vitald.service")
    delays = []
    for _ in range(20):
        running.systemctl("restart", "sleeper.service")
        # That it is there again is seen as well.
        eventually(lambda: is_ready(running))
        pid = pid_outside(running, "sleeper.service")
        began = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not is_ready(running), every=0)
        delays.append(time.monotonic() - began)
    assert_prompt(delays)
    says(running, "sleeper/unit", "sleeper.service: no such process")


def test_memory_of_a_unit(running):
    """By its limits where they are counted; where not, it says what is missing."""
    running.systemctl("restart", "sleeper.service")
    running.write("/etc/vitald/services/room.conf",
                  "[Check room]\nType=memory\nUnit=sleeper.service\n")
    running.systemctl("reload", "vitald.service")
    if "memory" in (running.root / "sys/fs/cgroup/cgroup.controllers").read_text().split():
        running.systemctl("set-property", "--runtime", "sleeper.service", "MemoryMax=50M")
        says(running, "room/room", "of 50M available")
    else:
        says(running, "room/room", "MemoryAccounting=yes")
    running.systemctl("stop", "sleeper.service")
    says(running, "room/room", "sleeper.service does not run")
