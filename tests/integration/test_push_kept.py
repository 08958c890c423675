# SPDX-License-Identifier: MIT
"""Type=push: what is kept over restarts of vitald and of the host, and bad files."""

import os
import pathlib
import random
import subprocess
import time

import pytest

from lib.process import eventually
from lib.push import lines, report, Sender
from lib.state import sealed, sealed_body

CONFIGURATION = """
[Check job]
Type=push
{job}

[Check lasting]
Type=push
Persistent=yes
{lasting}
"""


@pytest.fixture
def daemon(vitald):
    configure(vitald)
    return vitald.start()


def configure(daemon, job="", lasting=""):
    daemon.service("batch", CONFIGURATION.format(job=job, lasting=lasting))


def shown(daemon, check):
    return daemon.show(f"batch/{check}")


def states(daemon):
    return shown(daemon, "job")["State"], shown(daemon, "lasting")["State"]


def kept(daemon):
    """The files, once there is nothing more to write."""
    return daemon.runtime_directory / "push", daemon.state_directory / "push"


def wait_kept(daemon, state="pass"):
    """An end does not wait for a disk that is slow."""
    def is_there():
        return all(f"\nSTATE={state}\n".encode() in path.read_bytes() for path in kept(daemon))
    eventually(is_there, within=30, what="what was reported in the files")


def sealed_push(body, kind="vitald-push", version=1):
    return sealed(body, kind, version)


def change(path, old, new):
    body = sealed_body(path)
    assert old in body, body
    path.write_bytes(sealed_push(body.replace(old, new)))


