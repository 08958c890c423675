# SPDX-License-Identifier: MIT
"""What a request may ask for beside a path: one check, all without some, only what is new."""

import concurrent.futures
import json

import jsonschema
import pytest

from lib.checks import section
from lib.process import eventually
from lib.vitald import SOURCE

SCHEMAS = {path.stem: json.loads(path.read_text())
           for path in (SOURCE / "data/schemas").glob("*.json")}


class Marks:
    """Checks that are healthy as long as their file is there."""

    def __init__(self, directory):
        self.directory = directory / "marks"
        self.directory.mkdir()

    def check(self, name, *lines):
        self.set(name)
        return section("file", f"Path={self.directory / name}", "FailureThreshold=1",
                       "LivenessFailureThreshold=1", *lines, name=name)

    def set(self, name):
        (self.directory / name).touch()

    def clear(self, name):
        (self.directory / name).unlink()


@pytest.fixture
def marks(directory):
    return Marks(directory)


@pytest.fixture
def shop(vitald, marks):
    vitald.service("default", "[Service]\n" + marks.check("db"))
    vitald.service("orders", "[Service]\n" +
                   marks.check("app", "Probes=readiness liveness startup") +
                   marks.check("cache", "Critical=no") + marks.check("queue"))
    vitald.service("spare", "[Service]\nHost=no\n" + marks.check("tape"))
    vitald.start()
    vitald.wait_status("/health/ready", 200)
    vitald.wait_check("orders/cache", healthy=True)
    return vitald


def valid(answer, schema):
    jsonschema.Draft202012Validator(SCHEMAS[schema]).validate(answer.json)
    return answer.json


# -- one check -------------------------------------------------------------------------------------

def test_a_check_of_its_own(shop, marks):
    for probe, schema in ("live", "live"), ("ready", "ready"), ("started", "started"):
        answer = shop.get(f"/health/{probe}/orders/app")
        body = valid(answer, schema)
        assert (answer.status, body["service"], body["check"]) == (200, "orders", "app")
        assert answer.headers["x-health"] == "ready"
    assert set(shop.get("/health/ready/orders/app").json["checks"]) == {"app"}
    body = valid(shop.get("/health/status/default/db"), "status")
    assert (set(body["components"]), body["check"]) == ({"db"}, "db")

    marks.clear("cache")        # Not critical: neither host nor service mind.
    answer = shop.wait_status("/health/ready/orders/cache", 503)
    body = valid(answer, "ready")
    assert body["status"] == "not_ready"
    assert body["checks"]["cache"]["reason"] == "missing"
    assert answer.headers["x-health"] == "not_ready"
    assert shop.get("/health/status/orders/cache").status == 503
    assert valid(shop.get("/health/status/orders/cache"), "status")["status"] == "DOWN"
    for path in ("/health/ready", "/health/ready/orders", "/health/ready/orders/queue"):
        assert shop.get(path).status == 200

    marks.clear("app")
    answer = shop.wait_status("/health/live/orders/app", 503)
    assert valid(answer, "live")["checks"]["app"]["healthy"] is False
    assert answer.headers["x-health"] == "dead"
    assert shop.get("/health/started/orders/app").status == 200


def test_checks_that_are_not_there(shop):
    for path in ("/health/ready/orders/nothing", "/health/ready/nothing/app", "/health/ready/db",
                 "/health/ready/orders/", "/health/ready/orders/app/", "/health/ready/orders/app/x",
                 "/health/ready//app", "/readyz/app", "/health/ready/orders/db",
                 "/health/live/orders/cache", "/health/started/orders/cache"):
        expected = 200 if path in ("/health/ready/orders/", "/health/ready/orders/app/") else 404
        assert shop.get(path).status == expected, path
    # Without a check for startup those of readiness are waited for.
    assert shop.get("/health/started/default/db").status == 200


def test_a_drain_is_of_the_service(shop):
    assert shop.vitalctl("drain", "orders").returncode == 0
    shop.wait_status("/health/ready/orders", 503)
    assert shop.get("/health/ready/orders/queue").status == 200
    assert shop.get("/health/status/orders/queue").json["status"] == "UP"


