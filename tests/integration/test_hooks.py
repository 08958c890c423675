# SPDX-License-Identifier: MIT
"""OnFlip= where nothing can be started; tests/system/test_hooks.py has real units."""

import pytest

from lib.bus import Bus
from lib.manager import Manager
from lib.process import eventually
from lib.push import report

SHOP = "[Service]\nOnFlip=told@%s.service\n[Check job]\nType=push\n"


def flips_on(daemon):
    """Verdicts follow as ever."""
    for word, status in (("pass", 200), ("fail", 503)) * 5:
        report(daemon, "shop/job", word)
        daemon.wait_status("/health/ready", status)


def test_without_a_bus(vitald):
    vitald.service("shop", SHOP)
    vitald.start()
    assert vitald.log.count("OnFlip= has no effect without a bus") == 1
    flips_on(vitald)
    assert not (vitald.runtime_directory / "hooks").exists()


def test_with_a_bus_that_comes_later_and_has_no_systemd(make_vitald, directory):
    bus = Bus(directory / "bus")
    daemon = make_vitald(bus=bus)
    daemon.service("shop", SHOP)
    daemon.start()
    flips_on(daemon)
    with bus:
        eventually(lambda: "org.vitald1" in bus.names(), what="the name")
        flips_on(daemon)
    flips_on(daemon)
    # OnFlip= comes and goes.
    for text in SHOP.replace("OnFlip=told@%s.service", ""), SHOP:
        daemon.service("shop", text)
        assert daemon.vitalctl("reload").returncode == 0
        report(daemon, "shop/job", "fail")


def told(daemon):
    """What the unit is told: the states before and now, and how many flips that is about."""
    text = (daemon.runtime_directory / "hooks/shop").read_text()
    values = dict(line.split("=", 1) for line in text.splitlines())
    return values["VITALD_PREVIOUS_STATE"], values["VITALD_STATE"], values["VITALD_FLIPS"]


@pytest.mark.parametrize("flips_back", [False, True], ids=["stays", "flips back"])
@pytest.mark.parametrize("what_goes", ["systemd", "the bus"])
def test_a_start_that_nobody_answered_stays_due(make_vitald, directory, what_goes, flips_back):
    """Whether the unit was told nobody knows: so it is told again, what is true by then."""
    bus = Bus(directory / "bus")
    daemon = make_vitald(bus=bus)
    daemon.service("shop", SHOP)

    with bus:
        with Manager(directory, bus, answers=False) as manager:
            daemon.start()
            report(daemon, "shop/job", "pass")
            daemon.wait_status("/health/ready", 200)
            eventually(lambda: "Subscribe" in manager.asked)
            report(daemon, "shop/job", "fail")
            eventually(lambda: manager.started == ["told@shop.service"])
            assert told(daemon) == ("ready", "not_ready", "1")
            if what_goes == "the bus":
                bus.process.kill9()
        if what_goes == "the bus":
            bus.start()
        eventually(lambda: "no answer about the unit of OnFlip=" in daemon.log)
        if flips_back:
            report(daemon, "shop/job", "pass")
            daemon.wait_status("/health/ready", 200)
        with Manager(directory, bus, answers=True) as manager:
            eventually(lambda: manager.started == ["told@shop.service"], within=20)
            assert told(daemon) == (("not_ready", "ready", "2") if flips_back
                                    else ("ready", "not_ready", "1"))
            # That was it; what comes next is told as ever.
            report(daemon, "shop/job", "warn")
            eventually(lambda: len(manager.started) == 2, within=20)
            assert told(daemon)[1:] == ("degraded", "1")
            report(daemon, "shop/job", "warn")
            daemon.wait_status("/health/ready", 200)
            assert len(manager.started) == 2


def test_a_restart_hides_no_flip_that_was_held_back(make_vitald, directory):
    """Beyond the rates a flip waits; who starts anew knows what the unit was told last."""
    bus = Bus(directory / "bus")
    daemon = make_vitald(bus=bus)
    daemon.service("shop", SHOP)

    with bus, Manager(directory, bus, answers=True) as manager:
        daemon.start()
        report(daemon, "shop/job", "pass")
        daemon.wait_status("/health/ready", 200)
        eventually(lambda: "Subscribe" in manager.asked)
        for n, (word, status) in enumerate((("fail", 503), ("pass", 200), ("fail", 503)), 1):
            report(daemon, "shop/job", word)
            daemon.wait_status("/health/ready", status)
            eventually(lambda: len(manager.started) == n, within=20)
        report(daemon, "shop/job", "pass")
        daemon.wait_status("/health/ready", 200)
        daemon.stop()
        assert told(daemon) == ("ready", "not_ready", "1") and len(manager.started) == 3
        daemon.start()
        eventually(lambda: len(manager.started) == 4, within=20)
        assert told(daemon) == ("not_ready", "ready", "1")
        daemon.stop()
        daemon.start()
        report(daemon, "shop/job", "fail")
        eventually(lambda: len(manager.started) == 5, within=20)
        assert told(daemon) == ("ready", "not_ready", "1")


@pytest.mark.parametrize("value", ["told@shop.service", "told@%i.service", "told@%s%s.service",
                                   "%s", "told@%s", "../told@%s.service", "told %s.service",
                                   "x" * 200 + "@%s.service"])
def test_a_name_that_is_none_is_refused(vitald, value):
    vitald.service("shop", SHOP.replace("told@%s.service", value))
    done = vitald.verify()
    assert done.returncode != 0 and "vitald-alert@%s.service" in done.stderr + done.stdout
