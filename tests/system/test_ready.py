# SPDX-License-Identifier: MIT
"""When "systemctl start" returns, and what may wait for it."""

import threading
import time

import pytest

from lib.peers import HANG, HttpServer, Reply
from lib.process import PATIENCE, eventually

SERVICE = "/etc/vitald/services/orders.conf"
APP_PORT = 8000
START_SECONDS = 9       # Who is kept waiting waits for ten.


@pytest.fixture
def idle(vitald_host):
    """Nothing runs and nothing is configured."""
    def clear():
        vitald_host.systemctl("stop", "vitald.socket", "vitald-local.socket", "vitald.service",
                              "app.socket", "app.service", check=False)
        vitald_host.run(["rm", "-rf", SERVICE, "/etc/vitald/vitald.conf", "/run/vitald/state",
                         "/run/vitald/history"])
        vitald_host.drop_in("vitald.service", "")
    clear()
    yield vitald_host
    clear()


@pytest.fixture
def slow_server(idle):
    """Answers when `answer` is set."""
    answer = threading.Event()

    def reply(_):
        answer.wait(60)
        return Reply(body=b"ok")
    with idle.network():
        server = HttpServer(reply)
        server.start()
    server.answer = answer
    yield server
    answer.set()
    server.close()


def start_in_background(host, *units):
    thread = threading.Thread(target=host.systemctl, args=("start", *units))
    thread.start()
    return thread


def http_check(url, more=""):
    return f"[Check app]\nType=http\nURL={url}\n{more}\n"


def test_start_returns_when_every_check_has_run(idle, slow_server):
    idle.write(SERVICE, http_check(slow_server.url(), "Timeout=30s")
               + "[Check disk]\nType=disk\nMinFree=1K\n")
    starting = start_in_background(idle, "vitald.service")
    eventually(lambda: idle.show("vitald.service", "StatusText")
               == "STARTING: waits for the first result of orders/app (1 of 4 checks)")
    assert idle.show("vitald.service", "ActiveState") == "activating"
    # Probes are answered all the while.
    answer = idle.get("/health/ready")
    assert answer.status == 503
    assert answer.json["checks"]["orders/disk"]["healthy"]
    assert not answer.json["checks"]["orders/app"]["healthy"]
    assert idle.get("/health/live").status == 200
    assert idle.get("/health/started").json["waiting_for"] == ["orders/app"]
    assert starting.is_alive()
    slow_server.answer.set()
    starting.join(PATIENCE)
    assert not starting.is_alive()
    assert idle.show("vitald.service", "ActiveState") == "active"
    # The verdict is real from the first moment.
    assert idle.get("/health/ready").status == 200


def test_start_waits_ten_seconds_at_most(idle, slow_server):
    """Longer than the unit's own limit, which is put off."""
    idle.drop_in("vitald.service", "[Service]\nTimeoutStartSec=6s\n")
    idle.write(SERVICE, http_check(slow_server.url(), "Timeout=1min"))
    before = time.monotonic()
    idle.systemctl("start", "vitald.service")
    took = time.monotonic() - before
    assert 9.5 < took < 40      # And not until the check has run.
    assert idle.get("/health/ready").status == 503


def test_a_failing_check_has_run_too(idle):
    idle.write(SERVICE, http_check("http://127.0.0.1:1/"))
    before = time.monotonic()
    idle.systemctl("start", "vitald.service")
    assert time.monotonic() - before < START_SECONDS
    assert idle.get("/health/ready").json["checks"]["orders/app"]["reason"] == "refused"


@pytest.mark.parametrize("mode, waits", [("listening", False), ("checked", True)])
def test_notify_ready(idle, slow_server, mode, waits):
    idle.write("/etc/vitald/vitald.conf", f"[Daemon]\nNotifyReady={mode}\n")
    idle.write(SERVICE, http_check(slow_server.url(), "Timeout=1min"))
    starting = start_in_background(idle, "vitald.service")
    starting.join(2 if waits else START_SECONDS)
    assert starting.is_alive() == waits
    slow_server.answer.set()
    starting.join()


