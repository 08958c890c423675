# SPDX-License-Identifier: MIT
"""Started by the first who asks, also after it was stopped."""

import pytest

from lib.probes import ProbeLoad
from lib.process import eventually

STOPS = 10


@pytest.fixture(scope="module")
def sockets(vitald_host):
    vitald_host.write("/etc/vitald/services/orders.conf",
                      "[Check disk]\nType=disk\nMinFree=1K\n")
    vitald_host.systemctl("start", "vitald.socket", "vitald-local.socket")
    return vitald_host


@pytest.fixture
def stopped(sockets):
    """The sockets are there, the daemon is not."""
    sockets.systemctl("stop", "vitald.service")
    assert sockets.show("vitald.service", "ActiveState") == "inactive"
    return sockets


@pytest.fixture
def running(sockets):
    sockets.systemctl("start", "vitald.service")
    eventually(lambda: sockets.get("/health/ready").status == 200)
    return sockets


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_first_probe_starts_it_and_is_answered(stopped, address):
    assert stopped.get("/health/live", address=address).json == {"status": "alive"}
    eventually(lambda: stopped.show("vitald.service", "ActiveState") == "active")


def test_first_probe_of_the_local_socket_starts_it(stopped):
    assert stopped.get_local("/health/live").json == {"status": "alive"}
    eventually(lambda: stopped.show("vitald.service", "ActiveState") == "active")


def test_a_call_on_the_bus_starts_it(stopped):
    version = stopped.run(["vitald", "--version"]).stdout.split()[1]
    assert stopped.busctl("get-property", "org.vitald1", "/org/vitald1", "org.vitald1.Manager",
                          "Version").stdout == f's "{version}"\n'
    eventually(lambda: stopped.show("vitald.service", "ActiveState") == "active")


def test_a_burst_of_first_probes_starts_it_once(stopped):
    before = stopped.systemctl("show", "-p", "ExecMainStartTimestampMonotonic", "vitald").stdout
    with ProbeLoad(("127.0.0.1", 9911), threads=8, within=stopped.network) as load:
        load.wait_for(200)
    assert not load.failures and set(load.answers) == {200}
    assert stopped.systemctl("show", "-p", "ExecMainStartTimestampMonotonic",
                             "vitald").stdout != before
    assert stopped.show("vitald.service", "NRestarts") == "0"


def test_fault_61_stopped_while_probes_go_on(running):
    """While its sockets are active, who asks starts it again, and no limit ends that."""
    assert running.show("vitald.socket", "TriggerLimitIntervalUSec") == "0"
    with ProbeLoad(("127.0.0.1", 9911), within=running.network) as load:
        for _ in range(STOPS):
            load.wait_for(10)
            running.systemctl("stop", "vitald.service")
    assert not load.failures and set(load.answers) == {200}
    assert running.show("vitald.socket", "Result") == "success"
    assert running.show("vitald.socket", "ActiveState") == "active"


def test_stop_of_all_and_start_again(running):
    """What an administrator does who wants it to stay stopped."""
    running.systemctl("stop", "vitald.socket", "vitald-local.socket", "vitald.service")
    with pytest.raises(ConnectionRefusedError):
        running.get("/health/live")
    running.systemctl("start", "vitald.service")
    assert running.get("/health/live").status == 200
    assert running.show("vitald.socket", "ActiveState") == "active"


def test_agent_checks_are_served_once_enabled(running):
    """And not before: nothing listens on the port as shipped."""
    def ask():
        done = running.run(["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/9912 && cat <&3"],
                           check=False)
        return done.stdout.strip()
    assert ask() == ""
    running.systemctl("enable", "vitald-agent.socket")
    running.systemctl("restart", "vitald.service")
    eventually(lambda: ask() == "up ready 100%")
    running.systemctl("disable", "--now", "vitald-agent.socket")
    running.systemctl("restart", "vitald.service")
    assert ask() == ""
