# SPDX-License-Identifier: MIT
"""A shutdown of the host waits until all who probe have read of it, by a lock of the real logind.

The host survives: its poweroff.target only waits for a job without an end, until that is cancelled.
"""

import contextlib
import re
import threading
import time

import pytest

from lib.host import Host
from lib.process import SLOWNESS, eventually, throughout
from lib.units import add_units
from lib.vitald import fetch

LOGIND = ["org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager"]
UNITS = {
    "poweroff.target": "[Unit]\nDefaultDependencies=no\nAllowIsolate=yes\n"
                       "Requires=never.service\nAfter=never.service\n",
    "never.service": "[Unit]\nDefaultDependencies=no\nStartLimitIntervalSec=0\n"
                     "[Service]\nType=oneshot\nExecStart=/bin/sleep infinity\n",
}
SERVICE = "/etc/vitald/services/orders.conf"
DISK = "[Check disk]\nType=disk\nMinFree=1K\n"
DELAY = 20      # seconds, generous: only what runs into it waits so long
BEGINS = "This host is going down"


def start(host):
    host.write(SERVICE, DISK)
    # Its checks are done by the first start; a moment with none of them is none to ask in.
    host.systemctl("start", "vitald.socket", "vitald-local.socket", "vitald.service")
    eventually(lambda: host.run(["vitalctl", "is-ready"], check=False).returncode == 0)


def set_delay(host, seconds):
    host.write("/etc/systemd/logind.conf.d/vitald.conf",
               f"[Login]\nInhibitDelayMaxSec={seconds}\n")
    host.systemctl("restart", "systemd-logind.service")


@pytest.fixture(scope="module")
def running(vitald_host):
    vitald_host.drop_in("dbus.service", "[Unit]\nStartLimitIntervalSec=0\n")
    vitald_host.drop_in("systemd-logind.service", "[Unit]\nStartLimitIntervalSec=0\n")
    add_units(vitald_host, UNITS)
    set_delay(vitald_host, DELAY)
    start(vitald_host)
    return vitald_host


@pytest.fixture
def vm(running):
    """With the lock, and nobody who has asked of late: who has is forgotten with the file."""
    running.systemctl("stop", "vitald.service")
    running.run(["rm", "-f", "/run/vitald/probers"])
    running.systemctl("start", "vitald.service")
    eventually(lambda: holds(running))
    yield running
    cancel(running)
    running.run(["vitalctl", "undrain", "--all"])
    running.run(["vitalctl", "undrain", "orders"])


def holds(host):
    """Not one that has ended, which logind learns of in its own time."""
    shown = host.run(["systemd-inhibit", "--list", "--no-legend"]).stdout
    pid = host.show("vitald.service", "MainPID")
    return re.search(rf"^vitald +\d+ vitald +{pid} vitald +shutdown .* delay$", shown, re.MULTILINE)


def is_on_bus(host):
    return "org.vitald1 " in host.busctl("list", "--no-legend", "--acquired").stdout


def power_off(host):
    """Returns when, as time.monotonic() counts."""
    at = time.monotonic()
    host.busctl("call", *LOGIND, "PowerOff", "b", "false")
    return at


def is_stopping(host):
    return host.show("never.service", "ActiveState") == "activating"


def stopping_since(host):
    """When logind told systemd to stop the host, as time.monotonic() counts."""
    eventually(lambda: is_stopping(host), within=2 * DELAY)
    return int(host.show("never.service", "ExecMainStartTimestampMonotonic")) / 1e6


def is_preparing(host):
    return host.busctl("get-property", *LOGIND, "PreparingForShutdown").stdout == "b true\n"


def cancel(host):
    if is_preparing(host):
        eventually(lambda: is_stopping(host), within=2 * DELAY)
    host.systemctl("cancel")
    host.systemctl("stop", "never.service")     # What a job began goes on without it.
    eventually(lambda: not is_preparing(host))


def is_ready(host):
    return host.run(["vitalctl", "is-ready"], check=False).returncode == 0


def status(host):
    return host.run(["vitalctl", "status"], check=False).stdout


def said(host, text):
    """The messages of this run of vitald that hold the text."""
    invocation = host.show("vitald.service", "InvocationID")
    return [m for m in (e.get("MESSAGE", "") for e in
                        host.journal(f"_SYSTEMD_INVOCATION_ID={invocation}")) if text in m]


