# SPDX-License-Identifier: MIT
"""Files that outlast a restart: bad ones, disks that take none, and another boot."""

import json
import os
import re
import subprocess

import pytest

from lib.ctl import ctl
from lib.mounts import MS_RDONLY, mount, umount
from lib.peers import HANG, Reply
from lib.preload import compile_library
from lib.process import Stopwatch, eventually, hurry
from lib.push import report
from lib.state import Restarts, sealed, sealed_body

CHECK = """
[Check app]
Type=http
URL={url}
Interval=1d
RetryInterval=1d
Timeout=20s
"""

OK = Reply(body=b"ok")


@pytest.fixture
def daemon(vitald, http_server):
    vitald.service("shop", CHECK.format(url=http_server.url()))
    return Restarts(vitald)


def begin(daemon):
    daemon.start()
    daemon.vitald.wait_status("/health/ready", 200)
    daemon.known()


def state(daemon):
    return daemon.vitald.show("shop/app")["State"]


def changed(path, **members):
    """The same file with other members of the whole."""
    return sealed(json.dumps({**json.loads(sealed_body(path)), **members}).encode())


# -- 46: bad files ---------------------------------------------------------------------------------

SPOILT = {
    "empty": lambda path, data: b"",
    "cut": lambda path, data: data[:-20],
    "cut-in-the-header": lambda path, data: data[:15],
    "longer": lambda path, data: data + b"x",
    "flipped": lambda path, data: data[:200] + bytes([data[200] ^ 1]) + data[201:],
    "zeros": lambda path, data: bytes(len(data)),
    "older": lambda path, data: sealed(sealed_body(path), version=0),
    "newer": lambda path, data: sealed(sealed_body(path), version=2),
    "foreign": lambda path, data: sealed(sealed_body(path), kind="vitald-push"),
    "nothing": lambda path, data: sealed(b""),
    "text": lambda path, data: sealed(b"healthy"),
    "list": lambda path, data: sealed(b"[]"),
    "deep": lambda path, data: sealed(b'{"boot":' + b"[" * 9999),
    "other-boot": lambda path, data: changed(path, boot="0" * 32),
    "future": lambda path, data: changed(path, boottime=1 << 59),
    "no-services": lambda path, data: changed(path, services=7),
    "negative": lambda path, data: sealed(re.sub(rb'"fresh":\d+', b'"fresh":-1',
                                                 sealed_body(path))),
    "future-result": lambda path, data: sealed(re.sub(rb'"fresh":\d+', b'"fresh":%d' % (1 << 58),
                                                      sealed_body(path))),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT.keys())
def test_fault_46_a_bad_file_is_left_aside(daemon, http_server, spoil):
    begin(daemon)
    daemon.end()
    good = daemon.path.read_bytes()
    daemon.path.write_bytes(spoil(daemon.path, good))
    http_server.reply = HANG
    daemon.start()
    # As if there were none, and told once.
    assert state(daemon) == "pending" and daemon.vitald.ready().status == 503
    assert daemon.log.count(f"{daemon.path} is left aside: ") == 1
    assert "restored" not in daemon.log
    assert f"nothing restored: {daemon.path}: " in " ".join(daemon.status().split())
    assert "vitald_state_restored_timestamp_seconds" not in daemon.vitald.metrics()
    # The next one is good again.
    daemon.end()
    assert json.loads(sealed_body(daemon.path)) and daemon.path.read_bytes() != good


@pytest.mark.parametrize("make", [
    lambda path: path.mkdir(),
    lambda path: os.mkfifo(path),
    lambda path: path.symlink_to("/dev/zero"),
    lambda path: (path.touch(), os.truncate(path, 1 << 40)),
], ids=["directory", "fifo", "endless", "huge"])
def test_fault_46_what_is_no_file_is_left_aside(daemon, http_server, make):
    make(daemon.path)
    daemon.start()
    daemon.vitald.wait_status("/health/ready", 200)
    assert daemon.log.count(f"{daemon.path} is left aside: ") == 1


def test_fault_46_a_bad_history_is_left_aside(daemon):
    begin(daemon)
    daemon.end()
    path = daemon.vitald.runtime_directory / "history"
    path.write_bytes(sealed(sealed_body(path).replace(b'"runs":"', b'"runs":"x'),
                            kind="vitald-history"))
    daemon.start()
    assert daemon.log.count(f"{path} is left aside: ") == 1
    assert "States of 3 of 3 checks restored" in daemon.log
    eventually(lambda: daemon.history("shop/app")["Runs"], what="a history of its own")


# -- 45: disks that take nothing -------------------------------------------------------------------

