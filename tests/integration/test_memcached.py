# SPDX-License-Identifier: MIT
"""Type=memcached against a real memcached, and against scripted ones where it never says so."""

import socket
import ssl
import time

import pytest

from lib.checks import section
from lib.peers import (TcpServer, answer_with, close_at_once, refused_address, reset,
                       send_then_close)
from lib.process import Process, Server, eventually, free_port
from lib.runner import CheckRunner, assert_result


class Memcached(Server):
    def __init__(self, directory, *options):
        self.directory, self.options, self.port = directory, options, free_port()
        self.address = f"127.0.0.1:{self.port}"

    def start(self):
        self.process = Process(
            ["/usr/bin/memcached", "-l", "127.0.0.1", "-p", self.port, "-U", "0", "-t", "1", "-m",
             "8", "-u", "root", *self.options], self.directory / "memcached.log")
        eventually(lambda: self.ask("version\r\n"), what="memcached")

    def ask(self, text):
        assert self.process.exit_code is None, self.process.log
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as s:
            s.sendall(text.encode())
            return s.recv(65536).decode()

    def total_connections(self):
        return int(self.ask("stats\r\n").partition("total_connections ")[2].split()[0])


@pytest.fixture
def memcached(directory):
    with Memcached(directory) as server:
        yield server


def memc(server, *lines, **options):
    return section("memcached", f"Address={getattr(server, 'address', server)}", *lines, **options)


@pytest.fixture
def check(runner):
    def first(server, *lines, **options):
        return runner.start(memc(server, *lines, **options)).next()
    return first


# -- a real server ---------------------------------------------------------------------------------

def test_answers(check, memcached):
    assert_result(check(memcached), "pass", "", "Version 1.")


def test_counters(check, memcached):
    memcached.ask("set a 0 0 5\r\nhello\r\n")
    result = check(memcached, "Stats=yes")
    assert_result(result, "pass", "", "Version 1.")
    assert result["items"] == 1 and result["evictions"] == 0 and result["connections"] >= 1
    assert result["bytes"] > 50
    assert abs(result["used"] - result["bytes"] / 8 / 1024 / 1024 * 100) < 1e-6


def test_unix_socket(check, directory):
    path = directory / "m.sock"
    process = Process(["/usr/bin/memcached", "-s", path, "-u", "root"], directory / "m.log")
    eventually(path.exists)
    assert_result(check(path), "pass", "")
    process.kill9()


@pytest.mark.parametrize("lines", [[], ["Stats=yes"]])
def test_holds_one_connection_for_all_runs(runner, memcached, lines):
    runner.start(memc(memcached, *lines))
    runner.next()
    before = memcached.total_connections()
    assert runner.run("it", 1000)["pass"] == 1000
    assert memcached.total_connections() - before == 1      # Our own question.


def test_renews_the_connection_after_its_age(runner, memcached):
    runner.start(memc(memcached, "ConnectionMaxAge=1s", interval="100ms"))
    runner.next()
    before = memcached.total_connections()
    questions = []

    def renewed():
        questions.append(1)
        return memcached.total_connections() - before > len(questions)
    eventually(renewed, within=30, every=0.2)
    while not runner.is_quiet():
        assert runner.next()["outcome"] == "pass"


@pytest.fixture
def guarded(directory):
    users = directory / "users"
    users.write_text("health:s3cret\n")
    with Memcached(directory, "-Y", users) as server:
        yield server


LOGIN = ["Username=health", "PasswordCredential=memcached"]


def test_logs_in(runner, guarded):
    runner.credential("memcached", "s3cret")
    runner.start(memc(guarded, *LOGIN))
    assert_result(runner.next(), "pass", "")
    assert runner.run("it", 100)["pass"] == 100


def test_wrong_password(runner, guarded):
    runner.credential("memcached", "wr0ng")
    result = runner.start(memc(guarded, *LOGIN)).next()
    assert_result(result, "fail", "auth/password")
    assert "wr0ng" not in result["message"]


def test_no_password(check, guarded):
    assert_result(check(guarded), "fail", "auth/missing", "unauthenticated")


def test_credential_that_is_not_there(check, guarded):
    assert_result(check(guarded, *LOGIN), "fail", "credential", "memcached")


@pytest.mark.parametrize("line", LOGIN)
def test_half_a_login(runner, line):
    runner.start(memc("127.0.0.1", line))
    eventually(lambda: runner.popen.poll() is not None)
    assert "need each other" in runner.log
    runner.popen = None


def count_connections(s):
    """How many the server has, by its own word on one of them."""
    s.sendall(b"stats\r\n")
    text = b""
    while b"END\r\n" not in text:
        text += s.recv(65536)
    return int(text.partition(b"curr_connections ")[2].split()[0])


