# SPDX-License-Identifier: MIT
"""OnFlip= with real units of a real systemd: as root, and as the installed vitald with polkit."""

import time

import pytest

from lib.process import SLOWNESS, eventually, throughout
from lib.push import Sender, lines, report
from lib.units import add_units, system_bus
from lib.vitald import Vitald

OUT = "/run/hooked"
RUNTIME = "/run/hooks-test"
SOURCE_LINES = ("[Service]\nType=oneshot\nEnvironmentFile={runtime}/hooks/%i\n"
                "ExecStart=/bin/sh -ec 'echo %i $VITALD_SUBJECT $VITALD_PREVIOUS_STATE "
                "$VITALD_STATE $VITALD_CHECK $VITALD_REASON $VITALD_FLIPS >> {out}'\n")
UNITS = {"told@.service": "[Unit]\nStartLimitIntervalSec=0\n"
         + SOURCE_LINES.format(runtime=RUNTIME, out=OUT),
         "slow@.service": "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=oneshot\n"
                          f"EnvironmentFile={RUNTIME}/hooks/%i\n"
                          f"ExecStart=/bin/sh -ec 'echo began $VITALD_STATE >> {OUT}; "
                          f"while ! [ -e /run/go ]; do sleep 0.05; done'\n"}
BURST, PERIOD = 3, 10       # As in output/hooks.h.
DRAIN_SECONDS = 8


@pytest.fixture(scope="module")
def units(host):
    add_units(host, UNITS)
    return host


@pytest.fixture
def make(directory, units):
    """A daemon outside of the host, as root, with push checks: make(shop="OnFlip=…")."""
    made = []

    def run(conf="", **services):
        daemon = Vitald(directory, bus=system_bus(units))
        daemon.runtime_directory = units.root / RUNTIME.lstrip("/")
        units.run(["rm", "-rf", RUNTIME, OUT])
        daemon.runtime_directory.mkdir()
        daemon.conf(f"[Daemon]\n{conf}\n")
        for name, text in services.items():
            daemon.service(name, f"[Service]\n{text}\n[Check job]\nType=push\n")
        made.append(daemon)
        daemon.start()
        for name in services:
            report(daemon, f"{name}/job", "pass")
        daemon.wait_status("/health/ready", 200)
        return daemon
    yield run
    for daemon in made:
        daemon.close()
    (units.root / OUT.lstrip("/")).unlink(missing_ok=True)


def told(host):
    try:
        return (host.root / OUT.lstrip("/")).read_text().splitlines()
    except FileNotFoundError:
        return []


def wait_told(host, *expected):
    """Each line begins so, and there are no others."""
    def are_there():
        lines_told = told(host)
        assert len(lines_told) == len(expected), lines_told
        assert all(a.startswith(b) for a, b in zip(lines_told, expected)), lines_told
        return True
    eventually(are_there, within=60, what="what units were told")


def test_a_unit_is_started_with_the_transition(make, units):
    daemon = make(shop="OnFlip=told@%s.service", other="")
    assert told(units) == []        # How it begins is no flip.
    report(daemon, "shop/job", "fail")
    wait_told(units, "shop shop ready not_ready shop/job ")
    report(daemon, "other/job", "fail")
    report(daemon, "shop/job", "pass")
    wait_told(units, "shop shop ready", "shop shop not_ready ready ")
    assert daemon.vitalctl("drain", "shop").returncode == 0
    wait_told(units, "shop shop ready", "shop shop not_ready", "shop shop ready draining drained")


def test_a_restart_is_no_flip_and_hides_none(make, units):
    daemon = make(shop="OnFlip=told@%s.service")
    report(daemon, "shop/job", "fail")
    wait_told(units, "shop shop ready not_ready shop/job ")
    for _ in range(3):
        daemon.stop()
        daemon.start()
        assert daemon.ready().status == 503
    assert len(told(units)) == 1
    # What ended while nobody was there is told as soon as somebody is.
    report(daemon, "shop/job", "pass")
    ends = time.monotonic() + DRAIN_SECONDS
    assert daemon.vitalctl("drain", "shop", f"--timeout={DRAIN_SECONDS}s").returncode == 0
    wait_told(units, "shop shop ready", "shop shop not_ready ready", "shop shop ready draining")
    daemon.stop()
    time.sleep(max(0, ends + 0.5 - time.monotonic()))
    daemon.start()
    wait_told(units, "shop shop ready", "shop shop not_ready ready", "shop shop ready draining",
              "shop shop draining ready")


