# SPDX-License-Identifier: MIT
"""org.vitald1 on the system bus of a host: as the manual says, for whom, and without a bus."""

import os
import re
import signal

import pytest

from lib.peers import HttpServer, Reply
from lib.probes import ProbeLoad
from lib.process import eventually
from lib.tree import read
from lib.units import main_pid

MANAGER = "/org/vitald1"
SERVICE = f"{MANAGER}/service/orders"
CHECK = f"{SERVICE}/check/app"
LOG_CONTROL = "/org/freedesktop/LogControl1"
PAGES = {
    "MANAGER": (MANAGER, "org.vitald1.Manager"),
    "SERVICE": (SERVICE, "org.vitald1.Service"),
    "CHECK": (CHECK, "org.vitald1.Check"),
    "LOG CONTROL": (LOG_CONTROL, "org.freedesktop.LogControl1"),
}
FOR_EVER = str(2**64 - 1)

# What changes something, as busctl takes it.
CHANGES = [
    (MANAGER, "org.vitald1.Manager", "Reload"),
    (MANAGER, "org.vitald1.Manager", "Drain", "ts", FOR_EVER, "x"),
    (MANAGER, "org.vitald1.Manager", "Undrain"),
    (SERVICE, "org.vitald1.Service", "Drain", "ts", FOR_EVER, "x"),
    (SERVICE, "org.vitald1.Service", "Undrain"),
    (CHECK, "org.vitald1.Check", "Run"),
    (CHECK, "org.vitald1.Check", "Override", "sts", "unhealthy", FOR_EVER, "x"),
    (CHECK, "org.vitald1.Check", "ClearOverride"),
]


@pytest.fixture(scope="module")
def app(vitald_host):
    with vitald_host.network():
        server = HttpServer()
        server.start()
    yield server
    server.close()


@pytest.fixture(scope="module")
def running(vitald_host, app):
    vitald_host.write("/etc/vitald/services/orders.conf",
                      "[Service]\nDescription=Order intake\n"
                      f"[Check app]\nType=http\nURL={app.url()}\nInterval=300ms\n"
                      "[Check disk]\nType=disk\nMinFree=1K\n")
    vitald_host.systemctl("start", "vitald.socket", "vitald-local.socket", "vitald.service")
    eventually(lambda: is_on_bus(vitald_host))
    return vitald_host


def is_on_bus(host):
    names = host.busctl("list", "--no-legend").stdout
    return re.search(r"^org\.vitald1 +\d+ vitald ", names, re.M)


def members_of(section):
    """[(kind, name, type)] as org.vitald1(5) lists them."""
    text = read("man/org.vitald1.5").split(f"\n.Sh {section}\n")[1].split("\n.Sh ")[0]
    kind, members = None, []
    for line in text.splitlines():
        if line.startswith(".Ss "):
            kind = {"Methods": "method", "Signals": "signal", "Properties": "property"}[line[4:]]
        elif match := re.match(r"\.It (?:Fn|Va) (\w+)(?: Pq ([^ ,]+))?", line):
            members.append((kind, match[1], match[2]))
    return members


@pytest.mark.parametrize("section", PAGES)
def test_busctl_introspect_reads_as_the_manual(running, section):
    path, interface = PAGES[section]
    shown = running.busctl("introspect", "org.vitald1", path, interface).stdout.splitlines()[1:]
    found = {(row.split()[1], row.split()[0].lstrip(".")) for row in shown}
    assert {(kind, name) for kind, name, _ in members_of(section)} == \
        {(kind, name) for kind, name in found if kind != "interface"}


@pytest.mark.parametrize("section", PAGES)
def test_busctl_get_property_reads_as_the_manual(running, section):
    path, interface = PAGES[section]
    properties = [(name, kind) for what, name, kind in members_of(section) if what == "property"]
    shown = running.busctl("get-property", "org.vitald1", path, interface,
                           *[name for name, _ in properties]).stdout.splitlines()
    assert len(shown) == len(properties) > 0
    for (name, kind), line in zip(properties, shown):
        assert line.split()[0] == kind, f"{name}: {line}"


