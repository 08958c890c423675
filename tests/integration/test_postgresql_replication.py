# SPDX-License-Identifier: MIT
"""Type=postgresql with a primary and its streaming replica: Writable=, Replication=."""

import pathlib
import shutil
import tempfile

import pytest

from lib.checks import postgresql
from lib.postgres import Postgres, Replica
from lib.process import eventually
from lib.runner import assert_result

AGE = "extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())"


@pytest.fixture(scope="module")
def cluster():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="vitald-test-"))
    directory.chmod(0o711)
    with Postgres(directory / "primary") as primary:
        primary.sql("CREATE TABLE t (n int)")
        with Replica(directory / "replica", primary) as replica:
            yield primary, replica
    shutil.rmtree(directory, ignore_errors=True)


def is_linked(replica):
    return replica.sql("SELECT count(*) FROM pg_stat_wal_receiver") == "1"


@pytest.fixture
def primary(cluster):
    return cluster[0]


@pytest.fixture
def replica(cluster):
    """In step with its primary, whatever the test before has done."""
    primary, replica = cluster
    for server in cluster:
        server.thaw()
        if server.process.exit_code is not None:
            server.start()
    replica.sql("SELECT pg_wal_replay_resume()")
    eventually(lambda: is_linked(replica) and replica.has_all(), within=20, what="in step")
    return replica


def ask(runner, server, *lines, more=""):
    return runner.start(postgresql(f"{server.connection_string} {more}", *lines,
                                   timeout="20s")).next(within=30)


def run_until(runner, **fields):
    """Runs the check until its result looks so."""
    def looks_so():
        result = runner.run("it")
        return result if all(result[name] == value for name, value in fields.items()) else None
    return eventually(looks_so, within=30, what=fields)


# -- lag -------------------------------------------------------------------------------------------

def test_fault_29_standby_that_answers(runner, primary, replica):
    """A primary that has nothing to do is no lag, however old its last transaction is."""
    primary.sql("INSERT INTO t VALUES (1)")
    eventually(replica.has_all)
    eventually(lambda: float(replica.sql(f"SELECT {AGE}")) > 1)
    assert_result(ask(runner, replica, "Replication=yes"), "pass", "", "a replica")
    # The primary writes something of its own now and then.
    run_until(runner, lag=0, lag_bytes=0, cut_off=0)
    assert runner.run("it", 100)["pass"] == 100


def test_primary(runner, primary):
    result = ask(runner, primary, "Replication=yes")
    assert_result(result, "pass", "", "a primary")
    assert (result["lag"], result["lag_bytes"], result["cut_off"]) == (0, 0, 0)


@pytest.mark.parametrize("user", ["postgres", "health"])
def test_paused_replay(runner, primary, replica, user):
    """It lags as long as it has been behind, which is less than the age of what it has replayed;
    and roles without rights see it too."""
    runner.credential("key", "secret")
    eventually(lambda: float(replica.sql(f"SELECT {AGE}")) > 1)
    text = postgresql(replica.connection_string.replace("user=postgres", f"user={user}"),
                      "PasswordCredential=key", "Replication=yes", timeout="20s")
    runner.start(text)
    run_until(runner, lag=0)
    replica.sql("SELECT pg_wal_replay_pause()")
    primary.sql("INSERT INTO t SELECT generate_series(1, 10000)")

    def behind():
        result = runner.run("it")
        return result if result["lag_bytes"] > 100000 else None
    result = eventually(behind)
    assert_result(result, "pass", "", "replay is paused")
    assert 0 < result["lag"] < float(replica.sql(f"SELECT {AGE}"))
    later = runner.run("it")
    assert later["lag"] > result["lag"] and later["cut_off"] == 0
    replica.sql("SELECT pg_wal_replay_resume()")
    run_until(runner, lag=0, lag_bytes=0)


@pytest.mark.valgrind
def test_cut_off(runner, primary, replica):
    """All that it has is replayed, but it gets nothing any more."""
    assert ask(runner, replica, "Replication=yes")["cut_off"] == 0
    primary.kill9()
    result = run_until(runner, cut_off=1)
    assert_result(result, "pass", "", "nothing is sent to it")
    assert result["lag"] > 0 and result["lag_bytes"] == 0
    assert runner.run("it")["lag"] > result["lag"]
    primary.start()
    eventually(lambda: runner.run("it")["cut_off"] == 0, within=60)
    run_until(runner, lag=0)


def test_limit_of_lag(vitald, primary, replica):
    """From the value to the verdict and back."""
    vitald.service("db", postgresql(
        replica.connection_string, "Replication=yes", "Fail=lag:100ms", "Fail=cut_off:0",
        "FailureThreshold=1", "RetryInterval=50ms", interval="50ms"))
    vitald.start()
    eventually(lambda: vitald.show("db/it")["State"] == "healthy")
    replica.sql("SELECT pg_wal_replay_pause()")
    primary.sql("INSERT INTO t VALUES (1)")
    eventually(lambda: "lag is" in str(vitald.show("db/it")))
    assert vitald.show("db/it")["State"] == "unhealthy"
    replica.sql("SELECT pg_wal_replay_resume()")
    eventually(lambda: vitald.show("db/it")["State"] == "healthy")


