# SPDX-License-Identifier: MIT
"""ExecStop=vitalctl drain as the manual prints it: real units behind a real HAProxy, under load."""

import csv
import io
import re
import shlex
import socket
import time

import pytest

from lib.probes import ProbeLoad
from lib.process import PATIENCE, SLOWNESS, eventually, hurry
from lib.tree import need, read
from lib.units import add_units, main_pid

PORTS = {"orders": 8080, "billing": 8081}
FRONT = 8000
AT_ONCE = 25        # Less than --timeout= of the drain.

NGINX = """
user root; pid /run/{name}.pid; error_log /run/{name}.log; worker_processes 1;
events {{}}
http {{
    access_log off;
    server {{ listen 127.0.0.1:{port}; keepalive_requests 1000000;
              location / {{ return 200 "ok"; }} }}
}}
"""

# nginx forks once it listens.
UNIT = ("[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=forking\nPIDFile=/run/{name}.pid\n"
        "ExecStart={nginx} -c /etc/{name}.nginx\n")

HAPROXY = """
global
    stats socket /run/haproxy.test mode 600 level admin
defaults
    mode http
    timeout connect 1s
    timeout client 20s
    timeout server 20s
    timeout check 5s
frontend front
    bind 127.0.0.1:8000
    default_backend farm
backend farm
    retries 0
    server orders 127.0.0.1:8080 track orders/s
    server billing 127.0.0.1:8081 track billing/s
backend orders
    option httpchk
    http-check send meth GET uri /health/ready/orders ver HTTP/1.1 hdr Host x
    http-check expect status 200
    server s 127.0.0.1:8080 check port 9911 inter 50ms fall 3 rise 1
backend billing
    option httpchk
    http-check send meth GET uri /health/ready/billing ver HTTP/1.1 hdr Host x
    http-check expect status 200
    server s 127.0.0.1:8081 check port 9911 inter 50ms fall 3 rise 1
"""


def printed(page, what):
    """The example of the manual that holds this, as its reader sees it."""
    blocks = re.findall(r"^\.Bd -literal[^\n]*\n(.*?)^\.Ed", read(page), re.MULTILINE | re.DOTALL)
    found, = (b for b in blocks if what in b)
    return found.replace(r"\e", "\\").replace(r"\&", "")


DROP_IN = printed("man/vitalctl.1", "ExecStop=")
COMMAND = re.search(r"^ExecStop=-((?:.*\\\n)*.*)", DROP_IN,
                    re.MULTILINE).group(1).replace("\\\n", " ")
SERVICE = printed("man/vitald.8", "Unit=orders.service\n\n[Check http]")


def for_service(text, name):
    return text.replace("orders", name).replace("8080", str(PORTS[name]))


def test_both_pages_print_the_same():
    assert DROP_IN == printed("man/vitald.8", "ExecStop=")


@pytest.fixture(scope="module")
def farm(vitald_host):
    """Two backends, started, and HAProxy in front of them."""
    nginx = need("nginx")
    haproxy = need("haproxy")
    for name, port in PORTS.items():
        vitald_host.write(f"/etc/{name}.nginx", NGINX.format(name=name, port=port))
        vitald_host.write(f"/etc/vitald/services/{name}.conf", for_service(SERVICE, name))
    vitald_host.write("/etc/haproxy.test", HAPROXY)
    add_units(vitald_host, {f"{name}.service": UNIT.format(name=name, nginx=nginx)
                            for name in PORTS} |
              {"balancer.service": f"[Service]\nExecStart={haproxy} -db -f /etc/haproxy.test\n"})
    vitald_host.systemctl("start", "vitald.socket", "vitald-local.socket", "vitald.service",
                          "orders.service", "billing.service", "balancer.service")
    # A drain leaves it a fifth of a second to act; that it waits for the processor is not ours.
    hurry(main_pid(vitald_host, "balancer.service"))
    return vitald_host


