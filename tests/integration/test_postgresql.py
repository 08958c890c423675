# SPDX-License-Identifier: MIT
"""Type=postgresql against a real server."""

import signal
import time

import pytest

from lib.checks import postgresql
from lib.dns import NOERROR, NXDOMAIN, DnsServer
from lib.peers import BlackHole, refused_address
from lib.postgres import Postgres
from lib.process import SLOWNESS, eventually
from lib.runner import assert_first_of_stuck, assert_result

OURS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'vitald'"
OUR_PIDS = OURS.replace("count(*)", "string_agg(pid::text, ' ')")


@pytest.fixture
def calm(shared_postgres):
    """The shared server, when the test before has left it."""
    eventually(lambda: shared_postgres.sql(OURS) == "0", within=30)
    return shared_postgres


def passes(runner):
    return runner.run("it")["pass"] == 1


def first(runner, text, within=30):
    return runner.start(text).next(within=within)


def health(postgres, **parts):
    """A connection string for the role that needs a password."""
    parts = {"host": postgres.host, "port": postgres.port, "user": "health", "dbname": "orders",
             **parts}
    return " ".join(f"{k}={v}" for k, v in parts.items())


# -- healthy ---------------------------------------------------------------------------------------

@pytest.mark.valgrind
def test_held_connection(runner, calm):
    runner.credential("orders-db", "secret\n")
    before = len(calm.process.log)
    result = first(runner, postgresql(health(calm), "PasswordCredential=orders-db"))
    assert_result(result, "pass", "", "PostgreSQL 1")
    assert result["latency_ms"] > 0 and result["rows"] == 1
    pid = calm.sql(OUR_PIDS)
    assert runner.run("it", 100)["pass"] == 100
    assert calm.sql(OUR_PIDS) == pid and pid.isdigit()
    assert "secret" not in runner.log
    assert calm.sql("SELECT setting FROM pg_settings WHERE name = 'statement_timeout'") == "0"
    runner.stop()
    eventually(lambda: calm.sql(OURS) == "0")
    assert "unexpected EOF" not in calm.process.log[before:]    # It says good-bye.


def test_unix_socket(runner, calm):
    string = f"host={calm.directory} port={calm.port} user=postgres dbname=orders"
    assert_result(first(runner, postgresql(string)), "pass", "")
    calm.kill9()
    path = f"{calm.directory}/.s.PGSQL.{calm.port}"
    result = runner.next()
    assert result["outcome"] == "fail", result
    assert result["reason"] in ("refused", "reset", "truncated"), result
    eventually(lambda: runner.run("it")["reason"] == "refused")     # When all of it has died.
    assert_result(runner.run("it"), "fail", "refused", path)
    (calm.directory / f".s.PGSQL.{calm.port}").unlink()
    assert_result(runner.run("it"), "fail", "missing", path)


def test_uri(runner, calm):
    uri = f"postgresql://postgres@{calm.address}/orders?application_name=probe"
    assert_result(first(runner, postgresql(uri)), "pass", "")
    assert calm.sql(OURS.replace("vitald", "probe")) == "1"


def test_connections_are_renewed(runner, calm):
    runner.start(postgresql(calm.connection_string, "ConnectionMaxAge=1s", interval="200ms"))
    pids = set()

    def renewed():
        assert runner.next()["outcome"] == "pass"
        pids.add(calm.sql(OUR_PIDS))
        return len(pids) >= 3
    eventually(renewed, within=40)


@pytest.mark.parametrize("query, rows", [
    ("SELECT 1 WHERE false", 0),
    ("SELECT * FROM (VALUES (1), (2)) t", 2),
    ("SELECT 1; SELECT 2 UNION SELECT 3", 2),
    ("SET application_name = 'vitald'", 0),
    ("-- nothing", 0),
])
def test_queries(runner, calm, query, rows):
    result = first(runner, postgresql(calm.connection_string, f"Query={query}"))
    assert_result(result, "pass", "")
    assert result["rows"] == rows
    assert runner.run("it", 5)["pass"] == 5 and calm.sql(OURS) == "1"