# -- all without some ------------------------------------------------------------------------------

def test_exclude(shop, marks):
    marks.clear("queue")
    shop.wait_status("/health/ready", 503)
    for path in ("/health/ready?exclude=orders/queue", "/readyz?exclude=orders%2Fqueue",
                 "/health/ready/orders?exclude=queue", "/?exclude=orders/queue",
                 "/health/status?exclude=orders/queue", "/health/status/orders?x&exclude=queue&",
                 "/health/ready?exclude=db&exclude=orders/queue&exclude=db",
                 "/health/ready?exclude=orders/app&exclude=db&exclude=orders/queue"
                 "&exclude=orders/cache"):
        answer = shop.get(path)
        assert (answer.status, answer.headers["x-health"]) == (200, "ready"), path
        assert "queue" not in answer.text
        assert shop.get(path, method="OPTIONS").status == 200
    for path in ("/health/ready?exclude=db", "/health/ready/orders?exclude=app"):
        answer = shop.get(path)
        assert (answer.status, answer.headers["x-health"]) == (503, "not_ready")
        assert valid(answer, "ready")["status"] == "not_ready"
    assert shop.get("/", local=True).text.startswith("NOT READY: ")
    assert shop.get("/?exclude=orders/queue", local=True).text == "ready\n"

    page = {"Accept": "text/html"}      # As browsers ask.
    for query, status in (("", 503), ("?exclude=orders/queue", 200), ("?exclude=db", 503),
                          ("?exclude=nothing", 400)):
        assert shop.get("/" + query, headers=page).status == status

    marks.clear("cache")
    eventually(lambda: shop.get("/health/ready/orders/cache").status == 503)
    body = valid(shop.get("/health/ready?exclude=orders/queue"), "ready")
    assert body["degraded"] == ["orders/cache"]
    body = valid(shop.get("/health/ready?exclude=orders/queue&exclude=orders/cache"), "ready")
    assert "degraded" not in body

    marks.clear("app")
    shop.wait_status("/health/live", 503)
    answer = shop.get("/health/live?exclude=orders/app")
    assert (answer.status, valid(answer, "live")) == (200, {"status": "alive"})


def test_exclude_what_is_not_there(shop):
    host = "db orders/app orders/cache orders/queue host/disk host/memory".split()
    for path, name, known in (
            ("/health/ready?exclude={}", "nothing", host),
            ("/health/ready?exclude=db&exclude={}", "queue", host),
            ("/health/ready?exclude={}", "default/db", host),
            ("/health/ready?exclude={}", "spare/tape", host),       # Host=no
            ("/health/ready?exclude={}", "x" * 3000, host),
            ("/health/ready?exclude={}", "", host),
            ("/health/ready?exclude={}", "a%00b", host),
            ("/health/status?exclude={}", "Db", host),
            ("/health/live/orders?exclude={}", "orders/app", ["app", "cache", "queue"]),
            ("/health/ready/orders?exclude={}", "%0d%0aX:y", ["app", "cache", "queue"])):
        answer = shop.get(path.format(name))
        assert answer.status == 400, path
        first, *names = answer.text.splitlines()
        assert first.startswith('There is no check "') and first.endswith("Known are:")
        assert sorted(names) == sorted(known)
        assert "x-health" not in answer.headers
    assert shop.get("/health/ready?" + "exclude=db&" * 16).status == 200
    assert shop.get("/health/ready?" + "exclude=db&" * 17).status == 400
    # Nothing can be left out there.
    assert shop.get("/metrics?exclude=nothing").status == 200
    assert shop.get("/health/ready/orders/app?exclude=nothing").status == 200


def test_exclude_takes_no_drain_away(shop):
    assert shop.vitalctl("drain", "orders").returncode == 0
    shop.wait_status("/health/ready", 503)
    answer = shop.get("/health/ready/orders?exclude=app&exclude=cache&exclude=queue")
    assert (answer.status, answer.headers["x-health"]) == (503, "draining")
    assert valid(answer, "ready")["checks"] == {}


