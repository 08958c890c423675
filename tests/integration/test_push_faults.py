# SPDX-License-Identifier: MIT
"""Type=push against senders that mean no good: garbage, floods, descriptors."""

import os
import random
import socket
import subprocess
import sys
import time

import pytest

from lib.ctl import ctl
from lib.process import SLOWNESS, eventually
from lib.push import NOBODY, Sender, lines, notify_socket, open_to_all, report
from lib.vitald import EAGER_ALLOCATOR

GARBAGE = {
    "empty": b"",
    "blank": b"\n\n\n",
    "no key": b"hello",
    "only a value": b"=pass",
    "json": b'{"check":"batch/job","state":"fail"}',
    "another service manager's": b"READY=1\nSTATUS=fine\nMAINPID=1",
    "no check": b"STATE=fail",
    "no state": b"CHECK=batch/job",
    "bad state": b"CHECK=batch/job\nSTATE=failed",
    "state in capitals": b"CHECK=batch/job\nSTATE=FAIL",
    "two states": b"CHECK=batch/job\nSTATE=fail\nSTATE=fail",
    "two checks": b"CHECK=batch/job\nCHECK=batch/job\nSTATE=fail",
    "unknown check": b"CHECK=batch/nothing\nSTATE=fail",
    "not a push check": b"CHECK=host/memory\nSTATE=fail",
    "bad name": b"CHECK=batch/../job\nSTATE=fail",
    "long name": b"CHECK=batch/" + b"j" * 300 + b"\nSTATE=fail",
    "nul": b"CHECK=batch/job\nSTATE=fail\nSTATUS=a\0b",
    "not utf-8": b"CHECK=batch/job\nSTATE=fail\nSTATUS=\xff\xfe",
    "bad value": b"CHECK=batch/job\nSTATE=fail\nVALUE=depth",
    "infinite value": b"CHECK=batch/job\nSTATE=fail\nVALUE=depth=inf",
    "values twice": b"CHECK=batch/job\nSTATE=fail\nVALUE=a=1\nVALUE=a=1",
    "two values in one": b"CHECK=batch/job\nSTATE=fail\nVALUE=a=1 b=2",
    "many values": lines("batch/job", "fail", values=[f"v{i}=1" for i in range(13)]).encode(),
    "many lines": b"CHECK=batch/job\nSTATE=fail" + b"\nX=1" * 63,
    "too long": b"CHECK=batch/job\nSTATE=fail\nSTATUS=" + b"x" * 4096,
    "huge": b"CHECK=batch/job\nSTATE=fail\nSTATUS=" + b"x" * 100000,
}


@pytest.fixture
def daemon(vitald):
    vitald.service("batch", "[Check job]\nType=push\nInitial=pass\n"
                            "[Check other]\nType=push\nInitial=pass\nAllowUser=nobody\n")
    return vitald.start()


def state(daemon, check="job"):
    return daemon.show(f"batch/{check}")["State"]


def test_garbage(daemon):
    began = time.monotonic()
    with Sender(daemon) as s:
        for name, data in GARBAGE.items():
            s.send(data)
            s.barrier()
            assert state(daemon) == "healthy", name
    # One line for all of them, or one in ten seconds.
    assert 1 <= daemon.log.count("was refused") <= 1 + (time.monotonic() - began) / 10
    report(daemon, "batch/job", "fail", "x" * 3000)
    assert state(daemon) == "unhealthy" and len(daemon.show("batch/job")["Message"]) < 256


@pytest.mark.parametrize("data", [
    b"CHECK=batch/job\nSTATE=fail\0", b"\nCHECK=batch/job\n\nSTATE=fail\n\n",
    b"X_Y=1\nFDSTORE=1\nCHECK=batch/job\nSTATUS=\nSTATE=fail\nVALUE=\nVALUE="[:-14],
    b"STATE=fail\nERRNO=2\nCHECK=batch/job\nSTATUS=a\x1b[31m\tb\r"])
def test_what_is_tolerated(daemon, data):
    with Sender(daemon) as s:
        s.send(data)
        s.barrier()
    shown = daemon.show("batch/job")
    assert shown["State"] == "unhealthy"
    assert shown["Message"] in ("", "a [31m b")


def test_random_bytes(daemon):
    dice = random.Random(1)
    seed = lines("batch/job", "pass", "hello", values=["a=1.5s"]).encode()
    with Sender(daemon) as s:
        for _ in range(2000):
            data = bytearray(seed)
            for _ in range(dice.randrange(1, 8)):
                data[dice.randrange(len(data))] = dice.randrange(256)
            s.send(bytes(data))
        s.barrier()
    report(daemon, "batch/job", "pass")
    assert daemon.get("/health").status == 200


def test_fault_35_what_is_shown_is_fit_to_show(daemon):
    report(daemon, "batch/job", "fail", "\x1b]0;title\x07 ü \x7f\u202e")
    message = daemon.show("batch/job")["Message"]
    assert "\x1b" not in message and "\x07" not in message and "ü" in message


# -- descriptors -----------------------------------------------------------------------------------

@pytest.mark.valgrind
def test_descriptors_are_not_taken_in(daemon):
    fds = daemon.open_fds()
    ours, theirs = os.pipe()
    with Sender(daemon) as s:
        for _ in range(50):
            s.send(lines("batch/job", "warn"), [theirs] * 250)
            s.send(b"garbage", [theirs])
        s.barrier()
        os.close(theirs)
        # All copies are gone.
        os.set_blocking(ours, False)
        assert os.read(ours, 1) == b""
    os.close(ours)
    eventually(lambda: daemon.open_fds() <= fds)
    assert state(daemon) == "degraded"


