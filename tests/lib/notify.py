# SPDX-License-Identifier: MIT
"""The receiving end of sd_notify(3)."""

import array
import os
import pathlib
import socket
import struct
import threading
import time

from lib.process import eventually

SO_TIMESTAMPNS = 35     # Of socket(7); Python has no name for it.


class NotifySocket:
    """Collects the datagrams as (monotonic time, {KEY: value}) in `messages`.

    The time is when it was sent, however late it is read here.
    """

    def __init__(self, directory, abstract=False):
        self.path = pathlib.Path(directory) / "notify.sock"
        self.name = f"@vitald-test-{os.getpid()}-{id(self)}" if abstract else str(self.path)
        self.messages = []

    @property
    def environment(self):
        return {"NOTIFY_SOCKET": self.name}

    def __enter__(self):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.name.replace("@", "\0", 1))
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        threading.Thread(target=self._receive, daemon=True).start()
        return self

    def __exit__(self, *_):
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._socket.close()

    def _receive(self):
        while True:
            try:
                data, ancillary, _, _ = self._socket.recvmsg(65536, 256)
            except OSError:
                return
            if not data:
                return
            fields = dict(line.split("=", 1) for line in data.decode().splitlines() if "=" in line)
            self.messages.append((sent_at(ancillary), fields))

    def take_in(self):
        """Until all that was sent before is in `messages`."""
        mark = str(time.monotonic())
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.sendto(f"X_MARK={mark}".encode(), self.name.replace("@", "\0", 1))
        eventually(lambda: self.messages[-1][1].get("X_MARK") == mark, what="the mark")
        self.messages.pop()

    def values(self, key):
        """All values of the key in order of arrival."""
        return [fields[key] for _, fields in list(self.messages) if key in fields]

    def times(self, key, value=None):
        return [when for when, fields in list(self.messages)
                if key in fields and value in (None, fields[key])]


def sent_at(ancillary):
    """As time.monotonic() counts. What came along is closed: a barrier waits for that."""
    now, wall, sent = time.monotonic(), time.time(), None
    for _, kind, data in ancillary:
        if kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = struct.unpack("qq", data)
            sent = seconds + nanoseconds / 1e9
        elif kind == socket.SCM_RIGHTS:
            for fd in array.array("i", data):
                os.close(fd)
    return now if sent is None else now - max(0, wall - sent)
