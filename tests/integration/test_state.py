# SPDX-License-Identifier: MIT
"""What outlasts a restart of vitald: states, streaks, verdicts, history, decisions of people."""

import re
import time

import pytest

from lib.ctl import NO, ctl
from lib.peers import HANG, Reply
from lib.process import eventually
from lib.push import report
from lib.state import Restarts, sealed_body

CHECK = """
[Check {name}]
Type=http
URL={url}
Interval={interval}
RetryInterval={interval}
Timeout={timeout}
{more}
"""

# Each check runs at the start, and then when a test says so.
RARELY = "1d"

OK, BROKEN = Reply(body=b"ok"), Reply(status=500)


def check(name, url, interval=RARELY, timeout="20s", more=""):
    return CHECK.format(name=name, url=url, interval=interval, timeout=timeout, more=more)


@pytest.fixture
def daemon(vitald):
    """To be configured and started by the test."""
    return Restarts(vitald)


def configure(daemon, http_server, more="", service=""):
    daemon.service("shop", service + check("app", http_server.url(), more=more))
    daemon.start()


def run(daemon, code=0):
    ctl(daemon.vitald, "run", "shop/app", code=code)


def show(daemon, name="shop/app"):
    return daemon.vitald.show(name)


def ready_once(daemon):
    """And all checks have a state that can be kept, those of the host too."""
    daemon.vitald.wait_status("/health/ready", 200)
    daemon.known()


# -- nothing changes -------------------------------------------------------------------------------

@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_restart_flips_nothing(daemon, http_server, end):
    configure(daemon, http_server)
    ready_once(daemon)
    before = show(daemon)
    daemon.end(end)
    http_server.reply = HANG
    daemon.start()
    # The old verdict holds before there is any new result.
    assert daemon.vitald.ready().status == 200
    held = show(daemon)
    runs = before["NRuns"] if end == "stop" else 0
    assert held["NRuns"] == runs
    for same in ("State", "StateChangeTimestamp", "SuccessesInRow", "LastRunTimestamp",
                 "LatencyUSec", "Message"):
        assert held[same] == before[same], same
    daemon.end(end)
    http_server.reply = OK
    daemon.start()
    eventually(lambda: show(daemon)["NRuns"] == runs + 1, what="the new result")
    assert show(daemon)["StateChangeTimestamp"] == before["StateChangeTimestamp"]
    assert daemon.transitions() == []
    assert daemon.log.count("States of 3 of 3 checks restored") == 2


@pytest.mark.valgrind
def test_what_is_broken_stays_so_with_its_times(daemon, http_server):
    http_server.reply = BROKEN
    configure(daemon, http_server, more="FailureThreshold=1")
    daemon.vitald.wait_check("shop/app", healthy=False, reason="status/500")
    daemon.known()
    before = show(daemon)
    was = daemon.vitald.ready().json["checks"]["shop/app"]
    daemon.end()
    http_server.reply = HANG
    daemon.start()
    assert daemon.vitald.ready().json["checks"]["shop/app"] == was
    after = show(daemon)
    for same in ("State", "StateChangeTimestamp", "Reason", "Message", "FirstFailureMessage",
                 "FirstFailureTimestamp", "FailuresInRow", "NFail"):
        assert after[same] == before[same], same
    assert daemon.transitions() == []


def test_a_streak_goes_on(daemon, http_server):
    configure(daemon, http_server, more="FailureThreshold=3")
    ready_once(daemon)
    http_server.reply = BROKEN
    for n in 1, 2:
        run(daemon, code=NO)
        assert show(daemon)["FailuresInRow"] == n
    assert daemon.vitald.ready().status == 200
    daemon.written('"failures":2')
    daemon.end("kill")
    daemon.start()
    # The first run of the new one is the third failure.
    daemon.vitald.wait_status("/health/ready", 503)
    assert show(daemon)["FailuresInRow"] == 3
    assert [line.partition(":")[0] for line in daemon.transitions()] == [
        "shop/app is unhealthy", "shop is not ready because of app",
        "Host is not ready because of shop"]


