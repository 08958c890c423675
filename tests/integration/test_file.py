# SPDX-License-Identifier: MIT
"""Type=file: files that are there, go, come, grow old, are replaced, or lie on a dead mount."""

import os
import statistics
import time

import pytest

from lib.checks import section
from lib.plugins import DeadMount
from lib.process import SLOWNESS, eventually
from lib.runner import CheckRunner, assert_first_of_stuck, assert_result

from test_exec import as_user
from test_host_checks import mount, umount


def file_check(path, *lines, **options):
    return section("file", f"Path={path}", *lines, **options)


@pytest.fixture
def path(directory):
    path = directory / "state" / "file"
    path.parent.mkdir()
    path.write_text("first line\nresult: ok\n")
    return path


@pytest.fixture
def run(directory, path):
    """The first result of a check."""
    def first(*lines, wrap=list, at=None):
        with CheckRunner(directory, file_check(at or path, *lines), wrap=wrap) as runner:
            return runner.next()
    return first


def test_is_there(run, path):
    result = run()
    assert_result(result, "pass", "", str(path))
    assert result["size"] == path.stat().st_size and 0 <= result["age"] < 60


def test_is_not_there(run, path):
    assert_result(run(at=path.parent / "none"), "fail", "missing", "is not there")
    assert_result(run(at=path / "below"), "fail", "missing", "is not there")
    assert_result(run("Exists=no", at=path.parent / "none"), "pass", "", "is not there")
    assert_result(run("Exists=no"), "fail", "mismatch", "is there")


def test_age(run, path):
    os.utime(path, (time.time() - 3600,) * 2)
    result = run("MaxFileAge=10min")
    assert_result(result, "fail", "threshold/age", "1h", "MaxFileAge= (10min)")
    assert 3600 <= result["age"] < 3700
    assert_result(run("MaxFileAge=2h"), "pass", "")
    os.utime(path, (time.time() + 3600,) * 2)
    assert run("MaxFileAge=10min")["age"] == 0


def test_size(run, path):
    path.write_bytes(bytes(5000))
    assert_result(run("MinSize=8K"), "fail", "threshold/size", "4.9K", "MinSize= (8.0K)")
    assert_result(run("MaxSize=4K"), "fail", "threshold/size", "MaxSize= (4.0K)")
    assert_result(run("MinSize=5000", "MaxSize=5000"), "pass", "")


@pytest.mark.parametrize("pattern, is_matching", [
    ("^result: ok$", True), ("^result: (ok|fine)$", True), ("^first", True), ("line$", True),
    ("result: failed", False), ("^ok", False), ("first.*result", False)])
def test_content(run, pattern, is_matching):
    result = run(f"Content={pattern}")
    if is_matching:
        assert_result(result, "pass", "")
    else:
        assert_result(result, "fail", "mismatch/content", "Content=")


def test_content_that_takes_for_ever(run, path):
    path.write_bytes(b"a" * 60000 + b"!x")
    assert_result(run("Content=(a+)+$x?"), "fail", "mismatch/content", "too many steps")


def test_content_that_is_no_text(run, path):
    path.write_bytes(b"\xff\0\n" * 1000 + b"\0ok\n")
    assert_result(run("Content=ok"), "pass", "")
    path.write_bytes(b"x" * 65536 + b"ok")      # Beyond what is looked at.
    assert_result(run("Content=ok"), "fail", "mismatch/content")


def test_what_is_no_file(run, path):
    assert_result(run(at=path.parent), "pass", "")
    assert_result(run("Content=x", at=path.parent), "fail", "mismatch", "no regular file")
    fifo = path.parent / "fifo"
    os.mkfifo(fifo)
    assert_result(run("Content=x", at=fifo), "fail", "mismatch", "no regular file")
    assert_result(run("Content=x", at="/dev/zero"), "fail", "mismatch", "no regular file")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_what_may_not_be_looked_at(run, path, directory):
    path.chmod(0o600)
    assert_result(run(wrap=as_user(1)), "pass", "")
    assert_result(run("Content=x", wrap=as_user(1)), "error", "internal", "may not look at it")
    path.parent.chmod(0o700)
    assert_result(run(wrap=as_user(1)), "error", "internal", "may not look at it")


