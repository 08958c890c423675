# SPDX-License-Identifier: MIT
"""vitalctl towards a daemon of lib.vitald, and one service for it to look at."""

import socket

from lib.peers import Reply
from lib.process import Process

HOST = socket.gethostname().split(".")[0]

YES, ERROR, USAGE, NO, UNKNOWN, UNREACHABLE, TIMED_OUT = 0, 1, 2, 3, 4, 69, 75

# One failure is enough, and nothing happens by itself while a test looks: the schedule has a phase,
# so that an hour would be over in one of a thousand tests.
CHECK = """
[Check {name}]
Type=http
URL={url}
Interval=1d
RetryInterval=1d
Timeout=20s
FailureThreshold=1
{more}
"""


def check(name, url, more=""):
    return CHECK.format(name=name, url=url, more=more)


def ctl(daemon, *argv, code=YES, **options):
    """What it printed to standard output; the exit code is the expected one."""
    done = daemon.vitalctl(*argv, **options)
    assert done.returncode == code, f"{argv}: {done.returncode}\n{done.stdout}{done.stderr}"
    assert "Error." not in done.stderr and "org.freedesktop" not in done.stderr
    return done.stdout


def complaint(daemon, *argv, code):
    done = daemon.vitalctl(*argv)
    assert done.returncode == code, f"{argv}: {done.returncode}\n{done.stdout}{done.stderr}"
    assert done.stdout == "" and done.stderr.startswith("vitalctl: ")
    return done.stderr


def break_app(daemon, http_server):
    http_server.reply = Reply(status=500)
    ctl(daemon, "run", "shop/app", code=NO)


def mend_app(daemon, http_server):
    http_server.reply = Reply(body=b"ok")
    ctl(daemon, "run", "shop/app")


def start(daemon, *argv, log="ctl.log", env=None):
    """vitalctl in the background."""
    return Process([daemon.build / "vitalctl", *argv], daemon.directory / log,
                   env={**daemon._environment(), "RUNTIME_DIRECTORY": str(daemon.runtime_directory),
                        **(env or {})})