@pytest.fixture
def other_boot(daemon):
    """From the next start on the kernel says that this is another boot."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    file = daemon.directory / "boot_id"
    file.write_text("01234567-89ab-4def-8123-456789abcdef\n")
    script = f'mount --bind "{file}" /proc/sys/kernel/random/boot_id && exec "$@"'
    command = ["/usr/bin/unshare", "--mount", "/bin/sh", "-c", script, "sh"]
    if subprocess.run([*command, "true"], capture_output=True).returncode != 0:
        pytest.skip("mounting is not permitted here")

    def reboot():
        daemon.stop()
        daemon.wrap = lambda argv: [*command, *argv]
        daemon.start()
    return reboot


# -- restarts --------------------------------------------------------------------------------------

@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_restart_changes_nothing(daemon, end):
    report(daemon, "batch/job", "pass", values=["depth=12", "age=1.25s"])
    report(daemon, "batch/lasting", "warn", "half of \"it\" = ü")
    before = time.time()
    if end == "stop":
        daemon.stop()
    else:       # As much as was written by then.
        eventually(lambda: all(b"\nSTATE=" in path.read_bytes() for path in kept(daemon)),
                   within=30)
        daemon.kill9()
    daemon.start()
    # The first answer is the right one.
    assert daemon.ready().status == 200
    assert states(daemon) == ("healthy", "degraded")
    job, lasting = shown(daemon, "job"), shown(daemon, "lasting")
    assert [(v["Name"], v["Value"], v["Unit"]) for v in job["Values"]] == [
        ("depth", 12, ""), ("age", 1.25, "seconds")]
    assert lasting["Message"] == 'half of "it" = ü'
    for check in job, lasting:
        assert check["LastRunTimestamp"] <= before * 1e6 + 1e6


@pytest.mark.valgrind
def test_a_reload_of_other_settings_changes_nothing(daemon):
    report(daemon, "batch/job", "pass")
    report(daemon, "batch/lasting", "pass")
    configure(daemon, job="TTL=1h\nPersistent=yes", lasting="TTL=2h")
    assert daemon.vitalctl("reload").returncode == 0
    assert daemon.ready().status == 200
    eventually(lambda: states(daemon) == ("healthy", "healthy"))
    assert shown(daemon, "job")["Target"] == "reports, at least every 1h"


def test_a_reboot(daemon, other_boot):
    report(daemon, "batch/job", "pass")
    report(daemon, "batch/lasting", "pass", values=["rows=7"])
    wait_kept(daemon)
    other_boot()
    assert states(daemon) == ("pending", "healthy")
    assert shown(daemon, "lasting")["Values"][0]["Value"] == 7
    # And another restart in that boot.
    daemon.stop()
    daemon.start()
    assert states(daemon) == ("pending", "healthy")


def test_the_age_goes_on_over_a_restart(daemon):
    configure(daemon, job="TTL=1h", lasting="TTL=1h")
    assert daemon.vitalctl("reload").returncode == 0
    report(daemon, "batch/job", "pass")
    report(daemon, "batch/lasting", "pass")
    daemon.stop()
    configure(daemon, job="TTL=1s", lasting="TTL=100ms")
    time.sleep(0.2)
    daemon.start()
    # Too old from the start; the other one is not yet, but is soon.
    assert shown(daemon, "lasting")["Reason"] == "stale"
    eventually(lambda: shown(daemon, "job")["Reason"] == "stale")


def test_the_age_over_a_reboot(daemon, other_boot):
    """By the wall clock, as there is no other."""
    configure(daemon, lasting="TTL=26h")
    assert daemon.vitalctl("reload").returncode == 0
    report(daemon, "batch/lasting", "pass")
    daemon.stop()
    path = kept(daemon)[1]
    body = sealed_body(path)
    at = int(body.partition(b"AT=")[2].partition(b"\n")[0])
    change(path, f"AT={at}".encode(), f"AT={at - 27 * 3600 * 10**6}".encode())
    daemon.start()
    other_boot()
    check = shown(daemon, "lasting")
    assert (check["State"], check["Reason"]) == ("unhealthy", "stale")
    assert check["Message"].startswith("No report for 1d 3h")


@pytest.mark.parametrize("shift_days", [1, -500])
def test_fault_46_times_that_say_nothing(daemon, other_boot, shift_days):
    report(daemon, "batch/lasting", "pass")
    daemon.stop()
    path = kept(daemon)[1]
    at = int(sealed_body(path).partition(b"AT=")[2].partition(b"\n")[0])
    change(path, f"AT={at}".encode(), f"AT={at + shift_days * 86400 * 10**6}".encode())
    daemon.start()
    other_boot()
    assert shown(daemon, "lasting")["State"] == "pending"
    assert daemon.log.count("is not from now, so it is left aside") == 1


def test_what_is_not_configured_any_more_is_forgotten(daemon):
    report(daemon, "batch/lasting", "pass")
    daemon.stop()
    daemon.service("batch", "[Check other]\nType=push\nPersistent=yes\n")
    daemon.start()
    report(daemon, "batch/other", "pass")
    daemon.stop()
    assert b"batch/lasting" not in kept(daemon)[1].read_bytes()
    configure(daemon)
    daemon.start()
    assert states(daemon) == ("pending", "pending")


# -- files that are no use -------------------------------------------------------------------------

def good_file(daemon):
    report(daemon, "batch/job", "pass")
    report(daemon, "batch/lasting", "pass")
    wait_kept(daemon)
    daemon.stop()
    return kept(daemon)[1]


@pytest.mark.parametrize("spoil", [
    lambda data: b"",
    lambda data: data[:-1],
    lambda data: data + b"\n",
    lambda data: data.replace(b"STATE=pass", b"STATE=fail"),
    lambda data: b"#!/bin/sh\n",
    lambda data: b"\0" * 5000,
    lambda data: b"x" * (5 << 20),
    lambda data: sealed_push(data.partition(b"\n")[2], version=2),
    lambda data: sealed_push(data.partition(b"\n")[2], kind="vitald-else"),
    lambda data: sealed_push(b""),
    lambda data: sealed_push(data.partition(b"\n")[2].replace(b"AT=", b"AT=x")),
    lambda data: sealed_push(data.partition(b"\n")[2].replace(b"CHECK=", b"CHECK=/")),
], ids=["empty", "cut", "longer", "flipped", "foreign", "zeros", "huge", "version", "kind", "void",
        "time", "name"])
def test_fault_46_a_bad_file_is_left_aside(daemon, spoil):
    path = good_file(daemon)
    path.write_bytes(spoil(path.read_bytes()))
    daemon.start()
    assert states(daemon) == ("healthy", "pending")
    assert daemon.log.count("is no use, so it is left aside") == 1
    report(daemon, "batch/lasting", "warn")
    daemon.stop()
    daemon.start()
    assert states(daemon) == ("healthy", "degraded")


@pytest.mark.parametrize("kind", ["directory", "fifo", "link to nowhere"])
def test_fault_46_no_file(daemon, kind):
    path = good_file(daemon)
    path.unlink()
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to("/nowhere/at/all")
    daemon.start()
    assert states(daemon) == ("healthy", "pending")


def test_fault_46_mutations(daemon):
    """Whatever the file says, with a digest that fits."""
    path = good_file(daemon)
    body, dice = sealed_body(path), random.Random(46)
    for _ in range(12):
        data = bytearray(body)
        for _ in range(dice.randrange(1, 6)):
            where = dice.randrange(len(data))
            data[where:where + dice.randrange(3)] = dice.choice(
                [b"", b"\n", b"\n\n", b"=", b"\xff", b"99999999999999999999", b"CHECK=", b"-1"])
        path.write_bytes(sealed_push(bytes(data)))
        daemon.start()
        assert states(daemon)[1] in ("healthy", "pending")
        daemon.kill9()


def test_fault_45_a_full_disk(daemon):
    """The file that was there stays; checks go on; one line; it is written when there is room."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    daemon.stop()
    daemon.state_directory.mkdir(exist_ok=True)
    if subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", "size=16k", "none",
                       daemon.state_directory], capture_output=True).returncode != 0:
        pytest.skip("mounting is not permitted here")
    try:
        path, filler = kept(daemon)[1], daemon.state_directory / "filler"
        daemon.start()
        report(daemon, "batch/lasting", "pass")
        eventually(lambda: b"STATE=pass" in path.read_bytes() and
                   (daemon.state_directory / "configuration").exists(), within=30)
        good = path.read_bytes()
        with open(filler, "wb", buffering=0) as f:
            try:
                while f.write(b"x" * 1024):
                    pass
            except OSError:
                pass
        report(daemon, "batch/lasting", "fail")
        eventually(lambda: "Reports of checks cannot be kept in" in daemon.log)
        assert states(daemon)[1] == "unhealthy"
        assert path.read_bytes() == good
        filler.unlink()
        report(daemon, "batch/lasting", "warn")
        daemon.stop()
        assert b"STATE=warn" in path.read_bytes()
        names = sorted(p.name for p in daemon.state_directory.iterdir())
        assert names == ["configuration", "push"]
    finally:
        daemon.close()
        subprocess.run(["/bin/umount", daemon.state_directory], check=True)


def test_files_are_for_nobody_else(daemon):
    paths = [*kept(daemon), kept(daemon)[1].parent]
    good_file(daemon)
    assert [oct(path.stat().st_mode & 0o777) for path in paths] == ["0o600", "0o600", "0o700"]
    assert not list(pathlib.Path(daemon.directory).rglob("*.new"))


def test_a_burst_is_written_once(daemon):
    """Not each report is a write."""
    with Sender(daemon) as s:
        for i in range(200):
            s.send(lines("batch/lasting", "pass", f"number {i}"))
        s.barrier()
    path = kept(daemon)[1]
    inode = eventually(lambda: path.exists() and path.stat().st_ino)
    daemon.stop()
    assert b"number 199" in path.read_bytes()
    assert inode