def test_what_it_says_is_what_is(running, app):
    def said(path, interface, name):
        return running.busctl("get-property", "org.vitald1", path, f"org.vitald1.{interface}",
                              name).stdout.strip()
    eventually(lambda: said(MANAGER, "Manager", "Ready") == "b true")
    assert said(MANAGER, "Manager", "NServices") == "u 2"       # With the built-in one.
    assert said(MANAGER, "Manager", "ReadyHTTPStatus") == "q 200"
    listening = said(MANAGER, "Manager", "Listening").split()     # systemd's order is its own.
    assert sorted(listening[2:]) == ['"/run/vitald/http.sock"', '"127.0.0.1:9911"',
                                     '"[::1]:9911"']
    assert said(SERVICE, "Service", "Description") == 's "Order intake"'
    assert said(SERVICE, "Service", "Checks") == f'ao 2 "{CHECK}" "{SERVICE}/check/disk"'
    assert said(CHECK, "Check", "Target") == f's "{app.url()}"'
    assert said(CHECK, "Check", "IntervalUSec") == "t 300000"
    app.reply = Reply(500)
    try:
        eventually(lambda: said(MANAGER, "Manager", "State") == 's "not_ready"')
        assert said(CHECK, "Check", "Reason") == 's "status/500"'
        assert said(SERVICE, "Service", "Why").startswith('as 1 "app: HTTP 500 from ')
        assert said(MANAGER, "Manager", "StatusText").startswith(
            's "NOT READY: 0 of 1 service ready; orders: app status/500 for ')
    finally:
        app.reply = Reply(body=b"ok")
    eventually(lambda: said(MANAGER, "Manager", "Ready") == "b true")


def test_tree(running):
    paths = running.busctl("tree", "--list", "org.vitald1").stdout.split()
    assert {MANAGER, SERVICE, CHECK, f"{SERVICE}/check/disk"} <= set(paths)


def test_log_level(running):
    running.systemctl("service-log-level", "vitald", "debug")
    assert running.systemctl("service-log-level", "vitald").stdout == "debug\n"
    assert running.systemctl("service-log-target", "vitald").stdout.strip()
    running.systemctl("service-log-level", "vitald.service", "info")
    assert running.systemctl("service-log-level", "vitald").stdout == "info\n"
    assert running.systemctl("service-log-level", "vitald", "loud", check=False).returncode != 0


@pytest.mark.parametrize("change", CHANGES, ids=lambda c: f"{c[1].rpartition('.')[2]}.{c[2]}")
def test_fault_60_nobody_changes_nothing(running, change):
    # Nor does the daemon's own user, whom a check might be made to act as.
    for user in ("nobody", "vitald"):
        done = running.busctl("call", "org.vitald1", *change, user=user, check=False)
        assert done.returncode == 1 and "polkit wants a password for this" in done.stderr
    assert running.get("/health/ready").status == 200


def drain(host, user, reason="x"):
    return host.busctl("call", "org.vitald1", SERVICE, "org.vitald1.Service", "Drain", "ts",
                       FOR_EVER, reason, user=user, check=False)


def is_draining(host):
    return host.busctl("get-property", "org.vitald1", SERVICE, "org.vitald1.Service",
                       "Draining", "DrainedBy").stdout.split("\n")[:2]


def test_a_rule_of_polkit_lets_somebody_do_one_thing(running):
    rule = ("polkit.addRule(function(action, subject) { if (action.id == 'org.vitald1.drain' && "
            "subject.user == 'nobody') return polkit.Result.YES; });\n")
    running.write("/etc/polkit-1/rules.d/10-vitald.rules", rule)
    try:
        eventually(lambda: drain(running, "nobody").returncode == 0)
        uid = running.run(["id", "-u", "nobody"]).stdout.strip()
        assert is_draining(running) == ["b true", f's "uid {uid}"']
        assert drain(running, "vitald").returncode != 0
        done = running.busctl("call", "org.vitald1", MANAGER, "org.vitald1.Manager", "Reload",
                              user="nobody", check=False)
        assert done.returncode == 1 and "org.vitald1.reload" in done.stderr
    finally:
        running.run(["rm", "/etc/polkit-1/rules.d/10-vitald.rules"])
        running.run(["vitalctl", "undrain", "orders"])
    eventually(lambda: drain(running, "nobody").returncode != 0)
    running.run(["vitalctl", "undrain", "orders"])


def test_fault_60_without_polkit_only_root_may(running):
    running.systemctl("mask", "--runtime", "--now", "polkit.service")
    try:
        done = drain(running, "nobody")
        assert done.returncode == 1 and "Access denied" in done.stderr
        assert drain(running, None).returncode == 0
    finally:
        running.systemctl("unmask", "--runtime", "polkit.service")
        running.run(["vitalctl", "undrain", "orders"])


