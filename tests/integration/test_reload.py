# SPDX-License-Identifier: MIT
"""A thousand checks are loaded again and again while probes come in: nobody notices."""

import re
import statistics
import time

import pytest

from lib.probes import ProbeLoad
from lib.process import eventually
from lib.redis import Redis
from lib.scenario import check
from lib.vitald import EAGER_ALLOCATOR

SERVICES = 10
CHECKS = 100            # of each service
RELOADS = 100
COMMON = "Interval=2s\nTimeout=10s\n"


@pytest.fixture
def redis(directory):
    with Redis(directory / "redis", options=["--maxclients", "5000"]) as server:
        yield server


def service_text(redis, n=CHECKS, more=""):
    return "".join(check(f"c{i}", "redis", redis, COMMON) for i in range(n)) + more


def count_of_connections(redis):
    """That were ever accepted, this question's not counted."""
    info = redis.command("INFO", "stats").decode()
    redis.asked = getattr(redis, "asked", 0) + 1
    return int(re.search(r"total_connections_received:(\d+)", info)[1]) - redis.asked


def reload(vitald, code=0):
    before = time.monotonic()
    done = vitald.vitalctl("reload")
    assert done.returncode == code, done.stdout + done.stderr
    return time.monotonic() - before


def files(vitald):
    """Open ones, once the connections of those who asked have been closed."""
    seen = []

    def is_settled():
        seen.append(vitald.open_fds())
        return len(seen) >= 10 and len(set(seen[-10:])) == 1
    eventually(is_settled, every=0.02, what="no change in open files")
    return seen[-1]


def flips(log):
    """Lines that tell of a check's or a verdict's change."""
    return re.findall(r"^\S+ (?:is|has) .*$", log, re.MULTILINE)


def runs_of(vitald, prefix):
    return {name: int(value) for name, value in vitald.metrics().items()
            if name.startswith(f'vitald_check_runs_total{{service="{prefix}"')
            and 'outcome="pass"' in name}


@pytest.fixture
def thousand(vitald, redis):
    vitald.environment.update(EAGER_ALLOCATOR)
    for i in range(SERVICES):
        vitald.service(f"s{i}", service_text(redis))
    vitald.start()
    vitald.wait_status("/health/ready", 200, within=40)
    return vitald


@pytest.mark.time_limit(240)
def test_a_hundred_reloads_under_load(thousand, redis):
    """Nothing is refused, flips, is dialled again or grows; one check changes each time."""
    changing = "[Check changing]\nType=memory\nInterval=1d\nMinAvailable={}K\nCritical=no\n"

    def change(n):
        thousand.service("s0", service_text(redis, more=changing.format(n)))
        return reload(thousand)
    for n in range(1, 6):       # What the first ones make for good.
        change(n)
    connections, fds, memory = count_of_connections(redis), files(thousand), thousand.memory_kib()
    mark = len(thousand.log)
    with ProbeLoad(thousand.address, "/health/ready", threads=2, pause=0.001) as ready, \
            ProbeLoad(thousand.address, "/health/live/s1", threads=1, pause=0.001) as live:
        ready.wait_for(10)
        took = [change(100 + n) for n in range(RELOADS)]
        ready.wait_for(10)
        live.wait_for(10)
    for load in (ready, live):
        assert not load.failures and set(load.answers) == {200}
    others = [line for line in flips(thousand.log[mark:])
              if not line.startswith("s0/changing is ")]
    assert not others
    assert count_of_connections(redis) == connections >= SERVICES * CHECKS
    eventually(lambda: files(thousand) == fds, what="as many open files as before")
    growth = thousand.memory_kib() - memory
    print(f"{RELOADS} reloads of {SERVICES * CHECKS + 1} checks: median "
          f"{statistics.median(took) * 1000:.0f} ms, {ready.count + live.count} probes, slowest "
          f"{max(ready.slowest, live.slowest) * 1000:.1f} ms, {growth:+d} KiB")
    assert growth <= thousand.growth_max_kib


