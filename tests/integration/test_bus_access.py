# SPDX-License-Identifier: MIT
"""Who may read and who may change, on the bus and on the private socket."""

import os
import socket
import stat

import pytest

from bus_server import BusServer
from lib.dbus import MANAGER, DBusError, check_path, service_path
from lib.process import eventually

NOBODY = 65534
FOR_EVER = 2**64 - 1
A = check_path("s000", "a-1")
PUSH = check_path("s000", "push")
SERVICE = service_path("s000")
LOG_CONTROL = "/org/freedesktop/LogControl1"

# Everything that changes something: path, interface, member, busctl's signature and arguments.
CHANGES = [
    (MANAGER, "org.vitald1.Manager", "Reload"),
    (MANAGER, "org.vitald1.Manager", "Drain", "ts", FOR_EVER, "x"),
    (MANAGER, "org.vitald1.Manager", "Undrain"),
    (SERVICE, "org.vitald1.Service", "Drain", "ts", FOR_EVER, "x"),
    (SERVICE, "org.vitald1.Service", "Undrain"),
    (SERVICE, "org.vitald1.Service", "DrainUntilStart", "s", "x"),
    (SERVICE, "org.vitald1.Service", "ResetRestarts"),
    (A, "org.vitald1.Check", "Run"),
    (A, "org.vitald1.Check", "Override", "sts", "healthy", FOR_EVER, "x"),
    (A, "org.vitald1.Check", "ClearOverride"),
    (PUSH, "org.vitald1.Check", "Report", "ss", "pass", "x"),
    (PUSH, "org.vitald1.Check", "ReportValues", "sss", "pass", "x", "depth=3"),
    (LOG_CONTROL, "org.freedesktop.DBus.Properties", "Set", "ssv",
     "org.freedesktop.LogControl1", "LogLevel", "s", "debug"),
]
READS = [
    (MANAGER, "org.vitald1.Manager", "ListServices"),
    (MANAGER, "org.vitald1.Manager", "ListChecks"),
    (MANAGER, "org.vitald1.Manager", "CountConnections", "q", "1"),
    (MANAGER, "org.vitald1.Manager", "GetService", "s", "s000"),
    (MANAGER, "org.vitald1.Manager", "GetCheck", "ss", "s000", "a-1"),
    (MANAGER, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"),
    (A, "org.vitald1.Check", "GetHistory"),
    (A, "org.freedesktop.DBus.Properties", "GetAll", "s", "org.vitald1.Check"),
    (LOG_CONTROL, "org.freedesktop.DBus.Properties", "Get", "ss",
     "org.freedesktop.LogControl1", "LogLevel"),
]

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def name_of(row):
    return f"{row[1].rpartition('.')[2]}.{row[2]}"


@pytest.fixture
def server(directory, bus):
    with BusServer(directory / "server", bus) as s:
        eventually(lambda: "org.vitald1" in bus.names(), what="the name")
        s.order("all pass")
        yield s


def test_the_list_of_changes_is_complete(server):
    """Each method that is not in the list must be known to change nothing."""
    import xml.etree.ElementTree as ET
    listed = {(row[1], row[2]) for row in CHANGES + READS}
    with server.client() as client:
        for path in (MANAGER, SERVICE, A, LOG_CONTROL):
            node = ET.fromstring(client.call(
                path, "org.freedesktop.DBus.Introspectable", "Introspect")[0])
            for interface in node.findall("interface"):
                name = interface.get("name")
                if not name.startswith("org.vitald1."):
                    continue
                for method in interface.findall("method"):
                    assert (name, method.get("name")) in listed
                for prop in interface.findall("property"):
                    assert prop.get("access") == "read", prop.get("name")


@as_root
@pytest.mark.parametrize("row", CHANGES, ids=name_of)
def test_fault_60_nobody_changes_nothing(server, bus, row):
    with pytest.raises(ValueError, match="Access denied"):
        bus.call(*row, user=NOBODY)
    with server.client() as client:
        assert client.get(MANAGER, "org.vitald1.Manager", "State") == "ready"
        assert not client.get(SERVICE, "org.vitald1.Service", "Draining")
        assert not client.get(A, "org.vitald1.Check", "Overridden")
        assert client.get(A, "org.vitald1.Check", "NRuns") == 1
        assert client.get(LOG_CONTROL, "org.freedesktop.LogControl1", "LogLevel") == "info"


@as_root
@pytest.mark.parametrize("row", READS, ids=name_of)
def test_nobody_may_read(server, bus, row):
    assert bus.call(*row, user=NOBODY)


@pytest.mark.parametrize("row", CHANGES, ids=name_of)
def test_root_may_change(server, bus, row):
    bus.call(*row)


@as_root
def test_fault_60_a_caller_that_leaves_while_it_is_looked_up(server, bus):
    """The bus is asked who the caller is; when it answers, the caller is gone."""
    for _ in range(50):
        client = server.client()
        client.start_call(SERVICE, "org.vitald1.Service", "Undrain")
        client.connection.flush_sync(None)
        client.close()
    bus.call(*CHANGES[4])


@as_root
def test_fault_60_callers_waiting_for_a_look_up_are_few(server, bus):
    """While the bus is stopped nobody can be looked up: those beyond the limit are told so."""
    from gi.repository import GLib
    with server.client() as client:
        answers = [client.start_call(SERVICE, "org.vitald1.Service", "Drain",
                                     GLib.Variant("(ts)", (FOR_EVER, "x"))) for _ in range(200)]

        def answered():
            client.poll()
            return all(answers)
        eventually(answered)
        errors = {a[0].name for a in answers if isinstance(a[0], DBusError)}
        assert errors <= {"org.freedesktop.DBus.Error.LimitsExceeded"}
        assert [()] in answers


# -- the private socket --


def test_private_socket_is_for_the_daemon_s_own_group(server):
    st = os.stat(server.runtime_directory / "private")
    assert stat.S_ISSOCK(st.st_mode) and stat.S_IMODE(st.st_mode) == 0o660


@as_root
@pytest.mark.parametrize("row", CHANGES, ids=name_of)
def test_peer_that_is_not_root_changes_nothing(server, row):
    """Who gets at the socket by its group may read."""
    socket_path = server.runtime_directory / "private"
    for place in (server.directory, server.runtime_directory):
        place.chmod(0o711)
    os.chmod(socket_path, 0o666)
    done = peer_calls(server, *row)
    assert not done[0] and "Only root" in done[1] and "not uid 65534" in done[1], done
    done = peer_calls(server, *READS[0])
    assert done[0], done


def peer_calls(server, path, interface, member, signature="", *arguments):
    """As nobody, by libdbus' way to speak to a peer."""
    script = """
import sys, dbus, dbus.connection
address, path, interface, member, signature, *arguments = sys.argv[1:]
kinds = {"t": lambda a: dbus.UInt64(int(a)), "s": dbus.String,
         "v": lambda a: dbus.String(a, variant_level=1)}
values = [kinds[s](a) for s, a in zip(signature, arguments)]
try:
    c = dbus.connection.Connection(address)
    print(c.call_blocking(None, path, interface, member, signature, values))
except dbus.DBusException as e:
    print(e)
    sys.exit(1)
"""
    import subprocess
    if signature == "ssv":      # busctl names the type that is in the variant.
        arguments = [*arguments[:2], arguments[3]]
    done = subprocess.run(
        ["/usr/bin/setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
         "/usr/bin/python3", "-c", script, server.private, path, interface, member, signature,
         *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return done.returncode == 0, done.stdout + done.stderr


@as_root
def test_nobody_does_not_get_at_the_private_socket(server):
    for place in (server.directory, server.runtime_directory):
        place.chmod(0o711)
    done = peer_calls(server, *READS[0])
    assert not done[0] and "Permission denied" in done[1]


def test_peers_that_vanish_leave_nothing_behind(server):
    before = server.open_fds()
    for _ in range(30):
        with server.peer() as peer:
            peer.managed_objects()
    for _ in range(30):         # Without a word, and in the middle of one.
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(server.runtime_directory / "private"))
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(server.runtime_directory / "private"))
            s.sendall(b"\0AUTH EXTER")
    eventually(lambda: server.open_fds() == before, what="all closed")


def test_a_new_peer_takes_the_place_of_the_longest_idle(server):
    peers = [server.peer() for _ in range(64)]
    for peer in peers[1:]:
        peer.call(MANAGER, "org.freedesktop.DBus.Peer", "Ping")
    with server.peer() as newest:
        assert newest.managed_objects()
        eventually(lambda: peers[0].poll() or peers[0].connection.is_closed())
        assert not any(peer.connection.is_closed() for peer in peers[1:])
    for peer in peers:
        peer.close()


def test_a_socket_left_behind_is_replaced_and_removed_at_the_end(directory):
    place = directory / "server"
    (place / "run").mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(place / "run/private"))
    with BusServer(place) as server, server.peer() as peer:
        assert peer.managed_objects()
    assert not (place / "run/private").exists()


def test_a_file_in_the_socket_s_place_is_left_alone(directory):
    place = directory / "server"
    (place / "run").mkdir(parents=True)
    (place / "run/private").write_text("precious")
    with BusServer(place) as server:
        assert "Going on without the private socket" in server.log
    assert (place / "run/private").read_text() == "precious"
