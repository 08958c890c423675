# SPDX-License-Identifier: MIT
"""The real daemon on a bus: what it says, what it does when told, and life without the bus."""

import os
import subprocess
import time

import pytest
from gi.repository import GLib

from lib.bus import Bus
from lib.dbus import MANAGER, Client, DBusError, check_path, service_path
from lib.process import Process, SLOWNESS, Stopwatch, eventually, free_port

I_MANAGER, I_SERVICE, I_CHECK = (f"org.vitald1.{i}" for i in ("Manager", "Service", "Check"))
ORDERS = service_path("orders")
CACHE = check_path("orders", "cache")
FOR_EVER = 2**64 - 1

SERVICE = """\
[Service]
Description=Order intake
Documentation=https://wiki/orders

[Check cache]
Type=redis
Address=127.0.0.1:{port}
Interval=1s
Timeout={timeout}
FailureThreshold=1
Documentation=https://wiki/redis
"""


def orders(redis, timeout="10s"):
    return SERVICE.format(port=redis.port, timeout=timeout)


def configured(make_vitald, redis, bus=None):
    daemon = make_vitald(bus=bus)
    daemon.service("orders", orders(redis))
    return daemon


@pytest.fixture
def vitald(make_vitald, redis, bus):
    daemon = configured(make_vitald, redis, bus).start()
    daemon.wait_status("/health/ready", 200)
    eventually(lambda: "org.vitald1" in bus.names(), what="the name")
    return daemon


@pytest.fixture(params=["bus", "private socket"])
def client(request, vitald, bus):
    on_bus = request.param == "bus"
    address = bus.address if on_bus else f"unix:path={vitald.runtime_directory}/private"
    with Client(address, peer=not on_bus) as c:
        yield c


def test_a_real_failure_on_the_bus(client, vitald, redis):
    check = client.get_all(CACHE, I_CHECK)
    assert (check["Type"], check["State"], check["Target"]) == (
        "redis", "healthy", f"127.0.0.1:{redis.port}")
    assert 0 < check["LatencyUSec"] < 10000000
    assert check["Documentation"] == "https://wiki/redis"
    before = time.monotonic()
    # 0 while it runs.
    next_run = eventually(lambda: client.get(CACHE, I_CHECK, "NextRunTimestampMonotonic")) / 1e6
    assert before - 1 < next_run < time.monotonic() + 1.5
    redis.kill9()

    def told():
        client.poll()
        return [a for _, a in client.members(MANAGER, "CheckStateChanged")]
    eventually(told)
    assert told()[0][:4] == (CACHE, "orders/cache", "unhealthy", "healthy")
    manager = client.get_all(MANAGER, I_MANAGER)
    assert (manager["State"], manager["ReadyHTTPStatus"]) == ("not_ready", 503)
    assert manager["ReadyHTTPStatus"] == vitald.ready().status
    assert manager["WorstService"] == "orders"
    assert manager["Listening"][0] == "%s:%d" % vitald.address
    eventually(lambda: client.get(CACHE, I_CHECK, "FailuresInRow") >= 3)
    check = client.get_all(CACHE, I_CHECK)
    assert check["Reason"] == "refused" and check["FirstFailureTimestamp"] > 0
    assert check["FirstFailureMessage"] != ""


@pytest.mark.valgrind
def test_run_and_reload(client, vitald):
    runs = client.get(CACHE, I_CHECK, "NRuns")
    answer = client.call(CACHE, I_CHECK, "Run")
    assert answer[:3] == ("healthy", "pass", "") and answer[4] > 0
    assert client.get(CACHE, I_CHECK, "NRuns") > runs
    vitald.service("billing", "[Check a]\nTyp=tcp\n")
    with pytest.raises(DBusError) as e:
        client.call(MANAGER, I_MANAGER, "Reload")
    assert e.value.name == "org.vitald1.ReloadFailed"
    assert "billing.conf:2" in e.value.message and "Typ" in e.value.message
    assert client.get(MANAGER, I_MANAGER, "LastReloadError") == e.value.message
    assert service_path("billing") not in client.managed_objects()
    vitald.service("billing", f"[Check a]\nType=tcp\nAddress=127.0.0.1:{free_port()}\n")
    client.call(MANAGER, I_MANAGER, "Reload")
    assert client.get(MANAGER, I_MANAGER, "LastReloadError") == ""
    assert check_path("billing", "a") in client.managed_objects()
    assert client.get(CACHE, I_CHECK, "NRuns") > runs        # It kept its state.