@pytest.mark.parametrize("query, reason, words", [
    ("SELECT * FROM nothing_there", "status/42P01", "does not exist"),
    ("SELECT 1/0", "status/22012", "division by zero"),
    ("SELEC", "status/42601", "syntax error"),
    ("COPY pg_class TO STDOUT", "protocol", "COPY"),
    ("COPY pg_class FROM STDIN", "status/25006", "read-only transaction"),
])
def test_failing_queries(runner, calm, query, reason, words):
    result = first(runner, postgresql(calm.connection_string, f"Query={query}"))
    assert_result(result, "fail", reason, words)
    assert runner.run("it", 20)["fail"] == 20
    eventually(lambda: calm.sql(OURS) == "0")


# -- refusals of the server ------------------------------------------------------------------------

@pytest.mark.parametrize("parts, credential, reason, words", [
    ({}, "wrong", "auth/password", "password authentication failed for user \"health\""),
    ({}, None, "auth/no-password", "no password supplied"),
    ({"user": "nobody-there"}, "secret", "auth/password", "nobody-there"),
    ({"user": "postgres", "dbname": "nowhere"}, None, "missing/database",
     "database \"nowhere\" does not exist"),
])
def test_fault_29_logging_in(runner, calm, parts, credential, reason, words):
    lines = ["PasswordCredential=key"] if credential else []
    runner.credential("key", credential or "")
    result = first(runner, postgresql(health(calm, **parts), *lines))
    assert_result(result, "fail", reason, words)
    assert "secret" not in runner.log and "wrong" not in runner.log


def test_fault_29_rejected_by_hba(runner, calm):
    hba = calm.data / "pg_hba.conf"
    before = hba.read_text()

    def rejected():
        assert_result(runner.run("it"), "fail", "auth/rejected", "pg_hba.conf")
        return True
    try:
        hba.write_text("local all all trust\nhost all all all reject\n")
        calm.sql("SELECT pg_reload_conf()")
        runner.start(postgresql(calm.connection_string, "ConnectionMaxAge=1s"))
        eventually(rejected)
    finally:
        hba.write_text(before)
        loaded = "SELECT pg_conf_load_time()"
        earlier = calm.sql(loaded)
        calm.sql("SELECT pg_reload_conf()")
        eventually(lambda: calm.sql(loaded) != earlier, what="what was before is in force")


def test_fault_29_too_many_connections(runner, calm):
    runner.credential("key", "secret")
    both = [postgresql(health(calm), "PasswordCredential=key", name=n) for n in ("a", "b")]
    calm.sql("ALTER ROLE health CONNECTION LIMIT 1")
    try:
        runner.start("".join(both))
        results = sorted(runner.first_of(2).values(), key=lambda r: r["outcome"])
    finally:
        calm.sql("ALTER ROLE health CONNECTION LIMIT -1")
    assert_result(results[0], "fail", "status/too-many-connections", "too many connections")
    assert_result(results[1], "pass", "")


def test_fault_29_ssl_refused(runner, calm):
    string = f"{calm.connection_string} sslmode=require"
    assert_result(first(runner, postgresql(string)), "fail", "tls/refused", "does not support SSL")


def test_fault_29_statement_timeout(runner, calm):
    """The settings' own comes before the deadline; the server's end of a query is a timeout."""
    string = f"{calm.connection_string} options='-c statement_timeout=100'"
    result = first(runner, postgresql(string, "Query=SELECT pg_sleep(60)"))
    assert_result(result, "fail", "timeout/statement", "statement timeout")


def test_fault_29_query_outlives_the_deadline(runner, calm):
    """Nothing is cancelled from here: the server ends the query itself at about the same time."""
    text = postgresql(calm.connection_string, "Query=SELECT pg_sleep(60)", timeout="400ms")
    result = first(runner, text)
    assert result["outcome"] == "fail", result
    assert result["reason"] in ("timeout", "timeout/statement"), result
    eventually(lambda: calm.sql(OURS) == "0", within=30)    # And not the 60 s of the query.


def test_fault_29_notices(runner, calm):
    query = "DO $$ BEGIN FOR i IN 1..%d LOOP RAISE NOTICE 'some words'; END LOOP; END $$"
    runner.start(postgresql(calm.connection_string, f"Query={query % 200}", name="some")
                 + postgresql(calm.connection_string, f"Query={query % 100000}", name="flood",
                              timeout="30s"))
    results = runner.first_of(2, within=40)
    assert_result(results["some"], "pass", "")
    assert_result(results["flood"], "fail", "protocol", "reply is too long")
    assert runner.run("some", 10)["pass"] == 10
    assert "some words" not in runner.log and "NOTICE" not in runner.log