@pytest.mark.valgrind
def test_changing_one_check_leaves_the_others(vitald, redis):
    """They keep their states, streaks, counters, schedules and connections."""
    vitald.service("shop", service_text(redis, n=20))
    vitald.start()
    vitald.wait_status("/health/ready", 200)
    eventually(lambda: all(n >= 3 for n in runs_of(vitald, "shop").values()), within=40,
               what="three runs")
    before, connections = runs_of(vitald, "shop"), count_of_connections(redis)
    since = {f"c{i}": vitald.show(f"shop/c{i}")["StateChangeTimestamp"] for i in range(20)}
    mark = len(vitald.log)
    text = service_text(redis, n=20)
    vitald.service("shop", text.replace("[Check c7]\nType=redis",
                                        "[Check c7]\nType=redis\nDatabase=1"))
    reload(vitald)
    vitald.wait_status("/health/ready/shop", 200)
    after = runs_of(vitald, "shop")
    assert [name for name in before if after[name] < before[name]] == [
        name for name in before if 'check="c7"' in name]
    for name, stamp in since.items():
        shown = vitald.show(f"shop/{name}")
        if name != "c7":
            assert shown["StateChangeTimestamp"] == stamp
            assert shown["NRuns"] == shown["SuccessesInRow"]
    # Its own schedule: the runs of the others stay two seconds apart.
    eventually(lambda: all(n >= 3 for n in runs_of(vitald, "shop").values()), within=40,
               what="three more")
    assert count_of_connections(redis) == connections + 1
    late = [run.late_ms for run in vitald.runs(after=mark) if run.check != "shop/c7"]
    assert len(late) >= 19 and not any(run.outcome != "pass" for run in vitald.runs(after=mark))


BROKEN = {
    "unknown key": ("shop.conf", "[Check c0]\nType=redis\nAdress=1.2.3.4:5\n", 3, "Address"),
    "bad value": ("shop.conf", "[Check c0]\nType=redis\nAddress=h:1\nInterval=fast\n", 4, "fast"),
    "no section": ("shop.conf", "Type=redis\n", 1, "section"),
    "another file": ("more.conf", "[Check x]\nType=nothing\n", 2, "nothing"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_fault_2_a_broken_file_changes_nothing(how, vitald, redis):
    name, text, line, words = BROKEN[how]
    vitald.service("shop", service_text(redis, n=5).replace("Interval=2s\n", "Interval=200ms\n"))
    vitald.start()
    vitald.wait_status("/health/ready/shop", 200)
    old = {f"shop/c{i}": vitald.show(f"shop/c{i}")["StateChangeTimestamp"] for i in range(5)}
    connections = count_of_connections(redis)
    good = (vitald.etc / "services/shop.conf").read_text()

    mark = len(vitald.log)
    vitald.service(name.removesuffix(".conf"), text)
    done = vitald.vitalctl("reload")
    assert done.returncode == 1
    for told in (done.stderr, vitald.log[mark:]):
        assert f"services/{name}:{line}: " in told and words in told
    status = vitald.vitalctl("status")
    assert f"{name}:{line}" in status.stdout or "reload" in status.stdout.lower()
    # The old configuration goes on as if nothing had been: same checks, same counts, same clock.
    eventually(lambda: all(n >= 5 for n in runs_of(vitald, "shop").values()), what="more runs")
    assert len(runs_of(vitald, "shop")) == 5
    assert {check: vitald.show(check)["StateChangeTimestamp"] for check in old} == old
    assert vitald.ready().status == 200 and vitald.get("/health/ready/more").status == 404
    assert count_of_connections(redis) == connections
    assert not flips(vitald.log[mark:])
    for run in vitald.runs(after=mark):
        assert run.outcome == "pass"

    # By signal it is the same; mended, it is taken.
    mark = len(vitald.log)
    vitald.reload()
    eventually(lambda: "Reload refused" in vitald.log[mark:], what="refusal")
    (vitald.etc / "services/more.conf").unlink(missing_ok=True)
    (vitald.etc / "services/shop.conf").write_text(good)
    reload(vitald)
    assert "reload" not in vitald.vitalctl("status").stdout.lower()
    assert {check: vitald.show(check)["StateChangeTimestamp"] for check in old} == old
