# SPDX-License-Identifier: MIT
"""Type=push: reports by datagram, over D-Bus and with vitalctl, and what they do."""

import os
import re
import stat
import subprocess
import sys
import time

import pytest

from lib.ctl import ERROR, USAGE, YES, complaint, ctl
from lib.dbus import check_path
from lib.process import CLEAN_ENVIRONMENT, SLOWNESS, eventually, throughout
from lib.push import (NOBODY, Sender, lines, notify_socket, open_to_all, report, systemd_notify)

I_CHECK = "org.vitald1.Check"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def service(*checks, head=""):
    text = f"[Service]\n{head}\n"
    for name, more in checks:
        text += f"[Check {name}]\nType=push\n{more}\n"
    return text


@pytest.fixture
def make(make_vitald):
    """A running daemon with checks of the service batch: make(("job", "TTL=1h"))."""
    def run(*checks, head="", **options):
        daemon = make_vitald(**options)
        daemon.service("batch", service(*checks, head=head))
        return daemon.start()
    return run


def state(daemon, check="batch/job"):
    return daemon.show(check)["State"]


def wait_state(daemon, wanted, check="batch/job", within=10):
    eventually(lambda: state(daemon, check) == wanted, within=within, what=f"{check} {wanted}")


# -- what a report does ----------------------------------------------------------------------------

def test_a_check_is_what_is_reported(make):
    daemon = make(("job", ""))
    shown = daemon.show("batch/job")
    assert (shown["State"], shown["Type"], shown["Target"]) == ("pending", "push", "reports")
    assert shown["FailureThreshold"] == shown["LivenessFailureThreshold"] == 1
    assert daemon.ready().status == 503
    for word, wanted, status in (("pass", "healthy", 200), ("fail", "unhealthy", 503),
                                 ("warn", "degraded", 200), ("pass", "healthy", 200)):
        report(daemon, "batch/job", word, f"it is {word}")
        # What comes behind a barrier sees the report.
        assert daemon.ready().status == status
        shown = daemon.show("batch/job")
        assert shown["State"] == wanted and shown["LastOutcome"] == word
        if word != "pass":
            assert (shown["Reason"], shown["Message"]) == ("status", f"it is {word}")
    check = daemon.ready().json["checks"]["batch/job"]
    assert check == {"healthy": True}


def test_values_are_graded_and_published(make):
    daemon = make(("queue", "Warn=depth:100\nFail=depth:1000\nFail=age:~:60"))
    for depth, wanted in (7, "healthy"), (101, "degraded"), (1001, "unhealthy"), (3, "healthy"):
        report(daemon, "batch/queue", "pass", values=[f"depth={depth}", "age=1500ms", "size=2KB"])
        assert state(daemon, "batch/queue") == wanted
    values = {v["Name"]: (v["Value"], v["Unit"]) for v in daemon.show("batch/queue")["Values"]}
    assert values == {"depth": (3, ""), "age": (1.5, "seconds"), "size": (2048, "bytes")}
    assert daemon.metrics()['vitald_check_value{service="batch",check="queue",name="age",'
                            'unit="seconds"}'] == 1.5
    # A limit whose value does not come is no reason to be green.
    report(daemon, "batch/queue", "pass")
    assert daemon.show("batch/queue")["Reason"] == "threshold/unknown-value"


@pytest.mark.parametrize("initial, wanted, status", [
    ("pending", "pending", 503), ("pass", "healthy", 200), ("warn", "degraded", 200),
    ("fail", "unhealthy", 503)])
def test_initial(make, initial, wanted, status):
    daemon = make(("job", f"Initial={initial}"))
    # From the very first answer on.
    assert daemon.ready().status == status
    assert state(daemon) == wanted
    report(daemon, "batch/job", "pass")
    assert state(daemon) == "healthy"


def test_thresholds_may_be_others(make):
    daemon = make(("job", "FailureThreshold=3\nInitial=pass"))
    for wanted in "healthy", "healthy", "unhealthy":
        report(daemon, "batch/job", "fail")
        assert state(daemon) == wanted


def test_defaults_for_runs_mean_nothing(make_vitald):
    daemon = make_vitald()
    daemon.conf("[Defaults]\nInterval=5s\nFailureThreshold=4\nMaxLatency=1s\n")
    daemon.service("batch", service(("job", "Initial=pass")))
    daemon.start()
    report(daemon, "batch/job", "fail")
    shown = daemon.show("batch/job")
    assert (shown["State"], shown["IntervalUSec"], shown["MaxLatencyUSec"]) == ("unhealthy", 0, 0)


@pytest.mark.parametrize("line, word", [
    ("Interval=5s", "has no runs"), ("Timeout=5s", "has no runs"), ("After=other", "has no runs"),
    ("WarnLatency=1s", "has no runs"), ("Initial=good", "pending, pass, warn, fail"),
    ("TTL=1ms", "not from 100ms"), ("AllowUnit=orders", "unit's name")])
