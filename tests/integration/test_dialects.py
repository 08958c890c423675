# SPDX-License-Identifier: MIT
"""Every path, in every dialect, at every verdict: status and body."""

import dataclasses
import functools
import json
import re

import jsonschema
import pytest

from lib.checks import section
from lib.dialects import DOCUMENTS, MEDIA_TYPES, READERS, valid
from lib.process import eventually
from lib.vitald import SOURCE, Vitald

SCHEMAS = {path.stem: json.loads(path.read_text())
           for path in (SOURCE / "data/schemas").glob("*.json")}

PATHS = {"live": ["/health", "/health/live", "/live", "/livez"],
         "ready": ["/", "/health/ready", "/ready", "/readyz"],
         "started": ["/health/started", "/startupz"],
         "status": ["/health/status"]}


@dataclasses.dataclass
class Verdict:
    """One that the host and its service shop have. Words are "yes", "but" and "no"."""
    live: str = "yes"
    ready: str = "yes"
    started: str = "yes"
    header: str = "ready"       # X-Health
    bad: tuple = ()             # the service's checks whose file is missing
    more: str = ""              # for [Service]
    drained: bool = False
    spring: str = None          # its word for readiness, where it is not UP or DOWN
    nagios: str = "CRITICAL"    # its word for a readiness that is no
    files: dict = None          # instead of the usual ones


VERDICTS = {
    "ready": Verdict(),
    "degraded": Verdict(ready="but", header="degraded", bad=("cache",)),
    "not-ready": Verdict(ready="no", header="not_ready", bad=("queue",)),
    "draining": Verdict(ready="no", header="draining", drained=True, spring="OUT_OF_SERVICE"),
    "starting": Verdict(ready="no", started="no", header="starting", bad=("boot",),
                        spring="OUT_OF_SERVICE"),
    "failed": Verdict(ready="no", started="no", header="failed", bad=("boot",),
                      more="StartupTimeout=100ms"),
    "dead": Verdict(live="no", ready="no", header="dead", bad=("app",)),
    "unconfigured": Verdict(ready="no", started="no", header="not_ready", nagios="UNKNOWN",
                            files={}, spring="OUT_OF_SERVICE"),
    "configuration": Verdict(ready="no", started="no", header="not_ready", nagios="UNKNOWN",
                             files={"services/shop.conf": "[Service]\nX=1\n"},
                             spring="OUT_OF_SERVICE"),
}

# The checks of the service: which verdicts they feed, and whether they are critical.
CHECKS = {"app": ("readiness liveness", "yes"), "cache": ("readiness", "no"),
          "queue": ("readiness", "yes"), "boot": ("startup", "yes")}
FEEDS = {"live": "liveness", "ready": "readiness", "started": "startup", "status": ""}


def write_shop(daemon, marks, verdict):
    text = f"[Service]\nDescription=The shop\n{verdict.more}\n"
    for name, (probes, critical) in CHECKS.items():
        (marks / name).touch()
        text += section("file", f"Path={marks / name}", "FailureThreshold=1",
                        "LivenessFailureThreshold=1", f"Probes={probes}", f"Critical={critical}",
                        name=name)
    daemon.service("shop", text)


def bring_about(daemon, verdict):
    """Starts the daemon and waits for the verdict."""
    marks = daemon.directory / "marks"
    marks.mkdir()
    if verdict.files is None:
        write_shop(daemon, marks, verdict)
    for name, text in (verdict.files or {}).items():
        daemon.write(name, text)
    if "boot" in verdict.bad:
        (marks / "boot").unlink()
    daemon.start()
    if verdict.started == "yes":
        daemon.wait_status("/health/ready", 200)
        for name in verdict.bad:
            (marks / name).unlink()
    if verdict.drained:
        assert daemon.vitalctl("drain", "shop").returncode == 0

    def is_there():
        assert daemon.get("/health").headers["x-health"] == verdict.header
        if verdict.files is None:
            for name in CHECKS:
                got = daemon.get(f"/health/status/shop/{name}").status
                assert got == (503 if name in verdict.bad else 200), name
        return True
    eventually(is_there, within=20)


