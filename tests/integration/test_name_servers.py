# SPDX-License-Identifier: MIT
"""The daemon beside name servers that are silent, say no, or come back."""

import time

import pytest

from lib.dns import DnsServer, NOERROR, NXDOMAIN, SERVFAIL, BLACK_HOLE
from lib.process import SLOWNESS, eventually, hurry
from lib.redis import Redis
from lib.scenario import Named, check
from lib.stalls import Stalls

KINDS = {"database": "postgresql", "redis": "redis", "openai": "http"}
RECORDS = {f"{name}.test": [("A", "127.0.0.1")] for name in KINDS}
SLOW = "Interval=500ms\nFailureThreshold=1\n"
TOLERANCE_MS = 50


@pytest.fixture
def dns(directory):
    with DnsServer(directory, NOERROR, RECORDS) as server:
        yield server


@pytest.fixture
def named(vitald, dns, shared_postgres, redis, nginx):
    """A daemon, not started, with three checks of hosts that have names, which only dns knows."""
    vitald.wrap = dns.wrap

    def write(more=SLOW):
        servers = {"database": shared_postgres, "redis": redis, "openai": nginx}
        vitald.service("default", "".join(
            check(name, KINDS[name], Named(f"{name}.test", server.port), more)
            for name, server in servers.items()))
        return vitald
    write()
    vitald.write_named = write
    return vitald


def lag_ms(vitald):
    return vitald.metrics()["vitald_loop_lag_seconds"] * 1000


@pytest.mark.timing
def test_fault_25_black_hole_stalls_nobody(named, dns, directory):
    dns.mode = BLACK_HOLE
    named.write_named(SLOW + "Timeout=700ms\n")
    with Redis(directory / "redis2") as other, Stalls() as stalls:
        named.service("other", check("redis", "redis", other, "Interval=100ms\n"))
        named.start()
        hurry(named.pid)
        for name in KINDS:
            named.wait_check(name, within=30, healthy=False, reason="timeout")
        mark, before = len(named.log), time.monotonic()
        eventually(lambda: all(len(named.runs(f"default/{name}", mark)) >= 5 for name in KINDS),
                   within=40, what="five runs of each check")
        after = time.monotonic()
        bad = [run for name in KINDS for run in named.runs(f"default/{name}", mark)]
        others = named.runs("other/redis", mark)
        assert named.get("/health/ready/other").status == 200
        lag = lag_ms(named)
        tolerance = TOLERANCE_MS + stalls.longest(before, after) * 1000
        elapsed = after - before - stalls.during(before, after)
    late = max(run.late_ms for run in bad + others)
    print(f"name servers silent: loop lag {lag:.2f} ms, runs with Timeout=700ms took "
          f"{min(r.took_ms for r in bad):.1f} to {max(r.took_ms for r in bad):.1f} ms, runs began "
          f"at most {late:.1f} ms late; the machine stood still for "
          f"{tolerance - TOLERANCE_MS:.1f} ms at a time")
    assert dns.queries
    for run in bad:
        if run.reason == "late" and tolerance > 2 * TOLERANCE_MS:
            continue        # It was the machine.
        # A run may join a query of the run before it, and be told that nobody answers.
        assert run.outcome == "fail" and run.reason in ("timeout", "dns/timeout"), run
        assert run.took_ms <= 700 + tolerance, run
        assert run.reason != "timeout" or run.took_ms >= 700, run
    assert "timeout" in {run.reason for run in bad}
    # None is left out, but for those that were due while the server was still to answer.
    held_up = sum(run.took_ms // 100 for run in others)
    assert all(run.outcome == "pass" for run in others)
    assert len(others) + held_up >= elapsed / 0.1 - 2
    assert lag <= tolerance and late <= tolerance


def test_fault_25_silence_is_told_when_there_is_time(named, dns):
    """With a Timeout= beyond the resolver's patience the reason is the name service itself."""
    dns.mode = BLACK_HOLE
    named.write_named(SLOW + "Timeout=30s\n")
    named.start()
    for name in KINDS:
        named.wait_check(name, within=60, healthy=False, reason="dns/timeout")
        assert f"{name}.test: " in named.show(f"default/{name}")["Message"]


@pytest.mark.parametrize("mode, reason, words", [
    (NXDOMAIN, "dns/not-found", "NXDOMAIN"),
    (SERVFAIL, "dns/server-failed", "SERVFAIL"),
], ids=["NXDOMAIN", "SERVFAIL"])
def test_fault_25_name_servers_say_no(mode, reason, words, named, dns):
    dns.mode = mode
    named.start()
    for name in KINDS:
        named.wait_check(name, within=30, healthy=False, reason=reason)
        message = named.show(f"default/{name}")["Message"]
        assert f"{name}.test: " in message and words in message
    assert named.get("/health").status == 200
    dns.mode = NOERROR
    named.wait_status("/health/ready", 200)


@pytest.mark.valgrind
def test_fault_25_silence_later_flips_nothing(named, dns, redis, nginx, shared_postgres):
    """Held connections need no names, and new ones go to the address known last."""
    named.write_named(SLOW + "Timeout=10s\n")
    named.start()
    named.wait_status("/health/ready", 200, within=30)
    dns.mode = BLACK_HOLE
    mark = len(named.log)
    eventually(lambda: all(len(named.runs(f"default/{name}", mark)) >= 3 for name in KINDS),
               what="three runs of each check")
    assert all(run.outcome == "pass" for run in named.runs(after=mark))
    for name, server in (("redis", redis), ("openai", nginx), ("database", shared_postgres)):
        server.kill9()
        named.wait_check(name, within=30, healthy=False, reason="refused")
        server.start()
        named.wait_check(name, within=30, healthy=True)


@pytest.mark.valgrind
@pytest.mark.parametrize("stop", ["early", "late"])
def test_fault_9_stops_while_names_are_looked_up(stop, named, dns):
    """Exits in order and soon, with queries under way that nobody answers for 30 s."""
    dns.mode = BLACK_HOLE
    named.write_named(SLOW + "Timeout=30s\n")
    named.start(wait=stop == "late")
    eventually(lambda: len(dns.queries) >= 3, what="queries")
    before = time.monotonic()
    named.stop()
    took = time.monotonic() - before
    print(f"SIGTERM to exit: {took * 1000:.1f} ms")
    assert took < 8 * SLOWNESS


def test_reloads_while_names_are_looked_up(named, dns):
    """A changed check drops its query, and the reload does not wait for it."""
    dns.mode = BLACK_HOLE
    named.start()
    for n in range(5):
        before = len(dns.queries)
        named.write_named(SLOW + f"Timeout={20 + n}s\n")
        done = named.vitalctl("reload")
        assert done.returncode == 0, done.stderr
        eventually(lambda: len(dns.queries) > before, what="queries of the new checks")
    dns.mode = NOERROR
    named.wait_status("/health/ready", 200, within=40)


def test_a_query_outlives_reloads(named, dns):
    """A run goes on over a reload, with settings that are equal but not the same."""
    dns.mode = BLACK_HOLE
    named.write_named("Interval=10s\nTimeout=9s\n")
    named.start(wait=False)
    eventually(lambda: len(dns.queries) >= len(KINDS), within=10)
    for _ in range(3):
        named.wait_until_answering()
        assert named.vitalctl("reload").returncode == 0
    dns.mode = NOERROR
    for name in KINDS:
        named.wait_check(name, healthy=True, within=40)