def test_settings_that_mean_nothing(vitald, line, word):
    vitald.service("batch", service(("job", line), ("other", "")))
    done = vitald.verify()
    assert done.returncode == 78 and word in done.stderr, done.stderr


def test_it_has_no_runs(make):
    daemon = make(("job", ""))
    assert "has no runs" in complaint(daemon, "run", "batch/job", code=ERROR)
    assert "Schedule" not in ctl(daemon, "show", "batch/job")


# -- no news ---------------------------------------------------------------------------------------

def test_silence_is_a_failure(make):
    daemon = make(("job", "TTL=1s\nProbes=liveness readiness\nInitial=pass"))
    report(daemon, "batch/job", "pass")
    wait_state(daemon, "unhealthy")
    shown = daemon.show("batch/job")
    assert shown["Reason"] == "stale", shown
    assert re.match(r"No report for \d", shown["Message"]), shown
    assert daemon.get("/health/live").status == 503
    assert shown["Target"] == "reports, at least every 1s"

    def comes_back():
        report(daemon, "batch/job", "pass")
        return state(daemon) == "healthy" and daemon.get("/health/live").status == 200
    eventually(comes_back)


def test_a_report_that_never_comes(make):
    daemon = make(("job", "TTL=1s"))
    wait_state(daemon, "unhealthy")
    shown = daemon.show("batch/job")
    assert (shown["Reason"], shown["Message"]) == ("missing", "No report within 1s")


def test_each_missing_report_counts(make):
    daemon = make(("job", "TTL=500ms\nFailureThreshold=3\nInitial=pass"))
    seen = []

    def enough_are_missing():
        shown = daemon.show("batch/job")
        seen.append((shown["FailuresInRow"], shown["State"]))
        return shown["FailuresInRow"] >= 3
    eventually(enough_are_missing)
    for n, word in seen:
        assert word == ("unhealthy" if n >= 3 else "healthy"), seen
    assert daemon.show("batch/job")["NFail"] >= 3


def test_reports_in_time_keep_it(make):
    daemon = make(("job", f"TTL={5 * SLOWNESS}s"))

    def heartbeat():
        report(daemon, "batch/job", "pass")
        return daemon.ready().status == 200
    throughout(heartbeat, 7 * SLOWNESS, every=0.3)


def test_a_stall_is_nobody_s_silence(make):
    """What was said in time counts, and nobody is blamed for a time in which nothing could run."""
    daemon = make(("heard", "TTL=4s"), ("silent", "TTL=4s"))
    report(daemon, "batch/heard", "pass")
    report(daemon, "batch/silent", "pass")
    mark = len(daemon.log)
    daemon.freeze()
    with Sender(daemon) as s:
        time.sleep(6)
        s.send(lines("batch/heard", "pass"))
        daemon.thaw()
        s.barrier()
    assert state(daemon, "batch/heard") == "healthy"
    wait_state(daemon, "unhealthy", "batch/silent", within=30)
    assert daemon.show("batch/silent")["Reason"] == "stale"
    # It was asked for anew before that.
    told = [line.split()[2].rstrip(":,") for line in daemon.log[mark:].splitlines()
            if line.startswith("batch/silent is ")]
    assert [word for word in told if word != "healthy"][:2] == ["pending", "unhealthy"], told


# -- ways in ---------------------------------------------------------------------------------------

@pytest.mark.valgrind
def test_systemd_notify(make):
    daemon = make(("job", ""))
    done = systemd_notify(daemon, "CHECK=batch/job", "STATE=pass", "STATUS=went through",
                          "VALUE=rows=1200", "X_FOREIGN=1", "READY=1")
    assert done.returncode == 0, done.stderr
    shown = daemon.show("batch/job")
    assert shown["State"] == "healthy"
    assert [(v["Name"], v["Value"]) for v in shown["Values"]] == [("rows", 1200)]
    # Its own options, and those that do not wait.
    done = systemd_notify(daemon, "CHECK=batch/job", "STATE=fail",
                          options=["--no-block", "--status=out of rows"])
    assert done.returncode == 0, done.stderr
    wait_state(daemon, "unhealthy")
    assert daemon.show("batch/job")["Message"] == "out of rows"


PYTHON = """
import socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
    s.sendto(sys.argv[2].encode(), sys.argv[1])
"""


def test_python(make):
    daemon = make(("job", ""))
    subprocess.run([sys.executable, "-c", PYTHON, notify_socket(daemon),
                    lines("batch/job", "warn", "half of it\n")], check=True)
    wait_state(daemon, "degraded")