@pytest.fixture(params=VERDICTS)
def case(request, directory):
    verdict = VERDICTS[request.param]
    daemon = Vitald(directory)
    bring_about(daemon, verdict)
    yield daemon, verdict
    daemon.close()


def answers(daemon, path, dialect):
    """The same in all ways in which it can be asked for."""
    mark = "&" if "?" in path else "?"
    yield daemon.get(f"{path}{mark}format={dialect}")
    yield daemon.get(f"{path}{mark}x=y&format=text&format={dialect}", headers={"Accept": "*/*"})
    if dialect in MEDIA_TYPES and path != "/":
        yield daemon.get(path, headers={"Accept": f"{MEDIA_TYPES[dialect]}, */*;q=0.5"})
    if dialect == "text" and path != "/":
        yield daemon.get(path + mark + "verbose")


def expected_checks(verdict, kind, prefix):
    """What is said of each check."""
    said = {}
    for name, (probes, critical) in CHECKS.items():
        if FEEDS[kind] in probes:
            said[prefix + name] = "no" if name in verdict.bad else "yes"
            if kind == "live" and verdict.live == "yes":
                said[prefix + name] = "yes"
    return said


def compare_checks(dialect, verdict, kind, prefix, checks):
    checks = {name: word for name, word in checks.items() if not name.startswith("host/")}
    expected = expected_checks(verdict, kind, prefix) if verdict.files is None else {}
    if dialect == "text":       # It tells those that do not matter so much.
        checks = {name: "no" if word == "but" else word for name, word in checks.items()}
    assert checks == expected


def word_of(verdict, kind):
    return getattr(verdict, "ready" if kind == "status" else kind)


def compare(dialect, verdict, kind, prefix, answer):
    word = word_of(verdict, kind)
    said = READERS[dialect](answer)
    if dialect == "azure":
        assert (answer.status, said.word) == (200, verdict.live)
        return
    assert answer.status == (503 if word == "no" else 200)
    if dialect in ("spring", "text") and word == "but":
        word = "yes"
    assert said.word == word
    if said.checks is not None:
        compare_checks(dialect, verdict, kind, prefix, said.checks)
    if dialect == "nagios" and word == "no" and kind != "live":
        assert answer.text.startswith(f"VITALD {verdict.nagios} - ")
    if dialect == "spring" and word == "no" and kind in ("ready", "status"):
        assert answer.json["status"] == (verdict.spring or "DOWN")
        assert answer.json["components"]["readinessState"]["status"] == "OUT_OF_SERVICE"


OWN = {"live": ("alive", "alive", "dead"), "ready": ("ready", "ready", "not_ready"),
       "started": ("started", "started", "starting"), "status": ("UP", "UP", "DOWN")}


def compare_own(verdict, kind, answer):
    word = word_of(verdict, kind)
    jsonschema.Draft202012Validator(SCHEMAS[kind]).validate(answer.json)
    expected = OWN[kind][["yes", "but", "no"].index(word)]
    if kind == "started" and verdict.header == "failed":
        expected = "failed"
    assert (answer.status, answer.json["status"]) == (503 if word == "no" else 200, expected)
    assert ("degraded" in answer.json) == (kind == "ready" and word == "but")


def views(verdict):
    """(kind, path, prefix of names) of the host and of the service."""
    for kind, paths in PATHS.items():
        for path in paths:
            yield kind, path, "shop/"
        if verdict.files is None or verdict.files:
            yield kind, f"/health/{kind}/shop", ""


