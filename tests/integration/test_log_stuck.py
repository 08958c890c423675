# SPDX-License-Identifier: MIT
"""FAULTS row 47: whoever takes the log is stuck. Probes and checks go on; what was lost is told."""

import contextlib
import fcntl
import os
import socket
import threading
import time

import pytest

from lib.process import SLOWNESS, eventually

PROBED = "[Check web]\nType=http\nURL={url}\nInterval=10ms\n"


def probe(vitald, n=100):
    """All are answered, and no later than without a log."""
    took = []
    for _ in range(n):
        before = time.monotonic()
        assert vitald.get("/health/ready", within=20).status == 200
        took.append(time.monotonic() - before)
    assert sorted(took)[n // 2] < 0.5 * SLOWNESS, took


def dropped(vitald):
    return vitald.metrics()["vitald_log_dropped_total"]


def told(text):
    """How many messages each line that tells of lost ones tells of."""
    return [int(line.split()[0]) for line in text.splitlines() if "messages were lost" in line]


class Reader(threading.Thread):
    """Reads from a descriptor to the end, whenever it may."""

    def __init__(self, fd):
        super().__init__(daemon=True)
        self.fd, self.data, self.reading = fd, b"", threading.Lock()
        self.start()

    def run(self):
        while True:
            with self.reading, contextlib.suppress(BlockingIOError):
                self.data += os.read(self.fd, 65536)
            time.sleep(0.002)

    @property
    def text(self):
        return self.data.decode(errors="replace")


@pytest.fixture
def piped(vitald, directory):
    """A daemon whose standard error is a pipe."""
    path = directory / "stderr"
    os.mkfifo(path)
    reader = Reader(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
    fcntl.fcntl(reader.fd, fcntl.F_SETPIPE_SZ, 16384)   # So that it is soon full.
    vitald.wrap = lambda argv: ["/bin/sh", "-c", f'exec "$@" 2>{path}', "sh", *map(str, argv)]
    vitald.reader = reader
    return vitald


def test_fault_47_standard_error_is_not_read(piped, http_server):
    reader = piped.reader
    piped.service("app", PROBED.format(url=http_server.url()))
    piped.start()
    piped.wait_status("/health/ready", 200)
    for _ in range(2):
        with reader.reading:
            already = told(reader.text)
            eventually(lambda: dropped(piped) > sum(already) + 50, within=60)
            runs = piped.show("app/web")["NRuns"]
            probe(piped)
            eventually(lambda: piped.show("app/web")["NRuns"] > runs + 10)
            lost = dropped(piped) - sum(already)
        eventually(lambda: sum(told(reader.text)) == dropped(piped))
        # By one line, whatever this machine lets be lost behind it.
        assert told(reader.text)[len(already)] >= lost


def test_fault_47_losses_are_told_without_anything_else_to_tell(piped):
    piped.arguments.append("--log-level=info")
    piped.start()
    eventually(lambda: "Listening on" in piped.reader.text)

    def fills_up():
        assert piped.vitalctl("reload").returncode == 0
        return dropped(piped) > 0
    with piped.reader.reading:
        eventually(fills_up, within=100, every=0)
    eventually(lambda: told(piped.reader.text) == [dropped(piped)])
    assert piped.reader.text.splitlines()[-1].endswith("the log receiver was stuck")


class Journal:
    """The journal's socket, of which nothing is read until asked for."""

    def __init__(self, directory):
        self.path = directory / "journal" / "socket"
        self.path.parent.mkdir(exist_ok=True)
        self.path.unlink(missing_ok=True)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind(str(self.path))
        self.path.chmod(0o666)

    def read(self):
        """All messages that are waiting."""
        messages = []
        with contextlib.suppress(BlockingIOError):
            while True:
                record = self.socket.recv(65536).decode(errors="replace")
                messages += [line.partition("=")[2] for line in record.splitlines()
                             if line.startswith("MESSAGE=")]
        return messages


@pytest.fixture
def journalled(vitald, directory):
    """A daemon that takes its standard error for the journal's; with `journal`."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount the journal's socket")
    vitald.journal = Journal(directory)
    script = ("mount -t tmpfs tmpfs /run; mkdir -p /run/systemd/journal; "
              f"mount --bind {vitald.journal.path.parent} /run/systemd/journal; "
              'JOURNAL_STREAM=$(stat -L -c %d:%i /dev/fd/2) exec "$@"')
    vitald.wrap = lambda argv: ["/usr/bin/unshare", "--mount", "--propagation", "private",
                                "/bin/sh", "-ec", script, "sh", *map(str, argv)]
    return vitald


def test_fault_47_the_journal_takes_nothing(journalled, http_server):
    journalled.service("app", PROBED.format(url=http_server.url()))
    journalled.start()
    # Its queue holds some ten or hundred.
    eventually(lambda: dropped(journalled) > 50, within=60)
    probe(journalled)
    messages, lost = [], dropped(journalled)

    def tells_the_losses():
        messages.extend(journalled.journal.read())
        return sum(told("\n".join(messages))) == dropped(journalled)
    eventually(tells_the_losses, within=60, every=0)
    assert told("\n".join(messages))[0] >= lost     # By one line, whatever is lost behind it.
    assert any("Listening on" in m for m in messages)


def test_fault_47_the_journal_is_made_anew(journalled, http_server):
    """Its socket, too: what is sent to the old one is refused for ever."""
    journalled.service("app", PROBED.format(url=http_server.url()))
    journalled.start()
    journalled.journal.read()
    journalled.journal.socket.close()
    eventually(lambda: dropped(journalled) > 10, within=60)
    probe(journalled, 20)
    new = Journal(journalled.directory.parent)
    messages = []

    def arrives():
        messages.extend(new.read())
        return any("run " in m for m in messages) and told("\n".join(messages))
    eventually(arrives)
