# SPDX-License-Identifier: MIT
"""Type=http: what happens to kept connections, and what the runs cost."""

import resource
import socket
import time

import pytest

from lib.checks import http
from lib.peers import HttpServer, Reply, TcpServer, answer_with, refused_address, reset_at_once
from lib.process import SLOWNESS, eventually
from lib.runner import assert_result


def first(runner, text, within=15):
    return runner.start(text).next(within=within)


# -- held connections -----------------------------------------------------------------------------

@pytest.mark.valgrind
def test_crash_is_seen_at_once(runner):
    with HttpServer() as server:
        assert_result(first(runner, http(server.url(), "RetryInterval=10ms")), "pass", "")
        for _ in range(5):
            time.sleep(0.02)        # The interval of triggers.
            killed = time.monotonic()
            server.kill()
            result = runner.next()
            assert_result(result, "fail", "refused")
            assert result["seen"] - killed < 2 * SLOWNESS       # Not a day.
            server.start()
            assert runner.run("it")["pass"] == 1


def test_all_checks_of_a_server_see_its_crash(runner):
    with HttpServer() as server:
        names = {f"web{i}" for i in range(5)}
        runner.start("".join(http(server.url(f"/{n}"), "RetryInterval=10ms", name=n)
                             for n in sorted(names)))
        assert set(runner.first_of(5)) == names
        for name in names:      # One after the other, so that they share one connection.
            runner.run(name)
        server.kill()
        refused = set()
        while refused != names:     # One may still be answered by a thread that is last to go.
            result = runner.next()
            if result["reason"] == "refused":
                refused.add(result["check"])


def test_habit_of_closing_idle_connections_is_learned(runner):
    """A server that closes what is idle: looked at once, and then no longer."""
    def script(connection):
        connection.settimeout(0.2)
        while connection.recv(65536):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    with TcpServer(script) as server:
        runner.start(http(f"http://{server.address}/", "RetryInterval=100ms"))
        assert_result(runner.next(), "pass", "")
        assert_result(runner.next(), "pass", "")    # Closed after 200 ms: looked at once.
        eventually(lambda: server.connections >= 2)

        def peace():
            """Where the server is late for once that is looked at again."""
            runner.forget()
            time.sleep(1)
            return runner.is_quiet()
        eventually(peace)
        # Its connections live longer now: that is learned, too, and a crash is seen again.
        server.script = lambda c: answer_with(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")(c)
        assert runner.run("it", 2)["pass"] == 2
        time.sleep(0.5)
        assert runner.run("it", 2)["pass"] == 2
        server.kill()
        assert_result(runner.next_that(outcome="fail"), "fail", "refused")


def test_habit_of_closing_at_once_is_learned(runner):
    """A server that never says so, but closes behind each answer."""
    def script(connection):
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    with TcpServer(script) as server:
        runner.start(http(f"http://{server.address}/", "RetryInterval=20ms"))
        assert_result(runner.next(), "pass", "")
        seen = []

        def peace():        # No run for ten of its retry intervals.
            before = server.connections
            time.sleep(0.2)
            seen.append(server.connections)
            return server.connections == before
        eventually(peace)
        assert seen[-1] < 30


def test_fault_28_one_fresh_retry(runner):
    """A kept connection that breaks when it is used again is tried once anew, a new one is not."""
    answers = []

    def script(connection):
        """Answers one request, and resets the connection on the second."""
        for data in (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", None):
            connection.recv(65536)
            if data is None or not answers:
                answers.append("reset")
                reset_at_once(connection)
                return
            answers.append("answered")
            connection.sendall(data)
    with TcpServer(script) as server:
        answers.append("begin")
        assert_result(first(runner, http(f"http://{server.address}/")), "pass", "")
        assert runner.run("it", 10)["pass"] == 10
        assert server.connections == 11 and answers.count("reset") == 10

        server.script = reset_at_once
        before = server.connections
        assert_result(runner.run("it"), "fail", "reset")
        # The kept connection of before may have been tried first.
        assert server.connections == before + 1
        assert_result(runner.run("it"), "fail", "reset")
        assert server.connections == before + 2


def test_fault_28_retry_after_half_a_reply(runner):
    def script(connection):
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        connection.shutdown(socket.SHUT_WR)
    with TcpServer(script) as server:
        assert_result(first(runner, http(f"http://{server.address}/")), "pass", "")
        assert runner.run("it", 5)["pass"] == 5
        assert server.connections == 6


def test_connections_are_renewed(runner, http_server):
    text = http(http_server.url(), "ConnectionMaxAge=1s", interval="200ms")
    assert_result(first(runner, text), "pass", "")
    eventually(lambda: http_server.connections >= 3)
    requests = len(http_server.requests)
    assert requests >= http_server.connections + 3


def test_server_restarted_between_runs(runner):
    with HttpServer() as server:
        assert_result(first(runner, http(server.url(), "RetryInterval=10s")), "pass", "")
        for _ in range(5):
            server.close()
            server.start()
            assert runner.run("it")["pass"] == 1


# -- resources ------------------------------------------------------------------------------------

@pytest.mark.time_limit(300)
@pytest.mark.parametrize("kind", ["held", "dialled", "refused", "tls"])
def test_ten_thousand_runs_are_flat(runner, authority, kind):
    context = authority.issue().server_context() if kind == "tls" else None
    reply = Reply(body=b"ok", keep_alive=kind != "dialled")
    with HttpServer(reply, tls=context) as server:
        url = f"http://{refused_address()}/" if kind == "refused" else server.url()
        lines = [f"CACertificate={authority.ca}"] if kind == "tls" else []
        runner.start(http(url, *lines))
        runner.next()
        runner.run("it", 1000, within=120)
        fds, memory = runner.usage()
        result = runner.run("it", 10000, within=240)
        assert result["fail" if kind == "refused" else "pass"] == 10000, result
        after = runner.usage()
        assert after[0] == fds
        assert after[1] - memory < 256 * SLOWNESS


def test_no_descriptors_left(runner, http_server):
    """Our own lack is an error, not the server's fault; and it passes."""
    if runner.valgrind:
        pytest.skip("valgrind has descriptors of its own")
    assert_result(first(runner, http(http_server.url())), "pass", "")
    http_server.reply = Reply(keep_alive=False)
    runner.run("it", 2)
    resource.prlimit(runner.pid, resource.RLIMIT_NOFILE, (runner.usage()[0] - 3, 4096))
    assert_result(runner.run("it"), "error", "resource", "Too many open files")
    resource.prlimit(runner.pid, resource.RLIMIT_NOFILE, (1024, 4096))
    assert runner.run("it")["pass"] == 1


