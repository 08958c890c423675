# SPDX-License-Identifier: MIT
"""A start with files at fault: their last good copies run, everywhere it is told, the rest is as
ever."""

import os
import re
import subprocess

import pytest

from lib.bus import Bus
from lib.ctl import ctl
from lib.process import eventually

GOOD = "[Check password]\nType=file\nPath=/etc/passwd\nInterval=1d\n"
BAD = GOOD.replace("Path", "Paht")
FAULT = "unknown key Paht= in [Check password]; did you mean Path=?"
SHARED = GOOD.replace("[Check password]", "[Check]")


def fault(daemon, name="services/orders.conf", line=3, text=FAULT):
    return f"{daemon.etc}/{name}:{line}: {text}"


def kept(daemon):
    return daemon.state_directory / "configuration"


def wait_kept(daemon, *words):
    """An end does not wait for a disk that is slow."""
    def is_there():
        data = kept(daemon).read_bytes()
        return all(word.encode() in data for word in words)
    eventually(is_there, within=30, what=f"a copy with {words}")


def begin(daemon, conf=None):
    """Good files, loaded once; stopped."""
    daemon.service("orders", GOOD)
    daemon.service("billing", GOOD)
    if conf is not None:
        daemon.conf(conf)
    daemon.start()
    daemon.wait_status("/health/ready", 200)
    wait_kept(daemon)
    daemon.stop()
    assert kept(daemon).read_bytes().startswith(b"vitald-configuration 1 ")
    assert kept(daemon).stat().st_mode & 0o777 == 0o600


def report(daemon, path="/health/status", local=True):
    return daemon.get(path, local=local).json


def last_good(daemon, **options):
    return report(daemon, **options).get("last_good", [])


def runs_copy(daemon, name="orders"):
    samples = daemon.metrics()
    return samples['vitald_config_last_good{service="%s"}' % name] == 1


def told(daemon):
    return re.findall(r"^(\S+) runs the last good copy of (.*) from (.+), as what there is now is "
                      r"at fault: (.*)$", daemon.log, re.MULTILINE)


def verdicts(daemon):
    return {name: daemon.get(f"/health/ready/{name}").status for name in ("orders", "billing")}


# -- a service -------------------------------------------------------------------------------------

@pytest.mark.valgrind
def test_a_bad_file_at_a_start(vitald):
    begin(vitald)
    vitald.service("orders", BAD)
    vitald.start()
    vitald.wait_status("/health/ready", 200)
    assert verdicts(vitald) == {"orders": 200, "billing": 200}
    assert vitald.show("orders/password")["Target"] == "/etc/passwd"

    ((name, what, at, why),) = told(vitald)
    assert (name, what, why) == ("orders", "its configuration", fault(vitald))
    lines = ctl(vitald, "status").splitlines()
    assert lines[0].endswith("; last good copy runs: orders")
    (line,) = [line for line in lines if line.startswith("! orders")]
    assert f"runs its last good copy, of {at}; at fault is {fault(vitald)}" in line
    assert not any(line.startswith("! billing") for line in lines)
    assert fault(vitald) in ctl(vitald, "status", "orders")
    assert "last good" not in ctl(vitald, "status", "billing")

    (item,) = last_good(vitald)
    assert item["service"] == "orders" and item["error"] == fault(vitald)
    assert item["since"].endswith("Z") and item["since"] < report(vitald)["timestamp"]
    assert last_good(vitald, path="/health/status/orders") == [item]
    assert last_good(vitald, path="/health/status/billing") == []
    # Who asks over the network does not learn names of files.
    assert "error" not in last_good(vitald, local=False)[0]
    assert runs_copy(vitald) and not runs_copy(vitald, "billing") and not runs_copy(vitald, "")
    browser = {"Accept": "text/html"}
    page = vitald.get("/", local=True, headers=browser).text
    assert "orders runs its last good copy" in page and FAULT in page
    page = vitald.get("/", headers=browser).text
    assert "orders runs its last good copy" in page and FAULT not in page
    assert fault(vitald) in vitald.get("/", local=True).text

    assert vitald.verify().returncode == 78
    # A reload of the same does not better it, nor worse.
    assert vitald.vitalctl("reload").returncode == 1
    assert runs_copy(vitald) and verdicts(vitald) == {"orders": 200, "billing": 200}
    ctl_status = ctl(vitald, "status")
    assert "last reload refused" in ctl_status and "last good copy runs: orders" in ctl_status

    vitald.service("orders", GOOD.replace("passwd", "group"))
    ctl(vitald, "reload")
    assert vitald.show("orders/password")["Target"] == "/etc/group"
    assert last_good(vitald) == [] and not runs_copy(vitald)
    assert "last good" not in ctl(vitald, "status")
    assert vitald.log.count("orders runs what its files say now, no longer a copy") == 1
    assert len(told(vitald)) == 1


