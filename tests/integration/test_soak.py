# SPDX-License-Identifier: MIT
"""Ten thousand runs of each type of check leave nothing behind: no file, no memory."""

import contextlib
import json
import re
import threading
import time

import pytest

from lib.peers import Proxy, refused_address
from lib.process import eventually
from lib.scenario import Named, check
from lib.vitald import EAGER_ALLOCATOR

RUNS = 10000            # of each type
WARM_UP = 2500          # the same, twice with a pause
CHECKS = 20             # of each type
SWEEP_SECONDS = 1.1     # libcurl sweeps its pool with a request, once a second.

RUNS_TOTAL = re.compile(r'vitald_check_runs_total\{service="soak",check="(\w+)-\d+",'
                        r'outcome="(\w+)"\}')


class Soak:
    """Checks that run as often as can be, until they are told to pause."""

    def __init__(self, vitald, sections):
        """sections: {type: a function of the check's name and more options}."""
        self.vitald, self.sections = vitald, sections
        vitald.environment.update(EAGER_ALLOCATOR)
        vitald.arguments = ["--log-level=warning"]
        self._write("10ms")
        vitald.start()

    def _write(self, interval):
        more = f"Interval={interval}\nRetryInterval={interval}\nFailureThreshold=1\n"
        self.vitald.service("soak", "".join(section(f"{kind}-{i}", more) for i in range(CHECKS)
                                            for kind, section in self.sections.items()))

    def _reload(self):
        done = self.vitald.vitalctl("reload")
        assert done.returncode == 0, done.stderr

    def counts(self):
        """Runs by type and outcome."""
        counts = {kind: {} for kind in self.sections}
        for sample, value in self.vitald.metrics().items():
            found = RUNS_TOTAL.fullmatch(sample)
            if found:
                kind, outcome = found.groups()
                counts[kind][outcome] = counts[kind].get(outcome, 0) + int(value)
        return counts

    def totals(self):
        return {kind: sum(counts.values()) for kind, counts in self.counts().items()}

    def run(self, more):
        """As fast as this machine has time for them."""
        now = self.totals()
        goals = {kind: total + more for kind, total in now.items()}
        while any(now[kind] < goals[kind] for kind in goals):
            before = now
            now = eventually(lambda: (t := self.totals()) != before and t, within=30, every=0.2,
                             what="more runs")

    def is_idle(self):
        """No run is under way, and what the last ones did is counted."""
        view = json.loads(self.vitald.vitalctl("list", "--json=short").stdout)
        due = [check["NextRunTimestampMonotonic"] for check in view if check["Service"] == "soak"]
        return len(due) == CHECKS * len(self.sections) and 0 not in due

    def pause(self, down):
        """(open files, private memory in KiB) while nothing runs and no connection is held.

        down: a context in which no server is there.
        """
        self._write("1h")
        self._reload()
        with down:
            seen = []

            def is_quiet():
                seen.append((self.is_idle(), self.totals(), self.vitald.open_fds()))
                return len(seen) >= 8 and all(s == seen[-1] and s[0] for s in seen[-8:])
            eventually(is_quiet, within=30, what="the end of all runs", every=0.05)
            if "http" in self.sections:
                time.sleep(SWEEP_SECONDS)
                self.vitald.vitalctl("run", "soak/http-0")
                seen.clear()
                eventually(is_quiet, within=30, what="the end of the sweep", every=0.05)
            return self.vitald.open_fds(), self.vitald.memory_kib()

    def resume(self):
        self._write("10ms")
        self._reload()


def soak(vitald, sections, outcomes, down=contextlib.nullcontext):
    s = Soak(vitald, sections)
    for _ in range(2):
        s.run(WARM_UP)
        before = s.pause(down())
        s.resume()
    first = s.counts()
    s.run(RUNS)
    last = s.counts()
    after = s.pause(down())
    for kind in sections:
        more = {outcome: n - first[kind].get(outcome, 0) for outcome, n in last[kind].items()}
        print(kind, more)
        assert {outcome for outcome, n in more.items() if n > 0} == set(outcomes)
    print(f"{before[0]} -> {after[0]} files, {before[1]} -> {after[1]} KiB")
    assert after[0] == before[0]
    assert after[1] - before[1] <= vitald.growth_max_kib


def section_of(kind, server):
    return lambda name, common: check(name, kind, server, common + "Timeout=20s\n")


@pytest.fixture
def servers(shared_postgres, redis, nginx):
    return {"postgresql": shared_postgres, "redis": redis, "http": nginx, "tcp": redis}


@pytest.mark.time_limit(300)
def test_fault_49_runs_that_pass(vitald, servers):
    sections = {kind: section_of(kind, server) for kind, server in servers.items()}
    sections["disk"] = lambda name, more: f"[Check {name}]\nType=disk\nPath=/\n{more}"
    sections["memory"] = lambda name, more: f"[Check {name}]\nType=memory\n{more}"

    @contextlib.contextmanager
    def down():
        processes = {server.port: server for server in servers.values()}.values()
        for server in processes:
            server.kill9()
        yield
        for server in processes:
            server.start()
    soak(vitald, sections, ["pass"], down)


@pytest.mark.time_limit(300)
def test_fault_49_runs_that_are_refused(vitald):
    nobody = Named(*refused_address().split(":"))
    kinds = ("postgresql", "redis", "http", "tcp")
    soak(vitald, {kind: section_of(kind, nobody) for kind in kinds}, ["fail"])


class Flapping:
    """Ways to servers that are cut again and again: what is open is reset, what comes refused."""

    def __init__(self, servers):
        self.proxies = {kind: Proxy(server) for kind, server in servers.items()}
        self.lock = threading.Lock()
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _each(self, what):
        for proxy in self.proxies.values():
            what(proxy)

    def _run(self):
        while not self.is_over.wait(0.2):
            with self.lock:
                self._each(Proxy.kill)
                self.is_over.wait(0.05)
                self._each(Proxy.start)

    @contextlib.contextmanager
    def down(self):
        with self.lock:
            self._each(Proxy.kill)
            yield
            self._each(Proxy.start)

    def __enter__(self):
        self._each(Proxy.start)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        self.thread.join()
        self._each(Proxy.close)


@pytest.mark.time_limit(300)
def test_fault_49_runs_towards_servers_that_flap(vitald, servers):
    with Flapping(servers) as flapping:
        sections = {kind: section_of(kind, proxy) for kind, proxy in flapping.proxies.items()}
        soak(vitald, sections, ["pass", "fail"], flapping.down)
