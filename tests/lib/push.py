# SPDX-License-Identifier: MIT
"""Senders of reports to checks of Type=push."""

import array
import os
import pathlib
import select
import socket
import subprocess

from lib.process import CLEAN_ENVIRONMENT, PATIENCE

NOBODY = 65534


def lines(check, state, message=None, values=(), **more):
    """A report as its datagram has it."""
    fields = {"CHECK": check, "STATE": state, **({"STATUS": message} if message else {}), **more}
    return "\n".join([f"{k}={v}" for k, v in fields.items()] + [f"VALUE={v}" for v in values])


def notify_socket(daemon):
    return daemon.runtime_directory / "notify"


class Sender:
    """Datagrams of this process."""

    def __init__(self, daemon):
        self.path = str(notify_socket(daemon))

    def __enter__(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data, fds=()):
        data = data if isinstance(data, bytes) else data.encode()
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.socket.sendmsg([data], rights, 0, self.path)

    def barrier(self, within=PATIENCE):
        """Until all that was sent before has been taken in, as sd_notify_barrier(3) does."""
        ours, theirs = os.pipe()
        try:
            self.send("BARRIER=1", [theirs])
            os.close(theirs)
            wait_hung_up(ours, within)
        finally:
            os.close(ours)


def wait_hung_up(fd, within):
    poll = select.poll()
    poll.register(fd, 0)
    assert poll.poll(within * 1000), "the barrier was not lifted"


def report(daemon, *fields, **more):
    """One report, taken in before this returns."""
    with Sender(daemon) as s:
        s.send(lines(*fields, **more))
        s.barrier()


def systemd_notify(daemon, *assignments, user=None, options=()):
    as_user = [f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
    return subprocess.run(
        ["/usr/bin/setpriv", *as_user, "/usr/bin/systemd-notify", *options, *assignments],
        env={**CLEAN_ENVIRONMENT, "NOTIFY_SOCKET": str(notify_socket(daemon))},
        capture_output=True, text=True, timeout=30)


def open_to_all(daemon):
    """The way to the socket, for other users."""
    for directory in daemon.directory, daemon.runtime_directory:
        pathlib.Path(directory).chmod(0o755)
