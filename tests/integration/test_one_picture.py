# SPDX-License-Identifier: MIT
"""Every surface says the same under the same sequence number, while everything flips."""

import random
import threading

import pytest
from gi.repository import GLib

from lib.dbus import Client, check_path, service_path
from lib.process import eventually, free_port
from lib.push import Sender, lines
from lib.surfaces import Agent, Host, Ledger, Metrics, Objects, Page, Vitalctl

FLIPS = 10000
BURSTS = 250

# The checks of each service: what they feed, and whether they are critical.
CHECKS = {"db": ("readiness", "yes"), "cache": ("readiness", "no"),
          "loop": ("readiness liveness", "yes")}
SERVICES = ("orders", "billing")
FOR_EVER = 2**64 - 1


class Flipper:
    """Reports, and now and then an override or a drain; each changes something."""

    def __init__(self, daemon, sender, client, seed):
        self.sender, self.client, self.random = sender, client, random.Random(seed)
        self.states = {(s, c): None for s in SERVICES for c in CHECKS}
        self.overridden, self.drained = set(), set()
        self.flips = 0

    def report(self):
        service, check = key = self.random.choice(sorted(self.states))
        # Good more often than not, so that hosts and services are each of their words.
        words = [w for w in ("pass", "pass", "pass", "warn", "fail") if w != self.states[key]]
        self.states[key] = self.random.choice(words)
        self.sender.send(lines(f"{service}/{check}", self.states[key]))

    def override(self):
        service, check = key = self.random.choice(sorted(self.states))
        path, interface = check_path(service, check), "org.vitald1.Check"
        if key in self.overridden:
            self.client.call(path, interface, "ClearOverride")
        else:
            state = self.random.choice(("healthy", "unhealthy"))
            self.client.call(path, interface, "Override",
                             GLib.Variant("(sts)", (state, FOR_EVER, "try")))
        self.overridden ^= {key}

    def drain(self):
        service = self.random.choice(SERVICES)
        path, interface = service_path(service), "org.vitald1.Service"
        if service in self.drained:
            self.client.call(path, interface, "Undrain")
        else:
            self.client.call(path, interface, "Drain", GLib.Variant("(ts)", (FOR_EVER, "try")))
        self.drained ^= {service}

    def make(self, reports, is_drained=False):
        """Everything passes but for these checks of each service; nothing is decided."""
        for service, check in sorted(self.overridden):
            self.client.call(check_path(service, check), "org.vitald1.Check", "ClearOverride")
        for service in SERVICES:
            self.client.call(service_path(service), "org.vitald1.Service", "Undrain")
            if is_drained:
                self.client.call(service_path(service), "org.vitald1.Service", "Drain",
                                 GLib.Variant("(ts)", (FOR_EVER, "try")))
        self.overridden, self.drained = set(), set(SERVICES if is_drained else ())
        for service, check in sorted(self.states):
            self.states[service, check] = reports.get(check, "pass")
            self.sender.send(lines(f"{service}/{check}", self.states[service, check]))
        self.sender.barrier()
        self.client.poll()

    def burst(self, n):
        for _ in range(n):
            self.random.choices((self.report, self.override, self.drain), (97, 2, 1))[0]()
            self.flips += 1
            if self.random.random() < 0.2:      # What comes in one turn would be one picture.
                self.sender.barrier()
        self.sender.barrier()
        self.client.poll()


@pytest.fixture
def flipping(make_vitald, bus):
    daemon = make_vitald(bus=bus)
    daemon.port = free_port()
    daemon.conf(f"[Agent]\nListen=127.0.0.1:{daemon.port}\n"
                "[Defaults]\nFailureThreshold=1\nLivenessFailureThreshold=1\n")
    for service in SERVICES:
        daemon.service(service, "[Service]\n" + "".join(
            f"[Check {name}]\nType=push\nProbes={probes}\nCritical={critical}\n"
            for name, (probes, critical) in CHECKS.items()))
    return daemon.start()


