# SPDX-License-Identifier: MIT
"""Type=redis against a real redis-server, and against scripted ones where it never says so."""

import socket
import statistics
import threading
import time

import pytest

from lib.peers import (TcpServer, answer_with, close_at_once, hold, refused_address, reset,
                       send_then_close, send_then_hold, until_read)
from lib.process import eventually, free_port
from lib.redis import Redis
from lib.runner import CheckRunner, assert_result

ONCE = "Interval=1d\nRetryInterval=1d\n"


def check(address, more="", interval=ONCE, timeout="10s"):
    return f"[Check redis]\nType=redis\nAddress={address}\nTimeout={timeout}\n{interval}{more}"


@pytest.fixture
def run(directory):
    """The first result of a check on the address."""
    def first(address, more="", credentials=None, **options):
        with CheckRunner(directory, check(address, more, **options), credentials) as runner:
            return runner.next()
    return first


# -- a good server ---------------------------------------------------------------------------------

def test_answers(redis, run):
    began = time.monotonic()
    result = run(redis.address)
    assert_result(result, "pass", "", "PONG")
    assert 0 < result["latency_ms"] < (result["time"] - began) * 1000


def test_unix_socket(redis, run):
    assert run(redis.unix_path)["outcome"] == "pass"


def test_name_and_default_port(run, directory):
    assert_result(run("localhost:1"), "fail", "refused", "localhost:1", "Connection refused")


@pytest.mark.valgrind
def test_holds_one_connection_for_all_runs(redis, directory):
    with CheckRunner(directory, check(redis.address)) as runner:
        runner.next()
        before = accepted(redis)
        assert runner.run("redis", 1000)["pass"] == 1000
        assert accepted(redis) - before == 1       # Our own question.


def accepted(redis):
    info = redis.command("INFO", "stats").decode()
    return int(info.partition("total_connections_received:")[2].split()[0])


def test_renews_the_connection_after_its_age(redis, directory):
    with CheckRunner(directory, check(redis.address, "ConnectionMaxAge=1s\n",
                                      "Interval=100ms\n")) as runner:
        first = eventually(lambda: connected_since(redis), what="a connection")
        eventually(lambda: connected_since(redis) - first, what="a new connection")
        runner.forget()
        assert runner.next()["outcome"] == "pass"


def connected_since(redis):
    """The id of the newest connection but our own."""
    lines = redis.command("CLIENT", "LIST").decode().split("\r\n")[1].splitlines()
    ids = sorted(int(line.split()[0].partition("=")[2]) for line in lines)
    assert len(ids) > 1
    return ids[-2]


@pytest.mark.parametrize("more, times, outcome", [("", 10000, "pass"),
                                                  ("Database=16\n", 3000, "fail")],
                         ids=["held", "dialled"])
def test_thousands_of_runs_leave_nothing(more, times, outcome, redis, directory):
    with CheckRunner(directory, check(redis.address, more)) as runner:
        runner.next()
        assert runner.run("redis", 2000)[outcome] == 2000
        before = runner.usage()
        assert runner.run("redis", times)[outcome] == times
        fds, memory = runner.usage()
        assert fds <= before[0]
        assert memory - before[1] <= 256, (before, memory)


# -- logging in ------------------------------------------------------------------------------------

@pytest.fixture
def guarded(directory):
    with Redis(directory / "guarded", password="s3cret") as server:
        yield server


def test_password(guarded, run):
    more = "PasswordCredential=redis\n"
    assert run(guarded.address, more, {"redis": "s3cret\n"})["outcome"] == "pass"
    result = run(guarded.address, more, {"redis": "wrong"})
    assert_result(result, "fail", "auth/password", "WRONGPASS")
    assert "wrong" not in result["message"]
    assert_result(run(guarded.address), "fail", "auth/missing", "NOAUTH")


def test_password_nobody_asked_for(redis, run):
    result = run(redis.address, "PasswordCredential=redis\n", {"redis": "x"})
    assert_result(result, "fail", "auth", "AUTH")


def test_credential_that_is_not_there(redis, run):
    assert_result(run(redis.address, "PasswordCredential=redis\n"), "fail", "credential", "redis")


def test_user_with_few_rights(redis, run):
    redis.command("ACL", "SETUSER", "health", "on", ">pw", "+ping")
    redis.command("ACL", "SETUSER", "nothing", "on", ">pw")
    more = "PasswordCredential=redis\nUsername="
    assert run(redis.address, more + "health\n", {"redis": "pw"})["outcome"] == "pass"
    assert_result(run(redis.address, more + "nothing\n", {"redis": "pw"}), "fail",
                  "auth/permission", "NOPERM")


def test_database(redis, run):
    assert run(redis.address, "Database=15\n")["outcome"] == "pass"
    assert_result(run(redis.address, "Database=16\n"), "fail", "status/database", "DB index")


# -- what the server says of itself ----------------------------------------------------------------

