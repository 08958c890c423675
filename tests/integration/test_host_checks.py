# SPDX-License-Identifier: MIT
"""Type=disk and Type=memory: file systems that are full, small, hung or gone, and real memory."""

import pathlib
import re
import shutil

import pytest

from lib.mounts import mount, mount_fuse, umount
from lib.process import eventually
from lib.runner import CheckRunner, assert_first_of_stuck, assert_result

ONCE = "Interval=1d\nRetryInterval=1d\n"


def check(kind, more="", name=None, interval=ONCE):
    return f"[Check {name or kind}]\nType={kind}\n{interval}{more}"


@pytest.fixture
def run(directory):
    """The first result of a check."""
    def first(kind, more="", wrap=list):
        with CheckRunner(directory, check(kind, more), wrap=wrap) as runner:
            return runner.next()
    return first


# -- disk ------------------------------------------------------------------------------------------

@pytest.mark.valgrind
def test_disk_has_room(run):
    result = run("disk", "Path=/\nMinFree=1\nMinFreeInodes=1\n")
    assert_result(result, "pass", "", "free")
    usage = shutil.disk_usage("/")
    assert abs(result["free"] - usage.free) < 0.1 * usage.total
    assert result["free"] <= result["total"] <= usage.total


def test_disk_is_fuller_than_it_may_be(run):
    assert_result(run("disk", "MinFree=100%\n"), "fail", "threshold", "MinFree=")
    assert_result(run("disk", "MinFree=1000P\n"), "fail", "threshold", "1000P")


def test_disk_without_room_and_without_inodes(directory):
    """A file system of 64 KiB and 10 inodes, filled in turn."""
    place = directory / "small"
    place.mkdir()
    mount(place, "tmpfs", "size=64k,nr_inodes=10")
    text = check("disk", f"Path={place}\nMinFree=10%\nMinFreeInodes=20%\n",
                 interval="Interval=100ms\n")
    try:
        with CheckRunner(directory, text) as runner:
            assert_result(runner.next(), "pass", "")
            (place / "big").write_bytes(60000 * b"x")
            assert_result(runner.next_that(outcome="fail"), "fail", "threshold", "MinFree=")
            (place / "big").unlink()
            runner.next_that(outcome="pass")
            for i in range(8):
                (place / str(i)).touch()
            assert_result(runner.next_that(outcome="fail"), "fail", "threshold",
                          "1 of 10 inodes", "MinFreeInodes=")
    finally:
        umount(place)


def test_disk_that_is_not_there(run, directory):
    assert_result(run("disk", f"Path={directory}/none\n"), "fail", "missing", "No such file")


def test_disk_stuck(directory):
    """A FUSE mount whose server never answers: its check fails, the others do not notice."""
    place = directory / "dead"
    place.mkdir()
    server = mount_fuse(place)
    text = check("disk", f"Path={place}\nTimeout=200ms\nRetryInterval=100ms\n", name="dead",
                 interval="Interval=300ms\n") + \
        check("disk", "MinFree=1\n", name="good", interval="Interval=100ms\n")
    try:
        with CheckRunner(directory, text) as runner:
            assert_first_of_stuck(runner, runner.next_of("dead"), "waiting for the file system")
            for _ in range(3):
                result = runner.next_of("dead")
                assert_result(result, "fail", "stuck", "still stuck since")
            assert re.search(r"since \d\d:\d\d:\d\d$", result["message"])
            assert runner.next_of("good")["outcome"] == "pass"
            # One thread is written off, and not one each time.
            threads = len(list(pathlib.Path(f"/proc/{runner.pid}/task").iterdir()))
            for _ in range(8):
                runner.next_of("dead")
            assert len(list(pathlib.Path(f"/proc/{runner.pid}/task").iterdir())) <= threads + 2
            server.close()      # The call returns: connection aborted.
            result = runner.next_that(check="dead", reason="internal")
            assert "not connected" in result["message"]
    finally:
        server.close()
        umount(place)


@pytest.mark.timing     # The leak checker would wait for the thread.
def test_the_end_does_not_wait_for_a_stuck_disk(directory):
    place = directory / "dead"
    place.mkdir()
    server = mount_fuse(place)
    text = check("disk", f"Path={place}\nTimeout=200ms\n")
    try:
        with CheckRunner(directory, text) as runner:
            runner.next()
            runner.popen.stdin.close()
            # The kernel lets a process go only when its calls have returned; the loop must have
            # ended by then.
            eventually(lambda: is_ending(runner.pid), what="end of the program")
            server.close()
            runner.popen.wait(5)
    finally:
        server.close()
        umount(place)


def is_ending(pid):
    """Whether its main thread has gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


# -- memory ----------------------------------------------------------------------------------------

@pytest.mark.valgrind
def test_memory(run):
    result = run("memory", "MinAvailable=1M\n")
    assert_result(result, "pass", "", "available")
    meminfo = dict(re.findall(r"^(\w+): +(\d+) kB", pathlib.Path("/proc/meminfo").read_text(),
                              re.MULTILINE))
    assert result["total"] == int(meminfo["MemTotal"]) * 1024
    assert 0 < result["available"] < result["total"]


def test_too_little_memory(run):
    assert_result(run("memory", "MinAvailable=100%\n"), "fail", "threshold", "MinAvailable=")
    assert_result(run("memory", "MinAvailable=1000P\n"), "fail", "threshold", "1000P")


def test_memory_hidden(run):
    """As under ProcSubset=pid: our own lack."""
    def wrap(argv):
        return ["/usr/bin/unshare", "--mount", "--propagation", "private", "/bin/sh", "-ec",
                'mount -t proc -o subset=pid proc /proc; exec "$@"', "sh", *map(str, argv)]
    result = run("memory", wrap=wrap)
    assert result["outcome"] == "error"
    assert "/proc/meminfo" in result["message"]


# -- both ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", ["disk", "memory"])
def test_ten_thousand_runs_leave_nothing(kind, directory):
    with CheckRunner(directory, check(kind)) as runner:
        runner.next()
        assert runner.run(kind, 5000)["error"] == 0
        before = runner.usage()
        assert runner.run(kind, 10000)["error"] == 0
        fds, memory = runner.usage()
        assert fds <= before[0]
        assert memory - before[1] <= 256, (before, memory)