def test_the_host_has_its_own(make, units):
    daemon = make("OnFlip=told@%s.service", shop="", other="")
    report(daemon, "shop/job", "fail")
    wait_told(units, "host host ready not_ready shop/job ")
    report(daemon, "other/job", "fail")
    report(daemon, "shop/job", "pass")
    report(daemon, "other/job", "pass")
    wait_told(units, "host host ready", "host host not_ready ready ")


def test_a_storm_starts_few(make, units):
    """And the last word that is told is the last that there was."""
    daemon = make(shop="OnFlip=told@%s.service")
    began = time.monotonic()
    with Sender(daemon) as sender:
        for i in range(1000):
            sender.send(lines("shop/job", "pass" if i % 2 else "fail"))
            sender.barrier()
        sender.send(lines("shop/job", "warn"))
        sender.barrier()

    def last_is_told():
        assert told(units)[-1].split()[3] == "degraded", told(units)
        return True
    eventually(last_is_told, within=PERIOD + 60)
    lines_told = told(units)
    seconds = time.monotonic() - began
    assert len(lines_told) <= BURST + seconds / PERIOD + 1
    assert sum(int(line.split()[-1]) for line in lines_told) > 20


def test_one_at_a_time(make, units):
    """While a unit is being started what flips is kept for the next start."""
    (units.root / "run/go").unlink(missing_ok=True)
    daemon = make(shop="OnFlip=slow@%s.service")
    report(daemon, "shop/job", "fail")
    wait_told(units, "began not_ready")
    report(daemon, "shop/job", "warn")
    throughout(lambda: len(told(units)) == 1, 0.5 * SLOWNESS)
    units.write("/run/go", "")
    wait_told(units, "began not_ready", "began degraded")


def test_a_unit_that_is_not_there(make, units):
    daemon = make(shop="OnFlip=nothing@%s.service")
    for word in "fail", "pass", "fail":
        report(daemon, "shop/job", word)
        throughout(lambda: daemon.process.exit_code is None, 0.1)
    eventually(lambda: "shop: the unit of OnFlip= was not started" in daemon.log)
    assert daemon.log.count("was not started") == 1


# -- without being root ----------------------------------------------------------------------------

RULE = "usr/share/polkit-1/rules.d/60-vitald.rules"     # As installed.


def test_polkit_must_allow_it(vitald_host):
    """The installed vitald is not root: it says once what is missing, and with it all is well."""
    host = vitald_host
    flag = "/run/shop.ready"
    rule = (host.root / RULE).read_text()
    (host.root / RULE).unlink()
    host.write(flag, "")
    add_units(host, {"vitald-alert@.service": SOURCE_LINES.format(runtime="/run/vitald", out=OUT)})
    host.write("/etc/vitald/services/shop.conf",
               "[Service]\nOnFlip=vitald-alert@%s.service\n[Check file]\nType=file\n"
               f"Path={flag}\nInterval=100ms\nRetryInterval=100ms\nFailureThreshold=1\n")
    host.systemctl("start", "vitald.socket", "vitald.service")
    eventually(lambda: host.get("/health/ready").status == 200)

    def flip():
        path = host.root / flag.lstrip("/")
        was = path.exists()
        path.unlink() if was else path.touch()
        eventually(lambda: host.get("/health/ready").status == (503 if was else 200))
    flip()
    missing = "A rule of polkit must allow it"
    eventually(lambda: any(missing in m for m in host.messages("vitald.service")), within=60)
    flip()
    assert sum(missing in m for m in host.messages("vitald.service")) == 1
    assert told(host) == []

    if host.systemctl("cat", "polkit.service", check=False).returncode != 0:
        pytest.skip("no polkit on this machine")
    host.write(f"/{RULE}", rule, mode=0o644)
    host.systemctl("restart", "polkit.service")
    flip()
    eventually(lambda: told(host) and told(host)[-1].startswith("shop shop ready not_ready "),
               within=60)
