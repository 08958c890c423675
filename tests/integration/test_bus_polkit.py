# SPDX-License-Identifier: MIT
"""What becomes of callers who are not root, as polkit allows, denies, is slow, or is not there."""

import os
import subprocess

import pytest

from bus_server import BusServer
from lib.dbus import MANAGER, check_path, service_path
from lib.polkit import Polkit
from lib.process import eventually
from test_bus_access import CHANGES, FOR_EVER, NOBODY, name_of

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

# Reports are decided by the check's own AllowUser= and AllowUnit=.
ASKED = [row for row in CHANGES if not row[2].startswith("Report")]
DRAIN = (service_path("s000"), "org.vitald1.Service", "Drain", "ts", FOR_EVER, "x")
ACTIONS = {"Drain": "drain", "DrainUntilStart": "drain", "Undrain": "drain",
           "ResetRestarts": "reset-restarts", "Reload": "reload", "Run": "run",
           "Override": "override", "ClearOverride": "override", "Set": "set-log-level"}


@pytest.fixture
def server(directory, bus):
    with BusServer(directory / "server", bus) as s:
        eventually(lambda: "org.vitald1" in bus.names(), what="the name")
        s.order("all pass")
        yield s


@pytest.mark.parametrize("row", ASKED, ids=name_of)
def test_whom_polkit_lets_may(server, bus, directory, row):
    with Polkit(directory, bus, "yes") as polkit:
        bus.call(*row, user=NOBODY)
        assert polkit.asked == [f"org.vitald1.{ACTIONS[row[2]]} 1"]  # busctl allows questions.


@pytest.mark.parametrize("row", ASKED, ids=name_of)
@pytest.mark.parametrize("answer, words", [("no", "polkit does not allow|Access denied"),
                                           ("challenge", "wants a password")])
def test_fault_60_whom_polkit_does_not_let_may_not(server, bus, directory, row, answer, words):
    with Polkit(directory, bus, answer):
        with pytest.raises(ValueError, match=words):
            bus.call(*row, user=NOBODY)
    with server.client() as client:
        assert client.get(MANAGER, "org.vitald1.Manager", "State") == "ready"
        assert client.get(check_path("s000", "a-1"), "org.vitald1.Check", "NRuns") == 1


def test_root_needs_no_polkit(server, bus, directory):
    with Polkit(directory, bus, "no") as polkit:
        bus.call(*DRAIN)
        assert polkit.asked == []


def test_who_did_it_is_told(server, bus, directory):
    with Polkit(directory, bus, "yes"):
        bus.call(*DRAIN, user=NOBODY)
    with server.client() as client:
        assert client.get(DRAIN[0], DRAIN[1], "DrainedBy") == f"uid {NOBODY}"


def start_call(bus, *row):
    """A caller that waits, as nobody."""
    return subprocess.Popen(
        ["/usr/bin/setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
         "/usr/bin/busctl", f"--address={bus.address}", "--timeout=30", "call", "org.vitald1",
         *map(str, row)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_fault_60_a_slow_polkit_keeps_nobody_else_waiting(server, bus, directory):
    with Polkit(directory, bus, directory / "decided") as polkit:
        caller = start_call(bus, *DRAIN)
        eventually(lambda: polkit.asked)
        for _ in range(20):
            bus.call(MANAGER, "org.vitald1.Manager", "Undrain")
        with server.client() as client:
            assert not client.get(DRAIN[0], DRAIN[1], "Draining")
        assert caller.poll() is None
        (directory / "decided").touch()
        _, error = caller.communicate(timeout=30)
        assert caller.returncode == 0, error
        with server.client() as client:
            assert client.get(DRAIN[0], DRAIN[1], "Draining")


def test_fault_60_a_caller_that_leaves_while_polkit_is_asked(server, bus, directory):
    with Polkit(directory, bus, "never") as polkit:
        for i in range(20):
            caller = start_call(bus, *DRAIN)
            eventually(lambda: len(polkit.asked) >= 2 * i + 1)
            caller.kill()
            caller.communicate()
            eventually(lambda: len(polkit.asked) == 2 * i + 2)
        assert polkit.asked == ["org.vitald1.drain 1", "cancelled"] * 20
        bus.call(*DRAIN)


def test_fault_60_callers_waiting_for_polkit_are_few(server, bus, directory):
    """The rest are told so at once; root is not among those that wait."""
    with Polkit(directory, bus, "never") as polkit:
        callers = [start_call(bus, *DRAIN) for _ in range(30)]
        eventually(lambda: sum(c.poll() is not None for c in callers) == 14, within=30)
        refused = [c for c in callers if c.poll() is not None]
        eventually(lambda: len(polkit.asked) == 16)
        bus.call(*DRAIN)
        assert len(polkit.asked) == 16
        for c in refused:
            assert "wait" in c.stderr.read() or c.returncode != 0
        for c in callers:
            c.kill()
            c.communicate()
        eventually(lambda: polkit.asked.count("cancelled") == 16)


def test_fault_60_polkit_dies_while_it_is_asked(server, bus, directory):
    with Polkit(directory, bus, "never") as polkit:
        caller = start_call(bus, *DRAIN)
        eventually(lambda: polkit.asked)
    _, error = caller.communicate(timeout=30)
    assert caller.returncode != 0 and "denied" in error
    bus.call(*DRAIN)


def test_the_server_ends_while_polkit_is_asked(server, bus, directory):
    """Nothing is left behind: the fixture looks."""
    with Polkit(directory, bus, "never") as polkit:
        caller = start_call(bus, *DRAIN)
        eventually(lambda: polkit.asked)
        server.__exit__(None)
        caller.kill()
        caller.communicate()
        server.__enter__()
