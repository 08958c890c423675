# SPDX-License-Identifier: MIT
"""A server that dies is noticed when it dies, however long the interval is."""

import statistics
import threading
import time

import pytest

from lib.process import eventually, hurry, tree_of
from lib.scenario import check, percentile

TRIALS = 20
LIMIT_MS = 50


class Watcher:
    """Asks for readiness again and again; `first_down` is when it was first answered with 503."""

    def __init__(self, vitald):
        self.vitald, self.first_down = vitald, None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while self.vitald.ready().status == 200:
            time.sleep(0.001)
        self.first_down = time.time()

    def wait(self):
        self.thread.join(15)
        assert self.first_down is not None
        return self.first_down


@pytest.mark.timing
@pytest.mark.parametrize("kind", ["redis", "postgresql"])
def test_kill9_is_seen_at_once(kind, vitald, request):
    """Two times of each trial: when a prober saw it, and when the daemon says that it knew.

    The first is what a load balancer gets, the second is free of this process' own delays.
    """
    server = request.getfixturevalue({"postgresql": "postgres"}.get(kind, kind))
    vitald.service("default", check("it", kind, server, "Interval=60s\nFailureThreshold=1\n"))
    vitald.start()
    hurry(vitald.pid)
    seen, known = [], []
    for _ in range(TRIALS):
        eventually(lambda: vitald.show("default/it")["State"] == "healthy", what="healthy")
        vitald.wait_status("/health/ready", 200)
        watcher = Watcher(vitald)
        hurry(*tree_of(server.pid))     # Its dying is not ours to answer for.
        killed = server.kill9()
        seen.append((watcher.wait() - killed) * 1000)
        known.append((vitald.show("default/it")["StateChangeTimestamp"] / 1e6 - killed) * 1000)
        server.start()
        assert vitald.vitalctl("run", "default/it").returncode == 0
    for who, values in (("prober", seen), ("daemon", known)):
        print(f"{kind}, kill -9 to not ready, {who}: median {statistics.median(values):.2f} ms, "
              f"most {max(values):.2f} ms")
    # A machine that stands still for a moment does so for one trial, and not for a minute.
    assert percentile(known, 0.9) <= LIMIT_MS and max(known) <= 40 * LIMIT_MS
    assert statistics.median(seen) <= LIMIT_MS
