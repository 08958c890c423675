# SPDX-License-Identifier: MIT
"""The objects of org.vitald1, their methods and signals, over a bus and over the private socket."""

import time

import pytest
from gi.repository import GLib

from bus_server import BusServer
from lib.dbus import MANAGER, DBusError, check_path, service_path
from lib.process import eventually

I_MANAGER = "org.vitald1.Manager"
I_SERVICE = "org.vitald1.Service"
I_CHECK = "org.vitald1.Check"
I_PROPERTIES = "org.freedesktop.DBus.Properties"
FOR_EVER = 2**64 - 1

A = check_path("s000", "a-1")
PUSH = check_path("s000", "push")
SERVICE = service_path("s000")


@pytest.fixture
def server(directory, bus):
    with BusServer(directory / "server", bus) as s:
        eventually(lambda: "org.vitald1" in bus.names(), what="the name")
        yield s


@pytest.fixture(params=["bus", "private socket"])
def client(request, server):
    with server.client() if request.param == "bus" else server.peer() as c:
        yield c


def variant(signature, *values):
    return GLib.Variant(signature, values)


def wait_signals(client, path, name, count=1, within=15):
    def arrived():
        client.poll()
        return len(client.members(path, name)) >= count
    eventually(arrived, within=within, what=f"{count} {name} of {path}")
    return client.members(path, name)


def quiet(client):
    """Takes in everything that was sent until now: signals and replies keep their order."""
    client.call(MANAGER, "org.freedesktop.DBus.Peer", "Ping")
    client.poll()


# -- reading --


def test_managed_objects_are_services_and_checks(client, server):
    objects = client.managed_objects()
    assert set(objects) == {service_path(s) for s in ("s000", "s001")} | {
        check_path(s, c) for s in ("s000", "s001") for c in ("a-1", "b", "push")}
    assert objects[SERVICE][I_SERVICE]["Checks"] == [check_path("s000", c)
                                                     for c in ("a-1", "b", "push")]
    for path, interfaces in objects.items():
        (ours,) = [i for i in interfaces if i.startswith("org.vitald1.")]
        assert interfaces[ours] == client.get_all(path, ours)


def test_check_shows_its_result(client, server):
    server.order("result 0 fail")
    check = client.get_all(A, I_CHECK)
    assert (check["State"], check["Reason"], check["Message"]) == (
        "unhealthy", "refused", "Connection refused")
    assert check["Blocking"] == ["readiness"]
    assert check["Probes"] == ["readiness"] and check["Critical"]
    assert (check["FailuresInRow"], check["SuccessesInRow"], check["NRuns"]) == (1, 0, 1)
    assert check["FirstFailureMessage"] == "Connection refused"
    assert check["FirstFailureTimestamp"] == check["LastRunTimestamp"]
    assert check["LatencyUSec"] == FOR_EVER
    assert check["Values"] == [("connections", 7.0, "")]
    assert check["LastOutcome"] == "fail"
    assert check["NextRunTimestampMonotonic"] == 1000
    # It breaks just after a run; then the one run that must fail takes its whole timeout.
    assert check["WorstCaseUSec"] == check["IntervalUSec"] + check["TimeoutUSec"]


def test_verdicts_follow_the_checks(client, server):
    manager = client.get_all(MANAGER, I_MANAGER)
    assert (manager["State"], manager["Ready"], manager["Started"], manager["Live"]) == (
        "starting", False, False, True)
    assert manager["Why"] == [f"{s}/{c}: no result yet" for s in ("s000", "s001")
                              for c in ("a-1", "b", "push")]
    server.order("all pass")
    manager = client.get_all(MANAGER, I_MANAGER)
    assert (manager["State"], manager["Ready"], manager["Started"]) == ("ready", True, True)
    assert manager["ReadyHTTPStatus"] == 200 and manager["Why"] == []
    assert (manager["NServices"], manager["NReadyServices"]) == (2, 2)
    server.order("result 0 fail")
    manager = client.get_all(MANAGER, I_MANAGER)
    assert manager["State"] == "not_ready" and manager["ReadyHTTPStatus"] == 503
    assert manager["Why"] == ["s000/a-1: Connection refused"]
    assert (manager["NReadyServices"], manager["NUnhealthyChecks"]) == (1, 1)
    assert manager["WorstService"] == "s000"
    assert manager["StatusText"].startswith("NOT READY: 1 of 2 services ready; s000: a-1 refused")
    service = client.get_all(SERVICE, I_SERVICE)
    assert (service["State"], service["Ready"], service["WorstCheck"]) == (
        "not_ready", False, "a-1")
    assert service["Why"] == ["a-1: Connection refused"]
    assert client.get(service_path("s001"), I_SERVICE, "Ready")


