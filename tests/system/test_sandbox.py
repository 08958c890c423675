# SPDX-License-Identifier: MIT
"""What the unit's hardening must leave: real figures, names, sockets, the journal."""

import json
import pathlib
import re

import pytest

from lib.dns import NOERROR, DnsServer
from lib.kafka import KafkaCluster
from lib.peers import HttpServer
from lib.process import eventually
from lib.tree import read
from lib.vitald import fetch

SERVICES = "/etc/vitald/services"
NAME = "app.vitald.test"

DISK = """
[Check {name}]
Type=disk
Path={path}
MinFree={min_free}
MinFreeInodes=0
FailureThreshold=1
"""


PATHS = ("/", "/home", "/srv", "/tmp", "/var/lib")


def name_of(path):
    return path.strip("/").replace("/", "_") or "root"


@pytest.fixture(scope="module")
def host(host):
    # File systems that differ from all others by their sizes.
    for path, size in (("/home", "101m"), ("/srv", "102m")):
        host.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", path])
    host.run(["mkdir", "-m", "700", "/home/someone"])
    host.run(["dd", "if=/dev/zero", "of=/home/someone/big", "bs=1M", "count=60", "status=none"])
    return host


@pytest.fixture(scope="module")
def running(vitald_host, tmp_path_factory):
    with vitald_host.network():
        server = HttpServer()
        server.start()
        dns = DnsServer(tmp_path_factory.mktemp("dns"), NOERROR, {NAME: [("A", "127.0.0.1")]})
        dns.__enter__()
    vitald_host.write("/etc/resolv.conf", f"nameserver {dns.address}\n")
    vitald_host.write(f"{SERVICES}/disks.conf", "".join(
        DISK.format(name=name_of(path), path=path, min_free="1K") for path in PATHS)
        + DISK.format(name="full", path="/home", min_free="50M"))
    vitald_host.write(f"{SERVICES}/host-named.conf",
                      f"[Check app]\nType=http\nURL=http://{NAME}:{server.port}/\n"
                      "Interval=300ms\nFailureThreshold=1\n[Check memory]\nType=memory\n")
    vitald_host.write("/etc/vitald/credentials/mq", "x", mode=0o600)
    vitald_host.systemctl("start", "vitald.socket", "vitald-local.socket", "vitald.service")
    eventually(lambda: vitald_host.get("/health/started").status == 200)
    vitald_host.server = server
    yield vitald_host
    server.close()
    dns.__exit__()


def check(host, service, name):
    """State, and values by their name."""
    path = host.busctl("call", "org.vitald1", "/org/vitald1", "org.vitald1.Manager", "GetCheck",
                       "ss", service, name).stdout.split('"')[1]
    state, values = (json.loads(line)["data"] for line in host.busctl(
        "--json=short", "get-property", "org.vitald1", path, "org.vitald1.Check", "State",
        "Values").stdout.splitlines())
    return state, {name: number for name, number, _ in values}


def statvfs(host, path):
    """As root outside of every sandbox."""
    script = ("import os, sys; s = os.statvfs(sys.argv[1]); "
              "print(s.f_blocks * s.f_frsize, s.f_bavail * s.f_frsize)")
    return map(int, host.run(["/usr/bin/python3", "-c", script, path]).stdout.split())


@pytest.mark.parametrize("path", PATHS)
def test_disks_are_measured_as_they_are(running, path):
    total, free = statvfs(running, path)
    state, values = check(running, "disks", name_of(path))
    assert state == "healthy"
    assert values["total"] == total
    assert abs(values["free"] - free) < max(0.02 * total, 2**20)


def test_a_full_disk_below_home_is_seen(running):
    state, values = check(running, "disks", "full")
    assert state == "unhealthy" and values["free"] < 50 * 2**20
    answer = running.get("/health/ready/disks")
    assert answer.json["checks"]["full"]["reason"] == "threshold"


def test_memory_is_measured_as_it_is(running):
    def is_right():
        """Others use the memory, too: as little as possible comes between the two looks at it."""
        running.run(["vitalctl", "run", "host-named/memory"])
        meminfo = dict(line.split(":") for line in
                       pathlib.Path("/proc/meminfo").read_text().splitlines())
        kib = {name: int(meminfo[name].split()[0]) for name in ("MemTotal", "MemAvailable")}
        state, values = check(running, "host-named", "memory")
        assert state == "healthy" and values["total"] == kib["MemTotal"] * 1024
        return abs(values["available"] - kib["MemAvailable"] * 1024) < 0.05 * values["total"]
    eventually(is_right)


def test_names_are_resolved(running):
    assert check(running, "host-named", "app")[0] == "healthy"
    assert running.server.requests[0].headers["host"] == f"{NAME}:{running.server.port}"


