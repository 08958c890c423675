# SPDX-License-Identifier: MIT
"""Type=postgresql against real servers that let nobody in, or that stop what was asked."""

import os
import signal

from lib.checks import postgresql
from lib.postgres import Postgres
from lib.process import Process, eventually
from lib.runner import assert_result

COMMON = {"interval": "1d", "timeout": "20s"}


def test_fault_29_no_place_left(runner, directory):
    """All places but the superuser's are taken; then one is left again."""
    options = ["max_connections=4", "superuser_reserved_connections=3", "max_wal_senders=0"]
    with Postgres(directory / "postgres", options=options) as server:
        runner.credential("key", "secret")
        string = server.connection_string.replace("user=postgres", "user=health")
        sleeper = Process(
            ["/usr/bin/psql", "-X", "-h", server.directory, "-p", server.port, "-U", "postgres",
             "-c", "SELECT pg_sleep(600)"], directory / "sleeper.log")
        asleep = "FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'"
        eventually(lambda: server.sql(f"SELECT count(*) {asleep}", database="postgres") == "1",
                   within=30, what="the one place taken")
        runner.start(postgresql(string, "PasswordCredential=key", **COMMON))
        assert_result(runner.next(within=30), "fail", "status/too-many-connections")
        server.sql(f"SELECT pg_terminate_backend(pid) {asleep}")
        sleeper.wait(within=30)
        eventually(lambda: runner.run("it")["pass"] == 1, what="the place given back")


def test_fault_29_cancelled(runner, shared_postgres):
    """By an administrator, which is not the server's slowness."""
    runner.start(postgresql(shared_postgres.connection_string, "Query=SELECT pg_sleep(60)",
                            interval="1d", timeout="55s"))
    cancel = ("SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity "
              "WHERE application_name = 'vitald' AND query LIKE '%pg_sleep%' AND state = 'active'")
    eventually(lambda: shared_postgres.sql(cancel) == "1", within=30, what="a query to cancel")
    assert_result(runner.next(), "fail", "status/cancelled", "user request")


def test_fault_29_crash_recovery(runner, shared_postgres):
    """A backend that crashes takes all connections with it; the check comes back by itself."""
    runner.start(postgresql(shared_postgres.connection_string, interval="200ms", timeout="20s"))
    assert_result(runner.next(), "pass", "")
    pid = int(shared_postgres.sql("SELECT pid FROM pg_stat_activity "
                                  "WHERE backend_type = 'checkpointer'"))
    os.kill(pid, signal.SIGKILL)
    result = runner.next_that(outcome="fail")
    assert result["reason"] in ("status/recovery", "status/starting", "status/crashed",
                                "truncated", "reset"), result
    runner.next_that(outcome="pass", within=60)
