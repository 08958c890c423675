# SPDX-License-Identifier: MIT
"""Debian's PostgreSQL and Redis, as units beside vitald: killed, hanging, and back again."""

import json
import re
import time

import pytest

from lib.probes import ProbeLoad
from lib.process import eventually

UNITS = {"database": "postgresql@15-main.service", "session": "postgresql@15-main.service",
         "cache": "redis-server.service"}

SERVICE = """
[Service]
Description=What an application stands on
[Check database]
Type=postgresql
ConnectionString=host=127.0.0.1 user=health dbname=postgres
PasswordCredential=shop-db
Query=SELECT 1
[Check session]
Type=postgresql
ConnectionString=host=/run/postgresql user=vitald dbname=postgres
[Check cache]
Type=redis
Address=127.0.0.1:6379
"""
SETTINGS = "Interval=10s\nFailureThreshold=1\nTimeout=3s\n"


@pytest.fixture(scope="module")
def host(host):
    for unit in set(UNITS.values()):
        if host.show(unit, "LoadState") != "loaded":
            pytest.skip(f"{unit} is not installed")
        host.drop_in(unit, "[Service]\nRestart=no\n")
    return host


@pytest.fixture(scope="module")
def running(vitald_host):
    eventually(lambda: sql(vitald_host, "SELECT 1") == "1", within=60)
    sql(vitald_host, "CREATE ROLE health LOGIN PASSWORD 'canary-5up'")
    sql(vitald_host, "CREATE ROLE vitald LOGIN")
    vitald_host.write("/etc/vitald/credentials/shop-db", "canary-5up\n", mode=0o600)
    vitald_host.write("/etc/vitald/services/shop.conf",
                      re.sub(r"^Type=", f"{SETTINGS}Type=", SERVICE, flags=re.M))
    vitald_host.systemctl("start", "vitald.socket", "vitald-local.socket", "vitald.service")
    return vitald_host


@pytest.fixture
def ready(running):
    """Before and after each test all is well."""
    is_ready(running)
    yield running
    for unit in set(UNITS.values()):
        running.systemctl("kill", "--signal=CONT", unit, check=False)
        running.systemctl("reset-failed", unit, check=False)
        running.systemctl("start", unit)
    is_ready(running)


def is_ready(host):
    eventually(lambda: host.get("/health/ready").status == 200, within=60, what="ready again")


def sql(host, statement):
    return host.run(["psql", "-XAtqc", statement], user="postgres", cwd="/").stdout.strip()


def checks(host):
    return {name.partition("/")[2]: check for name, check in
            host.get("/health/ready").json["checks"].items() if name.startswith("shop/")}


def next_run(host, name):
    """When the check runs by itself, by our clock, which is some seconds from now."""
    def is_ahead():
        shown = host.run(["vitalctl", "show", f"shop/{name}", "--json=short"]).stdout
        at = json.loads(shown)["NextRunTimestampMonotonic"] / 1e6
        assert at > time.monotonic() + 7
        return at
    return eventually(is_ahead)


def shows(host, reason, *names):
    """503 because of these and no others, all for this reason."""
    answer = host.get("/health/ready")
    bad = {name: check["reason"].partition("/")[0] for name, check in checks(host).items()
           if not check["healthy"]}
    assert bad == dict.fromkeys(names, reason), checks(host)
    return answer.status == 503 and answer.json["status"] == "not_ready"


def test_ready_looks_as_it_should(ready):
    answer = ready.get("/health/ready").json
    assert answer["status"] == "ready"
    assert all(check["healthy"] and check["latency_ms"] > 0 for check in checks(ready).values())
    assert set(checks(ready)) == {"database", "session", "cache"}


@pytest.mark.parametrize("unit, names", [
    ("redis-server.service", ["cache"]),
    ("postgresql@15-main.service", ["database", "session"])])
def test_killed_and_started_again(ready, unit, names):
    with ProbeLoad(("127.0.0.1", 9911), within=ready.network) as load, \
            ProbeLoad(("127.0.0.1", 9911), "/health/started", 1, ready.network) as started:
        by_itself = next_run(ready, names[0])
        ready.systemctl("kill", "--signal=KILL", unit)
        eventually(lambda: not checks(ready)[names[0]]["healthy"])
        assert time.monotonic() < by_itself
        assert ready.get("/health/ready").status == 503
        # Who dials while the processes end one after the other may be told another thing first.
        eventually(lambda: shows(ready, "refused", *names), within=60)
        eventually(lambda: re.search(
            r"Status: .NOT READY: 0 of 1 service ready; shop: (%s) refused for " % "|".join(names),
            ready.systemctl("status", "vitald.service").stdout))
        eventually(lambda: ready.show(unit, "ActiveState") == "failed")
        ready.systemctl("start", unit)
        is_ready(ready)
    # The application itself lives, and has started.
    assert set(load.answers) == {200} and set(started.answers) == {200}
    assert not load.failures and not started.failures


@pytest.mark.parametrize("unit, names", [
    ("redis-server.service", ["cache"]),
    ("postgresql@15-main.service", ["database", "session"])])
def test_hanging(ready, unit, names):
    ready.systemctl("kill", "--signal=STOP", unit)
    for name in names:      # Some seconds later by itself.
        ready.run(["vitalctl", "run", f"shop/{name}"], check=False)
    eventually(lambda: shows(ready, "timeout", *names), within=60)
    ready.systemctl("kill", "--signal=CONT", unit)
    is_ready(ready)


def test_stopped_in_order(ready):
    """What an administrator does: nobody listens any more, and the socket's name has gone."""
    ready.systemctl("stop", "postgresql@15-main.service")
    eventually(lambda: not checks(ready)["database"]["healthy"])
    eventually(lambda: not checks(ready)["session"]["healthy"])
    ready.run(["vitalctl", "run", "shop/database"], check=False)
    ready.run(["vitalctl", "run", "shop/session"], check=False)
    eventually(lambda: {name: check.get("reason") for name, check in checks(ready).items()}
               == {"database": "refused", "session": "missing", "cache": None})


def test_a_lost_right_is_told_from_a_lost_server(ready):
    sql(ready, "ALTER ROLE health NOLOGIN")
    sql(ready, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'health'")
    try:
        eventually(lambda: shows(ready, "auth", "database"), within=60)
    finally:
        sql(ready, "ALTER ROLE health LOGIN")
    is_ready(ready)


def test_a_wrong_password_is_told(ready):
    ready.write("/etc/vitald/credentials/shop-db", "wrong\n", mode=0o600)
    ready.systemctl("restart", "vitald.service")
    try:
        eventually(lambda: shows(ready, "auth", "database"))
    finally:
        ready.write("/etc/vitald/credentials/shop-db", "canary-5up\n", mode=0o600)
        ready.systemctl("restart", "vitald.service")
    is_ready(ready)


def test_the_password_is_nowhere(ready):
    pid = ready.show("vitald.service", "MainPID")
    places = [
        ready.run(["journalctl", "-o", "verbose", "--no-pager", "-u", "vitald.service"]).stdout,
        ready.systemctl("status", "-l", "vitald.service").stdout,
        ready.busctl("call", "org.vitald1", "/org/vitald1", "org.freedesktop.DBus.ObjectManager",
                     "GetManagedObjects").stdout,
        ready.get("/metrics").text, ready.get_local("/health/status").text,
        ready.run(["cat", f"/proc/{pid}/cmdline", f"/proc/{pid}/environ"]).stdout,
        ready.run(["vitalctl", "show", "shop/database"]).stdout,
    ]
    assert all(len(text) > 20 for text in places)
    assert not [text for text in places if "canary-5up" in text]