class Prober:
    """A load balancer's probes; each answer with when it was asked for and when it was there."""

    def __init__(self, host, every=0.05, path="/health/ready/orders"):
        self.host, self.every, self.path = host, every, path
        self.answers, self.error = [], None
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        with self.host.network():
            while not self.stop.wait(self.every):
                asked = time.monotonic()
                try:
                    answer = fetch(("127.0.0.1", 9911), self.path)
                except OSError as e:
                    self.error = self.error or e
                    return
                self.answers.append((asked, time.monotonic(), answer.status))

    def __enter__(self):
        self.thread.start()
        eventually(lambda: len(self.answers) >= 3)
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()

    def statuses(self, before=float("inf")):
        """Of the probes that were sent before then: who sends one has read the answers to all that
        he has sent, however long it takes until he can say so."""
        return [status for asked, _, status in self.answers if asked < before]


def test_the_lock_is_listed(vm):
    assert said(vm, f"A shutdown of this host will wait for vitald, for up to {DELAY}s")
    assert vm.show("vitald.service", "User") == "vitald"


def test_probers_read_it_before_anything_stops(vm):
    with Prober(vm) as prober:
        begun = power_off(vm)
        stopped = stopping_since(vm)
        assert is_preparing(vm)
        shown = status(vm)
        before = prober.statuses(before=stopped)
        # What was on its way when it began, and what it reads from then on.
        assert before.count(503) >= 2 and 200 not in before[before.index(503):]
        asked, answered, _ = next(a for a in prober.answers if a[2] == 503)
        assert begun < answered and asked < stopped < begun + DELAY
        assert re.search(r"NOT READY \(503\)  drained by shutdown \d+s ago: this host is going "
                         r"down, at the latest at \d\d:\d\d:\d\d\n", shown)
        eventually(lambda: "drained by shutdown: this host is going down, at the latest at"
                   in vm.show("vitald.service", "StatusText"))
        assert said(vm, "The shutdown goes on: 1 of 1 probers have read 503 2 times")

        cancel(vm)
        eventually(lambda: prober.statuses()[-1] == 200)
    assert prober.error is None
    eventually(lambda: holds(vm))
    assert said(vm, "This host is not going down, after all")
    assert "drained" not in status(vm)


def test_as_often_as_the_load_balancer_wants_to_read_it(vm):
    vm.write("/etc/vitald/vitald.conf.d/lb.conf",
               "[HTTP]\nLoadBalancer=other\nLoadBalancerInterval=50ms\nLoadBalancerThreshold=9\n")
    vm.run(["vitalctl", "reload"])
    try:
        with Prober(vm) as prober, Prober(vm, path="/health/ready") as other:
            power_off(vm)
            stopped = stopping_since(vm)
        assert prober.statuses(before=stopped).count(503) >= 9
        assert other.statuses(before=stopped).count(503) >= 9
        assert said(vm, "2 of 2 probers have read 503 9 times")
    finally:
        vm.run(["rm", "/etc/vitald/vitald.conf.d/lb.conf"])
        vm.run(["vitalctl", "reload"])


def test_nobody_asks_nobody_waits(vm):
    begun = power_off(vm)
    assert stopping_since(vm) < begun + DELAY / 2
    assert said(vm, "The shutdown goes on: nobody has asked of late")
    assert "drained by shutdown" in status(vm)


def lets_go_in_time(host):
    """Whether logind has not lost its patience; it has two seconds of it, and nobody asks again."""
    def losses():
        return sum("inhibitor timeout is reached" in m
                   for m in host.messages("systemd-logind.service"))
    before = losses()
    host.systemctl("restart", "vitald.service")
    eventually(lambda: said(host, "for up to 2s"))
    host.get("/health/ready/orders", headers={"User-Agent": "once"})
    begun = power_off(host)
    assert stopping_since(host) - begun > 1.5
    eventually(lambda: said(
        host, "The shutdown goes on too soon: 0 of 1 probers have read 503 2 times; 127.0.0.1 "
        "/health/ready/orders by once: 0 times; InhibitDelayMaxSec= of logind.conf(5) gives them "
        "more time"))
    cancel(host)
    return losses() == before


def test_it_does_not_wait_for_longer_than_logind(vm):
    """Who asked but once may come again; vitald lets go by itself, before logind loses patience."""
    set_delay(vm, 2)
    try:
        # A quarter of a second is left; that this machine has stood still for so long is not ours.
        assert any(lets_go_in_time(vm) for _ in range(5))
    finally:
        cancel(vm)
        set_delay(vm, DELAY)


def test_drains_of_people_stay(vm):
    vm.run(["vitalctl", "drain", "orders", "--reason=ticket 7"])
    power_off(vm)
    stopping_since(vm)
    vm.run(["vitalctl", "undrain", "--all"])       # It is not theirs.
    assert "drained by shutdown" in status(vm)
    cancel(vm)
    eventually(lambda: "drained by root" in status(vm))
    throughout(lambda: vm.get("/health/ready/orders").status == 503, 0.3)
    vm.run(["vitalctl", "undrain", "orders"])
    assert vm.get("/health/ready/orders").status == 200

    vm.run(["vitalctl", "drain", "--all"])
    power_off(vm)
    stopping_since(vm)
    cancel(vm)
    eventually(lambda: "drained by root" in status(vm))
    vm.run(["vitalctl", "undrain", "--all"])
    assert is_ready(vm)