def test_the_bus_tells(vitald, tmp_path):
    with Bus(tmp_path) as bus:
        vitald.bus = bus
        begin(vitald)
        before = int(kept(vitald).read_text().partition("services/orders ")[2].split()[0])
        vitald.service("orders", BAD)
        vitald.conf("[Daemon]\nNotifyRedy=checked\n")
        vitald.start()

        def properties(path, interface):
            return bus.get(path, interface, "ConfigurationError", "LastGoodTimestamp")

        path = "/org/vitald1/service/"
        assert properties(path + "orders", "org.vitald1.Service") == [fault(vitald), before]
        assert properties(path + "billing", "org.vitald1.Service") == ["", 0]
        error, since = properties("/org/vitald1", "org.vitald1.Manager")
        assert error.startswith(f"{vitald.etc}/vitald.conf:2: ") and since == before
        vitald.service("orders", GOOD)
        (vitald.etc / "vitald.conf").unlink()
        ctl(vitald, "reload")
        assert properties(path + "orders", "org.vitald1.Service") == ["", 0]
        assert properties("/org/vitald1", "org.vitald1.Manager") == ["", 0]


def test_it_stays_over_further_starts_and_a_crash(vitald):
    begin(vitald)
    vitald.service("orders", BAD)
    since = set()
    for end in (vitald.stop, vitald.kill9, vitald.stop):
        vitald.start()
        vitald.wait_status("/health/ready/orders", 200)
        since.add(last_good(vitald)[0]["since"])
        end()
    assert len(since) == 1


def test_what_a_reload_brought_is_kept(vitald):
    begin(vitald)
    vitald.start()
    vitald.service("orders", GOOD.replace("passwd", "group"))
    ctl(vitald, "reload")
    eventually(lambda: b"/etc/group" in kept(vitald).read_bytes())
    vitald.kill9()
    vitald.service("orders", BAD)
    vitald.start()
    assert vitald.show("orders/password")["Target"] == "/etc/group"


def test_what_a_reload_refused_is_not_kept(vitald):
    begin(vitald)
    before = kept(vitald).read_bytes()
    vitald.start()
    vitald.service("orders", BAD)
    vitald.service("billing", GOOD.replace("passwd", "group"))
    assert vitald.vitalctl("reload").returncode == 1
    vitald.stop()
    assert kept(vitald).read_bytes() == before


@pytest.mark.parametrize("how", ["removed", "masked"])
def test_what_is_gone_stays_gone(vitald, how):
    begin(vitald)
    path = vitald.etc / "services/orders.conf"
    path.unlink()
    if how == "masked":
        path.symlink_to("/dev/null")
    vitald.start()
    vitald.wait_status("/health/ready", 200)
    assert vitald.get("/health/ready/orders").status == 404
    assert last_good(vitald) == [] and told(vitald) == []


def test_a_drop_in_and_a_shared_check(vitald):
    vitald.write("checks/db.conf", SHARED)
    vitald.service("shop", "[Check db]\nFrom=db\n")
    begin(vitald)
    vitald.write("services/orders.conf.d/50.conf", "[Check password]\nIntervall=5s\n")
    vitald.write("checks/db.conf", SHARED.replace("Path", "Paht"))
    vitald.start()
    vitald.wait_status("/health/ready", 200)
    assert {item["service"]: item["error"] for item in last_good(vitald)} == {
        "orders": fault(vitald, "services/orders.conf.d/50.conf", 2,
                        "unknown key Intervall= in [Check password]; did you mean Interval=?"),
        "shop": fault(vitald, "services/shop.conf", 2,
                      f"From= in [Check db]: {vitald.etc}/checks/db.conf is at fault"),
    }
    assert vitald.show("shop/db")["Target"] == "/etc/passwd"
    # What is wrong with the shared check itself stands in the log.
    assert f"{vitald.etc}/checks/db.conf:3: unknown key Paht=" in vitald.log
    vitald.write("checks/db.conf", SHARED)
    vitald.write("services/orders.conf.d/50.conf", "[Check password]\nInterval=5s\n")
    ctl(vitald, "reload")
    assert last_good(vitald) == []