def test_fault_29_notify_spam(runner, calm):
    """A held connection takes in what nobody asked for, within limits."""
    text = postgresql(calm.connection_string, "Query=LISTEN spam")
    assert_result(first(runner, text), "pass", "")
    pid = calm.sql(OUR_PIDS)
    for _ in range(5):
        calm.sql("SELECT pg_notify('spam', repeat('x', 1000) || i) FROM generate_series(1, 10) i")
    assert runner.run("it", 5)["pass"] == 5
    assert calm.sql(OUR_PIDS) == pid

    calm.sql("SELECT pg_notify('spam', repeat('x', 1000) || i) FROM generate_series(1, 200) i")
    eventually(lambda: calm.sql(OURS) == "0")       # Too much: let go of.
    assert runner.is_quiet()
    assert runner.run("it", 5)["pass"] == 5


# -- faults of the network and of the server -------------------------------------------------------

def test_fault_13_black_hole(runner, black_hole, calm):
    runner.start(
        postgresql(f"host={black_hole.host} port={black_hole.port} user=x", name="hole",
                   interval="1s", timeout="500ms")
        + postgresql(calm.connection_string, name="good", interval="100ms"))
    results = [runner.next()]
    while [r["check"] for r in results].count("hole") < 5:
        results.append(runner.next())
    holes = [r for r in results if r["check"] == "hole"]
    good = [r["time"] for r in results if r["check"] == "good"]
    for r in holes:
        assert_result(r, "fail", "timeout", f"500ms, connecting to {black_hole.address}")
    # Most of the time that one hangs the other runs, whenever the machine lets them.
    beside = [any(r["time"] - 0.4 < t < r["time"] - 0.05 for t in good) for r in holes]
    assert beside.count(True) >= 3, (beside, good)


def test_fault_14_refused(runner):
    address = refused_address()
    host, port = address.split(":")
    result = first(runner, postgresql(f"host={host} port={port} user=x"))
    assert_result(result, "fail", "refused", f"{address}: Connection refused")


def test_fault_14_no_route(runner):
    runner.wrap = lambda argv: ["/usr/bin/unshare", "--net", *argv]
    result = first(runner, postgresql("host=10.0.0.1 user=x"))
    assert_result(result, "fail", "unreachable", "10.0.0.1:5432: Network is unreachable")


@pytest.mark.valgrind
def test_frozen_server(runner, calm):
    """With a held connection and without one."""
    runner.start(postgresql(calm.connection_string, timeout="1s"))
    eventually(lambda: passes(runner), within=30)
    calm.freeze()
    assert_first_of_stuck(runner, runner.run("it"), "1000ms, waiting for the query's result")
    assert_result(runner.run("it"), "fail", "timeout", "1000ms, negotiating TLS")
    calm.thaw()
    eventually(lambda: passes(runner), within=30)


@pytest.mark.valgrind
def test_crash_is_seen_at_once(runner, calm):
    text = postgresql(calm.connection_string, "RetryInterval=10ms")
    assert_result(first(runner, text), "pass", "")
    delays = []
    for _ in range(5):
        time.sleep(0.02)        # The interval of triggers.
        begin = time.monotonic()
        calm.kill9()
        result = runner.next_that(outcome="fail")
        assert result["reason"] in ("refused", "reset", "truncated"), result  # It is still dying.
        delays.append(result["time"] - begin)
        calm.start()
        eventually(lambda: passes(runner))
    assert sorted(delays)[2] < 0.5 * SLOWNESS, delays


def test_shutdown_is_seen_at_once(runner, calm):
    """The server's last words on the held connection count."""
    assert_result(first(runner, postgresql(calm.connection_string)), "pass", "")
    calm.process.signal(signal.SIGINT)
    result = runner.next_that(outcome="fail")
    assert result["reason"] in ("status/stopping", "refused", "reset", "truncated"), result
    calm.process.wait(within=60)


def test_terminated_backend_is_replaced(runner, calm):
    assert_result(first(runner, postgresql(calm.connection_string)), "pass", "")
    calm.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                 "WHERE application_name = 'vitald'")
    assert_result(runner.next(), "pass", "")
    eventually(lambda: calm.sql(OURS) == "1")       # The old one says so before it ends.