def in_namespace(daemon, script):
    """vitald runs where this was mounted; skips where it cannot be."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    command = ["/usr/bin/unshare", "--mount", "/bin/sh", "-c", f'{script} && exec "$@"', "sh"]
    if subprocess.run([*command, "true"], capture_output=True).returncode != 0:
        pytest.skip("mounting is not permitted here")
    daemon.vitald.wrap = lambda argv: [*command, *argv]


def failures(daemon):
    return daemon.vitald.metrics()["vitald_state_write_failures_total"]


def works_on(daemon, http_server):
    for reply, status in (Reply(status=500), 503), (OK, 200):
        http_server.reply = reply
        for _ in range(2):
            daemon.vitald.vitalctl("run", "shop/app")
        assert daemon.vitald.ready().status == status


@pytest.fixture
def small_disk(daemon):
    """The runtime directory."""
    place = daemon.vitald.runtime_directory
    mount(place, "tmpfs", "size=64k")
    yield place
    daemon.vitald.close()
    umount(place)


def fill(path):
    with open(path, "wb", buffering=0) as full:
        with pytest.raises(OSError):
            while True:
                full.write(bytes(4096))


def test_fault_45_a_full_disk(daemon, http_server, small_disk):
    begin(daemon)
    daemon.written()
    assert failures(daemon) == 0
    kept = daemon.path.read_bytes()
    fill(small_disk / "full")
    works_on(daemon, http_server)
    eventually(lambda: failures(daemon) >= 1, what="a failure that is counted")
    works_on(daemon, http_server)
    assert daemon.vitald.log.count("States of checks cannot be kept in ") == 1
    assert "No space left on device" in daemon.vitald.log
    assert daemon.path.read_bytes() == kept
    eventually(lambda: not (small_disk / "state.new").exists(), what="nothing left behind")
    # What is known at the end is written, if it can be.
    (small_disk / "full").unlink()
    daemon.end()
    assert daemon.path.read_bytes() != kept
    daemon.start()
    assert "States of 3 of 3 checks restored" in daemon.log


def test_fault_45_a_drain_that_one_disk_takes(daemon, small_disk):
    """The other one keeps an older picture, without the drain."""
    begin(daemon)
    daemon.written()
    fill(small_disk / "full")
    ctl(daemon.vitald, "drain", "shop", "--reason=new disk")
    drains = daemon.vitald.state_directory / "drains"
    eventually(lambda: b"new disk" in drains.read_bytes(), what="the drain in its file")
    assert b"new disk" not in daemon.path.read_bytes()
    daemon.mark = len(daemon.vitald.log)
    daemon.vitald.kill9()
    (small_disk / "full").unlink()
    daemon.start()
    assert "States of 3 of 3 checks restored" in daemon.log
    assert daemon.vitald.ready().json["reason"] == "drained"
    assert "new disk" in daemon.status()
    daemon.end()
    daemon.start()
    assert daemon.log.count("is still drained by") == 1


@pytest.fixture
def hung(daemon, tmp_path):
    """The state directory hangs while this is there."""
    hung = tmp_path / "hung"
    daemon.vitald.environment.update(LD_PRELOAD=str(compile_library("hung-disk", tmp_path)),
                                     HUNG_WHILE=str(hung),
                                     HUNG_DIRECTORY=str(daemon.vitald.state_directory))
    return hung


@pytest.mark.timing     # A library in front of the sanitizers'.
def test_fault_45_a_disk_that_hangs_is_told_of(daemon, hung):
    """Once, and that it does no more."""
    begin(daemon)
    daemon.written()
    hung.touch()
    ctl(daemon.vitald, "drain", "shop", "--reason=first")
    drains = daemon.vitald.state_directory / "drains"
    told = f"Drains of operators cannot be kept in {drains}: writing hangs"
    assert failures(daemon) == 0
    eventually(lambda: failures(daemon) == 1, within=30, what="a failure that is counted")
    eventually(lambda: daemon.vitald.log.count(told) == 1)
    # Another is not begun as long as this one may come to its end.
    ctl(daemon.vitald, "drain", "shop", "--reason=second")
    assert not drains.exists()
    hung.unlink()
    eventually(lambda: b"second" in drains.read_bytes(), what="the latest in the file")
    eventually(lambda: daemon.vitald.log.count("Drains of operators are kept in ") == 1)
    assert daemon.vitald.log.count(told) == 1


@pytest.mark.timing
@pytest.mark.parametrize("waits", [False, True])
def test_a_mask_while_the_drain_is_written(daemon, hung, waits):
    begin(daemon)
    daemon.written()
    hung.touch()
    ctl(daemon.vitald, "drain", "shop")
    drains = daemon.vitald.state_directory / "drains"
    eventually(drains.with_name("drains.new").exists)
    file = daemon.vitald.etc / "services/shop.conf"
    file.unlink()
    if waits:
        ctl(daemon.vitald, "reload")
    file.symlink_to("/dev/null")
    ctl(daemon.vitald, "reload")
    hung.unlink()
    eventually(lambda: b"shop" not in drains.read_bytes(), what="the file without it")


@pytest.mark.timing
def test_fault_45_a_disk_that_hangs(daemon, hung):
    """All goes on, and the end waits for all files together no longer than for one."""
    daemon.service("batch", "[Check job]\nType=push\nPersistent=yes\nInitial=pass\n")
    begin(daemon)
    daemon.written()
    hung.touch()
    for reason in "first", "second":
        report(daemon.vitald, "batch/job", "fail", reason)
        ctl(daemon.vitald, "drain", "shop", f"--reason={reason}")
        daemon.service("other", f"[Service]\nDescription={reason}\n[Check disk]\nType=disk\n")
        ctl(daemon.vitald, "reload")
        for name in "drains", "push", "configuration":
            eventually((daemon.vitald.state_directory / f"{name}.new").exists, what=name)
    hurry(daemon.vitald.pid)
    watch = Stopwatch(daemon.vitald.pid)
    daemon.vitald.stop()
    assert watch.seconds() < 2.5
    hung.unlink()
    daemon.start()
    assert daemon.vitald.ready().json["reason"] == "drained"


def test_fault_45_a_read_only_disk(daemon):
    place = daemon.vitald.state_directory
    place.mkdir()
    mount(place, "tmpfs", "", MS_RDONLY)
    try:
        begin(daemon)
        for verb, status in ("drain", 503), ("undrain", 200), ("drain", 503):
            ctl(daemon.vitald, verb, "shop")
            assert daemon.vitald.get("/health/ready/shop").status == status
        eventually(lambda: failures(daemon) >= 1, what="a failure that is counted")
        assert daemon.vitald.log.count("Drains of operators cannot be kept in ") == 1
        assert "Read-only file system" in daemon.vitald.log
        daemon.vitald.stop()
    finally:
        umount(place)


def test_fault_45_a_file_that_cannot_be_replaced(daemon, http_server):
    """The last step fails: what was there stays."""
    daemon.path.mkdir()
    (daemon.path / "something").touch()
    begin(daemon)
    eventually(lambda: failures(daemon) >= 1, what="a failure that is counted")
    works_on(daemon, http_server)
    assert daemon.vitald.log.count("States of checks cannot be kept in ") == 1
    assert (daemon.path / "something").exists()
    eventually(lambda: not (daemon.vitald.runtime_directory / "state.new").exists(),
               what="nothing left behind")


# -- another boot ----------------------------------------------------------------------------------

def reboot(daemon, number=1):
    """From the next start on the kernel says that this is another boot."""
    file = daemon.vitald.directory / "boot_id"
    file.write_text(f"0123456{number}-89ab-4def-8123-456789abcdef\n")
    daemon.end()
    in_namespace(daemon, f'mount --bind "{file}" /proc/sys/kernel/random/boot_id')
    daemon.start()


def test_states_and_overrides_end_with_the_boot(daemon, http_server):
    begin(daemon)
    ctl(daemon.vitald, "override", "shop/app", "unhealthy", "--timeout=1h")
    http_server.reply = HANG
    reboot(daemon)
    assert state(daemon) == "pending" and not daemon.vitald.show("shop/app")["Overridden"]
    assert daemon.log.count("is left aside: it is of another boot of this host") == 3
    assert daemon.status().count("nothing restored") == 1


@pytest.mark.parametrize("subject", ["shop", None], ids=["service", "host"])
def test_the_drain_of_an_operator_survives_boots(daemon, subject):
    begin(daemon)
    ctl(daemon.vitald, "drain", *([subject] if subject else ["--all"]), "--reason=new disk")
    for number in 1, 2:
        reboot(daemon, number)
        assert daemon.vitald.ready().json["reason"] == "drained"
        assert "new disk" in daemon.status()
        assert f"{subject or 'Host'} is still drained by " in daemon.log
    ctl(daemon.vitald, "undrain", *([subject] if subject else ["--all"]))
    daemon.vitald.wait_status("/health/ready", 200)
    reboot(daemon, 3)
    daemon.vitald.wait_status("/health/ready", 200)


def test_the_drain_for_a_time_survives_a_boot_for_that_time(daemon):
    begin(daemon)
    ctl(daemon.vitald, "drain", "shop", "--timeout=10s")
    reboot(daemon)
    assert daemon.vitald.ready().json["reason"] == "drained"
    daemon.vitald.wait_status("/health/ready", 200)
    reboot(daemon, 2)
    daemon.vitald.wait_status("/health/ready", 200)
    assert daemon.log.count("is still drained by") == 1


def test_fault_46_a_bad_file_of_drains_is_left_aside(daemon):
    begin(daemon)
    ctl(daemon.vitald, "drain", "shop")
    daemon.end()
    path = daemon.vitald.state_directory / "drains"
    path.write_bytes(path.read_bytes()[:-3])
    daemon.path.unlink()
    daemon.start()
    daemon.vitald.wait_status("/health/ready", 200)
    assert daemon.log.count(f"{path} is left aside: it is damaged") == 1