# -- applications that wait for vitald, which looks at them --

APP = """
[Unit]
After=vitald.service
Requires=vitald.service
[Service]
ExecStart=/usr/bin/python3 -m http.server --bind 127.0.0.1 {port}
"""


def write_app(host, more=""):
    host.write("/etc/systemd/system/app.service", APP.format(port=APP_PORT) + more)
    host.systemctl("daemon-reload")


@pytest.mark.parametrize("probes", ["readiness", "startup readiness liveness"])
@pytest.mark.parametrize("mode", ["checked", "listening"])
def test_application_after_vitald(idle, mode, probes):
    write_app(idle)
    idle.write("/etc/vitald/vitald.conf", f"[Daemon]\nNotifyReady={mode}\n")
    idle.write(SERVICE, http_check(f"http://127.0.0.1:{APP_PORT}/",
                                   f"Interval=500ms\nProbes={probes}"))
    before = time.monotonic()
    idle.systemctl("start", "app.service")
    assert time.monotonic() - before < START_SECONDS
    eventually(lambda: idle.get("/health/ready").status == 200)


def test_application_after_vitald_with_a_unit_and_ready_when_started(idle):
    """NotifyReady=started leaves out services with a unit: that unit may be waiting for it."""
    write_app(idle)
    idle.write("/etc/vitald/vitald.conf", "[Daemon]\nNotifyReady=started\n")
    idle.write(SERVICE, "[Service]\nUnit=app.service\n"
               + http_check(f"http://127.0.0.1:{APP_PORT}/", "Interval=500ms\nProbes=startup"))
    idle.systemctl("start", "app.service", within=60)       # StartupTimeout= is 5 min.
    eventually(lambda: idle.get("/health/started").status == 200)


def test_application_after_vitald_behind_a_socket_of_its_own(idle):
    """The first check's connection is taken by systemd for an application that waits."""
    idle.write("/etc/systemd/system/app.service",
               "[Unit]\nAfter=vitald.service\nRequires=vitald.service\n"
               "[Service]\nStandardOutput=null\nExecStart=/bin/sh -c 'exec sleep 1000'\n")
    idle.write("/etc/systemd/system/app.socket",
               f"[Socket]\nListenStream=127.0.0.1:{APP_PORT}\n")
    idle.systemctl("daemon-reload")
    idle.systemctl("start", "app.socket")
    idle.write(SERVICE, http_check(f"http://127.0.0.1:{APP_PORT}/"))
    idle.systemctl("start", "vitald.service", "app.service", within=60)
    eventually(lambda: idle.get("/health/ready").json["checks"]["orders/app"]["reason"]
               == "timeout")


def test_ready_when_started_waits_for_the_start(idle, slow_server):
    """A service without a unit holds up the start until it has started or failed to."""
    idle.write("/etc/vitald/vitald.conf", "[Daemon]\nNotifyReady=started\n")
    slow_server.reply = lambda _: Reply(200 if slow_server.answer.is_set() else 500)
    idle.write(SERVICE, http_check(slow_server.url(), "Interval=500ms\nProbes=startup"))
    starting = start_in_background(idle, "vitald.service")
    eventually(lambda: idle.show("vitald.service", "StatusText")
               == "STARTING: waits for services to start")
    starting.join(2)
    assert starting.is_alive()
    slow_server.answer.set()
    starting.join(PATIENCE)
    assert not starting.is_alive()


def test_stop_while_starting(idle, slow_server):
    slow_server.reply = HANG
    idle.write(SERVICE, http_check(slow_server.url(), "Timeout=1min"))
    idle.systemctl("start", "--no-block", "vitald.service")
    eventually(lambda: idle.show("vitald.service", "StatusText").startswith("STARTING"))
    before = time.monotonic()
    idle.systemctl("stop", "vitald.service")
    assert time.monotonic() - before < 20           # And not until the check has run.
    assert idle.show("vitald.service", "Result") == "success"