def set_drain(host, is_on):
    for name in PORTS:
        path = host.root / f"etc/systemd/system/{name}.service.d/drain.conf"
        path.parent.mkdir(exist_ok=True)
        path.write_text(for_service(DROP_IN, name) if is_on else "")
    host.systemctl("daemon-reload")


@pytest.fixture
def drained(farm):
    set_drain(farm, True)
    eventually(lambda: up(farm) == set(PORTS))
    return farm


@pytest.fixture
def undrained(farm):
    set_drain(farm, False)
    eventually(lambda: up(farm) == set(PORTS))
    return farm


def up(host):
    """What HAProxy sends requests to."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(PATIENCE * SLOWNESS)
        s.connect(str(host.root / "run/haproxy.test"))
        s.sendall(b"show stat\n")
        text = b"".join(iter(lambda: s.recv(65536), b"")).decode()
    rows = csv.DictReader(io.StringIO(text.removeprefix("# ")))
    return {r["svname"] for r in rows if r["pxname"] == "farm" and r["svname"] in PORTS
            and r["status"].startswith("UP")}


def load_on(host):
    """Clients that ask for as long as it lasts, on connections that they keep."""
    return ProbeLoad(("127.0.0.1", FRONT), "/", within=host.network, pause=0.001, keeps=True,
                     patience=20 * SLOWNESS)


def restart_in_turn(host, times):
    for i in range(times):
        name = list(PORTS)[i % 2]
        host.systemctl("restart", f"{name}.service")
        eventually(lambda: up(host) == set(PORTS), within=60)


@pytest.mark.time_limit(900)
def test_fifty_restarts_without_a_failed_request(drained):
    before = drained.show("orders.service", "InvocationID")
    with load_on(drained) as load:
        restart_in_turn(drained, 50)
        load.wait_for(20000 - load.count, within=400)
    assert set(load.answers) == {200} and not load.failures
    assert drained.show("orders.service", "InvocationID") != before
    assert drained.show("orders.service", "Result") == "success"
    # Each stop was one of this drain, and none of them ran out of time.
    drains = [m for m in drained.messages("vitald.service")
              if re.search(r" is not ready: drained by \S+: unit stops$", m)]
    assert len(drains) == 50, drains
    stops = drained.messages("orders.service") + drained.messages("billing.service")
    assert len([m for m in stops if "prober has read 503 3 times" in m]) == 50


def test_the_same_without_a_drain_fails_requests(undrained):
    def fails():
        restart_in_turn(undrained, 2)
        return load.failures or set(load.answers) != {200}
    with load_on(undrained) as load:
        eventually(fails, within=60)


# -- without vitald --------------------------------------------------------------------------------

def stop_and_start(host):
    began = time.monotonic()
    host.systemctl("stop", "orders.service")
    took = time.monotonic() - began
    assert host.show("orders.service", "Result") == "success"
    host.systemctl("start", "orders.service")
    return took


def test_vitald_is_not_there(drained):
    """The stop goes on at once; the dash makes nothing of the exit status, 69."""
    drained.systemctl("stop", "vitald.socket", "vitald-local.socket", "vitald.service")
    try:
        assert stop_and_start(drained) < AT_ONCE * SLOWNESS
        assert drained.run(shlex.split(COMMAND), check=False).returncode == 69
        assert drained.show("vitald.service", "ActiveState") == "inactive"
    finally:
        drained.systemctl("start", "vitald.socket", "vitald-local.socket", "vitald.service")
    assert any("vitald cannot be reached" in m for m in drained.messages("orders.service"))


def test_vitald_hangs(drained):
    drained.drop_in("vitald.service", "[Service]\nWatchdogSec=0\n")
    drained.systemctl("restart", "vitald.service")
    pid = drained.show("vitald.service", "MainPID")
    drained.run(["kill", "-STOP", pid])
    try:
        assert stop_and_start(drained) < AT_ONCE * SLOWNESS
        assert any("vitald is there, but does not answer" in m
                   for m in drained.messages("orders.service"))
    finally:
        drained.run(["kill", "-CONT", pid])
        drained.drop_in("vitald.service", "")