def test_a_bad_expression(vitald):
    vitald.service("default", file_check("/x", "Content=a("))
    done = vitald.verify()
    assert done.returncode == 78 and "Content" in done.stderr + done.stdout


# -- at once ---------------------------------------------------------------------------------------

def test_whatever_happens_is_seen_at_once(directory, path):
    """The next run by itself is a day away."""
    text = file_check(path, "Content=ok", "RetryInterval=10ms")
    with CheckRunner(directory, text) as runner:
        assert_result(runner.next(), "pass", "")
        path.unlink()
        assert_result(runner.next_that(outcome="fail"), "fail", "missing")
        path.write_text("ok")
        runner.next_that(outcome="pass")
        path.write_text("bad")
        assert_result(runner.next_that(outcome="fail"), "fail", "mismatch/content")
        other = path.with_name("other")
        other.write_text("ok")
        other.rename(path)          # Replaced, as is good custom.
        runner.next_that(outcome="pass")
        path.rename(other)
        assert_result(runner.next_that(outcome="fail"), "fail", "missing")
        other.rename(path)
        runner.next_that(outcome="pass")


def test_others_in_the_directory_do_not_count(directory, path):
    path.unlink()
    with CheckRunner(directory, file_check(path, "RetryInterval=10ms")) as runner:
        assert_result(runner.next(), "fail", "missing")
        for i in range(100):
            (path.parent / f"other{i}").write_text("x")
        path.touch()
        assert runner.next()["outcome"] == "pass"


def test_two_checks_of_one_file(directory, path):
    """They share inotify's watch; each is told, and one that goes leaves the other its watch."""
    text = file_check(path, name="a") + file_check(path, "Exists=no", name="b")
    with CheckRunner(directory, text) as runner:
        def follow(**expected):
            seen = {}
            while seen != expected:     # One may have been told twice before the other runs.
                result = runner.next()
                seen[result["check"]] = result["outcome"]
        follow(a="pass", b="fail")
        path.unlink()
        follow(a="fail", b="pass")
        path.touch()
        follow(a="pass", b="fail")


def time_deletions(vitald, path, times):
    took = []
    for _ in range(times):
        vitald.wait_status("/health/ready", 200)
        began = time.monotonic()
        path.unlink()
        eventually(lambda: vitald.ready().status == 503, every=0.001)
        took.append(time.monotonic() - began)
        path.touch()
    print(f"median {statistics.median(took) * 1000:.1f} ms, maximum {max(took) * 1000:.1f} ms")
    return took


@pytest.mark.timing
def test_deletion_is_not_ready_within_50_ms(vitald, path):
    """Median of 20, with Interval=60s; the maximum, which a busy machine decides, is printed."""
    vitald.service("default", file_check(path, "FailureThreshold=1", "RetryInterval=10ms",
                                         interval="60s"))
    vitald.start()
    took = time_deletions(vitald, path, 20)
    assert statistics.median(took) < 0.05 * SLOWNESS, took


# -- dead mounts, and nothing is left --------------------------------------------------------------

@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_dead_mount(directory):
    place = directory / "dead"
    with DeadMount(place, mount, umount) as dead:
        text = file_check(f"{place}/x", "RetryInterval=100ms", timeout="200ms",
                          interval="200ms") + section("memory", name="good", interval="100ms")
        with CheckRunner(directory, text) as runner:
            dead.take_call()
            assert_first_of_stuck(runner, runner.next_of("it"), "waiting for the file system")
            for _ in range(3):
                assert_result(runner.next_of("it"), "fail", "stuck", "still stuck since")
                assert runner.next_of("good")["outcome"] == "pass"
            dead.release()
            eventually(lambda: runner.next_of("it")["reason"] not in ("stuck", "timeout"))


def test_a_thousand_runs_leave_nothing(directory, path):
    text = file_check(path, "Content=ok", name="good") + \
        file_check(path.with_name("none"), name="bad")
    with CheckRunner(directory, text) as runner:
        runner.first_of(2)
        for name in 3 * ("good", "bad"):
            runner.run(name, 1000)
        before = runner.usage()
        assert runner.run("good", 1000)["pass"] == 1000
        assert runner.run("bad", 1000)["fail"] == 1000
        fds, memory = runner.usage()
        assert fds <= before[0]
        assert memory - before[1] <= 512, (before, memory)