def test_too_many_clients(check, directory):
    with Memcached(directory, "-c", "50", "-o", "maxconns_fast") as server:
        # Places of connections that are gone become free a little later; this one counts them.
        taken, refused = [socket.create_connection(("127.0.0.1", server.port), timeout=30)], 0
        eventually(lambda: count_connections(taken[0]) == 1)
        while refused < 20:
            s = socket.create_connection(("127.0.0.1", server.port), timeout=30)
            s.sendall(b"version\r\n")
            try:
                refused = 0 if s.recv(100).startswith(b"VERSION") else refused + 1
            except ConnectionResetError:
                refused += 1
            if refused == 0:
                taken.append(s)
            else:
                time.sleep(0.01)
        assert 20 < len(taken) <= 50
        result = check(server)
        assert result["outcome"] == "fail"
        assert result["reason"] in ("status/max-clients", "reset"), result
        del taken


def test_hangs_and_is_restarted(runner, memcached):
    runner.start(memc(memcached, interval="200ms", timeout="300ms"))
    runner.next_that(outcome="pass")
    memcached.freeze()
    assert_result(runner.next_that(outcome="fail"), "fail", "timeout", "waiting for the reply")
    memcached.thaw()
    runner.next_that(outcome="pass")
    memcached.kill9()
    runner.next_that(outcome="fail", reason="refused")
    memcached.start()
    runner.next_that(outcome="pass")


@pytest.mark.timing
def test_fault_16_death_is_seen_at_once(directory, memcached):
    delays = []
    for _ in range(5):
        with CheckRunner(directory, memc(memcached)) as runner:
            assert runner.next()["outcome"] == "pass"
            killed = time.monotonic()
            memcached.kill9()
            result = runner.next()
            assert result["outcome"] == "fail" and result["reason"] in ("refused", "reset"), result
            delays.append(result["time"] - killed)
        memcached.start()
    assert sorted(delays)[2] < 0.05, delays


@pytest.mark.parametrize("lines, address, outcome", [
    ([], None, "pass"), (["Stats=yes"], None, "pass"), ([], refused_address(), "fail"),
], ids=["held", "counters", "refused"])
def test_a_thousand_runs_leave_nothing(runner, memcached, lines, address, outcome):
    runner.start(memc(address or memcached, *lines))
    runner.next()
    assert runner.run("it", 500)[outcome] == 500
    before = runner.usage()
    assert runner.run("it", 1000)[outcome] == 1000
    fds, memory = runner.usage()
    assert fds <= before[0]
    assert memory - before[1] <= 256, (before, memory)


# -- broken peers ----------------------------------------------------------------------------------

def test_fault_14_refused(check):
    assert_result(check(refused_address()), "fail", "refused")


def test_fault_13_black_hole(check, black_hole):
    assert_result(check(black_hole, timeout="300ms"), "fail", "timeout", "connecting to")


@pytest.mark.parametrize("script, reason", [
    (close_at_once, "truncated"), (reset, "reset"), (send_then_close(b"VERSI"), "truncated"),
], ids=["before a byte", "reset", "in the line"])
def test_fault_16_closed(check, script, reason):
    def later(connection):
        connection.recv(100)
        script(connection)
    with TcpServer(later) as server:
        assert_result(check(server), "fail", reason)


@pytest.mark.parametrize("reply, outcome, reason", [
    (b"VERSION 1.6\r\n", "pass", ""),
    (b"VERSION 1.6\n", "pass", ""),
    (b"VERSION 1.6\r\nVERSION 1.6\r\n", "pass", ""),
    (b"VERSION \x1b[31m\xff\0\r\n", "pass", ""),
    (b"\r\n", "fail", "protocol"),
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", "fail", "protocol"),
    (b"-ERR unknown command\r\n", "fail", "protocol"),
    (b"ERROR\r\n", "fail", "status/error"),
    (b"SERVER_ERROR out of memory storing object\r\n", "fail", "status/out-of-memory"),
    (b"SERVER_ERROR \x1b[31m\xff\r\n", "fail", "status/server-error"),
    (b"STORED\r\n", "fail", "protocol"),
    (70000 * b"x", "fail", "protocol"),
], ids=lambda v: str(v)[:30])
def test_fault_19_and_20_what_no_memcached_says(check, reply, outcome, reason):
    with TcpServer(answer_with(reply)) as server:
        result = check(server)
    assert_result(result, outcome, reason)
    assert "\x1b" not in result["message"]