def counters(daemon):
    text = daemon.vitald.get("/metrics").text
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines()
            if line.startswith(("vitald_check_runs_total", "vitald_check_duration_seconds"))
            and '"app"' in line}


def test_no_counter_goes_back_but_to_zero(daemon, http_server):
    """After a crash the file lacks the last runs. Who counted on would seem to have begun anew, and
    all that was ever counted to be news."""
    configure(daemon, http_server)
    ready_once(daemon)
    daemon.written()
    for _ in range(5):
        run(daemon)
    http_server.reply = HANG
    before = counters(daemon)
    assert sum(before.values()) > 0
    daemon.end()
    daemon.start()
    assert counters(daemon) == before
    daemon.end("kill")
    daemon.start()
    assert daemon.vitald.ready().status == 200
    assert set(counters(daemon).values()) == {0}


def test_what_has_changed_meanwhile_is_told(daemon, http_server):
    configure(daemon, http_server, more="FailureThreshold=1")
    ready_once(daemon)
    daemon.end()
    http_server.reply = BROKEN
    daemon.start()
    daemon.vitald.wait_status("/health/ready", 503)
    http_server.reply = OK
    run(daemon)
    assert [line.partition(":")[0] for line in daemon.transitions()] == [
        "shop/app is unhealthy", "shop is not ready because of app",
        "Host is not ready because of shop",
        *[line for line in daemon.transitions() if " again, was unhealthy for " in line],
        "shop is ready", "Host is ready"]


def test_a_service_that_has_started_has_started(daemon, http_server):
    configure(daemon, http_server, more="Probes=startup readiness liveness\n"
                                        "LivenessFailureThreshold=1\nFailureThreshold=1")
    ready_once(daemon)
    http_server.reply = BROKEN
    run(daemon, code=NO)
    daemon.vitald.wait_status("/health/live", 503)
    daemon.end()
    http_server.reply = HANG
    daemon.start()
    assert daemon.vitald.get("/health/started").status == 200
    assert daemon.vitald.get("/health/live").status == 503
    assert daemon.transitions() == []


def test_the_time_for_the_start_goes_on(daemon, http_server):
    http_server.reply = HANG
    began = time.monotonic()
    configure(daemon, http_server, more="Probes=startup readiness",
              service="[Service]\nStartupTimeout=8s\n")
    time.sleep(4)           # What must pass is time itself.
    daemon.end()
    restarted = time.monotonic()
    daemon.start()
    assert daemon.vitald.get("/health/started").json["status"] == "starting"
    eventually(lambda: "shop has not started" in daemon.log or "failed" in daemon.vitald.get(
        "/health/started").text, within=20, what="the end of StartupTimeout=")
    assert 8 <= time.monotonic() - began
    assert time.monotonic() - restarted < 8, "it began anew"


def test_history_goes_on(daemon, http_server):
    configure(daemon, http_server, more="FailureThreshold=1")
    ready_once(daemon)
    http_server.reply = BROKEN
    run(daemon, code=NO)
    before = daemon.history("shop/app")
    daemon.end()
    http_server.reply = HANG
    daemon.start()
    assert daemon.history("shop/app") == before
    assert [run["Outcome"] for run in before["Runs"]] == ["pass", "fail"]
    http_server.reply = OK


def test_status_tells_of_the_restart(daemon, http_server):
    configure(daemon, http_server)
    ready_once(daemon)
    assert "Restarted" not in daemon.status()
    written = time.time()
    daemon.end()
    http_server.reply = HANG
    daemon.start()
    eventually(lambda: re.search(r"^Restarted \S+ ago; states restored from \d\d:\d\d:\d\d "
                                 r"\(\S+ old\); 1 check has not run since\.$", daemon.status(),
                                 re.MULTILINE), what="the line on the restart")
    restored = daemon.vitald.metrics()["vitald_state_restored_timestamp_seconds"]
    assert abs(restored - written) < 60
    daemon.end()
    http_server.reply = OK
    daemon.start()
    eventually(lambda: re.search(r"^Restarted .* old\)\.$", daemon.status(), re.MULTILINE),
               what="results of all checks")


