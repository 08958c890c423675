# SPDX-License-Identifier: MIT
"""Drains that know who has read of them: probers, and what vitalctl says of them."""

import json
import re

import pytest

from lib.ctl import ctl
from lib.peers import HttpServer
from lib.process import eventually

CHECK = "[Check app]\nType=http\nURL={}\nInterval=50ms\nRetryInterval=50ms\n"


@pytest.fixture
def app():
    with HttpServer() as server:
        yield server


@pytest.fixture
def two(vitald, app):
    """Two services that are started; nobody has asked for their readiness."""
    for name in ("orders", "billing"):
        vitald.service(name, CHECK.format(app.url()))
    vitald.service("apart", "[Service]\nHost=no\n" + CHECK.format(app.url()))
    vitald.start()
    for name in ("orders", "billing", "apart"):
        ctl(vitald, "wait", name)
    return vitald


def told(daemon, service=None):
    """{route: answers in a row that said not ready}"""
    done = daemon.vitalctl("status", "--json=short")
    view = json.loads(done.stdout)
    if service:
        view, = (s for s in view["Services"] if s["Name"] == service)
    return {p["Route"]: p["NotReadyInRow"] for p in view["Probers"]}


# -- who has read of it ----------------------------------------------------------------------------

def test_who_is_a_prober_of_what(two):
    assert told(two) == {}
    for route in ("/health/ready", "/health/ready/orders", "/health/ready/billing",
                  "/health/ready/apart", "/health/ready/orders/app", "/health/live/orders",
                  "/health/started", "/metrics", "/no/such"):
        two.get(route)
    assert set(told(two, "orders")) == {"/health/ready", "/health/ready/orders"}
    assert set(told(two, "billing")) == {"/health/ready", "/health/ready/billing"}
    assert set(told(two, "apart")) == {"/health/ready/apart"}
    assert set(told(two)) == {"/health/ready", "/health/ready/orders", "/health/ready/billing",
                              "/health/ready/apart"}


def test_status_says_who_has_read_of_the_drain(two):
    two.get("/health/ready/orders")
    two.get("/health/ready", headers={"User-Agent": "a balancer"})
    ctl(two, "drain", "orders", "--reason=disk", "--timeout=1h")
    out = ctl(two, "status", code=3)
    assert "0 of 2 probers have read 503" in out
    assert re.search(r"^! orders +draining +drained by root \d+s ago, until \S+: disk$", out,
                     re.MULTILINE)
    two.get("/health/ready/orders")
    two.get("/health/ready/orders")
    two.get("/health/ready/billing")
    assert told(two, "orders") == {"/health/ready/orders": 2, "/health/ready": 0}
    assert "1 of 2 probers have read 503" in ctl(two, "status", code=3)
    two.get("/health/ready", headers={"User-Agent": "a balancer"})
    out = ctl(two, "status", "orders", code=3)
    assert "Drain: 2 of 2 probers have read 503: " in out
    assert re.search(r"127\.0\.0\.1 /health/ready/orders every \S+ was told 503", out)
    assert "probers" not in ctl(two, "status", "billing")

    ctl(two, "undrain", "orders")
    assert "prober" not in ctl(two, "status")
    two.get("/health/ready/orders")
    assert told(two, "orders")["/health/ready/orders"] == 0
    ctl(two, "drain", "--all")
    assert "Drain: 1 of 3 probers have read 503: " in ctl(two, "status", code=3)


def test_who_asks_no_more_is_no_prober(two):
    for _ in range(3):
        two.get("/health/ready/orders")
    assert set(told(two, "orders")) == {"/health/ready/orders"}
    eventually(lambda: told(two, "orders") == {})