def test_a_service_may_drain_itself(running):
    """As its own user, from its own unit, and nothing but itself."""
    running.write("/etc/systemd/system/intake.service",
                  "[Service]\nUser=nobody\nExecStart=sleep infinity\n"
                  "ExecStop=vitalctl drain intake --reason=stopping\n"
                  "ExecStop=-vitalctl drain orders\n")
    running.write("/etc/vitald/services/intake.conf",
                  "[Service]\nUnit=intake.service\nHost=no\n[Check disk]\nType=disk\nMinFree=1K\n")
    running.systemctl("daemon-reload")
    running.systemctl("start", "intake.service")
    running.run(["vitalctl", "reload"])
    eventually(lambda: running.get("/health/ready/intake").status == 200)
    running.systemctl("stop", "intake.service")
    shown = running.busctl("get-property", "org.vitald1", f"{MANAGER}/service/intake",
                           "org.vitald1.Service", "Draining", "DrainedBy", "DrainReason").stdout
    assert shown.split("\n")[:3] == ["b true", 's "intake.service"', 's "stopping"']
    assert is_draining(running)[0] == "b false"
    running.run(["rm", "/etc/vitald/services/intake.conf"])
    running.run(["vitalctl", "reload"])


@pytest.mark.parametrize("change", CHANGES, ids=lambda c: f"{c[1].rpartition('.')[2]}.{c[2]}")
def test_root_may(running, change):
    running.busctl("call", "org.vitald1", *change)
    running.busctl("call", "org.vitald1", MANAGER, "org.vitald1.Manager", "Undrain")
    running.busctl("call", "org.vitald1", SERVICE, "org.vitald1.Service", "Undrain")
    running.busctl("call", "org.vitald1", CHECK, "org.vitald1.Check", "ClearOverride")
    assert running.get("/health/ready").status == 200


@pytest.mark.parametrize("section", PAGES)
def test_everybody_reads(running, section):
    path, interface = PAGES[section]
    name = next(name for kind, name, _ in members_of(section) if kind == "property")
    for user in ("nobody", "vitald"):
        running.busctl("get-property", "org.vitald1", path, interface, name, user=user)
    running.busctl("call", "org.vitald1", MANAGER, "org.vitald1.Manager", "ListChecks",
                   user="nobody")


def test_nobody_takes_the_name(running):
    running.systemctl("stop", "vitald.socket", "vitald-local.socket", "vitald.service")
    take = ("import dbus; b = dbus.SystemBus(); "
            "b.request_name('org.vitald1', dbus.bus.NAME_FLAG_DO_NOT_QUEUE)")
    done = running.run(["/usr/bin/python3", "-c", take], user="nobody", check=False)
    running.systemctl("start", "vitald.socket", "vitald-local.socket", "vitald.service")
    assert done.returncode == 1 and "AccessDenied" in done.stderr
    eventually(lambda: is_on_bus(running))


def test_fault_58_without_a_bus_and_with_it_again(running, app):
    pid = running.show("vitald.service", "MainPID")
    with ProbeLoad(("127.0.0.1", 9911), within=running.network) as load:
        running.systemctl("stop", "dbus.socket", "dbus.service")
        try:
            assert running.busctl("list", check=False).returncode != 0
            # The private socket serves root, and checks go on.
            assert ": READY (200)" in running.run(["vitalctl", "status"]).stdout
            running.run(["vitalctl", "run", "orders/app"])
            running.run(["vitalctl", "reload"])
            running.systemctl("reload", "vitald.service")
            app.reply = Reply(500)
            eventually(lambda: running.get("/health/ready").status == 503)
            app.reply = Reply(body=b"ok")
            eventually(lambda: running.get("/health/ready").status == 200)
            load.wait_for(100)
        finally:
            app.reply = Reply(body=b"ok")
            running.systemctl("start", "dbus.socket", "dbus.service")
        eventually(lambda: is_on_bus(running), within=60)
    assert not load.failures and set(load.answers) == {200}
    assert running.show("vitald.service", "MainPID") == pid
    assert running.show("vitald.service", "NRestarts") == "0"
    messages = running.messages("vitald.service")
    assert sum("The system bus is not there" in m for m in messages) == 1
    assert running.busctl("get-property", "org.vitald1", CHECK, "org.vitald1.Check",
                          "State").stdout == 's "healthy"\n'


def test_fault_58_bus_restarted(running):
    pid = running.show("vitald.service", "MainPID")
    running.systemctl("restart", "dbus.service")
    eventually(lambda: is_on_bus(running), within=60)
    assert running.show("vitald.service", "MainPID") == pid
    running.systemctl("service-log-level", "vitald", "info")


def test_fault_58_bus_that_hangs(running):
    """Who waited for it would do so for a second, each time; this machine does it by chance."""
    def slowest_probe():
        bus = main_pid(running, "dbus.service")
        os.kill(bus, signal.SIGSTOP)
        try:
            with ProbeLoad(("127.0.0.1", 9911), within=running.network) as load:
                load.wait_for(1000)
                running.run(["vitalctl", "run", "orders/app"])
        finally:
            os.kill(bus, signal.SIGCONT)
        assert not load.failures
        eventually(lambda: is_on_bus(running))
        return load.slowest
    assert any(slowest_probe() < 0.5 for _ in range(5))
