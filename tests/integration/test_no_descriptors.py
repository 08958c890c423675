# SPDX-License-Identifier: MIT
"""FAULTS rows 41 and 42: there is no file descriptor to be had.

Probes are answered all the same; checks that need one say that it is vitald who lacks something,
which is no failure of what they check; all of it ends when there are descriptors again.
"""

import contextlib
import os
import resource
import time

import pytest

from lib.checks import http, section
from lib.ctl import UNREACHABLE, YES
from lib.dns import NOERROR, DnsServer
from lib.httpserver import GET, BareServer, Client, cpu_seconds
from lib.peers import Reply
from lib.process import SLOWNESS, eventually
from lib.runner import CheckRunner


def lowest_free(pid):
    """Some may be on their way out at first."""
    taken = min((time.sleep(0.002) or {int(fd) for fd in os.listdir(f"/proc/{pid}/fd")}
                 for _ in range(100)), key=len)
    return next(fd for fd in range(100000) if fd not in taken)


@contextlib.contextmanager
def starved(pid, limit=None):
    """The process keeps what it has and gets no descriptor more; none but those below the limit."""
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit or lowest_free(pid), limits[1]))
    yield
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)


# -- the HTTP server alone -------------------------------------------------------------------------

@pytest.fixture
def make_server(directory):
    servers = []

    def make(**options):
        servers.append(BareServer(directory, **options))
        servers[-1].start()
        eventually(lambda: servers[-1].counters()["connections"] == 1)
        return servers[-1]
    yield make
    for server in servers:
        server.close()


@pytest.fixture
def server(make_server):
    return make_server()


def cpu_share(server, seconds=1):
    """Of one core, over the time in which it is measured."""
    before = cpu_seconds(server.pid), time.monotonic()
    time.sleep(seconds)
    return (cpu_seconds(server.pid) - before[0]) / (time.monotonic() - before[1])


def test_fault_41_without_file_descriptors_it_neither_spins_nor_dies(make_server):
    server = make_server(files=32, connections=1000)
    flood = [Client(server.address) for _ in range(100)]
    with Client(server.address) as probe:   # the oldest of the flood made room
        probe.send(GET)
        assert probe.read_answer()[0] == 200
    flood += [Client(server.address) for _ in range(100)]
    assert cpu_share(server) < 0.05 * SLOWNESS
    for c in flood:
        c.socket.close()
    eventually(lambda: server.counters()["connections"] == 1)


def test_fault_41_the_reserve_lets_one_in_when_others_have_all_descriptors(server):
    with starved(server.pid):
        for _ in range(20):
            with Client(server.address) as probe:
                probe.send(GET)
                assert probe.read_answer()[0] == 200

        waiting = [Client(server.address) for _ in range(100)]
        waiting[-1].send(GET)               # Each of the others made room for the next.
        assert waiting[-1].read_answer()[0] == 200
        assert cpu_share(server) < 0.05 * SLOWNESS
    with Client(server.address) as probe:
        probe.send(GET)
        assert probe.read_answer()[0] == 200
    counters = server.counters()
    assert counters["refused"] == 0
    assert counters["evicted"] >= 90
    for c in waiting:
        c.socket.close()


def test_fault_41_without_even_the_reserve_it_pauses_and_recovers(server):
    limits = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    waiting = [Client(server.address) for _ in range(100)]
    assert cpu_share(server) < 0.05 * SLOWNESS

    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, limits)
    waiting[-1].send(GET)
    assert waiting[-1].read_answer()[0] == 200
    assert server.counters()["evicted"] == 0
    for c in waiting:
        c.socket.close()


# -- checks ----------------------------------------------------------------------------------------

NEED_NONE = {"disk", "file"}    # A look at them takes no descriptor.


def test_fault_42_checks_say_what_is_missing(directory, redis, shared_postgres, http_server):
    http_server.reply = Reply(body=b"ok", keep_alive=False)
    (directory / "file").write_text("x")
    often = {"interval": "100ms"}
    records = {"db.test": [("A", "127.0.0.1")]}
    with DnsServer(directory, mode=NOERROR, records=records) as name_server:
        checks = {
            "tcp": section("tcp", f"Address={redis.address}", name="tcp", **often),
            "redis": section("redis", f"Address={redis.address}", name="redis", **often),
            "postgresql": section(
                "postgresql", f"ConnectionString={shared_postgres.connection_string}",
                name="postgresql", **often),
            "http": http(http_server.url(), name="http", **often),
            "dns": section("dns", "Name=db.test", f"Server={name_server.address}", name="dns",
                           **often),
            "exec": section("exec", "Command=/bin/true", name="exec", **often),
            "file": section("file", f"Path={directory}/file", name="file", **often),
            "process": section("process", "Name=redis-server", name="process", **often),
            "disk": section("disk", "Path=/", name="disk", **often),
            "memory": section("memory", name="memory", **often),
            "pressure": section("pressure", name="pressure", **often),
        }
        with CheckRunner(directory, "\n".join(checks.values())) as runner:
            for name in checks:
                runner.next_that(check=name, outcome="pass")
            with starved(runner.pid, limit=3):
                redis.command("CLIENT", "KILL", "TYPE", "normal")
                end_sessions(shared_postgres)
                for name in checks.keys() - NEED_NONE:
                    result = runner.next_that(check=name, outcome="error")
                    assert result["reason"] == "resource", result
                    assert "Too many open files" in result["message"] or name == "dns", result
                runner.forget()
                for result in (runner.next() for _ in range(3 * len(checks))):
                    assert result["outcome"] in ("error", "pass"), result
            for name in checks:
                runner.next_that(check=name, outcome="pass")


def end_sessions(postgres):
    postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                 "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'")


def test_fault_42_probes_are_answered_and_a_reload_is_refused(vitald, http_server):
    vitald.service("shop", "[Check web]\nType=http\nURL=%s\nInterval=1d\n" % http_server.url())
    vitald.service("ill", "[Check tcp]\nType=tcp\nAddress=127.0.0.1:1\nInterval=1d\n"
                   "FailureThreshold=1\n")
    vitald.start()
    vitald.wait_status("/health/ready/shop", 200)
    vitald.wait_status("/health/ready/ill", 503)
    eventually(lambda: vitald.metrics()["vitald_http_connections"] == 1)
    with starved(vitald.pid):
        for _ in range(20):
            assert vitald.get("/health/ready/shop").status == 200
            assert vitald.get("/health/ready/ill", local=True).status == 503
        vitald.service("shop", "[Check other]\nType=memory\n")
        vitald.reload()
        eventually(lambda: "Reload refused, the configuration in force stays" in vitald.log)
        done = vitald.vitalctl("status")
        assert done.returncode == UNREACHABLE and "does not answer" in done.stderr
        assert list(vitald.get("/health/ready/shop").json["checks"]) == ["web"]
    assert vitald.vitalctl("reload").returncode == YES
    assert list(vitald.get("/health/ready/shop").json["checks"]) == ["other"]
    vitald.wait_status("/health/ready/shop", 200)
