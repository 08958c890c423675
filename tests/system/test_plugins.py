# SPDX-License-Identifier: MIT
"""Monitoring plug-ins in the unit's sandbox, with and without the drop-ins that give rights."""

import json
import re

import pytest

from lib.plugins import real
from lib.process import eventually
from lib.tree import read

SERVICE = "/etc/vitald/services/plugins.conf"

CHECK = """
[Check {name}]
Type=exec
Command={command}
{more}
Interval=1s
FailureThreshold=1
"""

SHOW_USER = "/bin/sh -c 'id; grep CapEff /proc/self/status; exit 2'"


def check(name, command, more=""):
    return CHECK.format(name=name, command=command, more=more)


@pytest.fixture(scope="module")
def running(vitald_host):
    vitald_host.write(SERVICE, "".join([
        check("disk", f'{real("check_disk")} -w 0% -c 0% -p /'),
        check("dummy", f'{real("check_dummy")} 2 "on purpose"'),
        check("icmp", f'{real("check_icmp")} -H 127.0.0.1 -n 1'),
        check("ping", f'{real("check_ping")} -H 127.0.0.1 -w 100,10% -c 500,50% -p 1'),
        check("tcp", f'{real("check_tcp")} -H 127.0.0.1 -p 9911'),
        check("user", SHOW_USER, "User=nobody"),
        check("deaf", "/bin/sh -c 'trap \"\" TERM; while :; do sleep 1; done'",
              "User=nobody\nTimeout=300ms"),
        check("write", "/bin/sh -c 'echo x >/home/x || exit 2'")]))
    vitald_host.systemctl("start", "vitald.socket", "vitald-local.socket", "vitald.service")
    return vitald_host


def state_of(host, name):
    """State, reason, message."""
    path = host.busctl("call", "org.vitald1", "/org/vitald1", "org.vitald1.Manager", "GetCheck",
                       "ss", "plugins", name).stdout.split('"')[1]
    return [json.loads(line)["data"] for line in host.busctl(
        "--json=short", "get-property", "org.vitald1", path, "org.vitald1.Check", "State",
        "Reason", "Message").stdout.splitlines()]


def wait_for(host, name, reason):
    """The message of the state with this reason."""
    def matches():
        state, got, message = state_of(host, name)
        assert got == reason, (state, got, message)
        return message or state
    return eventually(matches, within=60)


def leaders(host, pattern):
    """The pids of plug-ins with such a command line, without what they fork themselves."""
    shown = host.run(["ps", "-eo", "pid=,pgid=,args="]).stdout
    return {line.split()[0] for line in shown.splitlines()
            if re.search(pattern, line) and line.split()[0] == line.split()[1]}


def use(host, *names):
    """These drop-ins and no others."""
    host.run(["rm", "-rf", "/etc/systemd/system/vitald.service.d"])
    for name in names:
        host.write(f"/etc/systemd/system/vitald.service.d/{name}", read(f"data/drop-ins/{name}"))
    host.systemctl("daemon-reload")
    host.systemctl("restart", "vitald.service")


def test_without_drop_ins(running):
    """What needs no rights works; what needs them says which drop-in gives them."""
    eventually(lambda: state_of(running, "disk")[0] == "healthy")
    eventually(lambda: state_of(running, "tcp")[0] == "healthy")
    assert "on purpose" in wait_for(running, "dummy", "exit-code/2")
    assert "exec-icmp.conf" in wait_for(running, "icmp", "exec")
    assert "exec-user.conf" in wait_for(running, "user", "exec/user")
    assert "cannot create" in wait_for(running, "write", "exit-code/2")


def test_raw_packets(running):
    use(running, "exec-icmp.conf")
    eventually(lambda: state_of(running, "icmp")[0] == "healthy")
    eventually(lambda: state_of(running, "disk")[0] == "healthy")


def test_another_user(running):
    """Which gets none of the rights that made it possible, and which can be killed."""
    use(running, "exec-user.conf")
    message = wait_for(running, "user", "exit-code/2")
    assert "uid=65534" in message
    assert "deaf" not in wait_for(running, "deaf", "timeout")
    eventually(lambda: state_of(running, "disk")[0] == "healthy")
    assert running.show("vitald.service", "NRestarts") == "0"
    # Never two, although each is deaf to SIGTERM. Who is there at two looks was there between.
    before = eventually(lambda: leaders(running, "trap .. TERM"))
    for _ in range(20):
        now = leaders(running, "trap .. TERM")
        assert len(before & now) <= 1, (before, now)
        before = now


def test_both(running):
    use(running, "exec-icmp.conf", "exec-user.conf")
    eventually(lambda: state_of(running, "icmp")[0] == "healthy")
    assert "uid=65534" in wait_for(running, "user", "exit-code/2")


def test_no_right_of_vitald_is_handed_on(running):
    running.write(SERVICE, check("caps", "/bin/sh -c 'grep CapEff /proc/self/status; exit 2'")
                  + check("other", "/bin/sh -c 'grep CapEff /proc/self/status; exit 2'",
                          "User=nobody"))
    use(running, "exec-user.conf")
    for name in ("caps", "other"):
        assert wait_for(running, name, "exit-code/2") == "CapEff: 0000000000000000"


def test_a_killed_vitald_leaves_no_plugin(running):
    running.write(SERVICE, check("slow", "/bin/sleep 98765", "Timeout=1min"))
    use(running, "exec-user.conf")
    before = eventually(lambda: leaders(running, "/bin/sleep 98765"))
    running.systemctl("kill", "--kill-whom=main", "--signal=KILL", "vitald.service")
    eventually(lambda: running.show("vitald.service", "NRestarts") != "0")
    eventually(lambda: not before & leaders(running, "/bin/sleep 98765"))