def test_every_path_in_every_dialect(case):
    daemon, verdict = case
    for kind, path, prefix in views(verdict):
        own = daemon.get(path)
        if path == "/":
            assert (own.status, own.text) == (503 if verdict.ready == "no" else 200,
                                              verdict.header + "\n")
        else:
            compare_own(verdict, kind, own)
            # Between the two a check may have run, and taken another time.
            eventually(lambda: kind == "status" or daemon.get(path).text == daemon.get(
                path + "?format=json", headers={"Accept": "text/plain"}).text)
        for dialect in READERS:
            for answer in answers(daemon, path, dialect):
                try:
                    compare(dialect, verdict, kind, prefix, answer)
                except AssertionError as e:
                    raise AssertionError(f"{path} as {dialect}: {answer}") from e
                assert answer.headers["x-health"] == verdict.header
                assert ("etag" in answer.headers) == (answer.status == 200 and dialect != "azure")
            options = daemon.get(f"{path}?format={dialect}", method="OPTIONS")
            assert (options.status, options.body) == (answer.status, b"")


def test_every_check_in_every_dialect(case):
    """A check alone, as if it were all that there is."""
    daemon, verdict = case
    if verdict.files is not None:
        return
    for name, (probes, _) in CHECKS.items():
        for kind, feeds in FEEDS.items():
            path, is_bad = f"/health/{kind}/shop/{name}", name in verdict.bad
            if feeds not in probes:
                assert daemon.get(path).status == 404
                continue
            assert daemon.get(path).status == (503 if is_bad else 200)
            for dialect, read in READERS.items():
                for answer in answers(daemon, path, dialect):
                    said = read(answer)
                    if dialect == "azure":
                        is_dead = is_bad and "liveness" in probes
                        assert (answer.status, said.word) == (200, "no" if is_dead else "yes")
                        continue
                    assert (answer.status, said.word) == ((503, "no") if is_bad else (200, "yes"))
                    if said.checks is not None:
                        assert set(said.checks) == {name}


def test_components_layout_in_every_dialect(directory):
    for name in "ready", "not-ready", "dead":
        (directory / name).mkdir()
        daemon, verdict = Vitald(directory / name), VERDICTS[name]
        daemon.conf("[HTTP]\nLayout=components\n")
        bring_about(daemon, verdict)
        try:
            for kind, path in ("status", "/health"), ("ready", "/ready"), ("live", "/live"):
                for dialect, read in READERS.items():
                    answer = daemon.get(f"{path}?format={dialect}")
                    word = verdict.live if dialect == "azure" else word_of(verdict, kind)
                    bad = 200 if dialect == "azure" else 500 if kind == "status" else 503
                    assert read(answer).word == word
                    assert answer.status == (bad if word == "no" else 200)
        finally:
            daemon.close()


# -- what documents look like ----------------------------------------------------------------------

def test_schemas_take_the_products_own_documents():
    for schema, document in DOCUMENTS:
        jsonschema.Draft202012Validator.check_schema(schema)
        valid(schema, document)
        with pytest.raises(jsonschema.ValidationError):
            valid(schema, {**document, "status": "down", "ApplicationHealthState": "Unknown"})


@pytest.fixture
def shop(vitald):
    bring_about(vitald, VERDICTS["not-ready"])
    return vitald


ERROR = "Not found"


def test_spring(shop):
    body = shop.get("/health/status?format=spring").json
    assert body["groups"] == ["liveness", "readiness"]
    assert set(body["components"]) == {"shop", "host", "livenessState", "readinessState"}
    assert body["components"]["livenessState"] == {"status": "UP"}
    parts = body["components"]["shop"]
    assert (parts["status"], set(parts["components"])) == ("DOWN", set(CHECKS))
    assert parts["components"]["queue"] == {
        "status": "DOWN", "details": {"reason": "missing", "error": ERROR}}
    assert set(parts["components"]["app"]["details"]) == {"latencyMs"}
    group = shop.get("/health/ready?format=spring").json
    assert "groups" not in group and "livenessState" not in group["components"]
    assert shop.get("/health/ready/shop/queue?format=spring").json == parts["components"]["queue"]
    assert shop.vitalctl("drain", "--all").returncode == 0
    eventually(lambda: shop.get("/?format=spring").json["components"]["readinessState"] == {
        "status": "OUT_OF_SERVICE", "details": {"reason": "drained", "error": "Drained"}})


