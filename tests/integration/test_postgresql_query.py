# SPDX-License-Identifier: MIT
"""Type=postgresql: what a query gives, what is expected of it, and that a check never writes."""

import pytest

from lib import pgwire
from lib.checks import postgresql
from lib.peers import TcpServer
from lib.pgbouncer import PgBouncer
from lib.process import eventually
from lib.runner import assert_result

OURS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'vitald'"


@pytest.fixture
def ask(runner, shared_postgres):
    """ask("Query=SELECT 1", ...): the result of such a check."""
    def run(*lines, string=shared_postgres.connection_string, timeout="20s"):
        return runner.start(postgresql(string, *lines, timeout=timeout)).next(within=30)
    return run


# -- values ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("query, values", [
    ("SELECT count(*) FROM generate_series(1, 7)", {"count": 7}),
    ("SELECT 3 AS depth, 1.5::float8 AS load, -2::numeric AS drift",
     {"depth": 3, "load": 1.5, "drift": -2}),
    ("SELECT 42", {"value": 42}),
    ("SELECT 'x' AS word, 5 AS n, NULL::int AS nothing", {"n": 5}),
    ("SELECT '12' AS text", {"text": 12}),
    ("SELECT true AS yes, false AS no", {"yes": 1, "no": 0}),
    ("SELECT 'NaN'::float8 AS a, 'Infinity'::float8 AS b", {}),
    ("SELECT 1 AS n, 2 AS n", {"n": 1}),
    ("SELECT 1 AS \"so many\", 2 AS \"é\"", {"so_many": 1, "value": 2}),
    ("SELECT " + ", ".join(f"{n} AS c{n}" for n in range(12)), {f"c{n}": n for n in range(8)}),
    ("SELECT 1 AS a; SELECT 2 AS b", {"b": 2}),
    ("SELECT interval '1 day 02:03:04.5' AS age", {"age": 93784.5}),
    ("SELECT -interval '5 s' AS age, interval '1 mon -1 day' AS b", {"age": -5, "b": 2505600}),
    ("SELECT 17 AS rows", {}),
], ids=lambda p: p[:40] if isinstance(p, str) else "")
def test_values(ask, query, values):
    result = ask(f"Query={query}")
    assert_result(result, "pass", "", "PostgreSQL 1")
    taken = {"outcome", "reason", "message", "latency_ms", "check", "time", "seen"}
    found = {k: v for k, v in result.items() if k not in taken}
    assert found == {"rows": 1, **values} if "AS rows" not in query else found == {"rows": 17}


def test_intervals_are_those_of_the_server(ask, shared_postgres):
    interval = "'3 years -2 mons 5 days -04:05:06.25'::interval"
    seconds = float(shared_postgres.sql(f"SELECT extract(epoch FROM {interval})"))
    assert ask(f"Query=SELECT {interval} AS age")["age"] == seconds


@pytest.mark.parametrize("query, rows", [
    ("SELECT 1 WHERE false", 0), ("VALUES (1), (2)", 2), ("SET application_name = 'vitald'", 0)])
def test_other_than_one_row_has_no_values(ask, query, rows):
    result = ask(f"Query={query}")
    assert_result(result, "pass", "")
    assert result["rows"] == rows and "column1" not in result and "value" not in result


# -- what is expected ------------------------------------------------------------------------------

@pytest.mark.parametrize("query, expected", [
    ("SELECT 'green'", "green"), ("SELECT 7", "7"), ("SELECT 1 = 1", "t"),
    ("SELECT 1; SELECT 2", "2"), ("SHOW server_encoding", "UTF8")])
def test_expected(ask, query, expected):
    assert_result(ask(f"Query={query}", f"ExpectValue={expected}"), "pass", "")


@pytest.mark.parametrize("query, word, words", [
    ("SELECT 'red'", "value", 'gave "red" instead of "green"'),
    ("SELECT 'green '", "value", 'gave "green" instead'),
    ("SELECT repeat('x', 50000)", "value", "xxx"),
    ("SELECT NULL", "null", "gave NULL"),
    ("SELECT 'green' WHERE false", "no-rows", "gave 0 rows"),
    ("VALUES ('green'), ('green')", "rows", "gave 2 rows"),
    ("SELECT 'green', 'green'", "columns", "gave 2 columns"),
    ("SELECT", "columns", "gave 0 columns"),
    ("SET application_name = 'vitald'", "no-rows", "gave 0 rows"),
    ("-- nothing", "no-rows", "gave 0 rows"),
])
def test_fault_29_not_expected(ask, runner, query, word, words):
    result = ask(f"Query={query}", "ExpectValue=green")
    assert_result(result, "fail", f"mismatch/{word}", words)
    assert len(result["message"]) < 256
    assert runner.run("it", 5)["fail"] == 5


@pytest.mark.parametrize("query, reason", [
    ("SELECT 5", ""), ("SELECT 'five'", "mismatch/no-number"), ("SELECT NULL", "mismatch/null"),
    ("SELECT 5 WHERE false", "mismatch/no-rows"), ("VALUES (5), (6)", "mismatch/rows")])
def test_a_limit_without_a_name_needs_a_number(ask, query, reason):
    assert ask(f"Query={query}", "Fail=10")["reason"] == reason


