# SPDX-License-Identifier: MIT
"""Every path, code and body of vitald-http(7), held against the schemas in data/schemas."""

import json
import re
import subprocess
import time

import jsonschema
import pytest

from lib.process import eventually
from lib.vitald import SOURCE

SCHEMAS = {path.stem: json.loads(path.read_text())
           for path in (SOURCE / "data/schemas").glob("*.json")}

LIVE = ["/health", "/health/live", "/live", "/livez"]
READY = ["/health/ready", "/ready", "/readyz"]
STARTED = ["/health/started", "/startupz"]

CHECK = """
[Check {name}]
Type=http
URL={url}
Interval=200ms
RetryInterval=50ms
Timeout=5s
{more}
"""


def check(name, server, more=""):
    return CHECK.format(name=name, url=server.url(), more=more)


def valid(answer, schema):
    """The body, if it is as its schema wants it."""
    assert answer.headers["content-type"] == "application/json"
    jsonschema.Draft202012Validator(SCHEMAS[schema]).validate(answer.json)
    return answer.json


@pytest.mark.parametrize("name", SCHEMAS)
def test_schema_is_one(name):
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])


@pytest.fixture
def shop(vitald, http_server):
    """Two services on the same server: it decides over both."""
    vitald.service("default", "[Service]\n" + check("database", http_server))
    vitald.service("orders", "[Service]\n" +
                   check("app", http_server, "Probes=readiness liveness startup") +
                   check("cache", http_server, "Critical=no"))
    vitald.start()
    vitald.wait_status("/health/ready", 200)
    vitald.wait_check("orders/cache", healthy=True)
    return vitald


def test_everything_is_fine(shop):
    for path in LIVE:
        answer = shop.get(path)
        assert (answer.status, valid(answer, "live")) == (200, {"status": "alive"})
    for path in STARTED:
        answer = shop.get(path)
        assert (answer.status, valid(answer, "started")) == (200, {"status": "started"})
    for path in READY:
        answer = shop.get(path)
        body = valid(answer, "ready")
        assert (answer.status, body["status"]) == (200, "ready")
        assert set(body) == {"status", "checks"}
        checks = {k: v for k, v in body["checks"].items() if not k.startswith("host/")}
        assert set(checks) == {"database", "orders/app", "orders/cache"}
        assert all(set(c) == {"healthy", "latency_ms"} and c["healthy"] for c in checks.values())
        assert all(re.fullmatch(r"\d+\.\d", latency)
                   for latency in re.findall(r'"latency_ms":([^,}]*)', answer.text))

    report = valid(shop.get("/health/status"), "status")
    assert report["status"] == "UP"
    assert report["components"]["orders/cache"] == {"status": "UP", "message": "Healthy"}
    assert re.fullmatch("Up for .+", report["components"]["application_uptime"]["message"])


def test_one_service(shop):
    assert valid(shop.get("/health/live/orders"), "live") == {"status": "alive",
                                                              "service": "orders"}
    assert valid(shop.get("/health/started/orders"), "started") == {"status": "started",
                                                                    "service": "orders"}
    body = valid(shop.get("/health/ready/orders"), "ready")
    assert (body["service"], set(body["checks"])) == ("orders", {"app", "cache"})
    body = valid(shop.get("/health/status/default"), "status")
    assert (body["service"], set(body["components"])) == ("default",
                                                          {"database", "application_uptime"})


def test_paths_that_are_none(shop):
    for path in ("/nothing", "/health/nothing", "/health/ready/nothing", "/health/ready/orders/x",
                 "/healthz", "/health//", "/livez/orders", "/metrics/orders", "/HEALTH",
                 "/health/ready/%00", "/health/../health", "/" + "x" * 7000):
        answer = shop.get(path)
        assert (answer.status, answer.text) == (404, "404 Not Found\n"), path


