# SPDX-License-Identifier: MIT
"""A bus that is absent, restarted, stopped or owned by another; floods; peers that do not read."""

import os
import signal
import socket
import struct
import time

import pytest
from gi.repository import GLib

from bus_server import BusServer
from lib.bus import Bus
from lib.dbus import MANAGER, DBusError, check_path
from lib.process import Stopwatch, eventually

A = check_path("s000", "a-1")
PRIVATE = "private"


@pytest.fixture
def server(directory, bus):
    with BusServer(directory / "server", bus) as s:
        eventually(lambda: "org.vitald1" in bus.names(), what="the name")
        yield s


def answers_promptly(server):
    """Takes a command and a call on the private socket; returns the seconds of the slower, without
    those in which this machine ran others."""
    watch = Stopwatch(server.pid)
    server.order("result 0 pass")
    first, watch = watch.seconds(), Stopwatch(server.pid)
    with server.peer() as peer:
        assert peer.get(A, "org.vitald1.Check", "State") == "healthy"
    return max(first, watch.seconds())


# -- the bus comes and goes --


def test_fault_58_bus_absent_at_start(directory):
    bus = Bus(directory / "bus")
    with BusServer(directory / "server", bus) as server:
        assert "The system bus is not there (No such file or directory)" in server.log
        assert answers_promptly(server) < 1
        with bus:
            eventually(lambda: "org.vitald1" in bus.names(), what="the name")
            assert bus.get(A, "org.vitald1.Check", "State") == "healthy"
            assert server.log.count("is not there") == server.log.count("is there now") == 1


def test_fault_58_bus_restarted(server, bus):
    for n in range(1, 4):
        bus.kill9()
        eventually(lambda: server.log.count("(connection lost)") == n)
        assert answers_promptly(server) < 1
        bus.start()
        eventually(lambda: "org.vitald1" in bus.names(), what="the name")
        assert bus.get(A, "org.vitald1.Check", "State") == "healthy"
    assert server.log.count("is not there") == 3 and server.log.count("is there now") == 3


def test_fault_58_bus_stopped(server, bus):
    """It takes connections and never answers: nobody waits for it, and it is used again."""
    bus.freeze()
    try:
        for _ in range(20):
            assert answers_promptly(server) < 1
    finally:
        bus.thaw()
    server.order("result 0 fail")
    eventually(lambda: bus.get(A, "org.vitald1.Check", "State") == "unhealthy")


def test_fault_58_bus_stopped_before_the_start(directory, bus):
    bus.freeze()
    try:
        with BusServer(directory / "server", bus) as server:
            for _ in range(20):
                assert answers_promptly(server) < 1
            bus.thaw()
            eventually(lambda: "org.vitald1" in bus.names(), what="the name")
    finally:
        bus.thaw()


def test_fault_58_bus_stopped_while_it_is_asked_who_calls(server, bus):
    """The caller of a change gets an answer, a refusal, when the bus does not say who it is."""
    with server.client() as client:
        client.managed_objects()
        os.kill(server.pid, signal.SIGSTOP)     # So that the call is there before the bus stops.
        answer = client.start_call(MANAGER, "org.vitald1.Manager", "Undrain")
        client.connection.flush_sync(None)
        bus.call("/org/freedesktop/DBus", "org.freedesktop.DBus", "GetId",
                 name="org.freedesktop.DBus")
        bus.freeze()
        try:
            os.kill(server.pid, signal.SIGCONT)
            deadline = time.monotonic() + 2     # Longer than a call to the bus may take.
            while time.monotonic() < deadline:
                assert answers_promptly(server) < 1
        finally:
            bus.thaw()

        def answered():
            client.poll()
            return answer
        eventually(answered)
        assert answer[0].name == "org.freedesktop.DBus.Error.AccessDenied"
        assert client.call(MANAGER, "org.vitald1.Manager", "Undrain") == ()


def test_fault_12_name_taken(directory, bus):
    """It is queued for, everything else works, and it comes when the other goes."""
    with BusServer(directory / "first", bus) as first:
        eventually(lambda: "org.vitald1" in bus.names(), what="the name")
        with BusServer(directory / "second", bus) as second:
            eventually(lambda: "belongs to another process; waiting for it" in second.log)
            assert answers_promptly(second) < 1
            assert answers_promptly(first) < 1
            first.process.stdin.close()
            eventually(lambda: "Reachable as org.vitald1" in second.log)
            assert bus.get(A, "org.vitald1.Check", "State") == "healthy"
            first.process.wait(10)
            first.process.stdin = open(os.devnull, "w")


def test_fault_58_calls_in_flight_when_the_bus_goes(server, bus):
    """Run() and the look-up of its caller are left hanging; nothing of them stays."""
    server.order("hold")
    before = server.open_fds()
    client = server.client()
    for _ in range(3):
        client.start_call(A, "org.vitald1.Check", "Run")
    client.managed_objects()
    bus.kill9()
    eventually(lambda: "(connection lost)" in server.log)
    server.order("release")
    bus.start()
    eventually(lambda: "org.vitald1" in bus.names(), what="the name")
    assert bus.get(A, "org.vitald1.Check", "NRuns") >= 1
    eventually(lambda: server.open_fds() <= before)


# -- floods --


def test_fault_59_ten_thousand_calls_at_once(server):
    with server.client() as client:
        answers = [client.start_call(A, "org.freedesktop.DBus.Properties", "GetAll",
                                     GLib.Variant("(s)", ("org.vitald1.Check",)))
                   for _ in range(10000)]
        worst = max(answers_promptly(server) for _ in range(20))

        def answered():
            client.poll()
            return all(answers)
        eventually(answered, within=30)
        assert worst < 1
        refused = [a[0] for a in answers if isinstance(a[0], DBusError)]
        assert {e.name for e in refused} <= {"org.freedesktop.DBus.Error.LimitsExceeded"}
        assert len(refused) < 10000


