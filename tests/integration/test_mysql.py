# SPDX-License-Identifier: MIT
"""Type=mysql against a real mariadbd, and against scripted servers where it never says so."""

import shutil
import tempfile
import time

import pytest

from lib.checks import section
from lib.dns import NOERROR, NXDOMAIN, DnsServer
from lib.mariadb import Mariadb
from lib.peers import (TcpServer, close_at_once, hold, refused_address, reset_at_once,
                       send_then_close, send_then_hold)
from lib.process import SLOWNESS, eventually
from lib.runner import CheckRunner, assert_result
from lib.vitald import needs_module

pytestmark = needs_module("mysql")


@pytest.fixture(scope="module")
def server():
    """One for all tests: it takes seconds to make."""
    directory = tempfile.mkdtemp(prefix="vitald-test-mariadb-")
    try:
        with Mariadb(directory) as s:
            yield s
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def mariadb(server):
    if server.process.exit_code is not None:
        server.start()
    return server


def db(server, *lines, user="health", **options):
    more = ["PasswordCredential=mysql"] if user == "health" else []
    return section("mysql", f"Address={getattr(server, 'address', server)}", f"Username={user}",
                   *more, *lines, **options)


@pytest.fixture
def check(runner):
    runner.credential("mysql", "s3cret\n")

    def first(server, *lines, **options):
        return runner.start(db(server, *lines, **options)).next()
    return first


# -- a real server ---------------------------------------------------------------------------------

def test_answers(check, mariadb):
    result = check(mariadb)
    assert_result(result, "pass", "", "Version 10.", "MariaDB")
    assert result["rows"] == 1


def test_without_password(check, mariadb):
    assert_result(check(mariadb, user="open"), "pass", "")


def test_unix_socket(check, mariadb):
    assert_result(check(mariadb.unix_path), "pass", "")


def test_unix_socket_as_the_system_user(check, mariadb):
    assert_result(check(mariadb.unix_path, user="root"), "pass", "")


@pytest.mark.parametrize("lines, outcome, reason, words", [
    (["Database=orders"], "pass", "", ""),
    (["Database=nothing"], "fail", "auth/permission", "nothing"),
    (["Database=mysql"], "fail", "auth/permission", "mysql"),
    (["Query=SELECT 1 FROM orders.nothing"], "fail", "status/query", "nothing"),
    (["Query=SELECT 1 FROM mysql.user"], "fail", "auth/permission", "denied"),
    (["Query=SELEKT 1"], "fail", "status/query", "SELEKT"),
    (["Query=SELECT 1 FROM (SELECT 1 UNION SELECT 2) t"], "pass", "", ""),
    (["Query=SELECT 1; SELECT 2"], "fail", "status/query", ""),
    (["Query=SELECT seq FROM orders.seq_1_to_500"], "pass", "", ""),
    (["Query=SELECT seq FROM orders.seq_1_to_5000"], "fail", "protocol", "more than 1000 rows"),
    (["Query=SELECT REPEAT('x', 200000)"], "fail", "truncated", ""),
    (["Query=DO 1"], "pass", "", ""),
    (["Query=SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT='own words'"], "fail",
     "status/1644", "own words"),
])
def test_queries(check, mariadb, lines, outcome, reason, words):
    result = check(mariadb, *lines)
    assert_result(result, outcome, reason, words)
    assert "\x1b" not in result["message"]
    eventually(lambda: mariadb.connections() == (outcome == "pass"), within=30, every=0.05)


@pytest.mark.parametrize("query, values", [
    ("SELECT COUNT(*) FROM orders.seq_1_to_7", {"value": 7}),
    ("SELECT 3 AS depth, 1.5 AS age_seconds, 'x' AS name, NULL AS none, -1e3 AS rest",
     {"depth": 3, "age_seconds": 1.5, "rest": -1000}),
    ("SELECT TRUE AS is_good", {"is_good": 1}),
    ("SELECT 'x'", {}),
    ("SELECT seq FROM orders.seq_1_to_2", {}),
    ("SELECT 1 FROM DUAL WHERE FALSE", {}),
    ("SELECT 1", {}),
], ids=str)
def test_values(check, mariadb, query, values):
    result = check(mariadb, f"Query={query}")
    assert_result(result, "pass", "")
    known = {"outcome", "reason", "message", "latency_ms", "check", "time", "seen", "rows"}
    assert {name: result[name] for name in result.keys() - known} == values