# -- what is too old or something else -------------------------------------------------------------

def test_what_is_too_old_is_unknown(daemon, http_server):
    """Never a green that is older than MaxAge=, not for one answer."""
    daemon.service("shop", check("app", http_server.url(), interval="200ms", timeout="2s",
                                 more="MaxAge=3s"))
    daemon.start()
    ready_once(daemon)
    daemon.end()
    http_server.reply = HANG
    time.sleep(3.1)         # What must pass is time itself.
    daemon.start()
    answer = daemon.vitald.ready()
    assert answer.status == 503
    assert answer.json["checks"]["shop/app"]["reason"] == "stale"
    assert show(daemon)["State"] == "unknown"
    assert any(line.startswith("shop/app is unknown: No result for 3s")
               for line in daemon.transitions())


def test_a_check_of_other_settings_begins_anew(daemon, http_server):
    both = check("app", http_server.url()) + check("other", http_server.url("/a"))
    daemon.service("shop", both)
    daemon.start()
    ready_once(daemon)
    daemon.end()
    http_server.reply = HANG
    daemon.service("shop", both.replace("/a\n", "/b\n"))
    daemon.start()
    assert show(daemon)["State"] == "healthy"
    assert show(daemon, "shop/other")["State"] == "pending"
    # It withdraws nothing as long as nothing is known against it.
    assert daemon.vitald.ready().status == 200
    assert daemon.transitions() == []
    assert "States of 3 of 4 checks restored" in daemon.log


def test_a_new_service_withdraws_nothing_from_the_host(daemon, http_server):
    configure(daemon, http_server)
    ready_once(daemon)
    daemon.end()
    http_server.reply = HANG
    daemon.service("second", check("app", http_server.url("/second")))
    daemon.start()
    assert daemon.vitald.ready().status == 200
    assert daemon.vitald.get("/health/ready/second").status == 503


# -- people ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("subject", ["shop", None], ids=["service", "host"])
@pytest.mark.parametrize("timeout", [None, "1h"], ids=["for-good", "for-a-time"])
def test_a_drain_goes_on(daemon, http_server, subject, timeout):
    configure(daemon, http_server)
    ready_once(daemon)
    ctl(daemon.vitald, "drain", *([subject] if subject else ["--all"]), "--reason=kernel",
        *([f"--timeout={timeout}"] if timeout else []))
    daemon.written('"who"')
    before = daemon.status()
    daemon.end("kill")
    daemon.start()
    assert daemon.vitald.ready().json["reason"] == "drained"
    assert daemon.transitions() == []
    after = daemon.status()
    for line in "drain", "kernel":
        assert line in after
    assert re.search(r"drained .*", before).group() if subject else True
    ctl(daemon.vitald, "undrain", *([subject] if subject else ["--all"]))
    ready_once(daemon)
    daemon.end()
    daemon.start()
    assert daemon.vitald.ready().status == 200


def test_an_override_goes_on(daemon, http_server):
    configure(daemon, http_server)
    ready_once(daemon)
    ctl(daemon.vitald, "override", "shop/app", "unhealthy", "--timeout=1h", "--reason=ticket 7")
    before = show(daemon)
    assert before["State"] == "unhealthy"
    daemon.written("ticket 7")
    daemon.end("kill")
    daemon.start()
    after = show(daemon)
    assert daemon.vitald.ready().status == 503
    for same in ("State", "MeasuredState", "Overridden", "OverrideReason", "OverriddenBy",
                 "OverrideTimestamp", "StateChangeTimestamp"):
        assert after[same] == before[same], same
    assert abs(after["OverrideUntilTimestamp"] - before["OverrideUntilTimestamp"]) < 1e6
    assert daemon.transitions() == []


def test_a_drain_for_a_time_ends_in_time(daemon, http_server):
    configure(daemon, http_server)
    ready_once(daemon)
    ctl(daemon.vitald, "drain", "shop", "--timeout=8s")
    daemon.written('"until"')
    daemon.end("kill")
    daemon.start()
    assert daemon.vitald.ready().status == 503
    ready_once(daemon)


