# SPDX-License-Identifier: MIT
"""Shadow=yes: a check, or a service, that is measured and shown and that nothing depends on."""

import pytest

from lib.ctl import NO, check, ctl
from lib.peers import Reply

DEAD_AT_ONCE = "Probes=readiness liveness startup\nLivenessFailureThreshold=1\n"


@pytest.fixture
def broken(http_server):
    http_server.reply = Reply(status=500)
    return http_server


def test_a_check_in_shadow_is_shown_and_counts_for_nothing(vitald, broken, redis):
    vitald.service("shop", f"[Check cache]\nType=redis\nAddress={redis.address}\n"
                   + check("new", broken.url(), DEAD_AT_ONCE + "Shadow=yes\n"))
    vitald.start()
    ctl(vitald, "wait", "shop", "--timeout=10s")
    ready = vitald.wait_status("/health/ready", 200)
    assert "degraded" not in ready.json
    new = vitald.wait_check("shop/new", healthy=False, shadow=True, reason="status/500")
    assert "latency_ms" not in new
    assert "shadow" not in vitald.ready().json["checks"]["shop/cache"]
    assert vitald.get("/health/live").json == {"status": "alive"}
    assert vitald.get("/health/started").json == {"status": "started"}
    components = vitald.get("/health/status").json["components"]
    assert components["shop/new"]["shadow"] is True and "shadow" not in components["shop/cache"]

    metrics = vitald.metrics()
    labels = '{service="shop",check="%s"}'
    assert metrics["vitald_check_shadow" + labels % "new"] == 1
    assert metrics["vitald_check_healthy" + labels % "new"] == 0
    assert metrics["vitald_check_shadow" + labels % "cache"] == 0

    shown = vitald.show("shop/new")
    assert shown["Shadow"] is True and shown["State"] == "unhealthy" and shown["Blocking"] == []
    assert "in shadow" in ctl(vitald, "show", "shop/new")
    assert "(shadow)" in ctl(vitald, "status", "shop")
    assert "unhealthy (shadow)" in ctl(vitald, "list")
    assert "shop/new is unhealthy: " in vitald.log and "(shadow)" in vitald.log


def test_it_counts_once_it_leaves_the_shadow(vitald, broken, redis):
    cache = f"[Check cache]\nType=redis\nAddress={redis.address}\n"
    vitald.service("shop", cache + check("new", broken.url(), "Shadow=yes\n"))
    vitald.start()
    ctl(vitald, "wait", "shop", "--timeout=10s")
    vitald.wait_check("shop/new", healthy=False)
    vitald.service("shop", cache + check("new", broken.url()))
    ctl(vitald, "reload")
    # A reload by itself takes nothing away, the next result does.
    assert vitald.ready().status == 200
    assert vitald.show("shop/new")["State"] == "unhealthy"
    ctl(vitald, "run", "shop/new", code=NO)
    assert vitald.ready().status == 503


def test_a_service_in_shadow_has_a_verdict_of_its_own(vitald, broken, redis):
    vitald.service("cache", f"[Check cache]\nType=redis\nAddress={redis.address}\n")
    vitald.service("trial", "[Service]\nShadow=yes\nOnLivenessFailure=watchdog\n"
                   + check("app", broken.url(),
                           "Probes=readiness liveness\nLivenessFailureThreshold=1\n"))
    vitald.conf("[Daemon]\nNotifyReady=started\n")
    vitald.start()
    ctl(vitald, "wait", "cache", "--timeout=10s")
    assert vitald.wait_status("/health/ready", 200).json["checks"]["trial/app"]["shadow"] is True
    own = vitald.wait_status("/health/live/trial", 503)
    assert own.json["shadow"] is True
    assert vitald.get("/health/ready/trial").status == 503
    assert vitald.get("/health/live").status == 200
    assert "watchdog" not in vitald.log
    assert "trial is dead because of app (shadow)" in vitald.log
    assert "! trial" not in ctl(vitald, "status")


def test_a_host_with_nothing_but_shadows_is_unconfigured(vitald, http_server):
    vitald.service("trial", "[Service]\nShadow=yes\n" + check("app", http_server.url()))
    vitald.start()
    ctl(vitald, "wait", "trial", "--timeout=10s")
    assert vitald.ready().json["reason"] == "unconfigured"
