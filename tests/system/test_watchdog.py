# SPDX-License-Identifier: MIT
"""systemd's watchdog: a daemon that hangs, and services whose death shall restart it."""


import pytest

from lib.peers import HttpServer, Reply
from lib.probes import ProbeLoad
from lib.process import eventually, throughout

SERVICE = "/etc/vitald/services/orders.conf"
WATCHDOG_SECONDS = 4
SLOW_SECONDS = 8            # Where something has to be in time for it.

# Two failures, a fifth of a second apart, are a death.
LIVENESS = """
[Service]
OnLivenessFailure={action}
[Check app]
Type=http
URL={url}
Interval=200ms
Probes=readiness liveness
LivenessFailureThreshold=2
"""


def watchdog(host, seconds):
    """In force from the next start."""
    host.drop_in("vitald.service", f"[Service]\nWatchdogSec={seconds}s\n")


@pytest.fixture(scope="module")
def watched(vitald_host):
    watchdog(vitald_host, WATCHDOG_SECONDS)
    vitald_host.systemctl("start", "vitald.socket", "vitald-local.socket")
    return vitald_host


@pytest.fixture
def app(watched):
    """An application that is fine, seen by a vitald that has not been restarted."""
    watched.systemctl("stop", "vitald.service")
    watched.run(["sh", "-c", "rm -f /run/vitald/starved-*"])
    with watched.network():
        server = HttpServer()
        server.start()
    write(watched, server, "watchdog")
    watched.systemctl("start", "vitald.service")
    assert restarts(watched) == 0
    yield server
    server.close()


def write(host, server, action):
    host.write(SERVICE, LIVENESS.format(url=server.url(), action=action))


def restarts(host):
    return int(host.show("vitald.service", "NRestarts"))


def is_dead(host):
    return host.get("/health/live").status == 503


def is_back(host):
    """Restarted, not merely about to be."""
    return host.show("vitald.service", "ActiveState") == "active"


def watchdog_results(host):
    return sum("result 'watchdog'" in m for m in host.messages("vitald.service"))


def kill(host, server):
    """The application fails from now on; returns when its death has restarted vitald."""
    n = restarts(host)
    server.reply = Reply(500)
    eventually(lambda: restarts(host) == n + 1 and is_back(host), within=60)


def stays(host, n, seconds=2 * WATCHDOG_SECONDS):
    throughout(lambda: restarts(host) == n, seconds, every=0.2)


def test_fault_56_a_hang_ends_in_a_restart_and_refuses_no_probe(watched):
    watched.run(["rm", "-f", SERVICE])
    watched.systemctl("restart", "vitald.service")
    before, pid = watchdog_results(watched), int(watched.show("vitald.service", "MainPID"))
    assert restarts(watched) == 0
    watched.run(["kill", "-STOP", str(pid)])
    with ProbeLoad(("127.0.0.1", 9911), within=watched.network) as load:
        eventually(lambda: restarts(watched) == 1 and is_back(watched), within=60)
        load.wait_for(100)
    # Only what it had accepted already when it hung was lost; everything else waited.
    assert not [f for f in load.failures if f.startswith("refused")]
    assert len(load.failures) <= load.n_threads
    assert load.slowest > WATCHDOG_SECONDS / 2
    assert watchdog_results(watched) == before + 1
    assert any("Watchdog timeout" in m for m in watched.messages("vitald.service"))
    stays(watched, 1)


def test_a_daemon_that_works_is_left_alone(watched):
    watched.systemctl("restart", "vitald.service")
    with ProbeLoad(("127.0.0.1", 9911), within=watched.network):
        stays(watched, 0)


def test_death_starves_the_watchdog_once_an_episode(watched, app):
    before = watchdog_results(watched)
    kill(watched, app)
    eventually(lambda: is_dead(watched))
    stays(watched, 1)
    assert is_dead(watched)
    assert watchdog_results(watched) == before + 1
    said = [m for m in watched.messages("vitald.service") if "OnLivenessFailure=watchdog" in m]
    assert len(said) == 1 and "orders: liveness failed" in said[0]

    app.reply = Reply(body=b"ok")
    eventually(lambda: not is_dead(watched) and watched.get("/health/ready").status == 200)
    stays(watched, 1, seconds=WATCHDOG_SECONDS)

    kill(watched, app)
    eventually(lambda: is_dead(watched))
    stays(watched, 2)
    assert watchdog_results(watched) == before + 2


def test_an_episode_outlives_a_restart_by_hand(watched, app):
    kill(watched, app)
    watched.systemctl("restart", "vitald.service")
    eventually(lambda: is_dead(watched))
    stays(watched, 0)


def test_a_recovery_in_time_feeds_it_again(watched, app):
    watchdog(watched, SLOW_SECONDS)
    watched.systemctl("restart", "vitald.service")
    try:
        eventually(lambda: watched.get("/health/ready").status == 200)
        app.reply = Reply(500)
        eventually(lambda: is_dead(watched))
        app.reply = Reply(body=b"ok")
        eventually(lambda: not is_dead(watched))
        stays(watched, 0, 1.5 * SLOW_SECONDS)
    finally:
        watchdog(watched, WATCHDOG_SECONDS)


def test_death_alone_restarts_nothing(watched, app):
    write(watched, app, "none")
    watched.systemctl("reload", "vitald.service")
    app.reply = Reply(500)
    eventually(lambda: is_dead(watched))
    stays(watched, 0)


def test_death_while_the_daemon_hangs(watched, app):
    """Both at once are one restart each."""
    pid = int(watched.show("vitald.service", "MainPID"))
    watched.run(["kill", "-STOP", str(pid)])
    app.reply = Reply(500)
    eventually(lambda: restarts(watched) == 1 and is_back(watched), within=60)
    eventually(lambda: restarts(watched) == 2 and is_back(watched), within=60)
    eventually(lambda: is_dead(watched))
    stays(watched, 2)
