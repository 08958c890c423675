# SPDX-License-Identifier: MIT
"""Each way out of one daemon, read as facts under the sequence number that it was read with.

A fact is what a reader of any surface may learn: ("word", subject), ("ready", subject),
("live", subject), ("good", check), ("state", check); the subject "" is the host.
"""

import http.client
import json
import socket

from lib.dbus import MANAGER, Client
from lib.dialects import READERS
from lib.process import PATIENCE, SLOWNESS
from lib.vitald import Answer, parse_metrics

GOOD = ("healthy", "degraded")
AGENT = {"up ready": ("ready", "degraded"), "up drain": ("draining", "dead"),
         "ready down": ("not_ready", "dead", "starting", "failed")}


class Page:
    """One path in one dialect, over a connection that stays."""

    def __init__(self, daemon, kind, subject, dialect):
        self.kind, self.subject, self.dialect = kind, subject, dialect
        self.name = f"{kind} {subject} {dialect}"
        self.path = "/health/" + kind + (f"/{subject}" if subject else "")
        if dialect:
            self.path += f"?format={dialect}"
        self.connection = http.client.HTTPConnection(*daemon.address, timeout=PATIENCE * SLOWNESS)

    def close(self):
        self.connection.close()

    def get(self):
        self.connection.request("GET", self.path)
        reply = self.connection.getresponse()
        return Answer(reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read())

    def read(self):
        answer = self.get()
        facts = {("word", self.subject): answer.headers["x-health"]}
        if self.dialect == "azure":
            facts["live", self.subject] = READERS["azure"](answer).word == "yes"
        else:
            facts["live" if self.kind == "live" else "ready", self.subject] = answer.status == 200
            if self.dialect:
                self.add_dialect(facts, answer)
            elif self.kind == "ready":
                facts.update((("good", self.full_name(name)), check["healthy"])
                             for name, check in answer.json["checks"].items())
        return int(answer.headers["x-health-sequence"]), facts

    def full_name(self, check):
        return f"{self.subject}/{check}" if self.subject else check

    def add_dialect(self, facts, answer):
        """The body must say what the status says."""
        said = READERS[self.dialect](answer)
        assert (said.word != "no") == (answer.status == 200), (self.name, answer.text)
        if self.kind == "ready":
            facts.update((("good", self.full_name(name)), word != "no")
                         for name, word in (said.checks or {}).items()
                         if not (self.dialect == "text" and word == "but"))


class Metrics(Page):
    def __init__(self, daemon):
        super().__init__(daemon, "ready", "", "")
        self.name = self.path = "/metrics"

    def read(self):
        answer = self.get()
        samples, facts, states = parse_metrics(answer.text), {}, {}
        for key, value in samples.items():
            name, _, labels = key.partition("{")
            labels = dict(i.split("=", 1) for i in labels.rstrip("}").replace('"', "").split(",")
                          if i)
            if name == "vitald_probe_ok" and labels["probe"] in ("readiness", "liveness"):
                kind = "ready" if labels["probe"] == "readiness" else "live"
                facts[kind, labels["service"]] = value == 1
            elif name in ("vitald_check_state", "vitald_check_healthy"):
                check = f"{labels['service']}/{labels['check']}"
                if name == "vitald_check_healthy":
                    facts["good", check] = value == 1
                elif value == 1:
                    assert check not in states, check
                    states[check] = labels["state"]
        facts.update((("state", check), state) for check, state in states.items())
        return int(samples["vitald_snapshots_total"]), facts


def facts_of(properties, subject):
    """Of a service or the host, as D-Bus and vitalctl have them."""
    return {("word", subject): properties["State"], ("ready", subject): properties["Ready"],
            ("live", subject): properties["Live"]}


def facts_of_check(properties):
    name = f"{properties['Service']}/{properties['Name']}"
    return {("state", name): properties["State"], ("good", name): properties["State"] in GOOD}


class Host:
    """org.vitald1.Manager."""

    def __init__(self, address, peer):
        self.client = Client(address, peer=peer)
        self.name = "Manager" + (", private" if peer else "")

    def close(self):
        self.client.close()

    def read(self):
        self.client.poll()
        p = self.client.get_all(MANAGER, "org.vitald1.Manager")
        return p["Sequence"], {**facts_of(p, ""),
                               ("status", ""): p["ReadyHTTPStatus"] == 200}


class Objects(Host):
    """All services and checks in one call."""

    def __init__(self, address, peer):
        super().__init__(address, peer)
        self.name = "objects" + (", private" if peer else "")

    def read(self):
        self.client.poll()
        facts, sequences = {}, set()
        for interfaces in self.client.managed_objects().values():
            if p := interfaces.get("org.vitald1.Service"):
                sequences.add(p["Sequence"])
                facts.update(facts_of(p, p["Name"]))
            elif p := interfaces.get("org.vitald1.Check"):
                facts.update(facts_of_check(p))
        (sequence,) = sequences
        return sequence, facts


class Vitalctl:
    name = "vitalctl"

    def __init__(self, daemon):
        self.daemon = daemon

    def close(self):
        pass

    def read(self):
        view = json.loads(self.daemon.vitalctl("status", "--json=short").stdout)
        facts = facts_of(view, "")
        for service in view["Services"]:
            facts.update(facts_of(service, service["Name"]))
            for check in service["Checks"]:
                facts.update(facts_of_check(check))
        return view["Sequence"], facts


class Agent:
    """It has no room for a number: it is asked while nothing changes, between two that have one."""

    def __init__(self, address, subject, witness):
        self.address, self.subject, self.witness = address, subject, witness
        self.name = f"agent {subject}"

    def close(self):
        pass

    def read(self):
        """None where something changed meanwhile."""
        before, facts = self.witness.read()
        with socket.create_connection(self.address, timeout=PATIENCE * SLOWNESS) as s:
            s.sendall(self.subject.encode() + b"\n")
            line = b"".join(iter(lambda: s.recv(4096), b"")).decode()
        if self.witness.read()[0] != before:
            return None
        (words,) = [words for start, words in AGENT.items() if line.startswith(start)]
        assert facts["word", self.subject] in words, (before, line, facts)
        return before, {("ready", self.subject): line.startswith("up ready")}


class Ledger:
    """What was read, by number: no two may differ."""

    def __init__(self):
        self.pictures = {}      # {sequence: {fact: (value, who said so)}}
        self.agreements = 0

    def add(self, name, sequence, facts):
        picture = self.pictures.setdefault(sequence, {})
        for fact, value in facts.items():
            known = picture.setdefault(fact, (value, name))
            assert known[0] == value, f"picture {sequence}, {fact}: {known}, but {name}: {value}"
            self.agreements += known[1] != name