def message(member, serial):
    """GetManagedObjects, or another call of the object manager without arguments."""
    def field(code, signature, value):
        data = value.encode()
        head = bytes([code, 1]) + signature.encode() + b"\0"
        length = struct.pack("<I", len(data)) if signature != "g" else bytes([len(data)])
        return head + length + data + b"\0"
    fields = b""
    for code, signature, value in ((1, "o", MANAGER), (3, "s", member),
                                   (2, "s", "org.freedesktop.DBus.ObjectManager")):
        fields += b"\0" * (-len(fields) % 8) + field(code, signature, value)
    head = struct.pack("<BBBBIII", ord("l"), 1, 0, 1, 0, serial, len(fields)) + fields
    return head + b"\0" * (-len(head) % 8)


def authenticated(server):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(10)
    s.connect(str(server.runtime_directory / PRIVATE))
    uid = str(os.geteuid()).encode().hex().encode()
    s.sendall(b"\0AUTH EXTERNAL " + uid + b"\r\nBEGIN\r\n")
    assert s.recv(100).startswith(b"OK ")
    return s


def test_a_call_in_one_piece_with_the_handshake_is_answered(server):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        s.connect(str(server.runtime_directory / PRIVATE))
        uid = str(os.geteuid()).encode().hex().encode()
        s.sendall(b"\0AUTH EXTERNAL " + uid + b"\r\nBEGIN\r\n" +
                  message("GetManagedObjects", 1) + message("GetManagedObjects", 2))
        received = b""
        while received.count(b"a-1") < 1 or len(received) < 10000:
            received += s.recv(65536)


def rss_kib(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def grew(server, before):
    """KiB since then; 0 under the address sanitizer, which keeps what was freed for a while."""
    with open(f"/proc/{server.pid}/maps") as maps:
        return 0 if "libasan" in maps.read() else rss_kib(server.pid) - before


def test_fault_59_a_peer_that_asks_and_does_not_read(directory):
    """Answers are refused before they pile up, and at last the peer is cut off."""
    with BusServer(directory / "server", services=300) as server:
        answers_promptly(server)
        with authenticated(server) as greedy:
            with server.peer() as peer:
                size = len(str(peer.managed_objects()))
            before = rss_kib(server.pid)
            calls = b"".join(message("GetManagedObjects", i + 1) for i in range(5000))
            sent, worst = 0, 0
            deadline = time.monotonic() + 60
            greedy.setblocking(False)
            cut_off = False
            while sent < len(calls) and not cut_off:
                assert time.monotonic() < deadline, f"{sent} of {len(calls)} bytes taken"
                try:
                    sent += greedy.send(calls[sent:sent + 65536])
                except BlockingIOError:
                    worst = max(worst, answers_promptly(server))
                except (BrokenPipeError, ConnectionResetError):
                    cut_off = True
            worst = max(worst, answers_promptly(server))
            # The limit, one answer that is being made, and what the allocator keeps.
            assert grew(server, before) < 32 * size / 1024
            assert worst < 5
    assert server.process.returncode == 0


def test_fault_59_a_peer_that_does_not_read_signals_is_cut_off(directory):
    with BusServer(directory / "server", services=300) as server:
        with authenticated(server) as deaf:
            with server.peer() as peer:
                fds = server.open_fds()
                deadline = time.monotonic() + 60
                while server.open_fds() == fds:
                    assert time.monotonic() < deadline
                    server.order("all fail")
                    server.order("all pass")
                    peer.poll()
                assert peer.get(A, "org.vitald1.Check", "State") == "healthy"
            eventually(lambda: server.open_fds() == fds - 2)
            deaf.settimeout(10)
            try:
                while deaf.recv(1 << 20):
                    pass
            except ConnectionResetError:
                pass


def test_a_thousand_flips_at_once_reach_who_listens(directory, bus):
    """In batches, so that an ordinary listener is not taken for one that does not read."""
    with BusServer(directory / "server", bus, services=300) as server:
        eventually(lambda: "org.vitald1" in bus.names(), what="the name")
        with server.client() as client, server.peer() as peer:
            server.order("all pass")

            def all_told(listener):
                listener.poll()
                return (len(listener.members(MANAGER, "CheckStateChanged")) == 900 and
                        len(listener.members(MANAGER, "ServiceStateChanged")) >= 300)
            for listener in (client, peer):
                eventually(lambda: all_told(listener), within=30)
                assert {a[0] for _, a in listener.members(MANAGER, "CheckStateChanged")} == set(
                    p for p in listener.managed_objects() if "/check/" in p)
                listener.poll()
                told = [a[0] for _, a in listener.members(MANAGER, "ServiceStateChanged")]
                assert len(told) == len(set(told)) == 300


def test_no_lasting_growth(server):
    """Peers, calls, flips and reloads, over and over."""
    def work():
        with server.peer() as peer:
            for _ in range(20):
                peer.managed_objects()
                peer.call(A, "org.vitald1.Check", "Run")
        server.order("all fail")
        server.order("reload 5")
        server.order("all pass")
        server.order("reload 2")
    for _ in range(20):
        work()
    fds, before = server.open_fds(), rss_kib(server.pid)
    for _ in range(60):
        work()
    eventually(lambda: server.open_fds() <= fds)     # The end of a peer is seen a moment later.
    assert grew(server, before) < 1024
