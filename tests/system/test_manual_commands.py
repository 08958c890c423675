# SPDX-License-Identifier: MIT
"""What vitald(8) tells an administrator to type, typed on a host."""

import re

import pytest

from lib.process import eventually
from lib.tree import read

SERVICE = "/etc/vitald/services/orders.conf"
GOOD = "[Check disk]\nType=disk\nMinFree=1K\n"
CREDENTIALS = "/etc/vitald/credentials"


def commands(title):
    """The lines with a prompt of root in one section of the page."""
    section = re.search(rf"^\.Sh {title}\n(.*?)^\.Sh ", read("man/vitald.8"), re.M | re.S).group(1)
    return [line[2:] for line in section.splitlines() if line.startswith("# ")]


@pytest.fixture(scope="module")
def running(vitald_host):
    vitald_host.write(SERVICE, GOOD)
    vitald_host.run(["vitald", "--verify"])
    enable = next(c for c in commands("FIRST STEPS") if c.startswith("systemctl enable"))
    vitald_host.run(enable.split())
    return vitald_host


def is_ready(host, **options):
    answer = host.get("/health/ready", **options)
    return answer.status == 200 and answer.json["checks"]["orders/disk"]["healthy"]


def test_first_steps_lead_to_a_ready_host(running):
    eventually(lambda: is_ready(running))
    assert ": READY (200)" in running.run(["vitalctl", "status"]).stdout
    assert running.get_local("/health/status").json["status"] == "UP"


def test_a_reload_of_a_bad_file_fails_and_changes_nothing(running):
    running.write(SERVICE, GOOD + "Pth=/\n")
    assert running.systemctl("reload", "vitald", check=False).returncode == 1
    assert f"{SERVICE}:4:" in running.run(["vitalctl", "reload"], check=False).stderr
    eventually(lambda: f"{SERVICE}:4:" in running.show("vitald.service", "StatusText"))
    assert is_ready(running)
    assert running.run(["vitald", "--verify"], check=False).returncode == 78
    running.write(SERVICE, GOOD)
    running.systemctl("reload", "vitald")


def test_log_level(running):
    running.systemctl("service-log-level", "vitald", "debug")
    assert running.systemctl("service-log-level", "vitald").stdout.strip() == "debug"
    running.systemctl("service-log-level", "vitald", "info")


def test_other_addresses(running):
    drop_in = re.search(r"^\[Socket\]\n.*?(?=^\.Ed)", read("man/vitald.8"), re.M | re.S).group()
    address = re.findall(r"^ListenStream=([\d.]+):9911$", drop_in, re.M)[-1]
    running.write("/etc/systemd/system/vitald.socket.d/address.conf", drop_in)
    for command in commands("OTHER ADDRESSES"):
        running.run(command.split())
    # Only now does the host get it.
    running.run(["ip", "address", "add", f"{address}/32", "dev", "lo"])
    eventually(lambda: is_ready(running, address=address))
    assert is_ready(running)
    for _ in range(6):
        running.systemctl("restart", "vitald.socket", "vitald.service")
    eventually(lambda: is_ready(running, address=address))


def test_a_credential_that_is_added_needs_a_restart(running):
    running.write(SERVICE, GOOD + "[Check api]\nType=http\nURL=http://127.0.0.1:9911/livez\n"
                  "HeaderCredential=Authorization: orders-token\n")
    running.systemctl("reload", "vitald")
    eventually(lambda: "Credential orders-token not configured" in
               running.run(["vitalctl", "show", "orders/api"], check=False).stdout)
    running.write(f"{CREDENTIALS}/orders-token", "Bearer x\n", mode=0o600)
    running.systemctl("restart", "vitald")
    eventually(lambda: running.get("/health/ready").json["checks"]["orders/api"]["healthy"])
    running.write(SERVICE, GOOD)
    running.systemctl("reload", "vitald")


def test_without_the_directory_of_credentials_the_unit_fails_with_243(running):
    running.run(["rm", "-r", CREDENTIALS])
    try:
        assert running.systemctl("restart", "vitald", check=False).returncode == 1
        # It is tried again and again, and for the time of each start there is none.
        eventually(lambda: running.show("vitald.service", "ExecMainStatus") == "243")
    finally:
        running.run(["systemd-tmpfiles", "--create", "vitald.conf"])
    assert running.run(["stat", "-c", "%a %U", CREDENTIALS]).stdout == "700 root\n"
    eventually(lambda: running.show("vitald.service", "ActiveState") == "active")
    eventually(lambda: is_ready(running))


def test_the_local_socket_is_for_the_group(running):
    ask = ["curl", "-s", "--unix-socket", "/run/vitald/http.sock", "http://localhost/livez"]
    assert running.run(ask, user="nobody", check=False).returncode != 0
    running.run(["usermod", "-a", "-G", "vitald", "nobody"])
    assert running.run(ask, user="nobody").stdout == '{"status":"alive"}\n'
