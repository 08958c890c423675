# SPDX-License-Identifier: MIT
"""The wall clock jumps, or is wrong from the start: only what is shown may follow it. And the other
clocks are far from where they begin."""

import datetime
import email.utils
import json
import os
import pathlib
import signal
import subprocess
import time

import pytest

from lib.peers import HANG
from lib.preload import Clock, compile_library
from lib.process import Stopwatch, children_of, eventually

# A library in front of the sanitizers', and times that valgrind spoils.
pytestmark = pytest.mark.timing

INTERVAL = 0.2
HOUR, YEAR = 3600, 365 * 86400

SERVICE = """\
[Check web]
Type=http
URL={url}
Interval=200ms
FailureThreshold=1
MaxAge=10s
Timeout=5s
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return compile_library("wall-clock", tmp_path_factory.mktemp("wall-clock"))


@pytest.fixture
def clock(directory, library):
    return Clock(directory, library, "WALL_CLOCK")


@pytest.fixture
def running(vitald, http_server, clock):
    vitald.service("app", SERVICE.format(url=http_server.url()))
    vitald.environment.update(clock.environment)
    vitald.start()
    vitald.wait_status("/health/ready", 200)
    return vitald


def shown(vitald):
    """The wall clock as the daemon shows it: in the body and in the head."""
    answer = vitald.get("/health/status")
    at = datetime.datetime.fromisoformat(answer.json["timestamp"].replace("Z", "+00:00"))
    head = email.utils.parsedate_to_datetime(answer.headers["date"])
    return at.timestamp(), head.timestamp()


def is_no_burst(http_server, before, watch):
    """Runs are an interval apart, but for the first, which may have begun late."""
    runs = len(http_server.requests) - before
    return runs <= watch.elapsed() / INTERVAL + 2


@pytest.mark.parametrize("seconds", [HOUR, -HOUR, -1, 50 * YEAR])
def test_fault_50_jump(running, http_server, clock, seconds):
    before, watch = len(http_server.requests), Stopwatch(running.pid)
    clock.jump(seconds)
    answers = []

    def has_run():
        answers.append(running.get("/health/ready").status)
        return len(http_server.requests) - before >= 10
    eventually(has_run, within=40)
    # No verdict flips, no check is left out, none is run again.
    assert watch.seconds() < 10 * INTERVAL + 0.9
    assert set(answers) == {200}
    assert is_no_burst(http_server, before, watch)
    assert running.get("/health/live").status == 200
    for at in shown(running):
        assert abs(at - time.time() - seconds) < 5
    assert "stood still" not in running.log and "unhealthy" not in running.log


def test_fault_50_many_jumps(running, http_server, clock):
    """An hour to and fro, faster than the checks run."""
    before, watch = len(http_server.requests), Stopwatch(running.pid)
    ahead = 0
    while len(http_server.requests) - before < 10:
        ahead = HOUR - ahead
        clock.jump(ahead)
        assert running.get("/health/ready").status == 200
        time.sleep(0.03)
    assert watch.seconds() < 10 * INTERVAL + 0.9
    assert is_no_burst(http_server, before, watch)


@pytest.mark.parametrize("seconds", [-HOUR, YEAR])
def test_fault_50_times_that_are_waited_for(running, clock, seconds):
    """Timeouts, an override's end, and the age at which a result is too old."""
    began = time.monotonic()
    done = running.vitalctl("override", "app/web", "unhealthy", "--timeout=5s", "--reason=test")
    assert done.returncode == 0, done.stderr
    clock.jump(seconds)
    assert running.get("/health/ready").status == 503
    running.wait_status("/health/ready", 200)
    assert 5 <= time.monotonic() - began
    # Since when is told by the clocks that do not jump.
    assert "for 1y" not in running.vitalctl("status").stdout


def ages(vitald, clock_ahead):
    """Of the runs of the check: seconds from now, by the clock that the daemon sees."""
    past = json.loads(vitald.vitalctl("history", "app/web", "--json=short").stdout)
    now = time.time() + clock_ahead
    return [now - run["Timestamp"] / 1e6 for run in past["Runs"]]


@pytest.mark.parametrize("ahead, later", [(0, -HOUR), (0, HOUR), (YEAR, 0)])
@pytest.mark.parametrize("how", ["running", "restarted"])
def test_fault_50_history(running, clock, ahead, later, how):
    """What was before keeps its place and its age; a restart does not lose it."""
    clock.jump(ahead)
    eventually(lambda: len(ages(running, ahead)) >= 8)
    if how == "restarted":
        running.stop()
    clock.jump(later)
    if how == "restarted":
        running.start()
    eventually(lambda: len(ages(running, later)) >= 13)
    after = ages(running, later)
    assert after == sorted(after, reverse=True)
    assert -2 < after[-1] and after[0] < HOUR / 2
    assert "is left aside" not in running.log