def test_aspnet(shop):
    body = shop.get("/health/ready/shop?format=aspnet").json
    assert body["entries"]["queue"] == {
        "data": {}, "description": ERROR, "duration": "00:00:00.0000000", "status": "Unhealthy",
        "tags": ["readiness"]}
    good = body["entries"]["app"]
    assert good["tags"] == ["readiness", "liveness"] and "description" not in good
    assert set(good["data"]) == {"age", "size"}
    assert body["totalDuration"] == max(e["duration"] for e in body["entries"].values())
    assert shop.vitalctl("drain", "--all").returncode == 0
    shop.wait_status("/health/ready/shop/app", 200)
    eventually(lambda: shop.get("/?format=aspnet").json["entries"]["vitald (drained)"][
        "description"] == "Drained")


def test_ietf(shop):
    body = shop.get("/health/status/shop?format=ietf").json
    assert (body["serviceId"], body["description"]) == ("shop", "The shop")
    assert body["output"] == f"queue: {ERROR}"
    (queue,), (app,) = body["checks"]["queue:responseTime"], body["checks"]["app:responseTime"]
    assert (queue["status"], queue["output"]) == ("fail", ERROR)
    assert "observedValue" not in queue and "output" not in app
    assert (app["observedUnit"], app["status"]) == ("ms", "pass")
    (uptime,) = body["checks"]["uptime"]
    assert (uptime["componentType"], uptime["observedUnit"]) == ("system", "s")
    assert "uptime" not in shop.get("/health/ready?format=ietf").json["checks"]


def test_ietf_warns_only_with_a_status_that_says_yes(vitald):
    """A warning with 503 is none in the draft."""
    vitald.conf("[HTTP]\nDegradedStatus=503\n")
    bring_about(vitald, VERDICTS["degraded"])
    for path, status, word in (("/health/ready", 503, "fail"), ("/health/status", 200, "warn")):
        answer = vitald.get(path + "?format=ietf")
        assert (answer.status, answer.json["status"]) == (status, word)


def test_ietf_has_no_colon_in_a_component(vitald):
    (vitald.directory / "x").touch()
    vitald.service("a:b", "[Service]\n" + section("file", f"Path={vitald.directory}/x", name="c:d"))
    vitald.start()
    vitald.wait_status("/health/ready", 200)
    assert "a%3Ab/c%3Ad:responseTime" in vitald.get("/health/ready?format=ietf").json["checks"]


def test_text(shop):
    assert shop.get("/livez?verbose").text == "[+]shop/app ok\nlivez check passed\n"
    assert shop.get("/livez", headers={"Accept": "text/plain"}).text == "ok"
    lines = shop.get("/readyz?format=text").text.splitlines()
    assert f"[-]shop/queue failed: {ERROR}" in lines and lines[-1] == "readyz check failed"
    text = shop.get("/readyz?verbose&exclude=shop/queue").text
    assert "[+]shop/queue excluded: ok\n" in text and text.endswith("readyz check passed\n")
    assert shop.get("/readyz?verbose&exclude=shop/queue").status == 200
    assert shop.get("/readyz?verbose", headers={"Accept": MEDIA_TYPES["ietf"]}).json


def test_nagios(shop):
    text = shop.get("/health/ready/shop?format=nagios").text
    assert re.fullmatch(rf"VITALD CRITICAL - not_ready, queue: {ERROR}, 2 of 3 checks good "
                        r"\| app=\d+us cache=\d+us\n", text)
    text = shop.get("/livez?format=nagios").text
    assert re.fullmatch(r"VITALD OK - alive, 1 of 1 checks good \| shop/app=\d+us\n", text)