def test_a_credential_is_read_anew(vitald):
    """It is no fault of a file, and no copy of it is kept."""
    vitald.credential("secret", "kept-nowhere\n")
    vitald.service("orders", GOOD)
    text = ("[Check cache]\nType=redis\nAddress=127.0.0.1:1\nPasswordCredential=secret\n")
    vitald.service("cache", text)
    vitald.start()
    wait_kept(vitald, "services/cache")
    vitald.stop()
    assert b"kept-nowhere" not in kept(vitald).read_bytes()
    vitald.service("cache", text + "Intervall=5s\n")
    (vitald.credentials / "secret").unlink()
    vitald.start()
    eventually(lambda: vitald.show("cache/cache")["Reason"] == "credential")
    assert runs_copy(vitald, "cache") and vitald.get("/health/ready/orders").status == 200


# -- vitald.conf -----------------------------------------------------------------------------------

@pytest.mark.parametrize("before", [None, "[HTTP]\nDegradedStatus=503\n"])
def test_a_bad_vitald_conf(vitald, before):
    begin(vitald, conf=before)
    vitald.conf("[HTTP]\nDegradedStatos=200\n")
    vitald.start()
    vitald.wait_status("/health/ready", 200)
    (item,) = last_good(vitald)
    assert "service" not in item
    assert item["error"].startswith(f"{vitald.etc}/vitald.conf:2: unknown key DegradedStatos=")
    ((name, what, _, _),) = told(vitald)
    assert (name, what) == ("Host", "vitald.conf")
    assert runs_copy(vitald, "") and not runs_copy(vitald)
    status = ctl(vitald, "status")
    assert status.splitlines()[0].endswith("; last good copy runs: vitald.conf")
    assert "\nvitald.conf runs its last good copy, of " in status
    assert "vitald.conf runs its last good copy: " in vitald.get("/", local=True).text
    assert vitald.verify().returncode == 78
    # What was set in it is in force.
    vitald.service("orders", GOOD)
    vitald.conf(before or "[HTTP]\nDegradedStatus=200\n")
    ctl(vitald, "reload")
    assert last_good(vitald) == [] and not runs_copy(vitald, "")
    assert vitald.log.count("Host runs what vitald.conf says now, no longer a copy") == 1


# -- without a copy --------------------------------------------------------------------------------

def expect_row_1(daemon):
    daemon.wait_status("/health/ready/billing", 200)
    answer = daemon.get("/health/ready/orders", local=True)
    assert answer.status == 503 and answer.json["reason"] == "configuration"
    assert fault(daemon) in answer.text.replace('\\"', '"')
    assert last_good(daemon) == [] and not runs_copy(daemon)
    assert daemon.get("/health/live").status == 200
    assert fault(daemon) in ctl(daemon, "status", code=3)


def test_fault_01_nothing_kept(vitald):
    vitald.service("orders", BAD)
    vitald.service("billing", GOOD)
    vitald.start()
    expect_row_1(vitald)
    wait_kept(vitald, "services/billing")
    vitald.stop()
    # The good one is kept nevertheless.
    vitald.service("billing", BAD)
    vitald.start()
    vitald.wait_status("/health/ready/billing", 200)
    assert [item["service"] for item in last_good(vitald)] == ["billing"]


def body_with(old, new):
    return lambda data: sealed(data.partition(b"\n")[2].replace(old, new))


def sealed(body, version=1):
    h = 14695981039346656037
    for byte in body:
        h = (h ^ byte) * 1099511628211 % 2**64
    return b"vitald-configuration %d %d %016x\n" % (version, len(body), h) + body