def test_a_restart_in_the_midst_of_it(vm):
    """A vitald that begins then is not ready, and leaves the shutdown alone."""
    power_off(vm)
    stopping_since(vm)
    vm.systemctl("restart", "vitald.service")
    eventually(lambda: "drained by shutdown" in status(vm))
    eventually(lambda: said(vm, "This host is going down, and does not wait"))
    assert not said(vm, "will not wait")
    cancel(vm)
    eventually(lambda: is_ready(vm))
    eventually(lambda: holds(vm))


def test_logind_and_the_bus_begin_anew(vm):
    for command in (["restart", "systemd-logind.service"], ["restart", "dbus.service"],
                    ["restart", "systemd-logind.service"]):
        vm.systemctl(*command)
        eventually(lambda: is_on_bus(vm) and holds(vm))
    begun = power_off(vm)
    assert stopping_since(vm) < begun + DELAY / 2
    assert said(vm, "nobody has asked of late")
    assert not said(vm, "will not wait")


def test_not_wanted(vm):
    vm.write("/etc/vitald/vitald.conf.d/shutdown.conf", "[Daemon]\nDrainOnShutdown=no\n")
    vm.run(["vitalctl", "reload"])
    try:
        eventually(lambda: not holds(vm))       # logind learns of it a moment later.
        power_off(vm)
        stopping_since(vm)
        assert is_ready(vm)
        cancel(vm)
    finally:
        vm.run(["rm", "/etc/vitald/vitald.conf.d/shutdown.conf"])
        vm.run(["vitalctl", "reload"])
    eventually(lambda: holds(vm))


def test_not_permitted(vm):
    """Without polkit only root may hold a shutdown up: one line, and all else goes on."""
    vm.systemctl("mask", "--runtime", "--now", "polkit.service")
    try:
        vm.systemctl("restart", "vitald.service")
        eventually(lambda: said(vm, "A shutdown of this host will not wait for vitald: "))
        assert is_ready(vm)
        eventually(lambda: not holds(vm))
        # It is heard of all the same.
        power_off(vm)
        stopping_since(vm)
        eventually(lambda: "drained by shutdown" in status(vm))
        assert len(said(vm, "will not wait")) == 1
        cancel(vm)
        eventually(lambda: is_ready(vm))
    finally:
        vm.systemctl("unmask", "--runtime", "polkit.service")


def test_without_logind(vm):
    vm.systemctl("mask", "--runtime", "--now", "systemd-logind.service")
    vm.systemctl("restart", "vitald.service")
    eventually(lambda: said(vm, "will not wait for vitald: there is no logind"))
    assert is_ready(vm)
    vm.systemctl("unmask", "--runtime", "systemd-logind.service")
    vm.systemctl("start", "systemd-logind.service")
    eventually(lambda: holds(vm))


def test_the_finding(vm):
    """Held against what logind says here."""
    vm.write("/etc/vitald/vitald.conf.d/lb.conf", "[HTTP]\nLoadBalancer=aws-alb\n")
    try:
        shown = vm.run(["vitalctl", "verify"], check=False)
        assert ("it takes up to 1min to notice that nothing is ready here, and a shutdown waits "
                f"for {DELAY}s at most; InhibitDelayMaxSec=1min 1s") in shown.stderr
        vm.run(["cp", "/usr/share/vitald/examples/logind.conf.d/vitald.conf",
                "/etc/systemd/logind.conf.d/"])
        assert "shutdown-delay" not in vm.run(["vitalctl", "verify"], check=False).stderr
        vm.systemctl("restart", "systemd-logind.service")
        assert vm.busctl("get-property", *LOGIND, "InhibitDelayMaxUSec").stdout == "t 70000000\n"
    finally:
        vm.run(["rm", "/etc/vitald/vitald.conf.d/lb.conf"])
        set_delay(vm, DELAY)


def test_a_real_shutdown(build, needs_host):
    """To its end: systemctl poweroff, and the prober reads 503 until nobody is there any more."""
    with Host() as host:
        host.install(build)
        set_delay(host, DELAY)
        start(host)
        eventually(lambda: holds(host))
        with Prober(host) as prober:
            with contextlib.suppress(AssertionError):
                host.systemctl("poweroff")
            host.process.popen.wait(100 * SLOWNESS)
            eventually(lambda: prober.error)
    read = prober.statuses()
    assert set(read) == {200, 503} and read[-2:] == [503, 503]
    assert read.count(503) >= 2 and 200 not in read[read.index(503):]