@pytest.mark.valgrind
def test_fault_30_loading(directory, run):
    with Redis(directory / "redis") as redis:
        redis.command("DEBUG", "POPULATE", "100000", "key", "500")
        redis.command("SAVE")
        redis.close()
        redis.options = ["--key-load-delay", "100", "--loading-process-events-interval-bytes",
                         "1024"]
        redis.start()
        assert_result(run(redis.address), "fail", "status/loading", "LOADING")


def test_fault_30_master_is_down(directory, run):
    options = ["--replicaof", *refused_address().split(":"), "--replica-serve-stale-data", "no"]
    with Redis(directory / "redis", options=options) as redis:
        assert_result(run(redis.address), "fail", "status/masterdown", "MASTERDOWN")


def test_fault_30_busy(redis, run):
    redis.command("CONFIG", "SET", "busy-reply-threshold", "10")
    script = threading.Thread(target=lambda: redis.command(
        "EVAL", "while true do end", "0", within=30))
    script.start()
    try:
        eventually(lambda: redis.command("PING").startswith(b"-BUSY"), what="-BUSY")
        assert_result(run(redis.address), "fail", "status/busy", "BUSY")
    finally:
        redis.command("SCRIPT", "KILL")
        script.join()


def test_fault_30_cannot_save(redis, run):
    redis.command("CONFIG", "SET", "save", "1 1")
    redis.command("SET", "a", "b")
    (redis.directory / "dump.rdb").mkdir()

    def fails():
        redis.command("BGSAVE")
        return redis.command("PING").startswith(b"-MISCONF")
    eventually(fails, what="-MISCONF", every=0.1)
    assert_result(run(redis.address), "fail", "status/misconf", "MISCONF")
    redis.kill9()       # It would not end without having saved.


def test_too_many_clients(directory, run):
    with Redis(directory / "redis", options=["--maxclients", "1"]) as redis:
        def only_client():
            """Whoever asked before may still have the only place."""
            s = socket.create_connection((redis.host, redis.port), timeout=10)
            s.sendall(b"PING\r\n")
            if s.recv(64) == b"+PONG\r\n":
                return s
            return s.close()
        with eventually(only_client, what="the only place"):
            assert_result(run(redis.address), "fail", "status/max-clients", "max number")


# -- broken peers ----------------------------------------------------------------------------------

def test_fault_13_black_hole(black_hole, directory):
    text = check(black_hole.address, timeout="1s") \
        + check("127.0.0.1:1").replace("[Check redis]", "[Check other]")
    before = time.monotonic()
    with CheckRunner(directory, text) as runner:
        results = runner.first_of(2)
    assert list(results) == ["other", "redis"]
    assert_result(results["redis"], "fail", "timeout", "1000ms", "connecting to")
    assert 1 <= results["redis"]["time"] - before


def test_fault_14_refused(run):
    assert_result(run(refused_address()), "fail", "refused")


def test_fault_14_no_socket(run, directory):
    assert_result(run(directory / "none.sock"), "fail", "missing", "No such file")


def test_fault_15_reset(run):
    def script(connection):
        connection.recv(100)
        connection.sendall(b"+PO")
        until_read(connection)      # Only what has been read before a reset is counted.
        reset(connection)
    with TcpServer(script) as server:
        assert_result(run(server.address), "fail", "reset", "after 3 bytes")


@pytest.mark.parametrize("script, words", [
    (close_at_once, "Connection closed without a reply"),
    (send_then_close(b"+PON"), "closed after 4 bytes"),
], ids=["before the first byte", "in the reply"])
def test_fault_16_closed(script, words, run):
    def later(connection):
        connection.recv(100)
        script(connection)
    with TcpServer(later) as server:
        assert_result(run(server.address), "fail", "truncated", words)


def drip(connection):
    connection.recv(100)
    for byte in b"$1000\r\n" + 1000 * b"x":
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


def test_fault_18_one_byte_after_the_other(run):
    """Fifty seconds long."""
    with TcpServer(drip) as server:
        before = time.monotonic()
        result = run(server.address, timeout="1s")
    assert_result(result, "fail", "timeout", "waiting for the reply to PING")
    assert result["time"] - before < 15


@pytest.mark.parametrize("reply, outcome, reason", [
    (b"+PONG\r\n+PONG\r\n", "pass", ""),
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", "fail", "protocol"),
    (b"SSH-2.0-OpenSSH_9.2\r\n", "fail", "protocol"),
    (b"\0\xff\x1b[31m", "fail", "protocol"),
    (b">2\r\n+push\r\n+message\r\n", "fail", "protocol"),
    (b"+pong\r\n", "fail", "protocol"),
    (b":1\r\n", "fail", "protocol"),
    (b"$4\r\nPONG\r\n", "fail", "protocol"),
    (b"$-1\r\n", "fail", "protocol"),
    (b"*1\r\n+PONG\r\n", "fail", "protocol"),
    (b"*-1\r\n", "fail", "protocol"),
    (b"*1\r\n" * 9 + b"+PONG\r\n", "fail", "protocol"),
    (b"$-5\r\n", "fail", "protocol"),
    (b"-\r\n", "fail", "status"),
    (b"-EVIL \x1b[31m\xff\xfe" + 1000 * b"x" + b"\r\n", "fail", "status/evil"),
], ids=str)
def test_fault_19_and_30_what_no_redis_says(reply, outcome, reason, run):
    with TcpServer(answer_with(reply)) as server:
        result = run(server.address)
    assert_result(result, outcome, reason)
    assert "\x1b" not in result["message"]