SPOILT = {
    "empty": lambda data: b"",
    "cut off": lambda data: data[:-1],
    "one bit": lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
    "of another kind": lambda data: b"vitald-push" + data[len("vitald-configuration"):],
    "of the future": lambda data: sealed(data.partition(b"\n")[2], version=2),
    "well-formed nonsense": lambda data: sealed(b"nonsense\n"),
    "another name": body_with(b"services/orders", b"services/../../"),
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_file_that_is_no_use(vitald, how):
    begin(vitald)
    kept(vitald).write_bytes(SPOILT[how](kept(vitald).read_bytes()))
    vitald.service("orders", BAD)
    vitald.start()
    expect_row_1(vitald)
    assert vitald.log.count("holds no last good configuration and is left aside") == 1
    # It is replaced by what is good now.
    eventually(lambda: b"services/billing" in kept(vitald).read_bytes())


def test_a_copy_of_another_version(vitald):
    """With an option that this one does not have."""
    begin(vitald)
    data = kept(vitald).read_bytes()
    size = len(GOOD)
    at = data.index(b"services/orders ")
    old = data[at:].replace(b" %d\n" % size, b" %d\n" % (size + 8), 1) \
                   .replace(b"[Check password]\n", b"[Check password]\nFancy=1\n", 1)
    kept(vitald).write_bytes(sealed(data[data.index(b"\n") + 1:at] + old))
    vitald.service("orders", BAD)
    vitald.start()
    expect_row_1(vitald)
    assert "; its last good copy is at fault, too: " in ctl(vitald, "status", code=3)
    assert "holds no last good configuration" not in vitald.log


def test_a_copy_gives_nobody_more_rights(vitald):
    """A program that runs as vitald's own user may write to it."""
    if os.geteuid() != 0:
        pytest.skip("only root can be another user")
    good = "[Check user]\nType=exec\nCommand=/bin/true\nUser=nobody\n"
    vitald.service("billing", GOOD)
    vitald.service("orders", good)
    vitald.write("checks/db.conf", good.replace(" user", ""))
    vitald.service("shop", "[Check db]\nFrom=db\n")
    vitald.start()
    vitald.wait_status("/health/ready", 200)
    wait_kept(vitald, "services/orders", "services/shop")
    vitald.stop()
    vitald.service("orders", good.replace("User", "Usre"))
    vitald.write("checks/db.conf", "[Check]\nType=exec\nCommand=/bin/true\nUsre=root\n")
    vitald.start()
    vitald.wait_status("/health/ready/billing", 200)
    for name in "orders", "shop":
        answer = vitald.get(f"/health/ready/{name}")
        assert answer.status == 503 and answer.json["reason"] == "configuration"
    status = ctl(vitald, "status", code=3)
    assert "copy is at fault, too: " in status
    assert ":4: User= in [Check user]: is taken from the file alone, never from a copy" in status
    assert last_good(vitald) == []


# -- a state directory that is no use --------------------------------------------------------------

COMPLAINT = "Copies of the last good configuration cannot be kept in"


def complaints(daemon):
    return daemon.log.count(COMPLAINT)


def test_a_directory_that_cannot_be_made(vitald):
    vitald.service("orders", GOOD)
    vitald.state_directory.write_text("a file\n")
    vitald.start()
    vitald.wait_status("/health/ready", 200)
    eventually(lambda: complaints(vitald) == 1)
    ctl(vitald, "reload")
    vitald.stop()
    vitald.service("orders", BAD)
    vitald.start()
    assert vitald.wait_status("/health/ready", 503).json["reason"] == "configuration"


@pytest.mark.parametrize("options", ["ro", "size=4k"])
def test_a_directory_that_takes_nothing(vitald, options):
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    vitald.service("orders", GOOD)
    vitald.state_directory.mkdir()
    directory = vitald.state_directory
    script = (f'mount -t tmpfs -o {options.replace("ro", "ro,size=64k")} none "{directory}" && '
              f'{{ dd if=/dev/zero of="{directory}/full" 2>/dev/null; exec "$@"; }}')
    command = ["/usr/bin/unshare", "--mount", "/bin/sh", "-c", script, "sh"]
    if subprocess.run([*command, "true"], capture_output=True).returncode != 0:
        pytest.skip("mounting is not permitted here")
    vitald.wrap = lambda argv: [*command, *argv]
    vitald.start()
    vitald.wait_status("/health/ready", 200)
    eventually(lambda: complaints(vitald) == 1)
    ctl(vitald, "reload")
    assert vitald.get("/health/ready").status == 200
    log = vitald.directory / "vitald.log"
    vitald.stop()
    assert log.read_text().count(COMPLAINT) == 1
