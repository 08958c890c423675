# SPDX-License-Identifier: MIT
"""vitalctl wait, follow and watch: a verdict as it changes, over restarts of vitald."""

import os
import pty
import re
import select
import subprocess
import time

import pytest

from lib.ctl import TIMED_OUT, UNREACHABLE, YES, break_app, check, ctl, mend_app, start
from lib.notify import NotifySocket
from lib.peers import Reply
from lib.process import CLEAN_ENVIRONMENT, eventually


def test_wait_returns_when_it_becomes_true(shop, http_server):
    break_app(shop, http_server)
    waiting = start(shop, "wait", "--ready", "shop", "--timeout=60s")
    done = shop.vitalctl("wait", "shop", "--timeout=2s")
    assert done.returncode == TIMED_OUT
    assert "timed out: shop is not ready: app: HTTP 500" in done.stderr
    assert waiting.exit_code is None
    mend_app(shop, http_server)
    assert waiting.wait() == YES
    for question in ("--ready", "--started", "--live"):
        ctl(shop, "wait", question)


def test_wait_for_a_vitald_that_is_started_later(vitald, http_server):
    vitald.service("shop", check("app", http_server.url()))
    waiting = start(vitald, "wait", "shop")
    assert vitald.vitalctl("wait", "--timeout=300ms").returncode == TIMED_OUT
    assert waiting.exit_code is None
    vitald.start()
    assert waiting.wait() == YES


def test_follow_is_a_unit_while_it_is_true(shop, http_server, directory):
    break_app(shop, http_server)
    with NotifySocket(directory) as notify:
        unit = start(shop, "follow", "--ready", "shop", env=notify.environment)
        eventually(lambda: notify.values("STATUS"))
        assert notify.values("STATUS")[0].startswith("shop is not ready: app: HTTP 500")
        assert notify.values("READY") == []
        mend_app(shop, http_server)
        eventually(lambda: notify.values("READY") == ["1"])
        assert unit.exit_code is None
        break_app(shop, http_server)
        assert unit.wait() == YES
        eventually(lambda: notify.values("STOPPING") == ["1"])
        assert notify.values("READY") == ["1"]


def test_follow_survives_a_restart_of_vitald(shop, http_server, directory):
    with NotifySocket(directory) as notify:
        unit = start(shop, "follow", "shop", env=notify.environment)
        eventually(lambda: notify.values("READY") == ["1"])
        shop.kill9()
        shop.start()
        ctl(shop, "wait", "shop", "--timeout=10s")
        assert unit.exit_code is None and notify.values("STOPPING") == []
        break_app(shop, http_server)
        assert unit.wait() == YES


@pytest.mark.time_limit(90)
def test_follow_does_not_believe_an_old_verdict(shop):
    unit = start(shop, "follow", "shop")
    eventually(lambda: "shop is ready" in unit.log)
    began = time.monotonic()
    shop.kill9()
    assert unit.wait(within=60) == UNREACHABLE
    assert 20 < time.monotonic() - began < 45


def test_watch_prints_again_at_each_change(shop, http_server):
    watching = start(shop, "watch")
    eventually(lambda: " READY (200)" in watching.log)
    break_app(shop, http_server)
    eventually(lambda: " NOT READY (503)" in watching.log)
    shop.kill9()
    eventually(lambda: "cannot be reached" in watching.log)
    http_server.reply = Reply(body=b"ok")
    shop.start()
    eventually(lambda: watching.log.count(" READY (200)") >= 2)
    watching.kill9()


def test_watch_draws_latencies(shop, http_server):
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [shop.build / "vitalctl", "watch"], stdin=slave, stdout=slave, stderr=slave,
        env={**CLEAN_ENVIRONMENT, "TERM": "xterm", "LANG": "C.UTF-8",
             "RUNTIME_DIRECTORY": str(shop.runtime_directory)})
    os.close(slave)
    seen = b""

    def last_screen():
        nonlocal seen
        if select.select([master], [], [], 0.1)[0]:
            seen += os.read(master, 65536)
        return re.sub(r"\033\[\d*(;\d+)*m", "", seen.decode(errors="replace").split("\033[3J")[-1])

    def row():
        """Each call may have read a little more; half a screen has none."""
        return re.search(r"^shop/app +(\w+) +\S+ +\S+ +([▁-█x]+)\s*$", last_screen(), re.MULTILINE)

    def broken_row():
        found = row()
        return found and found.group(1) == "unhealthy" and found.group(2)[-1] == "x" and found

    def is_told():
        screen = last_screen()
        return "NOT READY (503)" in screen and "LAST RUNS" in screen

    try:
        before = len(eventually(row).group(2))
        break_app(shop, http_server)
        assert len(eventually(broken_row).group(2)) > before
        eventually(is_told)
    finally:
        process.kill()
        process.wait()
        os.close(master)