def test_limits(vitald, shared_postgres):
    """From the query to the verdict, in the unit that the column has."""
    string = shared_postgres.connection_string
    lines = {
        "nameless": ["Query=SELECT 7", "Fail=5"],
        "named": ["Query=SELECT 1 AS a, 7 AS depth", "Warn=depth:5"],
        "age": ["Query=SELECT interval '10 min' AS age", "Fail=age:5min"],
        "bytes": ["Query=SELECT 2000000 AS size_bytes", "Fail=size_bytes:1M"],
        "absent": ["Query=SELECT NULL::int AS depth", "Fail=depth:5"],
        "good": ["Query=SELECT 5 AS depth, 4 AS spare", "Fail=5", "Fail=spare:1:"],
    }
    vitald.service("db", "[Service]\nDescription=x\n" + "".join(
        postgresql(string, *more, name=name, timeout="10s") for name, more in lines.items()))
    vitald.start()
    for name, words in {
            "nameless": "value is 7, limit 5", "named": "depth is 7, limit 5",
            "age": "age is 600 seconds, limit 5min", "bytes": "size_bytes is 1.9M, limit 1M",
            "absent": "value depth, which was not measured", "good": "'State': 'healthy'"}.items():
        eventually(lambda: words in str(vitald.show(f"db/{name}")), within=30,
                   what=f"{name}: {words}")


# -- a check never writes --------------------------------------------------------------------------

@pytest.fixture
def table(shared_postgres):
    shared_postgres.sql("CREATE TABLE IF NOT EXISTS t (n int); CREATE SEQUENCE IF NOT EXISTS s;"
                        "TRUNCATE t; INSERT INTO t VALUES (1)")
    yield shared_postgres
    assert shared_postgres.sql("SELECT count(*) FROM t") == "1"
    assert shared_postgres.sql("SELECT last_value, is_called FROM s") == "1|f"


@pytest.mark.parametrize("lines", [[], ["Writable=yes"], ["Replication=yes"]])
@pytest.mark.parametrize("query", [
    "INSERT INTO t VALUES (2)", "WITH x AS (DELETE FROM t RETURNING n) SELECT count(*) FROM x",
    "TRUNCATE t", "SELECT nextval('s')", "CREATE TABLE u ()", "SELECT 1; DROP TABLE t",
    "COPY t FROM PROGRAM 'echo 2'"])
def test_never_writes(ask, table, query, lines):
    assert_result(ask(f"Query={query}", *lines), "fail", "status/25006", "read-only transaction")


def test_leaves_nothing_behind(ask, runner, shared_postgres):
    """Neither an open transaction nor one rolled back, which is a figure that people watch."""
    eventually(lambda: shared_postgres.sql(OURS) == "0")    # What was before has been counted.
    before = shared_postgres.sql("SELECT xact_rollback FROM pg_stat_database "
                                 "WHERE datname = 'orders'")
    assert_result(ask("Query=SELECT 1; BEGIN; SELECT 2"), "pass", "")
    assert runner.run("it", 20)["pass"] == 20
    assert shared_postgres.sql(OURS + " AND state = 'idle'") == "1"
    runner.stop()
    eventually(lambda: shared_postgres.sql(OURS) == "0")
    assert shared_postgres.sql("SELECT xact_rollback FROM pg_stat_database "
                               "WHERE datname = 'orders'") == before


# -- poolers ---------------------------------------------------------------------------------------

@pytest.fixture
def pooler(directory, shared_postgres):
    with PgBouncer(directory / "pgbouncer", shared_postgres) as server:
        yield server


@pytest.mark.valgrind
def test_pgbouncer(ask, runner, pooler):
    """It takes no options, and the session behind it belongs to others as well."""
    result = ask("Writable=yes", "Replication=yes", "Query=SELECT 7 AS n",
                 string=pooler.connection_string())
    assert_result(result, "pass", "", "PostgreSQL 1")
    assert result["n"] == 7
    assert runner.run("it", 20)["pass"] == 20


def test_pgbouncer_never_writes(ask, table, pooler):
    result = ask("Query=INSERT INTO t VALUES (2)", string=pooler.connection_string())
    assert_result(result, "fail", "status/25006", "read-only transaction")
    assert table.sql("SHOW default_transaction_read_only") == "off"


def test_pgbouncer_ends_what_takes_too_long(runner, pooler, shared_postgres):
    text = postgresql(pooler.connection_string(), "Query=SELECT pg_sleep(60)", timeout="500ms")
    result = runner.start(text).next(within=30)
    assert result["outcome"] == "fail" and result["reason"].startswith("timeout"), result
    eventually(lambda: shared_postgres.sql(
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' "
        "AND state = 'active' AND pid <> pg_backend_pid()") == "0", within=30)


def test_pgbouncer_console(ask, pooler):
    result = ask("Query=SHOW VERSION", string=pooler.connection_string("pgbouncer"))
    assert_result(result, "pass", "", "bouncer")


def test_pgbouncer_without_its_server(ask, pooler, shared_postgres):
    shared_postgres.kill9()
    assert ask(string=pooler.connection_string(), timeout="1s")["outcome"] == "fail"


def test_what_is_sent(runner):
    """All at once, and nothing that stays in a session."""
    seen = []

    def script(connection):
        pgwire.startup(connection)
        connection.sendall(pgwire.WELCOME)
        while True:
            seen.append(pgwire.query(connection)[1])
            connection.sendall(pgwire.ANSWER)
    with TcpServer(script) as server:
        string = f"host={server.host} port={server.port} user=health"
        runner.start(postgresql(string, "Query=SELECT 7 -- words"))
        assert_result(runner.next(), "pass", "")
        assert seen == [b"BEGIN READ ONLY;\nSELECT 7 -- words\n;COMMIT\0"]