@pytest.mark.parametrize("query, lines, reason, words", [
    ("SELECT 'up'", ["ExpectValue=up"], "", ""),
    ("SELECT 1", ["ExpectValue=1"], "", ""),
    ("SELECT 'down'", ["ExpectValue=up"], "mismatch/value", 'gave "down" instead of "up"'),
    ("SELECT NULL", ["ExpectValue=up"], "mismatch/null", "NULL"),
    ("SELECT 1, 2", ["ExpectValue=1"], "mismatch/columns", "2 columns"),
    ("SELECT 1 FROM DUAL WHERE FALSE", ["ExpectValue=1"], "mismatch/no-rows", "0 rows"),
    ("SELECT seq FROM orders.seq_1_to_2", ["ExpectValue=1"], "mismatch/rows", "2 rows"),
    ("DO 1", ["ExpectValue=1"], "mismatch/no-rows", "0 rows"),
    ("SELECT 5 AS n", ["Warn=10"], "", ""),
    ("SELECT 'x' AS n", ["Warn=10"], "mismatch/no-number", "no number"),
    ("SELECT seq FROM orders.seq_1_to_2", ["Fail=10"], "mismatch/rows", ""),
    ("SELECT 5 AS n", ["Warn=n:10"], "", ""),
], ids=str)
def test_expected_values(check, mariadb, query, lines, reason, words):
    result = check(mariadb, f"Query={query}", *lines)
    assert_result(result, "fail" if reason else "pass", reason, words)


def test_wrong_password(runner, mariadb):
    runner.credential("mysql", "wr0ng")
    result = runner.start(db(mariadb)).next()
    assert_result(result, "fail", "auth/password", "denied")
    assert "wr0ng" not in result["message"]


def test_no_such_user(check, mariadb):
    assert_result(check(mariadb, user="nobody"), "fail", "auth/password", "nobody")


def test_credential_that_is_not_there(runner, mariadb):
    assert_result(runner.start(db(mariadb)).next(), "fail", "credential", "mysql")


def test_too_many_clients(check, mariadb):
    mariadb.sql("SET GLOBAL max_connections = 10")
    directory = tempfile.mkdtemp(prefix="vitald-test-")
    text = "".join(db(mariadb, user="open", name=f"c{n}", interval="200ms")
                   for n in range(12))
    try:
        with CheckRunner(directory, text):
            eventually(lambda: mariadb.connections() == 10, within=30, every=0.1)
            result = check(mariadb)
            assert_result(result, "fail", "status/max-clients", "Too many connections")
    finally:
        eventually(lambda: mariadb.sql("SET GLOBAL max_connections = 151") == "", within=30,
                   every=0.1)
        shutil.rmtree(directory)


def test_holds_one_connection_for_all_runs(runner, check, mariadb):
    check(mariadb)
    before = mariadb.sql("SHOW STATUS LIKE 'Connections'")
    assert runner.run("it", 1000)["pass"] == 1000
    after = mariadb.sql("SHOW STATUS LIKE 'Connections'")
    assert int(after.split()[1]) - int(before.split()[1]) == 1      # Our own question.


def test_leaves_in_order(runner, check, mariadb):
    aborted = "SHOW GLOBAL STATUS LIKE 'Aborted_clients'"
    eventually(lambda: mariadb.connections() == 0, every=0.05)      # Those of the test before.
    before = mariadb.sql(aborted)
    check(mariadb)
    runner.stop()
    eventually(lambda: mariadb.connections() == 0, every=0.05)
    assert mariadb.sql(aborted) == before


def test_renews_the_connection_after_its_age(runner, mariadb):
    runner.credential("mysql", "s3cret")
    runner.start(db(mariadb, "ConnectionMaxAge=1s", interval="100ms"))
    assert runner.next()["outcome"] == "pass"
    ids = "SELECT MAX(id) FROM information_schema.processlist WHERE user = 'health'"
    first = mariadb.sql(ids)
    eventually(lambda: mariadb.sql(ids) not in (first, "NULL"), within=30, every=0.1)
    while not runner.is_quiet():
        assert runner.next()["outcome"] == "pass"


def test_killed_connection_is_tried_once_more(runner, check, mariadb):
    check(mariadb)
    mariadb.sql("KILL USER health")
    assert_result(runner.next(), "pass", "")


@pytest.mark.parametrize("lines, address, outcome", [
    ([], None, "pass"), (["Database=nothing"], None, "fail"),
    (["Query=SELECT seq FROM orders.seq_1_to_5000"], None, "fail"), ([], refused_address(), "fail"),
], ids=["held", "no database", "too many rows", "refused"])
def test_a_thousand_runs_leave_nothing(runner, check, mariadb, lines, address, outcome):
    check(address or mariadb, *lines)
    assert runner.run("it", 500)[outcome] == 500
    before = runner.usage()
    assert runner.run("it", 1000)[outcome] == 1000
    fds, memory = runner.usage()
    assert fds <= before[0]
    assert memory - before[1] <= runner.memory_limit_kib / 2, (before, memory)


