# SPDX-License-Identifier: MIT
"""A server that says 429: degraded, left alone for as long as it asks, and not stale meanwhile."""

import time

import pytest

from lib.peers import Reply
from lib.process import SLOWNESS, eventually, throughout

PAUSE = 7
CHECK = f"""[Check llm]
Type=http
URL={{url}}
Interval=200ms
Timeout={1500 * SLOWNESS}ms
MaxAge={2000 * SLOWNESS}ms
FailureThreshold=1
Probes=readiness liveness startup
LivenessFailureThreshold=1
"""


@pytest.mark.valgrind
def test_too_many_requests(vitald, http_server):
    times = []

    def too_many(_):
        times.append(time.monotonic())
        return Reply(status=429, headers={"Retry-After": str(PAUSE)})

    def enough(_):
        times.append(time.monotonic())
        return Reply()
    http_server.reply = too_many
    vitald.service("chat", CHECK.format(url=http_server.url()))
    vitald.start()
    vitald.wait_status("/health/ready", 200)
    asked = len(times)

    def degraded():
        ready = vitald.ready()
        assert ready.status == 200 and ready.json["degraded"] == ["chat/llm"], ready.text
        assert ready.json["checks"]["chat/llm"]["healthy"]
        return True
    # Longer than MaxAge=.
    throughout(degraded, PAUSE - 4)
    assert vitald.get("/health/live").status == vitald.get("/health/started").status == 200
    assert len(times) == asked
    assert "HTTP 429" in vitald.show("chat/llm")["Message"]
    assert "asked again after 7s" in vitald.show("chat/llm")["Message"]

    http_server.reply = enough
    eventually(lambda: "degraded" not in vitald.ready().json, within=PAUSE + 15)
    assert times[asked] - times[asked - 1] >= PAUSE


def test_unavailable_is_looked_at_all_the_same(vitald, http_server):
    """What a server that is down says of its future makes nobody late."""
    http_server.reply = Reply(status=503, headers={"Retry-After": "3600"})
    vitald.service("chat", CHECK.format(url=http_server.url()))
    vitald.start()
    vitald.wait_status("/health/ready", 503)
    http_server.reply = Reply()
    vitald.wait_status("/health/ready", 200)        # Within seconds, and not within the hour.