@pytest.mark.parametrize("reply, outcome, reason", [
    (b"VERSION 1\r\nEND\r\n", "pass", ""),
    (b"VERSION 1\r\nSTAT bytes\r\nSTAT bytes x\r\nSTAT curr_items nan\r\nEND\r\n", "pass", ""),
    (b"VERSION 1\r\nSTAT limit_maxbytes 0\r\nSTAT bytes 1\r\nEND\r\n", "pass", ""),
    (b"VERSION 1\r\nERROR\r\n", "fail", "status/error"),
    (b"VERSION 1\r\nSTAT a b\r\nhello\r\n", "fail", "protocol"),
    (b"VERSION 1\r\n" + 9000 * b"STAT a b\r\n", "fail", "protocol"),
], ids=lambda v: str(v)[:30])
def test_fault_19_and_20_odd_counters(check, reply, outcome, reason):
    with TcpServer(answer_with(reply)) as server:
        assert_result(check(server, "Stats=yes"), outcome, reason)


def test_fault_18_one_byte_after_the_other(check):
    def drip(connection):
        connection.recv(100)
        for byte in b"VERSION 1.6.18 and so on, and on, and on, and on":
            connection.sendall(bytes([byte]))
            time.sleep(0.05)
    with TcpServer(drip) as server:
        assert_result(check(server, timeout="300ms"), "fail", "timeout", "waiting for the reply")


def test_fault_28_a_held_connection_that_fails_is_tried_once_more(runner):
    def script(connection):
        connection.recv(100)
        connection.sendall(b"VERSION 1\r\n")
        connection.recv(100)
        reset(connection)
    with TcpServer(script) as server:
        runner.start(memc(server))
        assert runner.next()["outcome"] == "pass"
        assert runner.run("it", 10)["pass"] == 10
        assert server.connections == 11
        server.script = close_at_once
        result = runner.run("it", 1)        # What is sent may meet a socket that is gone.
        assert result["fail"] == 1 and result["reason"] in ("truncated", "reset"), result
        assert server.connections == 12


@pytest.mark.valgrind
def test_no_leaks_with_runs_under_way(runner, memcached, black_hole):
    runner.start(memc(memcached, name="good") + memc(black_hole, name="hole", timeout="1h"))
    assert runner.next(within=60)["check"] == "good"


# -- TLS -------------------------------------------------------------------------------------------

class SecureMemcached(Memcached):
    def __init__(self, directory, certificate, *options):
        super().__init__(directory, "-Z", "-o", f"ssl_chain_cert={certificate.certificate},"
                         f"ssl_key={certificate.key},ssl_ca_cert={certificate.ca}", *options)
        self.context = ssl.create_default_context()
        self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE

    def ask(self, text):
        assert self.process.exit_code is None, self.process.log
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as raw, \
                self.context.wrap_socket(raw) as s:
            s.sendall(text.encode())
            return s.recv(65536).decode()


@pytest.mark.parametrize("terms, lines, reason", [
    ({"ends": 90}, [], ""), ({"ends": 90}, ["Stats=yes"], ""),
    ({"ends": -0.001}, [], "tls/expired"),
    ({"names": ["DNS:cache.example"]}, [], "tls/name"),
    ({"names": ["DNS:cache.example"]}, ["ServerName=cache.example"], ""),
], ids=str)
def test_tls(check, runner, directory, authority, terms, lines, reason):
    with SecureMemcached(directory, authority.issue(**terms)) as server:
        result = check(server, "TLS=yes", f"CACertificate={authority.ca}", *lines)
        assert_result(result, "fail" if reason else "pass", reason)
        assert ("certificate" in result) == (not reason)
        assert runner.run("it", 100)["fail" if reason else "pass"] == 100


def test_tls_with_nobody_trusted_and_restarted(check, runner, directory, authority):
    with SecureMemcached(directory, authority.issue(ends=90)) as server:
        assert_result(check(server, "TLS=yes"), "fail", "tls/untrusted")
        runner.stop()
        runner.start(memc(server, "TLS=yes", f"CACertificate={authority.ca}", timeout="3s"))
        assert_result(runner.next(), "pass", "", "Version")
        server.kill9()
        # What is dying may still take a connection.
        assert runner.next()["reason"] in ("refused", "reset", "truncated", "tls/handshake")
        assert_result(runner.run("it"), "fail", "refused")
        server.start()
        eventually(lambda: runner.run("it")["pass"] == 1)
        server.freeze()
        assert_result(runner.run("it"), "fail", "timeout")
        server.thaw()


def test_tls_that_is_not_spoken(check, memcached, authority):
    result = check(memcached, "TLS=yes", f"CACertificate={authority.ca}", timeout="500ms")
    assert result["outcome"] == "fail" and result["reason"] in ("tls/plaintext", "timeout"), result