def make_pages(daemon):
    subjects = ("", *SERVICES)
    return [Page(daemon, kind, subject, dialect) for subject in subjects
            for kind in ("live", "ready", "status")
            for dialect in ("", "spring", "aspnet", "ietf", "azure", "nagios", "text")
            if kind == "ready" or dialect in ("", "azure", "spring")]


def make_readers(daemon, bus):
    private = f"unix:path={daemon.runtime_directory}/private"
    readers = [*make_pages(daemon), Metrics(daemon)]
    for address, peer in ((bus.address, False), (private, True)):
        readers += [Host(address, peer), Objects(address, peer)]
    return readers


class Watchers:
    """Threads that read all the time."""

    def __init__(self, groups):
        self.ended, self.error, self.read = threading.Event(), None, []
        self.threads = [threading.Thread(target=self.watch, args=[g]) for g in groups]

    def watch(self, readers):
        try:
            while not self.ended.is_set():
                for reader in readers:
                    self.read.append((reader.name, *reader.read()))
        except Exception as e:      # Shown by the test, which is another thread.
            self.error = self.error or e

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join()

    def tell(self, ledger):
        if self.error:
            raise self.error
        batch, self.read = self.read, []
        for name, sequence, facts in batch:
            ledger.add(name, sequence, facts)


def make_agents(daemon):
    witnesses = {s: Page(daemon, "ready", s, "") for s in ("", *SERVICES)}
    return [Agent(("127.0.0.1", daemon.port), s, w) for s, w in witnesses.items()]


def compare_at_rest(ledger, readers, slow):
    """Nothing flips: the cheap ones each time, what is slow in its turn."""
    for reader in (*readers, slow):
        read = reader.read()
        if read:
            ledger.add(reader.name, *read)


WORDS = {"degraded": {"cache": "warn"}, "not_ready": {"db": "fail"}, "dead": {"loop": "fail"},
         "draining": {}}


def show_each_word(flipper, ledger, readers, slow):
    """Of the host and of each service, in case the dice have left one out."""
    def is_shown(word):
        compare_at_rest(ledger, readers, slow)
        return all(word in words_seen(ledger, subject) for subject in ("", *SERVICES))
    for word, reports in WORDS.items():
        flipper.make(reports, is_drained=word == "draining")
        # What was said too often is held back for a while.
        eventually(lambda: is_shown(word), within=30, what=word)


def words_seen(ledger, subject):
    return {p["word", subject][0] for p in ledger.pictures.values() if ("word", subject) in p}


@pytest.mark.time_limit(300)
def test_no_torn_view(flipping, bus):
    """At rest all must agree; meanwhile others read without pause and are held to the same."""
    daemon, ledger, seed = flipping, Ledger(), random.randrange(2**32)
    print(f"seed {seed}")
    readers, busy = make_readers(daemon, bus), make_readers(daemon, bus)
    agents, client = make_agents(daemon), Client(
        f"unix:path={daemon.runtime_directory}/private", peer=True)
    slow = [Vitalctl(daemon), *agents]
    with Sender(daemon) as sender, Watchers([busy[::2], busy[1::2]]) as watchers:
        flipper = Flipper(daemon, sender, client, seed)
        for i in range(BURSTS):
            flipper.burst(FLIPS // BURSTS)
            some = readers if i % 10 == 0 else flipper.random.sample(readers, 5)
            compare_at_rest(ledger, some, slow[i % len(slow)])
        show_each_word(flipper, ledger, readers, slow[0])
    watchers.tell(ledger)
    assert flipper.flips == FLIPS
    for r in (*readers, *busy, *(a.witness for a in agents), client):
        r.close()

    print(f"{len(ledger.pictures)} pictures, {ledger.agreements} agreements")
    assert len(ledger.pictures) >= BURSTS and ledger.agreements > 10 * BURSTS
    for subject in ("", *SERVICES):
        assert words_seen(ledger, subject) >= set(WORDS)