def test_lists_and_paths(client):
    services = client.call(MANAGER, I_MANAGER, "ListServices")[0]
    assert services == [(s, "starting", "", service_path(s)) for s in ("s000", "s001")]
    checks = client.call(MANAGER, I_MANAGER, "ListChecks")[0]
    assert checks[0] == ("s000", "a-1", "fixture", "pending", A)
    assert len(checks) == 6
    assert client.call(MANAGER, I_MANAGER, "GetService", variant("(s)", "s000")) == (SERVICE,)
    assert client.call(MANAGER, I_MANAGER, "GetCheck", variant("(ss)", "s000", "a-1")) == (A,)


@pytest.mark.parametrize("method, names, error, words", [
    ("GetService", ["nope"], "org.vitald1.NoSuchService", '"nope"'),
    ("GetCheck", ["nope", "a-1"], "org.vitald1.NoSuchService", '"nope"'),
    ("GetCheck", ["s000", "nope"], "org.vitald1.NoSuchCheck", '"nope"'),
])
def test_unknown_names_are_said_to_be_unknown(client, method, names, error, words):
    with pytest.raises(DBusError) as e:
        client.call(MANAGER, I_MANAGER, method, variant(f"({'s' * len(names)})", *names))
    assert e.value.name == error and words in e.value.message


def test_unknown_paths_have_no_properties(client):
    for path in (service_path("nope"), check_path("s000", "nope"), f"{SERVICE}/check",
                 f"{MANAGER}/service", f"{SERVICE}x"):
        with pytest.raises(DBusError) as e:
            client.get(path, I_CHECK, "State")
        assert e.value.name in ("org.freedesktop.DBus.Error.UnknownObject",
                                "org.freedesktop.DBus.Error.UnknownInterface",
                                "org.freedesktop.DBus.Error.UnknownProperty",
                                "org.freedesktop.DBus.Error.UnknownMethod"), path


def test_introspection_leads_to_every_object(client, server):
    import xml.etree.ElementTree as ET

    def walk(path):
        node = ET.fromstring(client.call(path, "org.freedesktop.DBus.Introspectable",
                                         "Introspect")[0])
        ours = [i.get("name") for i in node.findall("interface")
                if i.get("name").startswith("org.vitald1.")]
        found = {path} if ours else set()
        for child in node.findall("node"):
            assert "/" not in child.get("name"), (path, child.get("name"))
            found |= walk(f"{path}/{child.get('name')}")
        return found
    assert walk(MANAGER) == set(client.managed_objects()) | {MANAGER}


# -- methods --


def test_run_answers_with_the_result(client, server):
    assert client.call(A, I_CHECK, "Run") == ("healthy", "pass", "", "fine", FOR_EVER)
    assert client.get(A, I_CHECK, "NRuns") == 1


def test_run_answers_when_the_run_has_ended(client, server):
    server.order("hold")
    answers = [client.start_call(A, I_CHECK, "Run") for _ in range(3)]
    quiet(client)
    quiet(client)
    assert answers == [[], [], []]
    server.order("release")

    def answered():
        client.poll()
        return all(answers)
    eventually(answered)
    assert answers == [[("healthy", "pass", "", "fine", FOR_EVER)]] * 3


def test_run_survives_a_caller_that_leaves(server):
    server.order("hold")
    for client in (server.peer(), server.client()):
        client.start_call(A, I_CHECK, "Run")
        quiet(client)
        client.close()
    server.order("release")
    with server.client() as client:
        assert client.get(A, I_CHECK, "NRuns") >= 1


def test_run_of_a_check_that_a_reload_removed(client, server):
    server.order("hold")
    gone = client.start_call(check_path("s001", "a-1"), I_CHECK, "Run")
    stays = client.start_call(A, I_CHECK, "Run")
    for _ in range(3):
        quiet(client)
    server.order("reload 1")
    server.order("release")

    def answered():
        client.poll()
        return gone and stays
    eventually(answered)
    assert gone[0].name == "org.vitald1.NoSuchCheck" and stays[0][0] == "healthy"