def test_paths_that_are_the_same(shop):
    for path in ("/health/ready/", "/health/ready/orders/", "/health/ready?x=y", "/",
                 "/health/%72eady", "/health/ready/%6frders"):
        assert shop.get(path).status == 200, path


def test_methods(shop):
    for path in ("/", "/health/ready", "/health/ready/orders", "/health/status"):
        get, head = shop.get(path), shop.get(path, method="HEAD")
        assert (head.status, head.body) == (get.status, b"")
        options = shop.get(path, method="OPTIONS")
        assert (options.status, options.body) == (200, b"")
        assert options.headers["allow"] == "GET, HEAD, OPTIONS"
    assert shop.get("*", method="OPTIONS").status == 204
    for method in ("POST", "PUT", "DELETE", "PATCH", "TRACE"):
        answer = shop.get("/health", method=method)
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


def test_headers_tie_answers_to_pictures(shop):
    answer = shop.get("/health/ready")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-health"] == "ready"
    sequence = int(answer.headers["x-health-sequence"])
    eventually(lambda: int(shop.get("/health/live").headers["x-health-sequence"]) > sequence)

    # The same picture is the same body, on whatever path.
    bodies = {}
    for _ in range(200):
        for path in READY:
            answer = shop.get(path)
            bodies.setdefault(answer.headers["x-health-sequence"], set()).add(answer.text)
    assert all(len(texts) == 1 for texts in bodies.values())


def test_server_dies_and_comes_back(shop, http_server):
    http_server.kill()
    for name in ("database", "orders/app", "orders/cache"):
        shop.wait_check(name, healthy=False)
    shop.wait_status("/health/live", 503)
    dead = valid(shop.get("/health/live"), "live")
    assert dead["checks"] == {"orders/app": {"healthy": False, "reason": "refused",
                                             "error": "Connection refused"}}
    answer = shop.wait_status("/health/ready", 503)
    body = valid(answer, "ready")
    assert body["status"] == "not_ready"
    for name in ("database", "orders/app", "orders/cache"):
        assert body["checks"][name] == {"healthy": False, "reason": "refused",
                                        "error": "Connection refused"}
    assert shop.get("/health/started").status == 200
    assert answer.headers["x-health"] in ("dead", "not_ready")
    assert shop.get("/", method="OPTIONS").status == 503
    assert shop.get("/", method="HEAD").status == 503

    report = shop.get("/health/status")
    assert report.status == 503
    assert valid(report, "status")["components"]["database"] == {
        "status": "DOWN", "message": "Connection refused"}

    http_server.start()
    shop.wait_status("/health/ready", 200)
    shop.wait_status("/health/live", 200)


def test_more_is_told_on_the_unix_socket(shop, http_server):
    http_server.kill()
    shop.wait_check("database", healthy=False)
    shop.wait_check("orders/app", healthy=False)
    near = valid(shop.get("/health/ready", local=True), "ready")["checks"]["database"]
    far = valid(shop.get("/health/ready"), "ready")["checks"]["database"]
    assert near["reason"] == far["reason"] == "refused"
    assert str(http_server.port) in near["error"]
    assert str(http_server.port) not in shop.get("/health/ready").text
    assert str(http_server.port) not in shop.get("/health/status").text
    assert str(http_server.port) in shop.get("/health/status", local=True).text
    assert shop.get("/").text in ("not_ready\n", "dead\n")
    assert "NOT READY: 0 of 2 services ready" in shop.get("/", local=True).text


def test_degraded(vitald, http_server):
    with type(http_server)() as other:
        vitald.service("orders", "[Service]\n" + check("database", http_server) +
                       check("cache", other, "Critical=no"))
        vitald.start()
        vitald.wait_status("/health/ready", 200)
        other.kill()

        def is_degraded():
            answer = vitald.get("/health/ready")
            assert valid(answer, "ready").get("degraded") == ["orders/cache"]
            return answer
        answer = eventually(is_degraded)
        assert (answer.status, answer.headers["x-health"]) == (200, "degraded")
        body = valid(vitald.get("/health/ready/orders"), "ready")
        assert (body["status"], body["degraded"]) == ("ready", ["cache"])

        vitald.conf("[HTTP]\nDegradedStatus=503\n")
        vitald.reload()
        answer = vitald.wait_status("/health/ready", 503)
        assert valid(answer, "ready")["status"] == "ready"


