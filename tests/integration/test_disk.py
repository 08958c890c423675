# SPDX-License-Identifier: MIT
"""Type=disk: read-only file systems, writing, and several paths at once."""

import errno
import os
import pathlib

import pytest

from lib.checks import section
from lib.mounts import mount, mount_fuse, remount, umount
from lib.process import eventually
from lib.refusal import refusing
from lib.runner import CheckRunner, assert_first_of_stuck, assert_result

LOOSE = ("MinFree=1", "MinFreeInodes=0")


def first(directory, *lines, wrap=list):
    with CheckRunner(directory, section("disk", *LOOSE, *lines), wrap=wrap) as runner:
        return runner.next()


@pytest.fixture
def small(directory):
    place = directory / "small"
    place.mkdir()
    mount(place, "tmpfs", "size=64k,mode=755")
    yield place
    umount(place)


@pytest.fixture
def dead(directory):
    """The place, and the end that when closed ends the waiting."""
    place = directory / "dead"
    place.mkdir()
    server = mount_fuse(place)
    yield place, server
    server.close()
    umount(place)


def test_read_only_remount(directory, small):
    check = section("disk", *LOOSE, f"Path={small}", interval="50ms")
    with CheckRunner(directory, check) as runner:
        assert_result(runner.next(), "pass", "")
        remount(small, True)
        assert_result(runner.next_that(outcome="fail"), "fail", "status/read-only", str(small))
        remount(small, False)
        runner.next_that(outcome="pass")


def test_read_only_on_purpose(directory, small):
    remount(small, True)
    assert_result(first(directory, f"Path={small}", "AllowReadOnly=yes"), "pass", "")


def read_only_here(place):
    """As under ProtectSystem=strict: only the mount that we see is read-only."""
    script = f'mount --bind {place} {place}; mount -o remount,bind,ro {place}; exec "$@"'
    return lambda argv: ["/usr/bin/unshare", "--mount", "--propagation", "private", "/bin/sh",
                         "-ec", script, "sh", *map(str, argv)]


def test_a_sandbox_is_not_a_read_only_file_system(directory, small):
    assert_result(first(directory, f"Path={small}", wrap=read_only_here(small)), "pass", "")


def test_writing_from_the_sandbox_needs_the_drop_in(directory, small):
    result = first(directory, f"Path={small}", "WriteTest=yes", wrap=read_only_here(small))
    assert_result(result, "error", "configuration", str(small), "drop-in disk-write.conf")


def test_writing_without_the_right(directory, small):
    def as_nobody(argv):
        return ["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--", *argv]
    result = first(directory, f"Path={small}", "WriteTest=yes", wrap=as_nobody)
    assert_result(result, "error", "configuration", "may not write", "disk-write.conf")


@pytest.mark.parametrize("wrap", [list, refusing("tmpfile")], ids=["nameless", "named"])
def test_writing(directory, small, wrap):
    """Nothing is left behind, and a full file system is seen when it is full."""
    (small / ".vitald-write-test").write_bytes(b"of one that was killed")
    check = section("disk", *LOOSE, f"Path={small}", "WriteTest=yes", interval="50ms")
    with CheckRunner(directory, check, wrap=wrap) as runner:
        assert_result(runner.next(), "pass", "")
        assert runner.run("it", 100)["pass"] == 100
        left = [".vitald-write-test"] if wrap is list else []
        eventually(lambda: os.listdir(small) == left)       # Unless it is at it.
        with open(small / "big", "wb", buffering=0) as big:
            while (result := runner.next())["outcome"] == "pass":
                fill(big)       # Again, with what a run has given back.
        assert_result(result, "fail", "status/write", "No space left")
        (small / "big").unlink()
        runner.next_that(outcome="pass")


def fill(file):
    try:
        while os.statvfs(file.name).f_bavail:
            file.write(bytes(4096))
    except OSError as e:
        assert e.errno == errno.ENOSPC, e


def test_the_fullest_of_several_is_shown(directory, small):
    (small / "big").write_bytes(bytes(32768))
    result = first(directory, "Path=/", f"Path={small}", "Path=/dev")
    assert_result(result, "pass", "", f"{small}: ")
    assert result["total"] == 65536


def test_the_worst_of_several_fails(directory, small):
    remount(small, True)
    result = first(directory, "Path=/", f"Path={small}", f"Path={directory}/none", "Path=/")
    assert result["outcome"] == "fail" and "(and 1 more)" in result["message"]
    assert result["reason"] in ("missing", "status/read-only")


def test_one_that_hangs_hides_no_other(directory, small, dead):
    """The run that meets it first times out; later ones tell of it and of the others."""
    place, server = dead
    check = section("disk", *LOOSE, f"Path={place}", f"Path={small}", "Path=/", interval="300ms",
                    timeout="200ms")
    with CheckRunner(directory, check) as runner:
        assert_first_of_stuck(runner, runner.next(), f"waiting for the file system of {place}")
        assert_result(runner.next(), "fail", "stuck", f"{place}: ", "still stuck since")
        threads = pathlib.Path(f"/proc/{runner.pid}/task")
        before = len(list(threads.iterdir()))
        remount(small, True)
        while "(and 1 more)" not in runner.next_that(reason="stuck")["message"]:
            pass
        assert runner.run("it", 20)["fail"] == 20
        # One thread is written off and not twenty; the pool may have grown by others meanwhile.
        assert len(list(threads.iterdir())) <= before + 4
        remount(small, False)
        server.close()
        umount(place)
        assert runner.next_that(outcome="pass")["total"] > 0


def test_a_reload_while_one_hangs(vitald, dead):
    """The run goes on with equal settings, which are others in memory."""
    def write(interval):
        vitald.service("default", section("disk", *LOOSE, f"Path={dead[0]}", "Path=/",
                                          interval=interval, timeout="700ms"))
    write("1h")
    vitald.start()
    for seconds in range(1, 6):
        write(f"{seconds}min")
        vitald.reload()
        eventually(lambda: vitald.show("default/it")["IntervalUSec"] == seconds * 60000000)
    eventually(lambda: "still stuck since" in vitald.vitalctl("run", "default/it").stdout)
    dead[1].close()


def test_a_write_that_hangs_is_abandoned(directory, dead):
    place, _ = dead
    check = section("disk", f"Path={place}", "WriteTest=yes", interval="300ms", timeout="200ms")
    with CheckRunner(directory, check) as runner:
        assert_first_of_stuck(runner, runner.next(), "waiting for")
        assert_result(runner.next(), "fail", "stuck", "still stuck since")
        dead[1].close()
        runner.next_that(reason="internal")


def test_too_many_paths(vitald):
    vitald.service("x", section("disk", *(f"Path=/{i}" for i in range(65))))
    done = vitald.verify()
    assert done.returncode == 78 and "more than 64 paths" in done.stdout + done.stderr


def test_a_thousand_runs_leave_nothing(directory, small):
    check = section("disk", *LOOSE, "Path=/", f"Path={small}", "WriteTest=no")
    with CheckRunner(directory, check) as runner:
        runner.next()
        runner.run("it", 2000)
        before = runner.usage()
        assert runner.run("it", 1000)["error"] == 0
        fds, memory = runner.usage()
        assert fds <= before[0] and memory - before[1] <= 256, (before, memory)