def test_a_hundred_timeouts_leave_nothing(runner, check):
    """Calls that are given up in the middle free what they hold."""
    with TcpServer() as silent:
        check(silent, timeout="10ms")
        runner.run("it", 100)
        before = runner.usage()
        assert runner.run("it", 300)["fail"] == 300
        fds, memory = runner.usage()
        assert fds <= before[0]
        assert memory - before[1] <= 256, (before, memory)


# -- hanging and dying -----------------------------------------------------------------------------

def test_hangs_and_comes_back(runner, mariadb):
    runner.credential("mysql", "s3cret")
    runner.start(db(mariadb, interval="400ms", timeout="300ms"))
    runner.next_that(outcome="pass")
    mariadb.freeze()
    assert_result(runner.next_that(outcome="fail"), "fail", "timeout")
    mariadb.thaw()
    runner.next_that(outcome="pass")


def test_slow_query(check, mariadb):
    before = time.monotonic()
    result = check(mariadb, "Query=SELECT SLEEP(20)", timeout="1500ms")
    assert_result(result, "fail", "timeout", "waiting for the query's result")
    assert result["time"] - before < 10 * SLOWNESS


@pytest.mark.timing
def test_fault_16_death_is_seen_at_once(directory, mariadb):
    delays = []
    with CheckRunner(directory, db(mariadb), {"mysql": "s3cret"}) as runner:
        assert runner.next()["outcome"] == "pass"
        for _ in range(3):
            killed = time.monotonic()
            mariadb.kill9()
            result = runner.next_that(outcome="fail")
            assert result["reason"] in ("refused", "reset", "truncated"), result
            delays.append(result["time"] - killed)
            mariadb.start()
            eventually(lambda: runner.run("it")["pass"] == 1)
    assert sorted(delays)[1] < 0.2, delays


def test_shutdown(runner, check, mariadb):
    check(mariadb)
    mariadb.close()
    runner.next_that(outcome="fail", within=30)
    mariadb.start()
    eventually(lambda: runner.run("it")["pass"] == 1)


# -- names and addresses ---------------------------------------------------------------------------

def test_host_name(runner, directory, mariadb):
    """The first address refuses, the second answers."""
    runner.credential("mysql", "s3cret")
    records = {"db.test": [("A", "127.0.0.9"), ("A", "127.0.0.1")]}
    with DnsServer(directory, mode=NOERROR, records=records) as names:
        runner.wrap = names.wrap
        assert_result(runner.start(db(f"db.test:{mariadb.port}")).next(), "pass", "")


def test_fault_25_no_such_host(runner, directory):
    runner.credential("mysql", "s3cret")
    with DnsServer(directory, mode=NXDOMAIN) as names:
        runner.wrap = names.wrap
        assert_result(runner.start(db("db.test")).next(), "fail", "dns/not-found")


def test_fault_23_environment(runner, directory, mariadb):
    runner.credential("mysql", "s3cret")
    (directory / ".my.cnf").write_text("[client]\nhost=127.0.0.9\n")
    runner.environment |= {"HOME": str(directory), "MYSQL_TCP_PORT": "1",
                           "MYSQL_UNIX_PORT": "/nowhere", "LIBMYSQL_PLUGINS": "nothing"}
    assert_result(runner.start(db(mariadb)).next(), "pass", "")


# -- broken peers ----------------------------------------------------------------------------------

def test_fault_14_refused(check):
    assert_result(check(refused_address()), "fail", "refused", "Connection refused")


def test_fault_14_no_socket(check, directory):
    assert_result(check(directory / "none.sock"), "fail", "missing")


def test_fault_13_black_hole(check, black_hole):
    before = time.monotonic()
    result = check(black_hole, timeout="300ms")
    assert_result(result, "fail", "timeout", "connecting to")
    assert result["time"] - before < 8 * SLOWNESS


