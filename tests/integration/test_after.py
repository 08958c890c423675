# SPDX-License-Identifier: MIT
"""After= and Type=all-of, any-of, quorum: states that hang on those of other, real checks."""

import pytest

from lib.ctl import NO, check, ctl
from lib.peers import Reply
from lib.process import eventually


def cache(redis, more=""):
    return (f"[Check cache]\nType=redis\nAddress={redis.address}\nInterval=1d\n"
            f"RetryInterval=100ms\nFailureThreshold=1\n{more}")


def test_one_cause_one_alarm(vitald, redis, http_server):
    vitald.service("shop", cache(redis) + check("app", http_server.url(), "After=cache\n"))
    vitald.start()
    ctl(vitald, "wait", "shop", "--timeout=10s")
    redis.kill9()
    app = vitald.wait_check("shop/app", healthy=False, reason="skipped")
    assert app["error"] == "Waits for another check"
    assert "Waits for cache" in ctl(vitald, "show", "shop/app")
    assert "After     " in ctl(vitald, "show", "shop/app")
    assert vitald.show("shop/app")["After"] == ["cache"]
    seen = len(http_server.requests) if hasattr(http_server, "requests") else None
    done = vitald.vitalctl("run", "shop/app")
    assert done.returncode == 1 and "waits for another check" in done.stderr
    runs = vitald.show("shop/app")["NRuns"]

    redis.start()
    ctl(vitald, "run", "shop/cache")
    # Not a day later: at once.
    vitald.wait_check("shop/app", healthy=True)
    assert vitald.show("shop/app")["NRuns"] == runs + 1
    assert seen is None or len(http_server.requests) == seen + 1


def test_a_reload_lets_it_go(vitald, redis, http_server):
    redis.kill9()
    vitald.service("shop", cache(redis) + check("app", http_server.url(), "After=cache\n"))
    vitald.start()
    vitald.wait_check("shop/app", healthy=False, reason="skipped")
    vitald.service("shop", cache(redis) + check("app", http_server.url()))
    ctl(vitald, "reload")
    vitald.wait_check("shop/app", healthy=True)
    vitald.service("shop", cache(redis) + check("app", http_server.url(), "After=cache\n"))
    ctl(vitald, "reload")
    vitald.wait_check("shop/app", healthy=False, reason="skipped")


@pytest.mark.parametrize("combined, survives", [
    ("Type=all-of\nChecks=cache app\n", False),
    ("Type=any-of\nChecks=cache\nChecks=app\n", True),
    ("Type=quorum\nChecks=cache app\n", False),
    ("Type=quorum\nChecks=cache app\nMinimum=1\n", True),
], ids=["all-of", "any-of", "quorum", "quorum of one"])
def test_combined(vitald, redis, http_server, combined, survives):
    vitald.service("shop", cache(redis, "Critical=no\n") +
                   check("app", http_server.url(), "Critical=no\n") + f"[Check both]\n{combined}")
    vitald.start()
    ctl(vitald, "wait", "shop", "--timeout=10s")
    assert vitald.ready().json["checks"]["shop/both"] == {"healthy": True}
    redis.kill9()
    vitald.wait_check("shop/cache", healthy=False)
    answer = vitald.get("/health/ready/shop", local=True)
    both = answer.json["checks"]["both"]
    assert answer.status == (200 if survives else 503)
    assert both["reason"] == "refused" or both["reason"] in ("closed", "reset")
    assert both["error"].startswith("cache: ") and "1 of 2 good" in both["error"]
    shown = vitald.show("shop/both")
    assert shown["Target"] == "cache, app" and shown["NRuns"] == 0
    done = vitald.vitalctl("run", "shop/both")
    assert done.returncode == 1 and "has no runs" in done.stderr
    ctl(vitald, "show", "shop/both")

    http_server.reply = Reply(status=500)
    ctl(vitald, "run", "shop/app", code=NO)
    assert vitald.get("/health/ready/shop").status == 503
    redis.start()
    http_server.reply = Reply(body=b"ok")
    ctl(vitald, "run", "shop/app")
    ctl(vitald, "run", "shop/cache")
    assert eventually(lambda: vitald.ready().json["checks"]["shop/both"]["healthy"],
                      what="both good")


@pytest.mark.parametrize("text, fault", [
    ("[Check a]\nType=memory\nAfter=b\n", "3: After= in [Check a]: this service has no check b"),
    ("[Check a]\nType=memory\nAfter=a\n", "3: After= in [Check a]: a would wait for itself"),
    ("[Check a]\nType=memory\nAfter=b\n[Check b]\nType=all-of\nChecks=a\n",
     "would wait for itself, by way of "),
    ("[Check a]\nType=memory\n[Check b]\nType=all-of\nChecks=a\nInterval=5s\n",
     "6: Interval= in [Check b]: means nothing for a check that has no runs"),
    ("[Check a]\nType=memory\n[Check b]\nType=all-of\nChecks=a\nFailureThreshold=5\n",
     "6: FailureThreshold= in [Check b]: means nothing"),
    ("[Check a]\nType=memory\n[Check b]\nType=quorum\nChecks=a\nMinimum=2\n",
     "6: Minimum= in [Check b]: more than there are in Checks="),
    ("[Check b]\nType=any-of\n", "1: Checks= in [Check b]: required, but not set"),
    ("[Check a]\nType=tcp\nAddress=db:1\n[Check b]\nType=all-of\nChecks=a\nProbes=liveness\n",
     "7: Probes= in [Check b]: liveness must not depend on another host"),
], ids=["unknown", "itself", "cycle", "interval", "threshold", "minimum", "required", "remote"])
def test_fault_3_cycles_and_unknown_names(vitald, text, fault):
    vitald.service("shop", text)
    done = vitald.verify()
    assert done.returncode == 78 and fault in done.stderr, done.stderr


def test_a_combined_check_is_not_shared(vitald):
    vitald.write("checks/both.conf", "[Check]\nType=all-of\nChecks=a\n")
    assert "cannot be shared" in vitald.verify().stderr