def test_server_restarted_between_runs(runner, calm):
    assert_result(first(runner, postgresql(calm.connection_string)), "pass", "")
    calm.restart()
    assert runner.run("it", 3)["pass"] == 3


def test_fault_20_huge_result(runner, calm):
    string = calm.connection_string
    runner.start(postgresql(string, name="small", timeout="30s")
                 + postgresql(string, "Query=SELECT repeat('x', 30000000)", name="huge",
                              timeout="30s")
                 + postgresql(string, "Query=SELECT generate_series(1, 1000000)", name="rows",
                              timeout="30s")
                 + postgresql(string, "Query=SELECT repeat('x', 60000)", name="fits",
                              timeout="30s"))
    results = runner.first_of(4, within=40)
    assert_result(results["small"], "pass", "")
    assert_result(results["fits"], "pass", "")
    before = runner.usage()[1]
    for name in ("huge", "rows"):
        assert_result(results[name], "fail", "protocol", "The reply is too long")
        assert runner.run(name, 3)["fail"] == 3
    assert runner.usage()[1] - before < runner.memory_limit_kib


# -- names -----------------------------------------------------------------------------------------

@pytest.fixture
def names(directory):
    with DnsServer(directory, mode=NOERROR) as server:
        yield server


def named(postgres, more=""):
    return f"host=db.test port={postgres.port} user=postgres dbname=orders {more}"


@pytest.mark.valgrind
def test_host_name(runner, names, calm):
    """The first address refuses, the second answers."""
    names.records = {"db.test": [("A", "127.0.0.9"), ("A", "127.0.0.1")]}
    runner.wrap = names.wrap
    assert_result(first(runner, postgresql(named(calm))), "pass", "")
    asked = len(names.queries)
    assert runner.run("it", 20)["pass"] == 20
    assert len(names.queries) == asked      # A held connection needs no name.


def test_fault_25_unknown_name(runner, names, calm):
    names.mode = NXDOMAIN
    runner.wrap = names.wrap
    assert_result(first(runner, postgresql(named(calm))), "fail", "dns/not-found", "db.test")


def test_silent_address_is_passed_over_next_time(runner, names, calm):
    """libpq stays with an address that swallows everything; the run after that does not."""
    names.records = {"db.test": [("A", "127.0.0.7"), ("A", "127.0.0.1")]}
    runner.wrap = names.wrap
    hole = BlackHole()
    hole.host, hole.port = "127.0.0.7", calm.port
    with hole:
        runner.start(postgresql(named(calm), timeout="2s"))
        assert_result(runner.next(), "fail", "timeout", "connecting to db.test")
        assert runner.run("it", 5)["pass"] == 5


# -- TLS -------------------------------------------------------------------------------------------

@pytest.mark.valgrind
def test_tls(runner, names, directory, authority):
    names.records = {"db.test": [("A", "127.0.0.1")], "other.test": [("A", "127.0.0.1")]}
    runner.wrap = names.wrap
    ca = f"sslrootcert={authority.ca}"
    other = authority.self_signed()
    with Postgres(directory / "postgres", tls=authority.issue(names=["DNS:db.test"])) as server:
        full = named(server, "sslmode=verify-full")
        checks = {
            "full": f"{full} {ca}",
            "require": f"{server.connection_string} sslmode=require",
            "prefer": server.connection_string,
            "name": f"{full} {ca}".replace("db.test", "other.test"),
            "unknown": f"{full} sslrootcert={other.certificate}",
            "system": full,
            "no-file": f"{full} sslrootcert=/nowhere.pem",
        }
        patience = f"{20 * SLOWNESS}s"      # Seven handshakes at once.
        runner.start("".join(postgresql(s, name=n, timeout=patience) for n, s in checks.items()))
        results = runner.first_of(len(checks), within=30)
        for name in ("full", "require", "prefer"):
            assert_result(results[name], "pass", "")
        assert_result(results["name"], "fail", "tls/name", "other.test")
        assert_result(results["unknown"], "fail", "tls/certificate", "verify failed")
        assert_result(results["system"], "fail", "tls/certificate", "verify failed")
        assert_result(results["no-file"], "error", "configuration", "/nowhere.pem")
        assert runner.run("full", 20)["pass"] == 20
        assert server.sql("SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
                          " WHERE application_name = 'vitald'") == "t"
        server.kill9()
        seen = {}
        while len(seen) < 3:
            result = runner.next()
            seen[result["check"]] = result["reason"]
        assert set(seen) == {"full", "require", "prefer"}
        # Some of it may still be dying.
        assert set(seen.values()) <= {"refused", "reset", "truncated"}


