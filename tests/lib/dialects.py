# SPDX-License-Identifier: MIT
"""Answers in other products' words: what those documents look like, and what they say."""

import dataclasses
import re

import jsonschema

WORDS = {"type": "string", "minLength": 1}
NUMBERS = {"type": "object", "additionalProperties": {"type": "number"}}
TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$"}


def members(required, **properties):
    """An object of these members and no others; required are the first so many."""
    return {"type": "object", "properties": properties, "additionalProperties": False,
            "required": list(properties)[:required]}


# https://docs.spring.io/spring-boot/api/rest/actuator/health.html
SPRING_STATUS = {"enum": ["UP", "DOWN", "OUT_OF_SERVICE", "UNKNOWN"]}
SPRING = {
    **members(1, status=SPRING_STATUS, details={"type": "object"},
              components={"type": "object", "additionalProperties": {"$ref": "#/$defs/component"}},
              groups={"type": "array", "items": WORDS, "uniqueItems": True}),
    "$defs": {"component": {
        **members(1, status=SPRING_STATUS, details={"type": "object"},
                  components={"type": "object",
                              "additionalProperties": {"$ref": "#/$defs/component"}}),
        "not": {"required": ["details", "components"]}}}}

# UIHealthReport of AspNetCore.Diagnostics.HealthChecks, as UIResponseWriter serialises it.
TIME_SPAN = {"type": "string", "pattern": r"^(\d+\.)?\d\d:\d\d:\d\d(\.\d{7})?$"}
ASPNET_STATUS = {"enum": ["Healthy", "Degraded", "Unhealthy"]}
ASPNET = members(3, status=ASPNET_STATUS, totalDuration=TIME_SPAN, entries={
    "type": "object", "additionalProperties": members(
        3, data={"type": "object"}, duration=TIME_SPAN, status=ASPNET_STATUS, description=WORDS,
        exception=WORDS, tags={"type": "array", "items": WORDS})})

# draft-inadarei-api-health-check-06, section 3 and 4.
IETF_STATUS = {"enum": ["pass", "warn", "fail"]}
IETF = members(1, status=IETF_STATUS, version=WORDS, releaseId=WORDS, serviceId=WORDS,
               description=WORDS, output=WORDS, notes={"type": "array", "items": WORDS},
               links={"type": "object", "additionalProperties": WORDS}, checks={
    "type": "object", "propertyNames": {"pattern": "^[^:]+(:[^:]+)?$"},
    "additionalProperties": {"type": "array", "minItems": 1, "items": members(
        0, status=IETF_STATUS, componentId=WORDS, componentType=WORDS, observedValue={},
        observedUnit=WORDS, time=TIME, output=WORDS, links={"type": "object"},
        affectedEndpoints={"type": "array", "items": WORDS})}})

# Rich Health States of the Application Health extension.
AZURE = members(1, ApplicationHealthState={"enum": ["Healthy", "Unhealthy"]})

# What the products' own documents look like, shortened: so the schemas are not made to fit ours.
DOCUMENTS = [
    (SPRING, {"status": "UP", "components": {
        "broker": {"status": "UP", "components": {
            "us1": {"status": "UP", "details": {"version": "1.0.2"}}}},
        "diskSpace": {"status": "UP", "details": {"total": 76887154688, "exists": True}},
        "livenessState": {"status": "UP"}, "readinessState": {"status": "OUT_OF_SERVICE"}},
        "groups": ["liveness", "readiness"]}),
    (SPRING, {"status": "UP", "details": {"database": "H2", "validationQuery": "isValid()"}}),
    (ASPNET, {"status": "Unhealthy", "totalDuration": "00:00:00.0712344", "entries": {
        "sqlserver": {"data": {}, "duration": "00:00:00.0011211", "status": "Healthy",
                      "tags": []},
        "redis": {"data": {"k": 1}, "description": "no", "duration": "1.00:00:00",
                  "exception": "no", "status": "Unhealthy", "tags": ["cache"]}}}),
    (IETF, {"status": "pass", "version": "1", "releaseId": "1.2.2", "notes": ["x"], "output": "x",
            "serviceId": "f03e522f", "description": "health of authz service", "checks": {
                "cassandra:responseTime": [{"componentId": "dfd6cf2b", "observedValue": 250,
                                            "componentType": "datastore", "observedUnit": "ms",
                                            "status": "pass", "time": "2018-01-17T03:36:48Z",
                                            "affectedEndpoints": ["/users/{userId}"]}],
                "uptime": [{"componentType": "system", "observedValue": 1209600.245,
                            "observedUnit": "s", "status": "pass",
                            "time": "2018-01-17T03:36:48Z"}]},
            "links": {"about": "http://api.example.com/about/authz"}}),
    (AZURE, {"ApplicationHealthState": "Healthy"}),
]