def test_replies_in_pieces_to_two_checks(directory):
    """One gets its reply in two pieces while another one's comes whole."""
    half = threading.Event()

    def slow(connection):
        connection.recv(100)
        connection.sendall(b"+PO")
        half.set()
        time.sleep(0.2)
        connection.sendall(b"NG\r\n")
        hold(connection)

    def quick(connection):
        connection.recv(100)
        half.wait()
        time.sleep(0.1)
        connection.sendall(b"+PONG\r\n")
        hold(connection)
    with TcpServer(slow) as one, TcpServer(quick) as other:
        text = check(one.address) + check(other.address).replace("[Check redis]", "[Check b]")
        with CheckRunner(directory, text) as runner:
            assert {r["outcome"] for r in runner.first_of(2).values()} == {"pass"}


def test_fault_19_banner(run):
    with TcpServer(send_then_hold(b"220 mail.example ESMTP\r\n")) as server:
        assert_result(run(server.address), "fail", "protocol")


def test_fault_20_huge_bulk(directory):
    def flood(connection):
        connection.recv(100)
        connection.sendall(b"$1073741824\r\n")
        while True:
            connection.sendall(65536 * b"x")
    with TcpServer(flood) as server, CheckRunner(directory, check(server.address)) as runner:
        assert_result(runner.next(), "fail", "protocol", "too long")
        runner.run("redis", 10)
        before = runner.usage()
        runner.run("redis", 100)
        assert runner.usage()[1] - before[1] < runner.memory_limit_kib


def test_fault_20_endless_array(run):
    def flood(connection):
        connection.recv(100)
        connection.sendall(b"*1000000000\r\n")
        while True:
            connection.sendall(10000 * b":1\r\n")
    with TcpServer(flood) as server:
        assert_result(run(server.address), "fail", "protocol", "too long")


# -- held connections ------------------------------------------------------------------------------

def test_hangs_and_comes_back(redis, directory):
    with CheckRunner(directory, check(redis.address, interval="Interval=400ms\n",
                                      timeout="300ms")) as runner:
        runner.next_that(outcome="pass")
        redis.freeze()
        assert_result(runner.next_that(outcome="fail"), "fail", "timeout",
                      "waiting for the reply to PING")
        redis.thaw()
        runner.next_that(outcome="pass")


@pytest.mark.valgrind
def test_fault_28_a_held_connection_that_fails_is_tried_once_more(directory):
    """The first PING of each connection is answered, the second one closes it."""
    def script(connection):
        connection.recv(100)
        connection.sendall(b"+PONG\r\n")
        connection.recv(100)
        reset(connection)
    with TcpServer(script) as server, CheckRunner(directory, check(server.address)) as runner:
        assert runner.next()["outcome"] == "pass"
        assert runner.run("redis", 10)["pass"] == 10
        assert server.connections == 11
        server.script = close_at_once
        assert_result(runner.run("redis", 1), "fail", "truncated")
        # The held one, one fresh try, and no more.
        assert server.connections == 12


@pytest.mark.timing
def test_fault_16_death_is_seen_at_once(redis, directory):
    took = []
    for _ in range(20):
        with CheckRunner(directory, check(redis.address, interval="Interval=60s\n")) as runner:
            assert runner.next()["outcome"] == "pass"
            killed = time.monotonic()
            redis.kill9()
            result = runner.next()
            took.append(result["time"] - killed)
        # A dying server may still take the connection, to reset it.
        assert result["outcome"] == "fail" and result["reason"] in ("refused", "reset"), result
        redis.start()
    print(f"kill -9 to result: median {statistics.median(took) * 1000:.2f} ms, "
          f"most {max(took) * 1000:.2f} ms")
    # Each before the next run would be due, and as a rule at once: now and then others run first.
    assert statistics.median(took) < 0.05 and max(took) < 10


def test_unasked_bytes_start_a_run(directory):
    """Those that come with the reply are another thing: they end the connection in silence."""
    has_ended = threading.Event()

    def script(connection):
        connection.recv(100)
        connection.sendall(b"+PONG\r\n")
        if server.connections == 1:
            has_ended.wait()
            connection.sendall(b"+hello\r\n")
        hold(connection)
    with TcpServer(script) as server, CheckRunner(directory, check(server.address)) as runner:
        assert runner.next()["outcome"] == "pass"
        has_ended.set()
        assert runner.next()["outcome"] == "pass"
        assert server.connections == 2


@pytest.mark.valgrind
def test_no_leaks_with_runs_under_way(directory, black_hole, redis):
    text = "".join(check(a).replace("[Check redis]", f"[Check c{i}]") for i, a in enumerate(
        [black_hole.address, redis.address, "nowhere.invalid:1", f"127.0.0.1:{free_port()}"]))
    with CheckRunner(directory, text) as runner:
        runner.next()