# -- many ------------------------------------------------------------------------------------------

def test_a_thousand_reports(make_vitald):
    """Files and memory stay as they are, and the last word counts."""
    daemon = make_vitald()
    daemon.environment.update(EAGER_ALLOCATOR)
    daemon.service("batch", "[Check job]\nType=push\nTTL=1h\nPersistent=yes\n")
    daemon.start()

    def thousand():
        with Sender(daemon) as s:
            for i in range(999):
                s.send(lines("batch/job", ("pass", "warn", "fail")[i % 3], f"report {i}",
                             [f"number={i}"]))
            s.send(lines("batch/job", "pass"))
            s.barrier()
        eventually(lambda: state(daemon) == "healthy" and settled(daemon))
    thousand()
    fds, memory = daemon.open_fds(), daemon.memory_kib()
    thousand()
    eventually(lambda: daemon.open_fds() <= fds)
    assert daemon.memory_kib() - memory < daemon.growth_max_kib
    for i in range(20):
        ctl(daemon, "report", "batch/job", "pass")
    eventually(lambda: daemon.open_fds() <= fds)


def settled(daemon):
    """What was held back has come, and is written."""
    return daemon.show("batch/job")["LastOutcome"] == "pass" and \
        b"STATE=pass" in (daemon.state_directory / "push").read_bytes()


def test_too_many_reports_become_the_latest(daemon):
    """No more flips than the bound allows, and none of the last words is lost."""
    with Sender(daemon) as s:
        began = time.monotonic()
        for i in range(1500):
            s.send(lines("batch/job", "fail" if i % 2 else "pass"))
        s.barrier()
    # The last one was a failure.
    eventually(lambda: state(daemon) == "unhealthy" and
               daemon.show("batch/job")["LastOutcome"] == "fail")
    n_runs = daemon.show("batch/job")["NRuns"]
    assert n_runs <= 102 + 10 * (time.monotonic() - began + 1)


FLOOD = """
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect(sys.argv[1])
data = [sys.argv[2].encode(), b"garbage", b"CHECK=batch/other\\nSTATE=pass"]
print("on", flush=True)
while True:
    for d in data:
        s.send(d)
"""


@pytest.fixture
def flood(daemon):
    """Two processes of nobody that send as fast as they can."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    open_to_all(daemon)
    floods = [subprocess.Popen(["/usr/bin/setpriv", "--pdeathsig", "KILL", sys.executable, "-c",
                                FLOOD, notify_socket(daemon), lines("batch/job", "fail")],
                               stdout=subprocess.PIPE) for _ in range(2)]
    for f in floods:
        assert f.stdout.readline() == b"on\n"
    yield floods
    for f in floods:
        f.kill()
        f.wait()


def test_a_flood_starves_nobody(daemon, flood):
    before = daemon.cpu_seconds()
    began = time.monotonic()
    for i in range(10):
        report(daemon, "batch/job", "warn" if i % 2 else "pass")
        assert daemon.get("/health").status == 200
        assert state(daemon) == ("degraded" if i % 2 else "healthy")
    # Long enough that the share of the processor means something.
    time.sleep(max(0, 2 - (time.monotonic() - began)))
    share = (daemon.cpu_seconds() - before) / (time.monotonic() - began)
    assert share < (0.6 if SLOWNESS == 1 else 1.1), share
    assert daemon.log.count("was refused") <= 2 + (time.monotonic() - began) / 10
    assert all(f.poll() is None for f in flood)
    assert state(daemon) == "degraded", "what nobody says of it counts for nothing"


def test_a_sender_that_has_gone_is_no_member_of_a_unit(make_vitald):
    """Only who is there can be looked up; that is said."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    daemon = make_vitald()
    daemon.service("batch", "[Service]\nUnit=batch.service\n[Check job]\nType=push\nInitial=pass\n")
    daemon.start()
    open_to_all(daemon)
    code = ("import os, socket, sys\n"
            f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
            "socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto("
            "sys.argv[2].encode(), sys.argv[1])\n")
    daemon.freeze()
    subprocess.run([sys.executable, "-c", code, notify_socket(daemon), lines("batch/job", "fail")],
                   check=True)
    daemon.thaw()
    eventually(lambda: "unless it has ended already" in daemon.log)
    assert state(daemon) == "healthy"


# -- the socket itself -----------------------------------------------------------------------------

def test_the_socket_comes_and_goes(make_vitald):
    daemon = make_vitald()
    daemon.service("batch", "[Check job]\nType=tcp\nAddress=127.0.0.1:1\n")
    daemon.start()
    path = notify_socket(daemon)
    assert not path.exists()
    daemon.service("batch", "[Check job]\nType=push\n")
    ctl(daemon, "reload")
    report(daemon, "batch/job", "pass")
    daemon.kill9()
    # What was left behind is in nobody's way.
    assert path.exists()
    daemon.start()
    report(daemon, "batch/job", "pass")
    daemon.stop()
    assert not path.exists()


def test_a_file_of_that_name_is_not_touched(make_vitald):
    daemon = make_vitald()
    daemon.service("batch", "[Check job]\nType=push\n")
    notify_socket(daemon).write_text("mine")
    daemon.start()
    assert "No socket for reports" in daemon.log
    assert notify_socket(daemon).read_text() == "mine"
    ctl(daemon, "report", "batch/job", "pass")
    assert state(daemon) == "healthy"
    notify_socket(daemon).unlink()


def test_a_stream_gets_nowhere(daemon):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        with pytest.raises(OSError):
            s.connect(str(notify_socket(daemon)))