@dataclasses.dataclass
class Said:
    """What an answer says: "yes", "but" or "no", and of which checks: {name: same words}."""
    word: str
    checks: dict = None         # None: it does not speak of checks


def valid(schema, document):
    jsonschema.Draft202012Validator(schema).validate(document)
    return document


def read_spring(answer):
    assert answer.headers["content-type"] == "application/vnd.spring-boot.actuator.v3+json"
    body, words, checks = valid(SPRING, answer.json), {"UP": "yes"}, {}

    def collect(prefix, components):
        for name, component in components.items():
            if "components" in component:
                collect(f"{prefix}{name}/", component["components"])
            elif name not in ("livenessState", "readinessState"):
                checks[prefix + name] = words.get(component["status"], "no")
    if "components" not in body:
        return Said(words.get(body["status"], "no"))
    collect("", body["components"])
    return Said(words.get(body["status"], "no"), checks)


def read_aspnet(answer):
    assert answer.headers["content-type"] == "application/json"
    body = valid(ASPNET, answer.json)
    words = {"Healthy": "yes", "Degraded": "but", "Unhealthy": "no"}
    return Said(words[body["status"]],
                {name: words[entry["status"]] for name, entry in body["entries"].items()
                 if not name.startswith("vitald (")})


def read_ietf(answer):
    assert answer.headers["content-type"] == "application/health+json"
    body, words = valid(IETF, answer.json), {"pass": "yes", "warn": "but", "fail": "no"}
    # Section 3.1: these statuses go with each.
    assert (answer.status in range(200, 400)) == (body["status"] != "fail")
    return Said(words[body["status"]],
                {name.removesuffix(":responseTime"): words[entry["status"]]
                 for name, (entry,) in body["checks"].items() if name != "uptime"})


def read_azure(answer):
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    state = valid(AZURE, answer.json)["ApplicationHealthState"]
    return Said("yes" if state == "Healthy" else "no")


NAGIOS = re.compile(r"VITALD (OK|WARNING|CRITICAL|UNKNOWN) - (\w+)((?:, [^|]+)?), "
                    r"(\d+) of (\d+) checks good(?: \|((?: [^ =|']+=\d+us)+))?\n")


def read_nagios(answer):
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    word, _, problems, good, total, _ = NAGIOS.fullmatch(answer.text).groups()
    assert (good == total) or problems
    return Said({"OK": "yes", "WARNING": "but"}.get(word, "no"))


TEXT_LINE = re.compile(r"\[([-+!])\](\S+) (?:(ok|excluded: ok)|(?:failed|degraded): .+)")


def read_text(answer):
    """As kube-apiserver's: "ok", or lines and what they come to."""
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    if answer.text == "ok":
        return Said("yes")
    *lines, end = answer.text.splitlines()
    verdict = re.fullmatch("(?:livez|readyz|startupz) check (passed|failed)", end).group(1)
    checks = {}
    for line in lines:
        mark, name, good = TEXT_LINE.fullmatch(line).groups()
        assert (mark == "+") == bool(good), line
        if good != "excluded: ok" and name not in ("drained", "starting", "failed", "inactive",
                                                   "unconfigured", "configuration"):
            checks[name] = {"+": "yes", "!": "but", "-": "no"}[mark]
    return Said("yes" if verdict == "passed" else "no", checks)


READERS = {"spring": read_spring, "aspnet": read_aspnet, "ietf": read_ietf, "azure": read_azure,
           "nagios": read_nagios, "text": read_text}

# Those that are asked for by Accept:, too.
MEDIA_TYPES = {"spring": "application/vnd.spring-boot.actuator.v3+json",
               "ietf": "application/health+json", "text": "text/plain"}
