# SPDX-License-Identifier: MIT
"""No torn view: whatever is asked, the same sequence number is the same verdict."""

import collections
import concurrent.futures
import http.client
import random
import threading
import time

import pytest

from lib.checks import section
from lib.dialects import READERS
from lib.vitald import Answer, UnixConnection, parse_metrics

SERVICES = ("a", "b", "c")
CHECKS = 8                      # of each service
FLIPS = 10_000                  # of checks, services and the host, at least


@pytest.fixture
def crowd(vitald):
    """Many checks that flip within milliseconds once their file comes or goes."""
    for service in SERVICES:
        text = "[Service]\n"
        for i in range(CHECKS):
            (vitald.directory / f"{service}{i}").touch()
            text += section("file", f"Path={vitald.directory}/{service}{i}", "RetryInterval=10ms",
                            "FailureThreshold=1", "LivenessFailureThreshold=1",
                            f"Probes=readiness{' liveness' if i == 0 else ''}",
                            f"Critical={'no' if i > 4 else 'yes'}", name=f"c{i}", interval="1s")
        vitald.service(service, text)
    vitald.arguments.append("--log-level=notice")
    vitald.start()
    vitald.wait_status("/health/ready", 200)
    return vitald


def said_own(kind, answer):
    """The path's own body in the words of lib.dialects."""
    body = answer.json
    if body["status"] in ("ready", "UP", "alive"):
        return "but" if "degraded" in body else "yes"
    assert body["status"] in ("not_ready", "DOWN", "dead")
    return "no"


def notes_of_metrics(samples):
    """[(view, verdict), …] of the picture that they are of."""
    for name, value in samples.items():
        if name.startswith("vitald_probe_ok{"):
            service, probe = name.split('"')[1::2]
            if probe in ("readiness", "liveness"):
                yield (probe, service), "no" if value == 0 else "yes"


class Asker:
    """Asks for anything, over one connection, and notes what was said of which picture."""

    def __init__(self, daemon, local):
        self.connection = UnixConnection(daemon.local, 20) if local else \
            http.client.HTTPConnection(*daemon.address, timeout=20)
        self.notes = []         # (sequence, view, word)

    def get(self, path):
        self.connection.request("GET", path)
        reply = self.connection.getresponse()
        return Answer(reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read())

    def ask_for_a_verdict(self):
        kind = random.choice(("ready", "live", "status"))
        service = random.choice(("", *SERVICES))
        dialect = random.choice((None, *READERS))
        path = f"/health/{kind}" + (f"/{service}" if service else "")
        answer = self.get(path + (f"?format={dialect}" if dialect else ""))
        word = READERS[dialect](answer).word if dialect else said_own(kind, answer)
        sequence = int(answer.headers["x-health-sequence"])
        if dialect == "azure":
            kind = "live"
        else:
            assert (answer.status == 200) == (word != "no"), (path, answer)
        probe = "liveness" if kind == "live" else "readiness"
        self.notes.append((sequence, (probe, service), "no" if word == "no" else "yes"))
        if probe == "readiness":
            header = answer.headers["x-health"]
            assert header in ("dead", "not_ready", "ready", "degraded")
            assert (header in ("ready", "degraded")) == (word != "no") or header == "dead"

    def run(self, is_over):
        while not is_over.is_set():
            if random.random() < 0.02:
                samples = parse_metrics(self.get("/metrics").text)
                sequence = int(samples["vitald_snapshots_total"])
                self.notes += [(sequence, view, word) for view, word in notes_of_metrics(samples)]
            self.ask_for_a_verdict()
        self.connection.close()
        return self.notes


def count_flips(daemon):
    """Each has its line in the log."""
    with open(daemon.directory / "vitald.log", "rb") as f:
        return sum(1 for _ in f)


def flip(daemon, is_over):
    """Files come and go at random."""
    files = [daemon.directory / f"{service}{i}" for service in SERVICES for i in range(CHECKS)]
    there = dict.fromkeys(files, True)
    while not is_over.is_set():
        file = random.choice(files)
        # Mostly all is well, so that the host is ready, too, at times.
        if there[file] and random.random() < 0.1 or not there[file] and random.random() < 0.8:
            if there[file]:
                file.unlink()
            else:
                file.touch()
            there[file] = not there[file]
        time.sleep(0.0003)


@pytest.mark.time_limit(300)
def test_no_torn_view(crowd):
    is_over = threading.Event()
    askers = [Asker(crowd, local=i == 0) for i in range(3)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        flipping = pool.submit(flip, crowd, is_over)
        asking = [pool.submit(asker.run, is_over) for asker in askers]
        try:
            deadline = time.monotonic() + 240
            while count_flips(crowd) < FLIPS:
                assert time.monotonic() < deadline and not any(f.done() for f in asking)
                time.sleep(0.1)
        finally:
            is_over.set()
        flipping.result()
        notes = [note for asked in asking for note in asked.result()]

    pictures = collections.defaultdict(lambda: collections.defaultdict(set))
    for sequence, view, word in notes:
        pictures[sequence][view].add(word)
    torn = {s: dict(views) for s, views in pictures.items()
            if any(len(words) > 1 for words in views.values())}
    assert not torn
    # The host is as good as its services.
    for views in pictures.values():
        for probe in "readiness", "liveness":
            services = [views.get((probe, service)) for service in SERVICES]
            if (probe, "") in views and {"no"} in services:
                assert views[probe, ""] == {"no"}
            if views.get((probe, "")) == {"no"} and None not in services:
                assert {"no"} in services
    words = collections.Counter((view, word) for _, view, word in notes)
    assert all(words[(probe, service), word] > 0 for probe in ("readiness", "liveness")
               for service in ("", *SERVICES) for word in ("yes", "no")), words
    assert sum(len(views) > 1 for views in pictures.values()) > 20
