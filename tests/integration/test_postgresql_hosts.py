# SPDX-License-Identifier: MIT
"""Type=postgresql with several hosts: which one is taken, and what becomes of the others."""

import time

import pytest

from lib import pgwire
from lib.checks import postgresql
from lib.dns import BLACK_HOLE, NOERROR, DnsServer
from lib.peers import TcpServer, close_at_once, hold, refused_address
from lib.process import SLOWNESS, eventually
from lib.runner import assert_result


def hosts(*addresses, more=""):
    """A connection string for HOST:PORT, …"""
    pairs = [a.rsplit(":", 1) for a in addresses]
    return (f"host={','.join(h for h, _ in pairs)} port={','.join(p for _, p in pairs)} "
            f"user=postgres dbname=orders {more}")


def ask(runner, string, *lines, **options):
    options = {"timeout": "20s", **options}
    return runner.start(postgresql(string, *lines, **options)).next(within=30)


@pytest.fixture
def good(shared_postgres):
    return shared_postgres


def test_first_that_answers(runner, good):
    string = hosts(refused_address(), refused_address(), good.address)
    assert_result(ask(runner, string), "pass", "", f"at {good.address}")
    assert runner.run("it", 10)["pass"] == 10


def test_uri(runner, good):
    uri = f"postgresql://postgres@{refused_address()},{good.address}/orders"
    assert_result(ask(runner, uri), "pass", "", f"at {good.address}")


def test_unix_socket_and_one_port_for_all(runner, good):
    string = f"host=127.0.0.9,{good.directory} port={good.port} user=postgres dbname=orders"
    assert_result(ask(runner, string), "pass", "", f"at {good.directory}/.s.PGSQL.{good.port}")


def test_none_answers(runner):
    """The last one gives the reason, and the message tells of all."""
    first, second = refused_address(), refused_address()
    with TcpServer(close_at_once) as third:
        result = ask(runner, hosts(first, second, third.address))
    assert result["outcome"] == "fail" and result["reason"] in ("truncated", "reset"), result
    for words in (f"{third.address}: ", f"before: {second}: Connection refused",
                  f"before: {first}: Connection refused"):
        assert words in result["message"], result


@pytest.mark.parametrize("script, goes_on", [
    (pgwire.refuses(pgwire.error("57P03", "the database system is starting up")), True),
    (pgwire.refuses(pgwire.error("28P01", "password authentication failed")), False),
    (pgwire.refuses(pgwire.error("53300", "sorry, too many clients already")), False),
    (pgwire.refuses(pgwire.error("3D000", "database does not exist")), False),
    (pgwire.refuses(b""), True),
    (close_at_once, True),
], ids=["starting", "password", "full", "missing", "closed", "at-once"])
def test_what_makes_it_go_on(runner, good, script, goes_on):
    """As with libpq: a server that refuses this user is no reason to look elsewhere."""
    with TcpServer(script) as server:
        result = ask(runner, hosts(server.address, good.address))
    if goes_on:
        assert_result(result, "pass", "", f"at {good.address}")
    else:
        assert result["outcome"] == "fail" and server.address in result["message"], result


@pytest.mark.valgrind
def test_fault_13_silent_hosts_take_their_share_of_the_time(runner, good, black_hole):
    """One swallows everything, one takes connections and says nothing; the third still answers."""
    with TcpServer(hold) as mute:
        string = hosts(black_hole.address, mute.address, good.address)
        begin = time.monotonic()
        result = ask(runner, string, timeout=f"{4500 * SLOWNESS}ms")
        assert_result(result, "pass", "", f"at {good.address}")
        assert 2.8 * SLOWNESS < time.monotonic() - begin


def test_fault_13_all_silent(runner, black_hole):
    with TcpServer(hold) as mute:
        result = ask(runner, hosts(mute.address, black_hole.address), timeout="2s")
    assert_result(result, "fail", "timeout", f"2000ms, connecting to {black_hole.address}",
                  f"before: No answer in time, negotiating TLS with {mute.address}")


def test_one_that_dies_is_replaced_by_the_next(runner, good):
    def script(connection):
        pgwire.startup(connection)
        connection.sendall(pgwire.WELCOME)
        while True:
            pgwire.query(connection)
            connection.sendall(pgwire.ANSWER)
    with TcpServer(script) as server:
        result = ask(runner, hosts(server.address, good.address))
        assert_result(result, "pass", "", f"at {server.address}")
        server.kill()
        assert_result(runner.next(), "pass", "", f"at {good.address}")


def test_first_is_taken_again_when_the_connection_is_renewed(runner, good):
    address = refused_address()
    string = hosts(address, good.address)
    runner.start(postgresql(string, "ConnectionMaxAge=1s", interval="200ms"))
    assert_result(runner.next(), "pass", "", f"at {good.address}")
    with TcpServer(pgwire.answers(*[pgwire.ANSWER] * 1000)) as server:
        server.close()
        server.port = int(address.split(":")[1])
        server.start()
        eventually(lambda: f"at {address}" in runner.next()["message"], within=40)


# -- names -----------------------------------------------------------------------------------------

@pytest.fixture
def names(directory, runner):
    with DnsServer(directory, mode=NOERROR) as server:
        runner.wrap = server.wrap
        yield server


@pytest.mark.valgrind
def test_each_is_resolved(runner, names, good):
    names.records = {"one.test": [("A", "127.0.0.9")], "two.test": [("A", "127.0.0.1")]}
    string = hosts(f"one.test:{good.port}", f"two.test:{good.port}")
    assert_result(ask(runner, string), "pass", "", f"at two.test:{good.port}")


def test_a_name_that_is_not_needed_is_not_asked_for(runner, names, good):
    string = hosts(good.address, f"two.test:{good.port}")
    assert_result(ask(runner, string), "pass", "", f"at {good.address}")
    assert not names.queries


def test_fault_25_first_name_is_unknown(runner, names, good):
    names.records = {"two.test": [("A", "127.0.0.1")]}
    string = hosts(f"one.test:{good.port}", f"two.test:{good.port}")
    assert_result(ask(runner, string), "pass", "", f"at two.test:{good.port}")


def test_fault_25_silent_name_servers(runner, names, good):
    names.mode = BLACK_HOLE
    string = hosts(f"one.test:{good.port}", good.address)
    assert_result(ask(runner, string, timeout="6s"), "pass", "", f"at {good.address}")


# -- surroundings ----------------------------------------------------------------------------------

def test_target_shows_all(vitald, good):
    address = refused_address()
    vitald.service("db", postgresql(hosts(address, good.address)))
    vitald.start()
    eventually(lambda: vitald.show("db/it")["State"] == "healthy", within=30)
    assert vitald.show("db/it")["Target"] == f"{address},{good.address}/orders"


def test_one_elsewhere_is_remote(vitald, good):
    vitald.service("db", postgresql(hosts(good.address, "10.0.0.1:5432"), "Probes=liveness"))
    verdict = vitald.verify()
    assert verdict.returncode != 0 and "AllowRemoteLiveness" in verdict.stderr + verdict.stdout


def test_runs_are_flat(runner, good):
    """Each dials both, since the query fails and the connection is not held."""
    string = hosts(refused_address(), good.address)
    runner.start(postgresql(string, "Query=SELECT 1/0", timeout="30s"))
    runner.next()
    runner.run("it", 50)
    fds, memory = runner.usage()
    assert runner.run("it", 300)["fail"] == 300
    after = runner.usage()
    assert after[0] <= fds and after[1] - memory < 256 * SLOWNESS