def test_run_of_a_check_that_hangs_answers_at_its_timeout(client, vitald, redis):
    vitald.service("orders", orders(redis, "1s"))
    client.call(MANAGER, I_MANAGER, "Reload")
    redis.freeze()
    try:    # An answer may be that vitald itself was late, and no word of the server.
        answer = eventually(lambda: (a := client.call(CACHE, I_CHECK, "Run"))[2] != "late" and a)
    finally:
        redis.thaw()
    assert answer[:3] == ("unhealthy", "fail", "timeout")


def test_run_while_a_reload_takes_the_check_away(client, vitald, redis):
    redis.freeze()
    try:
        answer = client.start_call(CACHE, I_CHECK, "Run")
        client.managed_objects()
        vitald.service("orders", "[Check other]\nType=memory\nMinAvailable=1%\n")
        client.call(MANAGER, I_MANAGER, "Reload")

        def answered():
            client.poll()
            return answer
        eventually(answered)
        assert isinstance(answer[0], DBusError)
    finally:
        redis.thaw()


@pytest.mark.valgrind
def test_drain_and_override_reach_the_probes(client, vitald):
    client.call(ORDERS, I_SERVICE, "Drain", GLib.Variant("(ts)", (FOR_EVER, "kernel update")))
    assert vitald.ready().status == 503
    client.call(ORDERS, I_SERVICE, "Undrain")
    assert vitald.ready().status == 200
    for usec in (FOR_EVER, 300000):
        client.call(CACHE, I_CHECK, "Override", GLib.Variant("(sts)", ("unhealthy", usec, "drill")))
        assert usec < FOR_EVER or vitald.ready().status == 503
    vitald.wait_status("/health/ready", 200)        # It ends by itself.
    assert not client.get(CACHE, I_CHECK, "Overridden")


def test_what_is_wrong_at_the_start_is_on_the_bus(make_vitald, bus, redis):
    daemon = configured(make_vitald, redis, bus)
    daemon.service("broken", "[Check a]\nType=redis\nAdress=127.0.0.1\n")
    daemon.start()
    eventually(lambda: "org.vitald1" in bus.names(), what="the name")
    state, error, reason = bus.get(service_path("broken"), I_SERVICE, "State",
                                   "ConfigurationError", "Reason")
    assert (state, reason) == ("not_ready", "configuration") and "broken.conf:3" in error
    (line,) = bus.get(service_path("broken"), I_SERVICE, "Why")
    assert "broken.conf:3" in line


def test_fault_64_no_secret_on_the_bus(make_vitald, bus, redis):
    secret = "CANARY-5c1e"
    daemon = make_vitald(bus=bus)
    daemon.service("orders", orders(redis) + "PasswordCredential=cache\n")
    daemon.credential("cache", secret)
    daemon.start()
    eventually(lambda: "org.vitald1" in bus.names(), what="the name")
    with Client(bus.address) as client:
        eventually(lambda: client.get(CACHE, I_CHECK, "NRuns") > 0)
        for text in (str(client.managed_objects()), str(client.get_all(MANAGER, I_MANAGER))):
            assert secret not in text
    assert secret not in daemon.log


# -- FAULTS row 58, with probes and checks looked at --


def works(vitald, seconds):
    """Probes are answered at once, and the check runs on, for so long."""
    end = time.monotonic() + seconds * SLOWNESS
    runs = 'vitald_check_runs_total{service="orders",check="cache",outcome="pass"}'
    before, times = vitald.metrics()[runs], []
    while time.monotonic() < end:
        watch = Stopwatch(vitald.pid)
        assert vitald.ready().status == 200
        times.append(watch.seconds())
    # Who waits for a bus that hangs does so for a second, whenever there is something to tell.
    assert sum(t > 0.9 * SLOWNESS for t in times) <= 1 and len(times) > 5, times
    eventually(lambda: vitald.metrics()[runs] > before)


def test_fault_58_bus_absent_at_start(make_vitald, redis, directory):
    bus = Bus(directory / "bus")
    daemon = configured(make_vitald, redis, bus).start()
    daemon.wait_status("/health/ready", 200)
    works(daemon, 1.5)
    with bus:
        eventually(lambda: "org.vitald1" in bus.names(), what="the name")
        assert bus.get(MANAGER, I_MANAGER, "Ready")
        daemon.stop()


