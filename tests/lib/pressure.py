# SPDX-License-Identifier: MIT
"""Real memory pressure: a process that reads more than its cgroup may hold, again and again."""

import contextlib
import mmap
import os
import pathlib
import select
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from lib.process import CLEAN_ENVIRONMENT, eventually      # noqa: E402

LIMIT, READ = 16 << 20, 48 << 20
UNPRIVILEGED = ["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]

# What the kernel asks of a trigger is that the capability is in force where the file is opened; in
# a user namespace of its own a process has it, also where this machine's root has not.
PRIVILEGED = ["/usr/bin/unshare", "--user", "--map-root-user", "--"]


def is_measured():
    try:
        return "some" in pathlib.Path("/proc/pressure/memory").read_text()
    except OSError:
        return False


@contextlib.contextmanager
def memory_cgroup(limit=LIMIT):
    """The directory of a cgroup that may have so much memory, of either version; or None."""
    directory = None
    for parent, file in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
                         ("/sys/fs/cgroup", "memory.max")):
        path = pathlib.Path(parent) / f"vitald-test-{os.getpid()}"
        try:
            path.mkdir()
            (path / file).write_text(str(limit))
        except OSError:
            with contextlib.suppress(OSError):
                path.rmdir()
            continue
        directory = path
        break
    yield directory
    if directory:
        def remove():
            directory.rmdir()
            return True
        eventually(remove, what="the cgroup to be empty")


class Pressure:
    """with Pressure(cgroup, directory) as p: p.on(); p.off()"""

    def __init__(self, cgroup, directory):
        self.cgroup, self.file = cgroup, directory / "thrash"

    def __enter__(self):
        self.popen = subprocess.Popen([sys.executable, __file__, str(self.cgroup), str(self.file)],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      env=CLEAN_ENVIRONMENT, bufsize=0)
        assert self.popen.stdout.readline() == b"ready\n"
        return self

    def on(self):
        self.popen.stdin.write(b"+")

    def off(self):
        """Returns when it has stopped."""
        self.popen.stdin.write(b"-")
        assert self.popen.stdout.readline() == b"off\n"

    def __exit__(self, *_):
        self.popen.kill()
        self.popen.wait()
        self.popen.stdin.close()
        self.popen.stdout.close()


def thrash(cgroup, file):
    (pathlib.Path(cgroup) / "cgroup.procs").write_text(str(os.getpid()))
    fd = os.open(file, os.O_RDWR | os.O_CREAT)
    for offset in range(0, READ, 1 << 20):
        os.pwrite(fd, bytes(1 << 20), offset)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    memory = mmap.mmap(fd, READ, prot=mmap.PROT_READ)
    print("ready", flush=True)
    is_on = False
    while True:
        if select.select([0], [], [], 0 if is_on else None)[0]:
            is_on = os.read(0, 1) == b"+"
            if not is_on:
                print("off", flush=True)
            continue
        deadline = time.monotonic() + 0.05
        while time.monotonic() < deadline:
            for offset in range(0, READ, 16 * mmap.PAGESIZE):
                memory[offset]


class Trigger:
    """The kernel's own word, from a program of its own: next() is the time when it fired."""

    SCRIPT = """
import os, select, sys, time
fd = os.open("/proc/pressure/memory", os.O_RDWR | os.O_NONBLOCK)
os.write(fd, sys.argv[1].encode() + bytes(1))
poll = select.poll()
poll.register(fd, select.POLLPRI)
print("ready", flush=True)
while True:
    poll.poll()
    print(time.monotonic(), flush=True)
"""

    def __init__(self, text):
        self.popen = subprocess.Popen([*PRIVILEGED, sys.executable, "-c", self.SCRIPT, text],
                                      stdout=subprocess.PIPE, text=True, env=CLEAN_ENVIRONMENT)
        assert self.popen.stdout.readline() == "ready\n"

    def next(self):
        return float(self.popen.stdout.readline())

    def close(self):
        self.popen.kill()
        self.popen.wait()
        self.popen.stdout.close()


if __name__ == "__main__":
    thrash(*sys.argv[1:])
