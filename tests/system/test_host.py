# SPDX-License-Identifier: MIT
"""The harness itself: what the other system tests take for granted of a host without vitald."""

import os
import pathlib
import socket
import time

from lib import host as hosts
from lib.host import Host
from lib.process import PATIENCE, eventually, is_running


def test_boots_soon_and_leaves_nothing_behind(host):
    before = time.monotonic()
    with Host() as second:
        assert time.monotonic() - before < 60       # systemd gives up waiting after 90.
        assert second.run(["cat", "/proc/1/comm"]).stdout == "systemd\n"
        # Two hosts do not meet.
        second.write("/etc/only-here", "x")
        assert not (host.root / "etc/only-here").exists()
        pid, directory, cgroup = second.pid, second.directory, second.cgroup
    assert not is_running(pid)
    assert not directory.exists() and not cgroup.exists()
    assert not pathlib.Path("/etc/only-here").exists()


def test_is_a_healthy_system(host):
    assert host.systemctl("is-system-running").stdout == "running\n"
    assert host.systemctl("--failed", "--no-legend").stdout.strip() == ""
    assert host.busctl("status", "org.freedesktop.systemd1").returncode == 0


def test_redis_and_postgresql_are_units_of_the_host(host):
    assert host.show("redis-server.service", "ActiveState") == "active"
    with host.network():
        with socket.create_connection(("127.0.0.1", 6379)) as s:
            s.sendall(b"PING\r\n")
            assert s.recv(100) == b"+PONG\r\n"
    eventually(lambda: host.run(["psql", "-XAtc", "SELECT 1"], user="postgres").stdout == "1\n")
    host.systemctl("restart", "redis-server.service")
    assert host.show("redis-server.service", "ActiveState") == "active"


def test_network_is_its_own(host):
    with host.network():
        inside = os.readlink("/proc/thread-self/ns/net")
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            listening = host.run(["ss", "-Hltn", f"sport = :{port}"]).stdout
            assert f":{port} " in listening
    assert os.readlink("/proc/thread-self/ns/net") != inside


def test_watchdog_kills_and_restarts(host):
    host.systemctl("reset-failed", check=False)
    host.run(["systemd-run", "--unit=sleepy", "-p", "Type=notify", "-p", "WatchdogSec=300ms",
              "-p", "NotifyAccess=all", "-p", "Restart=always", "-p", "WatchdogSignal=SIGKILL",
              "/bin/sh", "-c", "systemd-notify --ready; exec sleep 1000"])
    try:
        eventually(lambda: int(host.show("sleepy.service", "NRestarts")) >= 1)
        assert any("Watchdog timeout" in m for m in host.messages("sleepy.service"))
    finally:
        host.systemctl("stop", "sleepy.service")


def test_sandbox_and_credentials_work(host):
    host.write("/etc/credstore.test/token", "secret\n", mode=0o600)
    done = host.run(["systemd-run", "--wait", "--pipe", "-q", "-p", "User=nobody",
                     "-p", "ProtectSystem=strict", "-p", "SystemCallFilter=@system-service",
                     "-p", "LoadCredential=app:/etc/credstore.test", "/bin/sh", "-c",
                     'cat "$CREDENTIALS_DIRECTORY/app_token"; touch /etc/x'], check=False)
    assert done.stdout == "secret\n"
    assert "Read-only file system" in done.stderr
    assert done.returncode != 0


def test_socket_activation_works(host):
    host.write("/run/systemd/system/echo.socket",
               "[Socket]\nListenStream=127.0.0.1:7\nAccept=yes\n")
    host.write("/run/systemd/system/echo@.service",
               "[Service]\nExecStart=/bin/cat\nStandardInput=socket\n")
    host.systemctl("daemon-reload")
    host.systemctl("start", "echo.socket")
    try:
        with host.network():
            with socket.create_connection(("127.0.0.1", 7), timeout=PATIENCE) as s:
                s.sendall(b"hello")
                assert s.recv(5) == b"hello"
    finally:
        host.systemctl("stop", "echo.socket")


def test_says_why_when_it_cannot_boot(monkeypatch):
    monkeypatch.setattr(hosts.os, "geteuid", lambda: 1000)
    assert "root" in hosts.why_not()