def test_fault_58_bus_restarted(vitald, bus):
    bus.kill9()
    works(vitald, 1.5)
    bus.start()
    eventually(lambda: "org.vitald1" in bus.names(), what="the name")
    assert bus.get(CACHE, I_CHECK, "State") == "healthy"


def test_fault_58_bus_hangs(vitald, bus):
    bus.freeze()
    try:
        works(vitald, 3)
    finally:
        bus.thaw()
    eventually(lambda: bus.get(CACHE, I_CHECK, "State") == "healthy")


def test_fault_58_end_while_the_bus_hangs(vitald, bus):
    bus.freeze()
    try:
        start = time.monotonic()
        assert vitald.stop() == 0
        assert time.monotonic() - start < 5 * SLOWNESS
    finally:
        bus.thaw()


def test_fault_12_name_taken(vitald, make_vitald, redis, bus):
    other = configured(make_vitald, redis, bus).start()
    eventually(lambda: "belongs to another process" in other.log)
    other.wait_status("/health/ready", 200)
    works(other, 1.5)
    vitald.stop()
    eventually(lambda: "Reachable as org.vitald1" in other.log)
    assert bus.get(CACHE, I_CHECK, "State") == "healthy"


@pytest.mark.valgrind
def test_fault_58_calls_wait_while_the_bus_goes(vitald, bus, redis):
    redis.freeze()
    try:
        with Client(bus.address) as client:
            for _ in range(5):
                client.start_call(CACHE, I_CHECK, "Run")
            client.managed_objects()
            bus.kill9()
    finally:
        redis.thaw()
    vitald.wait_check("orders/cache", healthy=True)
    bus.start()
    eventually(lambda: "org.vitald1" in bus.names(), what="the name")


FLOOD = """
import sys
from gi.repository import Gio, GLib
connection = Gio.DBusConnection.new_for_address_sync(
    sys.argv[1], Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT |
    Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION, None, None)
def again(*_):
    connection.call("org.vitald1", "/org/vitald1", "org.freedesktop.DBus.ObjectManager",
                    "GetManagedObjects", None, None, 0, -1, None, again)
for _ in range(100):
    again()
GLib.MainLoop().run()
"""


def test_fault_59_a_flood_on_the_bus_keeps_no_probe_waiting(vitald, bus):
    floods = [Process(["/usr/bin/python3", "-c", FLOOD, bus.address],
                      vitald.directory / f"flood{i}.log") for i in range(2)]
    try:
        before = vitald.cpu_seconds()
        eventually(lambda: vitald.cpu_seconds() > before + 0.2, what="a flood")
        times = []
        for _ in range(1000):
            watch = Stopwatch(vitald.pid, bus.pid)
            assert vitald.get("/health/live").status == 200
            times.append(watch.seconds())
        assert all(flood.exit_code is None for flood in floods)
        print("p50, p99, max:", *(1000 * sorted(times)[i] for i in (500, 990, 999)), "ms")
        assert sorted(times)[990] < 0.25 * SLOWNESS
    finally:
        for flood in floods:
            flood.kill9()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_fault_60_nobody_is_refused(vitald, bus):
    for call in ((MANAGER, I_MANAGER, "Reload"), (CACHE, I_CHECK, "Run"),
                 (ORDERS, I_SERVICE, "Drain", "ts", FOR_EVER, "")):
        with pytest.raises(ValueError, match="Access denied"):
            bus.call(*call, user=65534)
    assert vitald.ready().status == 200
    assert bus.call(MANAGER, I_MANAGER, "ListServices", user=65534)


def test_introspection_reads_like_the_manual(vitald, bus):
    """For people: busctl shows every member with its type, value and flags."""
    lines = bus.busctl("introspect", "org.vitald1", MANAGER).stdout.splitlines()
    shown = {line.split()[0]: line.split()[1:] for line in lines}
    assert shown[".Ready"] == ["property", "b", "true", "emits-change"]
    assert shown[".Reload"] == ["method", "-", "-", "-"]
    assert shown[".GetManagedObjects"][:3] == ["method", "-", "a{oa{sa{sv}}}"]
    tree = subprocess.run(["/usr/bin/busctl", f"--address={bus.address}", "--list", "tree",
                           "org.vitald1"], capture_output=True, text=True).stdout.split()
    assert {MANAGER, ORDERS, CACHE} <= set(tree)