# -- episodes --------------------------------------------------------------------------------------

def test_an_episode_is_remembered_as_long_as_its_service_is_there(daemon, http_server):
    for name in "shop", "till", "old":
        daemon.service(name, "[Service]\nOnLivenessFailure=watchdog\n"
                       + check("app", http_server.url(),
                               more="Probes=liveness\nLivenessFailureThreshold=1\n"))
    http_server.reply = BROKEN
    daemon.start()

    def remembered():
        return sorted(path.name for path in daemon.vitald.runtime_directory.glob("starved-*"))

    def remove(name):
        (daemon.vitald.etc / f"services/{name}.conf").unlink()

    def restart(*names):
        daemon.end()
        for name in names:
            remove(name)
        daemon.start()

    # The watchdog starves for one of them at a time.
    eventually(lambda: len(remembered()) == 1)
    (daemon.vitald.runtime_directory / "starved-shop").touch()
    (daemon.vitald.runtime_directory / "starved-old").touch()
    restart()
    assert {"starved-old", "starved-shop"} <= set(remembered())
    restart("old")
    assert "starved-old" not in remembered() and "starved-shop" in remembered()
    remove("shop")
    ctl(daemon.vitald, "reload")
    assert "starved-shop" not in remembered()
    # Who cannot be read is not gone.
    (daemon.vitald.runtime_directory / "starved-till").touch()
    daemon.end()
    place = daemon.vitald.etc / "services"
    place.rename(place.with_name("aside"))
    place.touch()
    daemon.start()
    assert remembered() == ["starved-till"]


# -- reports ---------------------------------------------------------------------------------------

def test_a_report_is_counted_once(daemon):
    """It is kept by itself, too, and both agree."""
    daemon.service("shop", "[Check app]\nType=push\nTTL=1h\nFailureThreshold=3\n")
    daemon.start()
    for word, n in (("pass", 1), ("fail", 2), ("fail", 3)):
        report(daemon.vitald, "shop/app", word, "so it is")
        eventually(lambda: show(daemon)["NRuns"] == n, what="the report")
    daemon.known()
    counts = before = show(daemon)
    for end in "stop", "kill", "stop":
        daemon.written('"failures":2')
        daemon.end(end)
        daemon.start()
        after = show(daemon)
        for same in ("State", "FailuresInRow", "Message", "LastRunTimestamp",
                     "StateChangeTimestamp"):
            assert after[same] == before[same], (end, same)
        for count in "NRuns", "NFail":
            counts[count] = counts[count] if end == "stop" else 0
            assert after[count] == counts[count], (end, count)
    assert daemon.transitions() == []
    report(daemon.vitald, "shop/app", "fail", "so it is")
    daemon.vitald.wait_status("/health/ready", 503)


def test_an_older_report_says_nothing(daemon):
    """A crash kept the last one from the file of reports, and not from that of states."""
    daemon.service("shop", "[Check app]\nType=push\nFailureThreshold=1\n")
    daemon.start()
    reports = daemon.vitald.runtime_directory / "push"
    report(daemon.vitald, "shop/app", "pass")
    daemon.known()
    eventually(lambda: b"STATE=pass" in reports.read_bytes(), what="the first report in its file")
    older = reports.read_bytes()
    time.sleep(1.2)  # closer together they are one
    report(daemon.vitald, "shop/app", "fail", "the last word")
    daemon.written("the last word")
    before = show(daemon)
    daemon.end("kill")
    reports.write_bytes(older)
    daemon.start()
    eventually(lambda: "Overridden" in show(daemon), what="the check")
    after = show(daemon)
    assert (after["State"], after["Message"]) == (before["State"], before["Message"])
    assert after["NRuns"] == 0
    assert daemon.transitions() == []


def test_nothing_secret_and_no_settings_are_kept(daemon, http_server):
    configure(daemon, http_server)
    ready_once(daemon)
    daemon.end()
    for name in "state", "history":
        path = daemon.vitald.runtime_directory / name
        assert path.stat().st_mode & 0o777 == 0o600
        assert http_server.address.encode() not in sealed_body(path)