def test_starting(vitald, http_server):
    http_server.kill()
    vitald.service("orders", "[Service]\n" +
                   check("database", http_server, "Probes=startup readiness"))
    vitald.start()
    answer = vitald.get("/health/started")
    assert (answer.status, valid(answer, "started")) == (503, {
        "status": "starting", "detail": "Service is still initialising",
        "waiting_for": ["orders/database"]})
    vitald.wait_check("orders/database", healthy=False, reason="refused")
    http_server.start()
    vitald.wait_status("/health/started", 200)


def test_unconfigured(vitald):
    vitald.start()
    answer = vitald.get("/health/ready")
    body = valid(answer, "ready")
    assert (answer.status, body["reason"], body["error"]) == (503, "unconfigured",
                                                              "No service is configured")
    assert vitald.get("/health").status == 200
    assert vitald.get("/").status == 503
    started = vitald.get("/health/started")
    assert (started.status, valid(started, "started")["reason"]) == (503, "unconfigured")
    assert valid(vitald.get("/health/status"), "status")["reason"] == "unconfigured"


def test_bad_files(vitald, http_server):
    vitald.service("bad", "[Service]\nNonsense=1\n")
    vitald.service("orders", "[Service]\n" + check("database", http_server))
    vitald.start()
    vitald.wait_status("/health/ready/orders", 200)
    answer = vitald.get("/health/ready/bad")
    body = valid(answer, "ready")
    assert (answer.status, body["reason"], body["error"]) == (503, "configuration",
                                                              "Bad configuration")
    assert "bad.conf:2" in valid(vitald.get("/health/ready/bad", local=True), "ready")["error"]
    assert vitald.get("/health/ready").status == 503
    assert vitald.get("/health/live").status == 200


def test_down_status(vitald, http_server):
    http_server.kill()
    vitald.conf("[HTTP]\nDownStatus=500\n")
    vitald.service("orders", "[Service]\n" + check("database", http_server))
    vitald.start()
    assert vitald.get("/health/status").status == 500
    assert vitald.get("/health/status/orders").status == 500
    assert vitald.get("/health/ready").status == 503


def test_components_layout(vitald, http_server):
    vitald.conf("[HTTP]\nLayout=components\n")
    vitald.service("orders", "[Service]\n" + check("database", http_server))
    vitald.start()
    answer = vitald.wait_status("/ready", 200)
    assert valid(answer, "components-ready")["status"] == "READY"
    answer = vitald.get("/health")
    assert (answer.status, valid(answer, "status")["status"]) == (200, "UP")
    answer = vitald.get("/live")
    assert (answer.status, answer.text, answer.headers["content-type"]) == (
        200, "OK", "text/plain; charset=utf-8")
    assert valid(vitald.get("/livez"), "live") == {"status": "alive"}

    http_server.kill()
    answer = vitald.wait_status("/ready", 503)
    body = valid(answer, "components-ready")
    assert (body["status"], body["reason"]) == ("NOT READY", "orders/database: Connection refused")
    answer = vitald.get("/health")
    assert (answer.status, valid(answer, "status")["status"]) == (500, "DOWN")
    assert valid(vitald.get("/health/ready"), "ready")["status"] == "not_ready"