def reload_with(vitald, text, http_server):
    """Other settings; from then on the server hangs. Returns when a run does."""
    vitald.service("app", text)
    assert vitald.vitalctl("reload").returncode == 0
    assert vitald.get("/health/ready").status == 200
    http_server.reply = HANG
    count = len(http_server.requests)
    eventually(lambda: len(http_server.requests) > count)


@pytest.mark.parametrize("seconds", [HOUR, -HOUR])
def test_fault_50_timeout_of_a_run(running, http_server, clock, seconds):
    text = SERVICE.format(url=http_server.url())
    reload_with(running, text.replace("Timeout=5s", "Timeout=2s"), http_server)
    log = len(running.log)
    clock.jump(seconds)
    running.wait_check("app/web", healthy=False, reason="timeout")
    runs = [run for run in running.runs("app/web", after=log) if run.reason == "timeout"]
    assert runs and all(2000 <= run.took_ms < 4000 for run in runs), runs


@pytest.mark.parametrize("seconds", [HOUR, -HOUR])
def test_fault_50_age_of_a_result(running, http_server, clock, seconds):
    """A clock that is set back makes nothing younger, one that is set forward nothing older."""
    text = SERVICE.format(url=http_server.url()).replace("MaxAge=10s", "MaxAge=4s")
    reload_with(running, text.replace("FailureThreshold=1", "FailureThreshold=9")
                .replace("Timeout=5s", "Timeout=3s"), http_server)
    running.freeze()
    clock.jump(seconds)
    time.sleep(0.3)     # Less than the time that a result may be old,
    running.thaw()
    assert running.get("/health/ready").status == 200
    running.freeze()
    time.sleep(4.2)     # and more.
    running.thaw()
    assert running.get("/health/ready").status == 503
    assert "app/web is unknown: No result for" in running.log


def test_fault_50_1970_at_the_start(vitald, http_server, clock):
    clock.jump(5 - int(time.time()))
    vitald.service("app", SERVICE.format(url=http_server.url()))
    vitald.environment.update(clock.environment)
    vitald.start()
    vitald.wait_status("/health/ready", 200)
    for at in shown(vitald):
        assert 0 <= at < 60
    assert vitald.vitalctl("status").returncode == 0
    assert vitald.vitalctl("show", "app/web").returncode == 0
    assert "E+" not in vitald.get("/metrics").text.upper()
    clock.jump(0)       # The time server has been reached.
    began = time.monotonic()
    while time.monotonic() < began + 1:
        assert vitald.get("/health/ready").status == 200
        time.sleep(0.01)
    for at in shown(vitald):
        assert abs(at - time.time()) < 5


# -- row 52 --

FAR_SECONDS = 4_600_000_000     # As far as the kernel goes: half of 2^63 ns.


def test_fault_52_a_host_that_has_been_up_for_146_years(vitald, http_server):
    """Intervals, timeouts and ages are reckoned as ever; saturating sums end nothing."""
    argv = ["/usr/bin/unshare", "--time", f"--monotonic={FAR_SECONDS}", f"--boottime={FAR_SECONDS}",
            "--fork", "--kill-child"]
    if subprocess.run([*argv, "/bin/true"], capture_output=True).returncode != 0:
        pytest.skip("may not have a time namespace here")
    vitald.wrap = lambda command: [*argv, *map(str, command)]
    vitald.service("app", SERVICE.format(url=http_server.url())
                   + f"[Check rare]\nType=http\nURL={http_server.url()}rare\nInterval=1d\n"
                   "MaxAge=30d\n")
    vitald.start()
    (pid,) = children_of(vitald.pid)
    offsets = pathlib.Path(f"/proc/{pid}/timens_offsets").read_text().split()
    assert offsets[:3] == ["monotonic", str(FAR_SECONDS), "0"]
    vitald.wait_status("/health/ready", 200)
    before = len(http_server.requests)
    began = time.monotonic()
    eventually(lambda: len(http_server.requests) >= before + 5)
    assert time.monotonic() - began > 2 * INTERVAL      # The first may have begun late.

    began = time.monotonic()
    done = vitald.vitalctl("override", "app/web", "unhealthy", "--timeout=5s", "--reason=test")
    assert done.returncode == 0, done.stderr
    assert vitald.get("/health/ready").status == 503
    vitald.wait_status("/health/ready", 200)
    assert 5 <= time.monotonic() - began

    http_server.reply = HANG
    vitald.wait_check("app/web", healthy=False, reason="timeout")
    assert sum(r.target == "/rare" for r in http_server.requests) == 1
    os.kill(pid, signal.SIGTERM)    # unshare(1) minds none.
    assert vitald.process.wait() == 0