def test_a_name_in_etc_hosts_is_found(running):
    running.write("/etc/hosts", "127.0.0.1 localhost\n127.0.0.1 printed.vitald.test\n")
    running.write(f"{SERVICES}/printed.conf", "[Check app]\nType=tcp\n"
                  f"Address=printed.vitald.test:{running.server.port}\n")
    running.systemctl("reload", "vitald.service")
    eventually(lambda: running.get("/health/ready/printed").status == 200)
    running.run(["rm", f"{SERVICES}/printed.conf"])
    running.systemctl("reload", "vitald.service")


MODULES = {"amqp": "Source=x", "kafka": "Topic=x", "mysql": "Username=x",
           "rabbitmq": "Username=x\nPasswordCredential=mq"}


def test_modules_are_loaded_and_run(running, tmp_path):
    """Their libraries, with threads of their own, in the sandbox: nobody is there, and one is."""
    assert sorted(MODULES) == re.findall(r"^MODULE\((\w+)\)", read("src/check/drivers.def"), re.M)
    def reason(name):
        return running.get("/health/ready/modules").json["checks"][name].get("reason")
    with running.network():
        cluster = KafkaCluster(tmp_path)
        cluster.start()
    cluster("topic orders 2 1")
    running.write(f"{SERVICES}/modules.conf", "".join(
        f"[Check {name}]\nType={name}\nAddress=127.0.0.1:1\n{line}\nFailureThreshold=1\n"
        for name, line in MODULES.items())
        + f"[Check there]\nType=kafka\nAddress={cluster.address}\nTopic=orders\n")
    running.systemctl("reload", "vitald.service")
    eventually(lambda: check(running, "modules", "there")[0] == "healthy")
    eventually(lambda: {reason(name) for name in MODULES} == {"refused"}, within=60)
    running.run(["rm", f"{SERVICES}/modules.conf"])
    running.systemctl("reload", "vitald.service")
    cluster.close()


def test_all_listeners_answer(running):
    assert running.get("/health/live").status == 200
    assert running.get("/health/live", address="::1").status == 200
    assert running.get_local("/health/live").status == 200
    with running.network(), pytest.raises(OSError):
        fetch(("127.0.0.1", 9912), "/health/live")


def test_transitions_stand_in_the_journal_with_fields_and_catalog(running):
    running.server.close()
    eventually(lambda: running.get("/health/ready/host-named").status == 503)
    with running.network():
        running.server.start()
    eventually(lambda: running.get("/health/ready/host-named").status == 200)
    match = ["VITALD_SERVICE=host-named", "VITALD_CHECK=app"]
    entries = eventually(lambda: [e for e in running.journal(*match)
                                  if e["VITALD_STATE"] == "unhealthy"])
    (entry,) = entries
    assert entry["_SYSTEMD_UNIT"] == "vitald.service"
    assert entry["VITALD_REASON"] == "refused" and entry["VITALD_PREVIOUS_STATE"] == "healthy"
    assert entry["PRIORITY"] == "4" and entry["SYSLOG_IDENTIFIER"] == "vitald"
    assert len(entry["MESSAGE_ID"]) == 32
    assert [e["VITALD_STATE"] for e in running.journal(*match)] == \
        ["healthy", "unhealthy", "healthy"]
    shown = running.run(["journalctl", "-x", "--no-pager", *match]).stdout
    assert "Subject: Check host-named/app is unhealthy" in shown
    assert "Documentation: man:vitald.services(5)" in shown
    assert "Look at it with: vitalctl show host-named/app" in shown
    assert "@VITALD_" not in shown
    # Verdicts are there by service.
    shown = running.run(["journalctl", "-x", "--no-pager", "VITALD_PROBE=readiness",
                         "VITALD_SERVICE=host-named"]).stdout
    assert "Subject: Service host-named is not ready" in shown


def test_exposure_and_identity(running):
    score = running.run(["systemd-analyze", "security", "--no-pager", "vitald.service"]).stdout
    assert float(score.rsplit("exposure level for vitald.service: ")[1].split()[0]) <= 1.5
    pid = running.show("vitald.service", "MainPID")
    status = dict(line.split(":\t", 1) for line in running.run(
        ["cat", f"/proc/{pid}/status"]).stdout.splitlines() if ":\t" in line)
    vitald = running.run(["id", "-u", "vitald"]).stdout.strip()
    assert set(status["Uid"].split()) == {vitald}
    assert all(int(status[name], 16) == 0 for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb"))
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"


def test_the_sandbox_logs_no_denials(running):
    words = [m for m in running.messages("vitald.service")
             if any(w in m.lower() for w in ("denied", "not permitted", "read-only"))]
    assert words == []
    assert running.show("vitald.service", "NRestarts") == "0"
