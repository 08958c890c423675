# SPDX-License-Identifier: MIT
"""The servers and broken peers of tests/lib do what the other tests take for granted."""

import pathlib
import socket
import subprocess
import time

import pytest

from lib.dns import BLACK_HOLE, DnsServer, NOERROR
from lib.notify import NotifySocket
from lib.peers import HANG, HttpServer, Reply, TcpServer, answer_with, refused_address
from lib.process import CLEAN_ENVIRONMENT, Process, eventually, is_running
from lib.vitald import pass_sockets


def curl(*argv, patience="30"):
    """(exit code, http code, body)"""
    done = subprocess.run(["/usr/bin/curl", "-sS", "-m", patience, "-w", "\n%{http_code}", *argv],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          env=CLEAN_ENVIRONMENT)
    body, _, code = done.stdout.rpartition("\n")
    return done.returncode, int(code), body


def test_redis_dies_hangs_and_comes_back(redis):
    assert redis.command("PING") == b"+PONG"
    redis.freeze()
    with pytest.raises(OSError):
        redis.command("PING", within=0.2)
    redis.thaw()
    assert redis.command("PING") == b"+PONG"
    redis.kill9()
    with pytest.raises(ConnectionRefusedError):
        redis.command("PING")
    redis.restart()
    assert redis.command("PING") == b"+PONG"


def test_postgres_dies_hangs_and_comes_back(postgres):
    assert postgres.sql("SELECT 1") == "1"
    pid = postgres.pid
    postgres.freeze()
    with socket.create_connection((postgres.host, postgres.port), timeout=0.2) as s:
        s.sendall(b"\0\0\0\x08\x04\xd2\x16\x2f")       # SSLRequest: answered by a living server.
        with pytest.raises(OSError):
            s.recv(1)
    postgres.thaw()
    postgres.kill9()
    assert not is_running(pid)
    postgres.restart()
    assert postgres.sql("SELECT 1") == "1"


def test_http_server_misbehaves_on_request(http_server):
    url = http_server.url()
    assert curl(url) == (0, 200, "ok\n")
    http_server.reply = Reply(status=503, body=b"no", content_length=9, give_up="reset")
    assert curl(url)[:2] == (56, 503)
    http_server.reply = Reply(body=b"no", content_length=9, give_up="close")
    assert curl(url)[:2] == (18, 200)
    for slow in (HANG, Reply(pause_per_byte=0.1), Reply(content_length=9, give_up="hang")):
        http_server.reply = slow
        assert curl(url, patience="0.4")[0] == 28
    http_server.kill()
    assert curl(url)[0] == 7
    http_server.reply = Reply(body=b"back")
    http_server.start()
    assert curl(url) == (0, 200, "back")
    assert http_server.requests[-1].headers["host"] == http_server.address


def test_kill_resets_open_connections():
    with TcpServer(answer_with(b"+PONG\r\n")) as server:
        with socket.create_connection((server.host, server.port)) as s:
            s.sendall(b"PING\r\n")
            assert s.recv(100) == b"+PONG\r\n"
            server.kill()
            with pytest.raises(ConnectionResetError):
                s.recv(100)


@pytest.mark.parametrize("make, code", [
    (lambda ca: ca.issue(), 0),
    (lambda ca: ca.issue("expired", ends=-0.5), 60),
    (lambda ca: ca.issue("future", starts=1), 60),
    (lambda ca: ca.issue("other", names=["DNS:other.test"]), 60),
    (lambda ca: ca.self_signed(), 60)], ids=["good", "expired", "future", "name", "selfsigned"])
def test_certificates(authority, make, code):
    certificate = make(authority)
    with HttpServer(tls=certificate.server_context()) as server:
        assert curl("--cacert", certificate.ca, server.url())[0] == code


def test_black_hole_swallows_and_refused_refuses(black_hole):
    assert curl(f"http://{black_hole.address}/", patience="0.4")[0] == 28
    assert curl(f"http://{refused_address()}/")[0] == 7


def test_dns_server_and_black_hole(directory):
    try:
        server = DnsServer(directory, mode=NOERROR, records={"db.test": [("A", "127.0.0.1")]})
        server.__enter__()
    except PermissionError:
        pytest.skip("port 53 needs root")
    try:
        argv = server.wrap(["/usr/bin/getent", "ahostsv4", "db.test"])
        assert subprocess.run(argv, capture_output=True).stdout.startswith(b"127.0.0.1")
        server.mode, asked = BLACK_HOLE, len(server.queries)
        with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as hanging:
            eventually(lambda: len(server.queries) > asked, within=30)
            with pytest.raises(subprocess.TimeoutExpired):
                hanging.wait(0.5)
            hanging.kill()
    finally:
        server.__exit__()


def test_private_bus(bus):
    assert "org.freedesktop.DBus" in bus.names()
    bus.freeze()
    with pytest.raises(subprocess.TimeoutExpired):
        bus.busctl("list", within=0.3)
    bus.thaw()
    bus.restart()
    assert bus.get("/org/freedesktop/DBus", "org.freedesktop.DBus", "Features",
                   name="org.freedesktop.DBus") is not None


def test_notify_socket(directory):
    with NotifySocket(directory) as notify:
        subprocess.run(["/usr/bin/systemd-notify", "--ready", "--status=fine"], check=True,
                       env={**CLEAN_ENVIRONMENT, **notify.environment})
        eventually(lambda: notify.values("READY") == ["1"])
        assert notify.values("STATUS") == ["fine"]


def test_sockets_are_passed_as_systemd_does(directory):
    with socket.create_server(("127.0.0.1", 0)) as one, \
            socket.create_server(("127.0.0.1", 0)) as two:
        argv, fds = pass_sockets(
            ["/bin/sh", "-c", 'echo "$LISTEN_FDS $LISTEN_FDNAMES $((LISTEN_PID - $$))"; '
             "ls /proc/self/fd"], {"http": one, "http-local": two})
        process = Process(argv, directory / "log", pass_fds=fds)
        assert process.wait(within=30) == 0
    assert process.log.splitlines()[0] == "2 http:http-local 0"
    assert {"3", "4"} < set(process.log.splitlines()[1:])
    assert not set(map(str, fds)) & set(process.log.splitlines()[1:])


def test_a_stopped_parent_takes_its_children_along(directory):
    code = ("import sys; sys.path.insert(0, sys.argv[1])\n"
            "from lib.process import Process\n"
            "p = Process(['/bin/sleep', '1000'], sys.argv[2])\n"
            "print(p.pid, flush=True); sys.stdin.read()")
    tests = str(__file__).rpartition("/integration/")[0]
    with subprocess.Popen(["/usr/bin/python3", "-c", code, tests, directory / "log"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        child = int(parent.stdout.readline())
        eventually(lambda: pathlib.Path(f"/proc/{child}/comm").read_text() == "sleep\n")
        parent.kill()
    eventually(lambda: not is_running(child))


def test_eventually_says_what_it_saw_last():
    start = time.monotonic()
    with pytest.raises(AssertionError, match="nothing: not within .* last: None"):
        eventually(lambda: None, within=0.05, what="nothing")
    assert time.monotonic() - start >= 0.05
