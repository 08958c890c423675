# SPDX-License-Identifier: MIT
"""FAULTS row 17: the peer vanishes behind an open connection; nothing comes or goes any more."""

import os
import socket
import time

import pytest

from lib.cable import THERE, Cable, FarProxy, tcp_options
from lib.checks import section
from lib.peers import HttpServer, Reply, TcpServer
from lib.process import SLOWNESS, eventually
from lib.runner import assert_result

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

PORT = 7000
TIMEOUT = 1.5
USER_TIMEOUT_MSEC = 30000


@pytest.fixture
def cable():
    with Cable() as c:
        yield c


def at(cable, server):
    """The server is moved to the other end and started."""
    server.host, server.port = THERE, PORT
    with cable.at_the_other_end():
        server.start()
    return server


@pytest.fixture
def far_http(cable):
    yield (server := at(cable, HttpServer()))
    server.close()


@pytest.fixture
def far_redis(cable, redis):
    yield (proxy := at(cable, FarProxy(cable, redis, PORT)))
    proxy.close()


@pytest.fixture
def far_postgres(cable, shared_postgres):
    yield (proxy := at(cable, FarProxy(cable, shared_postgres, PORT)))
    proxy.close()


CHECKS = {
    "far_http": ("http", f"URL=http://{THERE}:{PORT}/"),
    "far_redis": ("redis", f"Address={THERE}:{PORT}"),
    "far_postgres": ("postgresql",
                     f"ConnectionString=host={THERE} port={PORT} user=postgres dbname=orders"),
}


def assert_times_out(runner):
    """At the deadline over all, neither before nor long after it."""
    began = time.monotonic()
    result = runner.run("it")
    took = time.monotonic() - began
    assert_result(result, "fail", "timeout", "Timeout after 1500ms")
    assert 0.9 * TIMEOUT < took < (2 * TIMEOUT + 3) * SLOWNESS < USER_TIMEOUT_MSEC / 1000 * SLOWNESS


@pytest.mark.valgrind
@pytest.mark.parametrize("kind", CHECKS)
def test_fault_17_held_connection(runner, cable, request, kind):
    """The run on the kept connection ends at its deadline, and later ones begin anew."""
    request.getfixturevalue(kind)
    type_name, target = CHECKS[kind]
    runner.wrap = cable.wrap
    runner.start(section(type_name, target, timeout="1500ms"))
    assert_result(runner.next(), "pass", "")
    assert runner.run("it", 3)["pass"] == 3
    assert tcp_options(runner.pid, socket.TCP_USER_TIMEOUT) == [USER_TIMEOUT_MSEC]
    fds = runner.usage()[0]

    cable.cut()
    assert_times_out(runner)        # On the connection that seems to be there.
    assert_times_out(runner)        # In the dark.
    cable.mend()
    assert runner.run("it", 3)["pass"] == 3
    eventually(lambda: runner.usage()[0] == fds)


@pytest.mark.valgrind
def test_fault_17_tcp_while_it_waits(runner, cable):
    """Type=tcp holds no connection: the peer vanishes between its connecting and its words."""
    said = b""

    def script(connection):
        connection.recv(100)
        connection.sendall(said)
        server.closing.wait()
    server = at(cable, TcpServer(script))
    runner.wrap = cable.wrap
    runner.start(section("tcp", f"Address={THERE}:{PORT}", "Send=hello\\n", "Expect=hello",
                         timeout="1500ms"))
    eventually(lambda: server.connections == 1)
    assert tcp_options(runner.pid, socket.TCP_USER_TIMEOUT) == [USER_TIMEOUT_MSEC]
    cable.cut()
    assert_result(runner.next(), "fail", "timeout", "Timeout after 1500ms, waiting for")
    assert_times_out(runner)
    said = b"hello"
    cable.mend()
    assert_result(runner.run("it"), "pass", "")
    server.close()


def test_fault_17_in_the_reply(runner, cable):
    """Half of it has come: that much progress puts no deadline off."""
    server = at(cable, HttpServer(Reply(body=b"x" * 100, content_length=200, give_up="hang")))
    runner.wrap = cable.wrap
    runner.start(section("http", f"URL=http://{THERE}:{PORT}/", timeout="1500ms"))
    eventually(lambda: server.requests)
    cable.cut()
    assert_result(runner.next(), "fail", "timeout", "waiting for the reply")
    server.close()
