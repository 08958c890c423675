# SPDX-License-Identifier: MIT
"""OnFlip= where nothing can be started; tests/system/test_hooks.py has real units."""

import pytest

from lib.bus import Bus
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


@pytest.mark.parametrize("value", ["told@shop.service", "told@%i.service", "told@%s%s.service",
                                   "%s", "told@%s", "../told@%s.service", "told %s.service",
                                   "x" * 200 + "@%s.service"])
def test_a_name_that_is_none_is_refused(vitald, value):
    vitald.service("shop", SHOP.replace("told@%s.service", value))
    done = vitald.verify()
    assert done.returncode != 0 and "vitald-alert@%s.service" in done.stderr + done.stdout