def test_exclude_ends_a_start(vitald, marks):
    vitald.service("orders", "[Service]\n" + marks.check("app", "Probes=startup readiness") +
                   marks.check("db", "Probes=startup readiness"))
    marks.clear("db")
    vitald.start()
    answer = vitald.wait_status("/health/started?exclude=orders/db", 200)
    assert valid(answer, "started") == {"status": "started"}
    assert vitald.get("/health/ready?exclude=orders/db").status == 200
    answer = vitald.get("/health/started")
    assert (answer.status, answer.json["waiting_for"]) == (503, ["orders/db"])
    answer = vitald.get("/health/started/orders/db")
    assert (answer.status, valid(answer, "started")["waiting_for"]) == (503, ["db"])


# -- only what is new ------------------------------------------------------------------------------

def test_etag(shop, marks):
    def ask(path, tags, method="GET"):
        return shop.get(path, method=method, headers={"If-None-Match": tags})

    for path in ("/health/live", "/health/started/orders", "/", "/health/live?exclude=db"):
        first = shop.get(path)
        tag = first.headers["etag"]
        assert tag.startswith('"') and tag.endswith('"')
        for tags in (tag, f'"x", {tag}', f"W/{tag}", "*"):
            answer = ask(path, tags)
            assert (answer.status, answer.body) == (304, b""), tags
            assert answer.headers["etag"] == tag
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["x-health"] == first.headers["x-health"]
            assert int(answer.headers["x-health-sequence"]) >= int(
                first.headers["x-health-sequence"])
            assert "content-length" not in answer.headers
        assert ask(path, tag, "HEAD").status == 304
        assert ask(path, tag, "OPTIONS").status == 200
        for tags in ('"0"', tag.strip('"'), tag[:-1], ""):
            answer = ask(path, tags)
            assert (answer.status, answer.body) == (200, first.body)
    assert shop.get("/health/live").headers["etag"] != shop.get("/").headers["etag"]

    tag = shop.get("/health/live").headers["etag"]
    marks.clear("app")
    answer = shop.wait_status("/health/live", 503)
    assert "etag" not in answer.headers
    assert ask("/health/live", f'{tag}, *').status == 503
    assert ask("/health/live", "*").status == 503
    assert "etag" not in shop.get("/metrics").headers
    assert ask("/metrics", "*").status == 200
    marks.set("app")
    shop.wait_status("/health/live", 200)
    assert ask("/health/live", tag).status == 304


def test_a_picture_is_rendered_once(shop):
    """Whoever asks, and for whatever: the same number is the same body."""
    paths = ("/health/ready", "/health/ready?exclude=db", "/health/ready/orders/app",
             "/health/status")
    bodies = {}

    def ask(path):
        answer = shop.get(path)
        return path, answer.headers["x-health-sequence"], answer.text, answer.headers["etag"]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for path, sequence, text, tag in pool.map(ask, paths * 100):
            bodies.setdefault((path, sequence), set()).add((text, tag))
    assert all(len(texts) == 1 for texts in bodies.values())


def test_aliases_of_checks(vitald, marks):
    vitald.conf("[HTTP]\nAlias=/db /health/ready/orders/db\n")
    vitald.service("orders", "[Service]\n" + marks.check("db", "Critical=no"))
    vitald.start()
    vitald.wait_status("/db", 200)
    marks.clear("db")
    answer = vitald.wait_status("/db", 503)
    assert valid(answer, "ready")["check"] == "db"
    assert vitald.get("/health/ready").status == 200

    for target in ("/health/ready/orders/", "/health/ready/orders/db/x", "/readyz/db",
                   "/health/ready?", "/health/ready?exclude=db", "/health/ready?format=",
                   "/health/ready?format=A"):
        vitald.conf(f"[HTTP]\nAlias=/db {target}\n")
        verdict = vitald.verify()
        assert (verdict.returncode, "is not a known path" in verdict.stderr + verdict.stdout) == (
            78, True), target