# -- who may be written to -------------------------------------------------------------------------

def test_writable(runner, primary, replica):
    runner.start(postgresql(primary.connection_string, "Writable=yes", name="primary")
                 + postgresql(replica.connection_string, "Writable=yes", name="replica")
                 + postgresql(replica.connection_string, "Query=SELECT 1/0", "Writable=yes",
                              name="broken"))
    results = runner.first_of(3)
    assert_result(results["primary"], "pass", "", "PostgreSQL 1")
    assert_result(results["replica"], "fail", "mismatch/replica", "is a replica")
    assert_result(results["broken"], "fail", "mismatch/replica")    # That comes first.


def test_writable_on_a_held_connection(runner, primary):
    assert_result(ask(runner, primary, "Writable=yes"), "pass", "")
    primary.sql("ALTER SYSTEM SET default_transaction_read_only = on")
    try:
        primary.sql("SELECT pg_reload_conf()")
        eventually(lambda: runner.run("it")["reason"] == "mismatch/read-only")
    finally:
        primary.sql("ALTER SYSTEM RESET default_transaction_read_only")
        primary.sql("SELECT pg_reload_conf()")
    eventually(lambda: runner.run("it")["pass"] == 1)


def test_database_that_is_read_only(runner, primary):
    primary.sql("CREATE DATABASE archive")
    primary.sql("ALTER DATABASE archive SET default_transaction_read_only = on")
    result = ask(runner, primary, "Writable=yes", more="dbname=archive")
    assert_result(result, "fail", "mismatch/read-only", "default_transaction_read_only")


class Deaf(Replica):
    """Comes up, but not for clients: its socket is what says that it is there."""

    def __init__(self, directory, primary):
        super().__init__(directory, primary, options=["hot_standby=off"])

    def _answers(self):
        assert self.process.exit_code is None, self.process.log
        return (self.directory / f".s.PGSQL.{self.port}").exists()


def test_fault_29_standby_that_lets_nobody_in(runner, directory, primary):
    with Deaf(directory / "deaf", primary) as server:
        assert ask(runner, server)["reason"] in ("status/starting", "status/recovery")
        result = run_until(runner, reason="status/recovery")
        assert_result(result, "fail", "status/recovery", "not accepting connections")


# -- several hosts ---------------------------------------------------------------------------------

def both(first, second, more=""):
    return (f"host={first.host},{second.host} port={first.port},{second.port} user=postgres "
            f"dbname=orders {more}")


@pytest.mark.parametrize("attributes, chosen", [
    (None, 0), ("any", 0), ("read-write", 1), ("primary", 1), ("read-only", 0), ("standby", 0),
    ("prefer-standby", 0)])
def test_session_attributes(runner, primary, replica, attributes, chosen):
    """The replica stands first."""
    string = both(replica, primary, f"target_session_attrs={attributes}" if attributes else "")
    result = runner.start(postgresql(string, "Query=SELECT 7 AS n", timeout="20s")).next(within=30)
    assert_result(result, "pass", "", f"at {(replica, primary)[chosen].address}")
    assert runner.run("it", 10)["pass"] == 10


def test_standby_preferred(runner, primary, replica):
    string = both(primary, replica, "target_session_attrs=prefer-standby")
    result = runner.start(postgresql(string, timeout="20s")).next(within=30)
    assert_result(result, "pass", "", f"at {replica.address}")
    replica.kill9()
    result = run_until(runner, reason="")
    assert_result(result, "pass", "", f"at {primary.address}")


def test_one_that_is_not_what_is_asked_for(runner, primary):
    result = ask(runner, primary, more="target_session_attrs=standby")
    assert_result(result, "fail", "mismatch/session", "hot standby")


def test_no_host_is_what_is_asked_for(runner, primary, replica):
    string = both(primary, replica, "target_session_attrs=read-write")
    runner.start(postgresql(string, timeout="20s"))
    assert_result(runner.next(), "pass", "", f"at {primary.address}")
    primary.kill9()
    result = run_until(runner, reason="mismatch/session")
    assert_result(result, "fail", "mismatch/session", f"{replica.address}: session is read-only",
                  f"before: {primary.address}: Connection refused")
    primary.start()
    eventually(lambda: runner.run("it")["pass"] == 1)


@pytest.mark.valgrind
def test_promoted(runner, directory, primary, replica):
    """Seen on the connection that is held, and left where that is what was asked for."""
    with Replica(directory / "promoted", primary) as promoted:
        string = promoted.connection_string
        runner.start(
            postgresql(string, "Writable=yes", name="writable")
            + postgresql(string, "Replication=yes", name="lag")
            + postgresql(both(promoted, replica, "target_session_attrs=standby"), name="standby"))
        results = runner.first_of(3, within=30)
        assert_result(results["writable"], "fail", "mismatch/replica")
        assert_result(results["lag"], "pass", "", "a replica")
        assert_result(results["standby"], "pass", "", f"at {promoted.address}")
        promoted.promote()
        eventually(lambda: runner.run("writable")["pass"] == 1, within=30)
        eventually(lambda: "a primary" in runner.run("lag")["message"])
        result = runner.run("standby")
        assert_result(result, "pass", "", f"at {replica.address}")
