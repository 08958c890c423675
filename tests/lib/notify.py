# SPDX-License-Identifier: MIT
"""The receiving end of sd_notify(3)."""

import os
import pathlib
import socket
import threading
import time


class NotifySocket:
    """Collects the datagrams as (monotonic time, {KEY: value}) in `messages`."""

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
                data = self._socket.recv(65536)
            except OSError:
                return
            if not data:
                return
            fields = dict(line.split("=", 1) for line in data.decode().splitlines() if "=" in line)
            self.messages.append((time.monotonic(), fields))

    def values(self, key):
        """All values of the key in order of arrival."""
        return [fields[key] for _, fields in list(self.messages) if key in fields]

    def times(self, key, value=None):
        return [when for when, fields in list(self.messages)
                if key in fields and value in (None, fields[key])]