@pytest.mark.parametrize("script, reasons", [
    (close_at_once, ["truncated"]),
    (reset_at_once, ["reset", "truncated"]),
    (send_then_close(b"\x4a\0\0\0\x0a5.5"), ["truncated"]),
    (send_then_hold(b"HTTP/1.1 400 Bad Request\r\n\r\n"), ["protocol", "truncated", "timeout"]),
    (send_then_close(b"220 mail.example ESMTP\r\n"), ["protocol", "truncated"]),
    (send_then_hold(b"\4\0\0\0\x08abc"), ["protocol"]),
    (send_then_hold(b"\x17\0\0\0\xff\x10\x04Too many connections"), ["status/max-clients"]),
    (send_then_hold(b"\x46\0\0\0\xffj\x04Host 'x' is not allowed to connect to this MariaDB "
                    b"server\x1b[31m......"), ["auth/host"]),
    (send_then_hold(b"\xff\xff\xff\0" + 1000 * b"x"), ["protocol", "truncated"]),
], ids=["closes", "resets", "closes in the greeting", "http", "smtp", "version 8", "full",
        "host", "packet too large"])
def test_fault_16_and_19_no_mysql(check, script, reasons):
    with TcpServer(script) as server:
        result = check(server, timeout="1s" if "timeout" in reasons else "10s")
        assert result["outcome"] == "fail" and result["reason"] in reasons, result
        assert "\x1b" not in result["message"]


def packet(number, payload):
    return len(payload).to_bytes(3, "little") + bytes([number]) + payload


GREETING = packet(0, b"\x0a10.11.6-MariaDB\0" + b"\1\0\0\0" + b"12345678\0" + b"\xff\xf7" + b"\x2d"
                  + b"\2\0" + b"\xff\x81\x15" + 10 * b"\0" + b"123456789012\0"
                  + b"mysql_native_password\0")


@pytest.mark.parametrize("method", ["mysql_clear_password", "dialog", "auth_gssapi_client"])
def test_the_password_is_not_given_away(check, method):
    """A server that asks for it in the clear does not get it."""
    seen = []

    def script(connection):
        connection.sendall(GREETING)
        seen.append(connection.recv(4096))
        connection.sendall(packet(2, b"\xfe" + method.encode() + b"\0"))
        seen.append(connection.recv(4096))
        hold(connection)
    with TcpServer(script) as server:
        result = check(server)
        assert result["outcome"] == "fail", result
        assert result["reason"].startswith(("auth/method", "protocol")), result
    assert b"s3cret" not in b"".join(seen)


def test_files_are_not_given_away(check, directory):
    """A server that asks for a file (LOAD DATA LOCAL) does not get it."""
    seen = []
    (directory / "file").write_text("a secret of the host")

    def script(connection):
        connection.sendall(GREETING)
        connection.recv(4096)
        connection.sendall(packet(2, b"\0\0\0\2\0\0\0"))
        connection.recv(4096)
        connection.sendall(packet(1, b"\xfb" + str(directory / "file").encode()))
        seen.append(connection.recv(4096))
        hold(connection)
    with TcpServer(script) as server:
        assert check(server, timeout="2s")["outcome"] == "fail"
    assert b"a secret" not in b"".join(seen)


def flood(connection):
    """A result with millions of columns, none of which is a row yet."""
    connection.sendall(GREETING)
    connection.recv(4096)
    connection.sendall(packet(2, b"\0\0\0\2\0\0\0"))
    connection.recv(4096)
    connection.sendall(packet(1, b"\xfd\xff\xff\xff"))
    column = b"\3def\1d\1t\1T\1n\1N\x0c\x3f\0\1\0\0\0\3\0\0\0\0\0"
    while True:
        connection.sendall(b"".join(packet(n % 256, column) for n in range(2, 514)))


def test_fault_20_endless_reply(runner, check):
    with TcpServer(flood) as server:
        assert_result(check(server), "fail", "protocol", "too long")
        runner.run("it", 2)
        before = runner.usage()
        assert_result(runner.run("it", 5), "fail", "protocol")
        assert runner.usage()[1] - before[1] < 8 * runner.memory_limit_kib


@pytest.mark.parametrize("rows, outcome, reason", [(10, "pass", ""), (99, "fail", "protocol")])
def test_fault_20_long_rows(check, mariadb, rows, outcome, reason):
    result = check(mariadb, f"Query=SELECT REPEAT('x', 60000) FROM orders.seq_1_to_{rows}")
    assert_result(result, outcome, reason)
    assert result.get("rows", 0) == (rows if outcome == "pass" else 0)


@pytest.mark.valgrind
def test_no_leaks_with_runs_under_way(runner, mariadb, black_hole):
    runner.credential("mysql", "s3cret")
    with TcpServer() as silent:
        runner.start(db(mariadb, name="good") + db(black_hole, name="hole", timeout="1h")
                     + db(silent, name="silent", timeout="1h")
                     + db(mariadb, "Query=SELECT SLEEP(1000)", name="slow", timeout="1h"))
        assert runner.next(within=30)["check"] == "good"