def test_aliases(vitald, http_server):
    vitald.conf("[HTTP]\nAlias=/up /health/ready\nAlias=/health /health/ready/orders\n"
                "Alias=/ /health/live\nAlias=/a%20b/ /health/live\n")
    vitald.service("orders", "[Service]\n" + check("database", http_server))
    vitald.start()
    vitald.wait_status("/up", 200)
    assert valid(vitald.get("/up/"), "ready")["checks"]["orders/database"]["healthy"]
    assert valid(vitald.get("/health"), "ready")["service"] == "orders"
    assert valid(vitald.get("/"), "live") == {"status": "alive"}
    for path in ("/a%20b", "/a%20b/"):
        assert vitald.get(path).status == 200
    http_server.kill()
    vitald.wait_status("/up", 503)
    assert vitald.get("/").status == 200

    vitald.conf("[HTTP]\n")
    vitald.reload()
    vitald.wait_status("/up", 404)
    assert vitald.get("/health").status == 200


def test_metrics(shop):
    samples = shop.metrics()
    assert samples['vitald_check_healthy{service="orders",check="app"}'] == 1
    assert samples['vitald_check_state{service="orders",check="app",state="healthy"}'] == 1
    assert samples['vitald_probe_ok{service="",probe="readiness"}'] == 1
    assert samples['vitald_probe_ok{service="orders",probe="startup"}'] == 1
    assert samples['app_health_dependency_status{service="orders",component="cache"}'] == 1
    assert samples['vitald_check_runs_total{service="orders",check="app",outcome="pass"}'] >= 1
    assert samples['vitald_check_duration_seconds_count{service="orders",check="app"}'] >= 1
    assert 0 <= samples["vitald_loop_lag_seconds"] < 5
    assert any(name.startswith('vitald_build_info{version="') for name in samples)

    assert samples["vitald_config_last_reload_successful"] == 1
    assert samples['vitald_draining{service="orders"}'] == 0
    assert samples['vitald_check_consecutive_failures{service="orders",check="app"}'] == 0
    assert not any(name.startswith("vitald_check_overridden") for name in samples)
    last = 'vitald_check_last_result_timestamp_seconds{service="orders",check="app"}'
    assert abs(samples[last] - time.time()) < 60

    name = 'vitald_http_requests_total{code="200"}'
    eventually(lambda: shop.metrics()[name] > samples[name])


def test_metrics_of_what_people_did(shop):
    assert shop.vitalctl("drain", "orders", "--reason=work").returncode == 0
    assert shop.vitalctl("override", "orders/app", "unhealthy").returncode == 0
    shop.service("orders", "Oops\n")
    assert shop.vitalctl("reload").returncode == 1
    samples = shop.metrics()
    assert samples['vitald_draining{service="orders"}'] == 1
    assert samples['vitald_draining{service=""}'] == 0
    assert samples["vitald_config_last_reload_successful"] == 0
    overridden = 'vitald_check_overridden{service="orders",check="app",state="unhealthy"}'
    assert samples[overridden] == 1


@pytest.mark.parametrize("accept, content_type", [
    (None, "text/plain; version=0.0.4; charset=utf-8"),
    ("text/plain", "text/plain; version=0.0.4; charset=utf-8"),
    ("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
     "application/openmetrics-text; version=1.0.0; charset=utf-8"),
])
def test_metrics_formats(shop, accept, content_type):
    answer = shop.get("/metrics", headers={"Accept": accept} if accept else {})
    assert answer.headers["content-type"] == content_type
    assert answer.text.endswith("# EOF\n") == ("openmetrics" in content_type)


def test_promtool_has_nothing_to_say(shop):
    done = subprocess.run(["/usr/bin/promtool", "check", "metrics"],
                          input=shop.get("/metrics").body,
                          capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_manual_names_every_path_and_metric(shop):
    manual = (SOURCE / "man/vitald-http.7").read_text()
    for path in (*LIVE, *READY, *STARTED, "/health/status", "/metrics"):
        assert path in manual
    families = set(re.findall(r"^# TYPE (\S+)", shop.get("/metrics").text, re.MULTILINE))
    assert {f for f in families if f not in manual} == set()
