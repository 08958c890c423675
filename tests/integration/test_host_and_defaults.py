# SPDX-License-Identifier: MIT
"""[Service] Host= and [Defaults], as the daemon acts on them."""

from lib.ctl import NO, check, ctl
from lib.peers import Reply


def test_a_service_that_the_host_does_not_depend_on(vitald, http_server, redis):
    http_server.reply = Reply(status=500)
    vitald.service("cache", f"[Check cache]\nType=redis\nAddress={redis.address}\n")
    vitald.service("extra", "[Service]\nHost=no\n"
                   + check("app", http_server.url(),
                           "Probes=readiness liveness\nLivenessFailureThreshold=1\n"))
    vitald.start()
    ctl(vitald, "wait", "cache", "--timeout=10s")
    vitald.wait_status("/health/live/extra", 503)
    assert vitald.get("/health/ready/extra").status == 503
    host = vitald.get("/health/ready")
    assert host.status == 200 and "extra/app" not in host.json["checks"]
    assert vitald.get("/health/live").status == 200
    ctl(vitald, "status", "extra", code=NO)

    vitald.service("extra", check("app", http_server.url()))
    ctl(vitald, "reload")
    # A reload by itself takes nothing away, the next result does.
    assert vitald.get("/health/ready").status == 200
    ctl(vitald, "run", "extra/app", code=NO)
    assert vitald.get("/health/ready").status == 503


def test_defaults_stand_under_the_keys_of_a_check(vitald, http_server):
    url = http_server.url()
    vitald.conf("[Defaults]\nInterval=1d\nRetryInterval=1d\nFailureThreshold=1\nCritical=no\n")
    vitald.service("shop", f"[Check one]\nType=http\nURL={url}\n"
                           f"[Check two]\nType=http\nURL={url}\nCritical=yes\nFailureThreshold=2\n")
    vitald.start()
    ctl(vitald, "wait", "shop", "--timeout=10s")
    http_server.reply = Reply(status=500)
    for name in ("one", "two"):
        ctl(vitald, "run", f"shop/{name}", code=NO)
    ready = vitald.ready()
    assert ready.status == 200 and ready.json["degraded"] == ["shop/one"]
    assert vitald.show("shop/two")["IntervalUSec"] == 86400 * 10**6
    ctl(vitald, "run", "shop/two", code=NO)
    assert vitald.ready().status == 503