def test_pending_at_the_end_are_dropped(server):
    """Leak checkers look at this one."""
    server.order("hold")
    client = server.peer()
    client.start_call(A, I_CHECK, "Run")
    quiet(client)


def test_run_of_a_push_check_is_refused(client):
    with pytest.raises(DBusError) as e:
        client.call(PUSH, I_CHECK, "Run")
    assert e.value.name == "org.vitald1.NotSupported" and "fixture-push" in e.value.message


def test_report(client, server):
    for state, outcome in (("healthy", "pass"), ("degraded", "warn"), ("unhealthy", "fail")):
        client.call(PUSH, I_CHECK, "Report", variant("(ss)", outcome, f"says {state}\n\x1b[31m"))
        check = client.get_all(PUSH, I_CHECK)
        assert (check["State"], check["LastOutcome"]) == (state, outcome)
        if state != "healthy":
            assert check["Message"] == f"says {state} [31m"
    with pytest.raises(DBusError, match="pass, warn or fail"):
        client.call(PUSH, I_CHECK, "Report", variant("(ss)", "healthy", ""))
    with pytest.raises(DBusError) as e:
        client.call(A, I_CHECK, "Report", variant("(ss)", "pass", ""))
    assert e.value.name == "org.vitald1.NotSupported"


def test_report_of_values(client):
    client.call(PUSH, I_CHECK, "ReportValues", variant("(sss)", "pass", "", "depth=12 age=1500ms"))
    assert client.get_all(PUSH, I_CHECK)["Values"] == [("depth", 12, ""), ("age", 1.5, "seconds")]
    for bad in ("depth", "=3", "depth=many", "a=1 a=2", " ".join(f"v{i}=1" for i in range(13))):
        with pytest.raises(DBusError, match="NAME=NUMBER"):
            client.call(PUSH, I_CHECK, "ReportValues", variant("(sss)", "fail", "", bad))
    assert client.get_all(PUSH, I_CHECK)["State"] == "healthy"


def test_override_and_clear(client, server):
    server.order("all pass")
    client.call(A, I_CHECK, "Override", variant("(sts)", "unhealthy", FOR_EVER, "try it out"))
    check = client.get_all(A, I_CHECK)
    assert (check["State"], check["MeasuredState"], check["Overridden"]) == (
        "unhealthy", "healthy", True)
    assert (check["OverrideReason"], check["OverriddenBy"]) == ("try it out", "root")
    assert check["OverrideUntilTimestamp"] == FOR_EVER and check["OverrideTimestamp"] > 0
    client.call(A, I_CHECK, "ClearOverride")
    check = client.get_all(A, I_CHECK)
    assert (check["State"], check["Overridden"], check["OverrideReason"]) == ("healthy", False, "")
    for arguments in (("unknown", 1, ""), ("healthy", 0, "")):
        with pytest.raises(DBusError) as e:
            client.call(A, I_CHECK, "Override", variant("(sts)", *arguments))
        assert e.value.name == "org.freedesktop.DBus.Error.InvalidArgs"


def test_why_begins_with_what_fails(client, server):
    assert client.get(SERVICE, I_SERVICE, "Why") == [f"{c}: no result yet"
                                                     for c in ("a-1", "b", "push")]
    server.order("result 0 fail")
    client.call(SERVICE, I_SERVICE, "Drain", variant("(ts)", 2**64 - 1, "x"))
    assert client.get(SERVICE, I_SERVICE, "Why") == [
        "a-1: Connection refused", "service drained by root: x", "b: no result yet",
        "push: no result yet"]
    server.order("all pass")
    server.order("result 0 fail")
    for _ in range(3):
        server.order("result 1 fail")       # Dead.
    assert client.get(SERVICE, I_SERVICE, "Why") == [
        "b: Connection refused", "a-1: Connection refused", "service drained by root: x"]