@pytest.mark.valgrind
def test_vitalctl(make):
    daemon = make(("job", ""))
    assert ctl(daemon, "report", "batch/job", "pass", code=YES) == ""
    assert state(daemon) == "healthy"
    ctl(daemon, "report", "batch/job", "fail", "Three orders are stuck", "--value=stuck=3",
        "--value=age=2.5s")
    shown = daemon.show("batch/job")
    assert (shown["State"], shown["Message"]) == ("unhealthy", "Three orders are stuck")
    assert [(v["Name"], v["Value"], v["Unit"]) for v in shown["Values"]] == [
        ("stuck", 3, ""), ("age", 2.5, "seconds")]
    assert "pass, warn or fail" in complaint(daemon, "report", "batch/job", "healthy", code=ERROR)
    assert "NAME=NUMBER" in complaint(daemon, "report", "batch/job", "pass", "--value=x",
                                      code=ERROR)
    complaint(daemon, "report", "batch/job", code=USAGE)
    complaint(daemon, "drain", "batch", "--value=x=1", code=USAGE)
    text = ctl(daemon, "show", "batch/job")
    assert "Three orders are stuck" in text and "stuck = 3" in text and "2.5 seconds" in text


def test_busctl(make, bus):
    daemon = make(("job", ""), bus=bus)
    eventually(lambda: "org.vitald1" in bus.names(), what="the name")
    bus.call(check_path("batch", "job"), I_CHECK, "Report", "ss", "pass", "")
    assert state(daemon) == "healthy"
    bus.call(check_path("batch", "job"), I_CHECK, "ReportValues", "sss", "fail", "no", "depth=9")
    assert daemon.show("batch/job")["Values"][0]["Value"] == 9


@pytest.mark.valgrind
def test_shared_by_services(vitald):
    vitald.write("checks/feed.conf", "[Check]\nType=push\n")
    for name in "a", "b":
        vitald.service(name, "[Service]\n[Check feed]\nFrom=feed\n")
    vitald.start()
    report(vitald, "b/feed", "pass")
    assert state(vitald, "a/feed") == state(vitald, "b/feed") == "healthy"
    # One that comes later is told what was said before.
    vitald.service("c", "[Service]\n[Check feed]\nFrom=feed\n")
    ctl(vitald, "reload")
    wait_state(vitald, "healthy", "c/feed")
    assert vitald.ready().status == 200


# -- who may ---------------------------------------------------------------------------------------

@as_root
def test_others_are_refused(make, bus):
    daemon = make(("job", "Initial=pass"), ("theirs", "Initial=pass\nAllowUser=nobody"),
                  ("numbered", f"Initial=pass\nAllowUser=root\nAllowUser={NOBODY}"), bus=bus)
    open_to_all(daemon)
    assert stat.S_IMODE(notify_socket(daemon).stat().st_mode) == 0o666
    eventually(lambda: "org.vitald1" in bus.names(), what="the name")
    for check, allowed in ("job", False), ("theirs", True), ("numbered", True):
        done = systemd_notify(daemon, f"CHECK=batch/{check}", "STATE=fail", user=NOBODY)
        assert done.returncode == 0, done.stderr
        assert state(daemon, f"batch/{check}") == ("unhealthy" if allowed else "healthy")
        report(daemon, f"batch/{check}", "pass")
        arguments = check_path("batch", check), I_CHECK, "Report", "ss", "fail", ""
        if allowed:
            bus.call(*arguments, user=NOBODY)
        else:
            with pytest.raises(ValueError, match="Access denied"):
                bus.call(*arguments, user=NOBODY)
        assert state(daemon, f"batch/{check}") == ("unhealthy" if allowed else "healthy")
    assert daemon.log.count("was refused") == 1
    assert "A report to batch/job was refused: it comes from none of AllowUser=" in daemon.log


def test_a_user_who_is_not_there(make):
    daemon = make(("job", "AllowUser=nobody-of-this-name"))
    assert "there is no user nobody-of-this-name on this host" in daemon.log
    report(daemon, "batch/job", "pass")
    assert state(daemon) == "healthy"


@as_root
def test_a_uid_cannot_be_claimed(make):
    """The kernel's word counts, not the datagram's."""
    daemon = make(("job", "Initial=pass\nAllowUser=nobody"))
    open_to_all(daemon)
    code = ("import os, socket, struct, sys\n"
            "os.setgroups([]); os.setgid(1); os.setuid(1)\n"
            "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
            "claim = struct.pack('iII', os.getpid(), 65534, 65534)\n"
            "try:\n"
            "    s.sendmsg([sys.argv[2].encode()], [(1, 2, claim)], 0, sys.argv[1])\n"
            "except PermissionError:\n"
            "    s.sendto(sys.argv[2].encode() + b'\\nUID=65534\\n_UID=65534', sys.argv[1])\n")
    done = subprocess.run([sys.executable, "-c", code, notify_socket(daemon),
                           lines("batch/job", "fail")], env=CLEAN_ENVIRONMENT)
    assert done.returncode == 0
    eventually(lambda: "was refused" in daemon.log)
    assert state(daemon) == "healthy"
