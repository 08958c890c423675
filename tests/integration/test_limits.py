# SPDX-License-Identifier: MIT
"""Warn= and Fail= of values that real checks measure, and how they show."""

import json

import pytest

from lib.ctl import NO, YES, check, ctl
from lib.peers import Reply

RANGES = "Warn=body:~:100\nFail=body:~:1K\n"


@pytest.fixture
def shop(vitald, http_server):
    """A check of how long an answer is."""
    http_server.reply = Reply(body=10 * b"x")
    vitald.service("shop", check("app", http_server.url(), RANGES))
    vitald.start()
    ctl(vitald, "wait", "shop", "--timeout=10s")
    return vitald


def answer(shop, http_server, size):
    http_server.reply = Reply(body=size * b"x")
    ctl(shop, "run", "shop/app", code=NO if size > 1024 else YES)
    return shop.get("/health/ready/shop", local=True)


def test_a_value_is_graded_on_its_way_up_and_down(shop, http_server):
    good = answer(shop, http_server, 100)
    assert good.status == 200 and "degraded" not in good.json

    warned = answer(shop, http_server, 101)
    assert warned.status == 200 and warned.json["degraded"] == ["app"]
    assert warned.json["checks"]["app"]["reason"] == "threshold/body"
    assert warned.json["checks"]["app"]["error"] == "body is 101 bytes, limit ~:100"

    failed = answer(shop, http_server, 2048)
    assert failed.status == 503
    assert failed.json["checks"]["app"]["reason"] == "threshold/body"
    assert failed.json["checks"]["app"]["error"] == "body is 2.0K, limit ~:1K"
    remote = shop.get("/health/ready/shop").json["checks"]["app"]["error"]
    assert remote == "Beyond the limit: body"

    assert answer(shop, http_server, 50).status == 200


def test_value_and_ranges_are_shown(shop):
    properties = shop.show("shop/app")
    assert [v["Name"] for v in properties["Values"]] == ["body"]
    assert (properties["Warn"], properties["Fail"]) == (["body:~:100"], ["body:~:1K"])
    assert "Warn=body:~:100 Fail=body:~:1K" in ctl(shop, "show", "shop/app")
    assert shop.metrics()['vitald_check_value{service="shop",check="app",name="body",'
                          'unit="bytes"}'] == 10


def test_a_limit_for_a_value_that_is_not_there_is_no_silence(vitald, http_server):
    vitald.service("shop", check("app", http_server.url(), "Fail=depth:5\n"))
    vitald.start()
    ctl(vitald, "wait", "shop", "--timeout=10s")
    app = vitald.get("/health/ready/shop", local=True).json["checks"]["app"]
    assert app["reason"] == "threshold/unknown-value" and "depth" in app["error"]


def test_a_value_that_the_type_does_not_know_is_a_fault(vitald):
    vitald.service("shop", "[Check disk]\nType=disk\nFail=depth:5\n")
    done = vitald.verify()
    assert done.returncode == 78
    assert "shop.conf:3: Fail= in [Check disk]: unknown value depth; there are free, total, " \
        "free_inodes, total_inodes" in done.stderr


def test_a_reload_that_changes_ranges_keeps_the_state(shop, http_server):
    answer(shop, http_server, 50)
    runs = shop.show("shop/app")["NRuns"]
    shop.service("shop", check("app", http_server.url(), "Fail=body:~:20\n"))
    ctl(shop, "reload")
    assert shop.show("shop/app")["NRuns"] == runs
    assert shop.get("/health/ready/shop").status == 200
    ctl(shop, "run", "shop/app", code=NO)
    assert shop.get("/health/ready/shop").status == 503
    assert json.loads(ctl(shop, "show", "shop/app", "--json=short"))["Fail"] == ["body:~:20"]