@pytest.mark.parametrize("path, interface", [(MANAGER, I_MANAGER), (SERVICE, I_SERVICE)])
def test_drain_and_undrain(client, server, path, interface):
    server.order("all pass")
    minute = 60 * 1000000
    client.call(path, interface, "Drain", variant("(ts)", minute, "kernel update"))
    it = client.get_all(path, interface)
    assert (it["State"], it["Ready"], it["Reason"]) == ("draining", False, "drained")
    assert (it["Draining"], it["DrainReason"], it["DrainedBy"]) == (True, "kernel update", "root")
    assert abs(it["DrainUntilTimestamp"] - it["DrainTimestamp"] - minute) < minute / 10
    assert any("drained by root: kernel update" in line for line in it["Why"])
    assert it["ReadyHTTPStatus"] == 503
    client.call(path, interface, "Undrain")
    it = client.get_all(path, interface)
    assert (it["State"], it["Draining"], it["DrainUntilTimestamp"]) == ("ready", False, 0)
    with pytest.raises(DBusError) as e:
        client.call(path, interface, "Drain", variant("(ts)", 0, ""))
    assert e.value.name == "org.freedesktop.DBus.Error.InvalidArgs"


def test_reload_tells_its_verdict(client, server):
    client.call(MANAGER, I_MANAGER, "Reload")
    assert client.get(MANAGER, I_MANAGER, "LastReloadError") == ""
    server.order("refuse services/x.conf:3: unknown key Intervall=")
    with pytest.raises(DBusError) as e:
        client.call(MANAGER, I_MANAGER, "Reload")
    assert (e.value.name, e.value.message) == (
        "org.vitald1.ReloadFailed", "services/x.conf:3: unknown key Intervall=")
    assert client.get(MANAGER, I_MANAGER, "LastReloadError") == e.value.message
    client.call(MANAGER, I_MANAGER, "Reload")
    assert client.get(MANAGER, I_MANAGER, "LastReloadError") == ""


def test_log_control(client, server):
    path, interface = "/org/freedesktop/LogControl1", "org.freedesktop.LogControl1"

    def set_level(word):
        client.call(path, I_PROPERTIES, "Set",
                    variant("(ssv)", interface, "LogLevel", GLib.Variant("s", word)))
    assert client.get_all(path, interface) == {
        "LogLevel": "info", "LogTarget": "console", "SyslogIdentifier": "bus-server"}
    set_level("debug")
    assert client.get(path, interface, "LogLevel") == "debug"
    with pytest.raises(DBusError, match="shouting"):
        set_level("shouting")
    assert client.get(path, interface, "LogLevel") == "debug"
    with pytest.raises(DBusError):
        client.call(path, I_PROPERTIES, "Set",
                    variant("(ssv)", interface, "LogTarget", GLib.Variant("s", "null")))


def test_calls_of_one_caller_keep_their_order(server):
    """The first call waits until the bus has said who calls; those behind it must not pass it."""
    server.order("all pass")
    with server.client() as client:
        answers = [client.start_call(SERVICE, I_SERVICE, "Drain",
                                     variant("(ts)", FOR_EVER, f"{i}")) for i in range(3)]
        answers.append(client.start_call(SERVICE, I_SERVICE, "Undrain"))

        def answered():
            client.poll()
            return all(answers)
        eventually(answered)
        assert answers == [[()]] * 4
        assert not client.get(SERVICE, I_SERVICE, "Draining")


# -- signals --


def test_a_flip_is_told_at_once_and_completely(client, server):
    server.order("all pass")
    eventually(lambda: quiet(client) or client.get(MANAGER, I_MANAGER, "Ready"))
    wait_signals(client, A, "PropertiesChanged")
    wait_signals(client, SERVICE, "PropertiesChanged")
    wait_signals(client, MANAGER, "PropertiesChanged")
    quiet(client)
    changed = client.members(A, "PropertiesChanged")[-1][1]
    assert changed[0] == I_CHECK and changed[1]["State"] == "healthy" and changed[2] == []
    assert set(changed[1]) == {"State", "StateChangeTimestamp", "Overridden"}
    changed = client.members(MANAGER, "PropertiesChanged")[-1][1]
    assert changed[1]["Ready"] and changed[1]["State"] == "ready"
    told = [a for _, a in client.members(MANAGER, "CheckStateChanged")]
    assert (A, "s000/a-1", "healthy", "pending", "", "") in told
    told = [a for _, a in client.members(MANAGER, "ServiceStateChanged")]
    assert (SERVICE, "s000", "ready", "starting") in told


