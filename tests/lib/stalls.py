# SPDX-License-Identifier: MIT
"""What this machine itself keeps programs waiting for, while a test measures vitald's lateness."""

import os
import subprocess
import sys
import threading
import time

from lib.process import CLEAN_ENVIRONMENT, SLOWNESS, eventually

# Sleeps for a millisecond again and again, before all others where we may, and tells when it was
# woken late; to each byte that it is sent it answers with a line.
WATCHER = """
import os, select, sys, time
os.sched_setaffinity(0, {int(sys.argv[1])})
try:
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(2))
except PermissionError:
    pass
print("seen", flush=True)
while True:
    due = time.monotonic() + 0.001
    is_asked = select.select([0], [], [], 0.001)[0]
    now = time.monotonic()
    if now - due > 0.003:
        print(due, now, flush=True)
    if is_asked:
        if not os.read(0, 1):
            break
        print("seen", flush=True)
"""


class Stalls:
    """with Stalls() as stalls: …; stalls.during(began, ended) is how many seconds of that time, by
    time.monotonic() and up to now, the machine took for itself. That some program hogs a processor
    is no stall for those who may run before all others, as after hurry()."""

    def __enter__(self):
        self.gaps, self.seen = [], {}
        self.watchers = [subprocess.Popen(
            ["/usr/bin/setpriv", "--pdeathsig", "KILL", sys.executable, "-c", WATCHER, str(cpu)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, env=CLEAN_ENVIRONMENT)
            for cpu in os.sched_getaffinity(0)]
        for watcher in self.watchers:
            self.seen[watcher.pid] = 0
            threading.Thread(target=self._read, args=(watcher,), daemon=True).start()
        self._wait(1)
        return self

    def __exit__(self, *_):
        for watcher in self.watchers:
            watcher.kill()
            watcher.wait()
            watcher.stdin.close()

    def _read(self, watcher):
        with open(watcher.stdout.fileno(), closefd=False) as lines:
            for line in lines:
                if line == "seen\n":
                    self.seen[watcher.pid] += 1
                else:
                    self.gaps.append(tuple(map(float, line.split())))

    def _wait(self, n):
        eventually(lambda: all(seen >= n for seen in self.seen.values()), within=20 * SLOWNESS,
                   what="watchers")

    def _between(self, began, ended):
        n = max(self.seen.values()) + 1
        for watcher in self.watchers:
            watcher.stdin.write(b"?")
        self._wait(n)
        return [max(0, min(b, ended) - max(a, began)) for a, b in list(self.gaps)]

    def during(self, began, ended):
        """In all; on whichever processor, and where several stood still, each counts."""
        return sum(self._between(began, ended))

    def longest(self, began, ended):
        """At a time."""
        return max(self._between(began, ended), default=0)