# -- surroundings ----------------------------------------------------------------------------------

def test_fault_23_environment_is_ignored(runner, calm, directory):
    (directory / ".pgpass").write_text("*:*:*:*:secret\n")
    (directory / ".pgpass").chmod(0o600)
    (directory / "services").write_text("[wrong]\nport=1\n")
    home = directory / ".postgresql"
    home.mkdir()
    (home / "root.crt").write_text("no certificate")
    runner.environment |= {
        "HOME": str(directory), "PGPASSWORD": "secret", "PGPASSFILE": str(directory / ".pgpass"),
        "PGSERVICE": "wrong", "PGSERVICEFILE": str(directory / "services"), "PGPORT": "1",
        "PGOPTIONS": "-c default_transaction_isolation=nonsense", "PGDATABASE": "nowhere",
        "PGSSLMODE": "require", "PGTZ": "nonsense"}
    runner.start(postgresql(health(calm), name="password")
                 + postgresql(calm.connection_string, name="trusted"))
    results = runner.first_of(2)
    assert_result(results["password"], "fail", "auth/no-password")
    assert_result(results["trusted"], "pass", "")
    assert "WARNING" not in runner.log and "certificate" not in runner.log


@pytest.mark.time_limit(300)
@pytest.mark.parametrize("kind, times", [("held", 10000), ("dialled", 1000), ("refused", 10000)])
def test_ten_thousand_runs_are_flat(runner, calm, kind, times):
    """One core of PostgreSQL takes but a few hundred connections a second."""
    string = calm.connection_string
    if kind == "refused":
        string = "host=127.0.0.1 user=x port=" + refused_address().split(":")[1]
    query = "Query=SELECT 1/0" if kind == "dialled" else ""     # After which it hangs up.
    runner.start(postgresql(string, query, timeout="30s"))
    runner.next()
    runner.run("it", times // 10)
    fds, memory = runner.usage()
    result = runner.run("it", times, within=240)
    assert result["pass" if kind == "held" else "fail"] == times, result
    after = runner.usage()
    assert after[0] <= fds and after[1] - memory < 256 * SLOWNESS


# -- configuration ---------------------------------------------------------------------------------

@pytest.mark.parametrize("string, words", [
    ("", "ConnectionString="),
    ("just words", "keyword=value pairs"),
    ("host=x user=u hst=y", "invalid connection option \"hst\""),
    ("host=x user=u password=PLUGH", "PasswordCredential=NAME"),
    ("host=x user=u password = PLU GH", "keyword=value pairs"),
    ("postgresql://u:PLUGH@x/db", "PasswordCredential=NAME"),
    ("postgresql://u:PLUGH@[x/db", "keyword=value pairs"),
    ("host=x user=u passfile=/x", "PasswordCredential=NAME"),
    ("service=x", "service="),
    ("host=x user=u connect_timeout=3", "Timeout="),
    ("host=x", "user= is missing"),
    ("user=u", "host= is missing"),
    ("host=x,,y user=u", "one of the hosts is empty"),
    ("host=x,y,z port=1,2 user=u", "2 ports for 3 hosts"),
    ("host=x,y hostaddr=::1 user=u", "host= lists 2 and hostaddr= 1"),
    ("host=1,2,3,4,5,6,7,8,9 user=u", "more than 8 hosts"),
    ("host=x user=u target_session_attrs=master", "target_session_attrs="),
    ("host=x user=u port=0", "port"),
    ("host=x user=u port=65536", "port"),
    ("host=10.0.0.256 user=u", "IPv4"),
    ("hostaddr=x user=u", "not an IP address"),
    ("host=/run/" + "x" * 100 + " user=u", "107 bytes"),
    ("host=x user=u sslmode=sometimes", "verify-full"),
])
def test_fault_26_configuration_errors(runner, string, words):
    runner.start(f"[Check it]\nType=postgresql\nConnectionString={string}\n")
    assert runner.popen.wait(30 * SLOWNESS) == 1
    runner.popen = None
    assert words in runner.log, runner.log
    assert "PLU" not in runner.log and "GH" not in runner.log