def test_history(client, server):
    """The last runs and changes, the oldest first; no more than there is room for."""
    runs, changes, latency = client.call(A, I_CHECK, "GetHistory")
    assert runs == [] and [state for _, state, _ in changes] == ["pending"]
    assert latency == (FOR_EVER,) * 4

    server.order("result 0 fail")
    server.order("result 0 pass")
    runs, changes, latency = client.call(A, I_CHECK, "GetHistory")
    assert [outcome for _, outcome, _ in runs] == ["fail", "pass"]
    assert [(state, reason) for _, state, reason in changes] == [
        ("pending", ""), ("unhealthy", "refused"), ("healthy", "")]
    took = client.get(A, I_CHECK, "LatencyUSec")
    assert runs[1][2] == took and latency == (took,) * 4
    assert abs(runs[1][0] / 1e6 - time.time()) < 60

    for i in range(70):
        server.order(f"result 0 {'fail' if i % 2 else 'pass'}")
    runs, changes, _ = client.call(A, I_CHECK, "GetHistory")
    assert (len(runs), len(changes)) == (60, 20)
    assert [outcome for _, outcome, _ in runs] == ["pass", "fail"] * 30
    assert [state for _, state, _ in changes] == ["healthy", "unhealthy"] * 10
    assert [t for t, *_ in runs] == sorted(t for t, *_ in runs)
    runs, changes, _ = client.call(check_path("s000", "b"), I_CHECK, "GetHistory")
    assert runs == [] and len(changes) == 1


def test_results_without_a_flip_are_silent(client, server):
    server.order("all pass")
    wait_signals(client, MANAGER, "PropertiesChanged")
    quiet(client)
    client.signals.clear()
    for _ in range(50):
        server.order("result 0 pass")
    quiet(client)
    assert client.signals == []


def test_later_flips_wait_for_their_second(client, server):
    """The first at once; what follows within a second is told once, as it is by then."""
    began = time.monotonic()

    def is_in_bounds(told):
        """However long it took to get here: one each second."""
        return len(told) <= 1 + int(time.monotonic() - began)

    server.order("result 0 pass")
    wait_signals(client, A, "PropertiesChanged")
    for outcome in ("fail", "pass", "fail", "pass", "fail") * 4:
        server.order(f"result 0 {outcome}")
    quiet(client)
    assert is_in_bounds(client.members(A, "PropertiesChanged"))

    def last_told():
        quiet(client)
        return client.members(A, "PropertiesChanged")[-1]
    last = eventually(lambda: (told := last_told())[1][1]["State"] == "unhealthy" and told)
    assert last[0] - began > 0.99
    assert is_in_bounds(client.members(A, "PropertiesChanged"))
    quiet(client)
    states = [a[2:4] for _, a in client.members(MANAGER, "CheckStateChanged") if a[0] == A]
    assert states[0] == ("healthy", "pending") and states[-1] == ("unhealthy", "healthy")
    assert len(states) == len(client.members(A, "PropertiesChanged"))


def test_decisions_are_told_even_without_a_flip(client, server):
    """A drain of what is not ready anyway, an override that changes nothing."""
    server.order("all pass")
    server.order("result 0 fail")
    wait_signals(client, SERVICE, "PropertiesChanged", 2)
    client.call(SERVICE, I_SERVICE, "Drain", variant("(ts)", FOR_EVER, ""))
    eventually(lambda: quiet(client) or
               client.members(SERVICE, "PropertiesChanged")[-1][1][1]["Draining"])
    client.call(A, I_CHECK, "Override", variant("(sts)", "unhealthy", FOR_EVER, ""))
    eventually(lambda: quiet(client) or
               client.members(A, "PropertiesChanged")[-1][1][1]["Overridden"])


def test_reload_adds_and_removes_objects(client, server):
    server.order("reload 3")
    added = {a[0]: a[1] for _, a in wait_signals(client, MANAGER, "InterfacesAdded", 4)}
    assert set(added) == {service_path("s002")} | {check_path("s002", c)
                                                   for c in ("a-1", "b", "push")}
    assert added[service_path("s002")][I_SERVICE]["Name"] == "s002"
    server.order("reload 1")
    removed = {a[0]: a[1] for _, a in wait_signals(client, MANAGER, "InterfacesRemoved", 8)}
    assert set(removed) == {p for s in ("s001", "s002")
                            for p in [service_path(s)] + [check_path(s, c)
                                                          for c in ("a-1", "b", "push")]}
    assert I_SERVICE in removed[service_path("s001")]
    assert I_CHECK in removed[check_path("s001", "b")]
    assert set(client.managed_objects()) == {SERVICE} | {check_path("s000", c)
                                                         for c in ("a-1", "b", "push")}