def test_a_bar_in_a_message_begins_no_figures(vitald):
    script = vitald.write("plugin", "#!/bin/sh\necho 'no|x=1'\nexit 2\n")
    script.chmod(0o755)
    vitald.service("a", "[Service]\n" + section("exec", f"Command={script}", name="b",
                                                interval="100ms"))
    vitald.start()
    path = "/health/ready?format=nagios"
    eventually(lambda: "a/b: " in vitald.get(path, local=True).text)
    assert vitald.get(path, local=True).text.count("|") <= 1


# -- how they are asked for ------------------------------------------------------------------------

def test_unknown_formats(shop):
    for name in ("", "xml", "sprin", "springs", "%73pring"):
        answer = shop.get(f"/health/ready?format={name}")
        assert answer.status == 400
        assert answer.text.splitlines()[1].split() == ["json", *sorted(READERS)]
    assert shop.get("/health/ready?format=SPRING").status == 503
    assert shop.get("/metrics?format=xml").status == 200


@pytest.mark.parametrize("accept, dialect", [
    ("", None), ("*/*", None), ("application/json", None), ("nonsense", None), (",;=,", None),
    ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", None),
    ("application/json, text/plain, */*", None), ("text/plain, application/json, */*", None),
    ("text/plain", "text"), ("text/plain, */*", "text"), ("TEXT/Plain;charset=utf-8", "text"),
    ("application/json;q=0.5, text/plain;q=0.7", "text"),
    ("application/json;q=0.7, text/plain;q=0.5", None), ("text/plain;q=0", None),
    ("text/plain; q=0.0, application/health+json; q=0.001", "ietf"),
    ("application/health+json", "ietf"), ("application/health+json, application/json", "ietf"),
    ("application/json, application/health+json", None),
    ("application/json;q=0.9 , application/health+json", "ietf"),
    ("application/vnd.spring-boot.actuator.v3+json, application/json", "spring"),
    ("application/vnd.spring-boot.actuator.v2+json", "spring"),
    ("application/health+json;q=0.2,application/vnd.spring-boot.actuator.v3+json;q=0.3", "spring"),
    ("application/health+json;q=9", "ietf"),
])
def test_accept(shop, accept, dialect):
    answer = shop.get("/health/ready", headers={"Accept": accept})
    assert answer.headers["content-type"].startswith(
        MEDIA_TYPES[dialect] if dialect else "application/json")
    # It never changes what a load balancer goes by.
    assert answer.status == 503
    # What is plain text by itself stays so.
    text = shop.get("/", headers={"Accept": "text/plain"}).text
    assert text == "not_ready\n"


def test_aliases(vitald):
    vitald.conf("[HTTP]\nAlias=/actuator/health /health/status?format=spring\n"
                "Alias=/actuator/health/readiness /health/ready?format=spring\n"
                "Alias=/app-health /livez?format=azure\nAlias=/oops /livez?format=xml\n")
    bring_about(vitald, VERDICTS["dead"])
    get = functools.partial(vitald.get, within=5)
    assert (get("/actuator/health").status, get("/actuator/health").json["status"]) == (503, "DOWN")
    assert get("/actuator/health/readiness").json["status"] == "DOWN"
    assert (get("/app-health").status, get("/app-health").json) == (
        200, {"ApplicationHealthState": "Unhealthy"})
    assert get("/app-health?format=json").json["status"] == "dead"
    assert get("/oops").status == 400
    assert get("/actuator/health?exclude=shop/app").json["status"] == "UP"


def test_details_are_for_those_who_are_trusted(shop):
    path = str(shop.directory / "marks/queue")
    for dialect in READERS:
        for route in "/health/ready", "/health/status/shop", "/readyz/":
            near = shop.get(f"{route}?format={dialect}&verbose", local=True).text
            far = shop.get(f"{route}?format={dialect}&verbose").text
            assert path not in far
            assert (path in near) == (dialect != "azure"), (dialect, near)
