# SPDX-License-Identifier: MIT
"""What a socket unit may pass: listeners of any family, and what is none is told and left alone."""

import contextlib
import os
import socket

import pytest

from lib.process import eventually


@pytest.fixture
def sockets(directory):
    """Makes sockets that are closed at the end."""
    with contextlib.ExitStack() as stack:
        yield lambda make, *args, **more: stack.enter_context(make(*args, **more))


def unix_listener(path):
    s = socket.socket(socket.AF_UNIX)
    s.bind(str(path))
    s.listen()
    return s


def connected():
    ours, theirs = socket.socketpair()
    theirs.close()
    return ours


def get(make, address):
    with make() as s:
        s.settimeout(30)
        s.connect(address)
        s.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return s.recv(4096).split()[1]


def test_listeners_of_all_families(vitald, sockets, directory):
    passed = {"http": sockets(socket.create_server, ("127.0.0.1", 0)),
              "vitald.socket": sockets(socket.create_server, ("::1", 0), family=socket.AF_INET6),
              "http-local": sockets(unix_listener, directory / "h.sock")}
    vitald.address = passed["http"].getsockname()
    vitald.start(sockets=passed)
    for listener in passed.values():
        assert get(lambda: socket.socket(listener.family), listener.getsockname()) == b"200"


def test_fault_61_what_is_no_listener_is_told_and_left_alone(vitald, sockets):
    passed = {"http": sockets(socket.create_server, ("127.0.0.1", 0)),
              "http-local": sockets(connected),
              "agent": sockets(socket.socket, socket.AF_INET, socket.SOCK_DGRAM),
              "web": sockets(socket.create_server, ("127.0.0.1", 0))}
    vitald.address = passed["http"].getsockname()
    vitald.start(sockets=passed)
    assert vitald.get("/health/live").status == 200
    for name in ("http-local", "agent"):
        assert vitald.log.count(f"({name}) passed by systemd is no listening stream socket") == 1
    assert vitald.log.count("A socket named web was passed by systemd, which is not known") == 1
    assert "None of the sockets" not in vitald.log


@pytest.mark.parametrize("change", [None, {"LISTEN_FDS": "7"}, {"LISTEN_FDS": "x"}],
                         ids=["connected", "more than there are", "no number"])
def test_fault_61_nothing_to_serve_is_no_reason_to_end(vitald, sockets, change):
    """What is passed wrongly is passed again at each start, and each probe would start it."""
    vitald.wrap = lambda argv: ["/usr/bin/env", *[f"{k}={v}" for k, v in (change or {}).items()],
                                *argv]
    vitald.start(sockets={"http": sockets(connected)}, wait=False)
    eventually(lambda: "None of the sockets passed by systemd can be served" in vitald.log)
    status = eventually(lambda: (s := vitald.vitalctl("status")).returncode == 3 and s.stdout)
    assert "Not listening on HTTP." in status
    assert os.path.exists(f"/proc/{vitald.pid}")


def test_a_file_in_the_way_is_not_touched(vitald, directory):
    """Of what has the name of a listener, only a socket that nobody serves makes room."""
    path = directory / "web"
    path.write_text("mine")
    vitald.arguments = [f"--listen={path}"]
    vitald.expected_exit_code = 1
    vitald.start(wait=False)
    eventually(lambda: vitald.process.exit_code is not None)
    assert f"Cannot listen on {path}: Address already in use" in vitald.log
    assert path.read_text() == "mine"
