# SPDX-License-Identifier: MIT
"""Transitions in the log: one message each, its text, its fields, and its entry in the catalog."""

import os
import re
import socket
import subprocess

import pytest

from bus_server import BusServer
from lib.process import eventually
from lib.vitald import SOURCE

CATALOG = SOURCE / "data/vitald.catalog"
FOR_EVER = 2**64 - 1


def lines(server, start=0):
    return server.log.splitlines()[start:]


@pytest.fixture
def server(directory):
    with BusServer(directory / "server", services=1) as s:
        yield s


def test_each_transition_is_one_line(server):
    assert lines(server) == []          # Nothing has changed yet.
    server.order("all pass")
    assert lines(server) == [
        "s000/a-1 is healthy", "s000/b is healthy", "s000/push is healthy",
        "s000 is ready", "s000 has started", "Host is ready", "Host has started"]
    server.order("result 0 pass")
    server.order("result 0 fail")
    server.order("result 0 fail")
    server.order("result 0 error")
    assert lines(server, 7) == [
        "s000/a-1 is unhealthy: Connection refused",
        "s000 is not ready because of a-1", "Host is not ready because of s000"]
    server.order("result 0 pass")
    back = lines(server, 10)
    assert re.fullmatch(r"s000/a-1 is healthy again, was unhealthy for \S+", back[0])
    assert back[1:] == ["s000 is ready", "Host is ready"]
    server.order("result 0 warn")
    assert lines(server, 13) == ["s000/a-1 is degraded: tight", "s000 is ready, but degraded",
                                 "Host is ready, but degraded"]


def test_liveness_and_what_is_not_critical(server):
    server.order("all pass")
    for _ in range(3):
        server.order("result 1 fail")
    assert lines(server, 7) == [
        "s000/b is unhealthy: Connection refused", "s000 is ready, but degraded",
        "Host is ready, but degraded",
        "s000 is dead because of b", "Host is dead because of s000"]
    server.order("result 1 pass")
    assert lines(server, 13) == ["s000 is ready", "s000 is alive again", "Host is ready",
                                 "Host is alive again"]


def test_decisions_name_who_and_why(server):
    from gi.repository import GLib
    server.order("all pass")
    with server.peer() as peer:
        peer.call("/org/vitald1/service/s000", "org.vitald1.Service", "Drain",
                  GLib.Variant("(ts)", (FOR_EVER, "kernel update")))
        assert lines(server, 7) == ["s000 is not ready: drained by root: kernel update",
                                    "Host is not ready because of s000"]
        peer.call("/org/vitald1/service/s000", "org.vitald1.Service", "Undrain")
        peer.call("/org/vitald1/service/s000/check/a_2d1", "org.vitald1.Check", "Override",
                  GLib.Variant("(sts)", ("unhealthy", FOR_EVER, "drill")))
        log = lines(server, 9)
        assert "s000/a-1 is unhealthy (overridden by root: drill)" in log
        assert ("s000/a-1 is shown as unhealthy by decision of root, until that is cleared: drill; "
                "measured healthy") in log
        before = len(lines(server))
        peer.call("/org/vitald1/service/s000/check/a_2d1", "org.vitald1.Check", "ClearOverride")
        assert "s000/a-1 is no longer overridden, cleared by root: healthy" in lines(server, before)


def test_an_override_that_changes_nothing_is_told_too(server):
    from gi.repository import GLib
    server.order("all pass")
    before = len(lines(server))
    check = "/org/vitald1/service/s000/check/a_2d1", "org.vitald1.Check"
    with server.peer() as peer:
        peer.call(*check, "Override", GLib.Variant("(sts)", ("pass", 10**9, "")))
        assert [re.sub(r"16min \d+s", "16min", line) for line in lines(server, before)] == [
            "s000/a-1 is shown as healthy by decision of root, for 16min; measured healthy"]
        # Another note is another decision.
        peer.call(*check, "Override", GLib.Variant("(sts)", ("pass", 10**9, "so there")))
        assert lines(server, before + 1)[0].endswith(": so there; measured healthy")
        peer.call(*check, "ClearOverride")
        peer.call(*check, "ClearOverride")
        assert lines(server, before + 2) == [
            "s000/a-1 is no longer overridden, cleared by root: healthy"]


def test_a_reload_logs_what_is_new_only_once_it_is_known(server):
    server.order("all pass")
    before = len(lines(server))
    server.order("reload 2")
    server.order("reload 2")
    assert [line for line in lines(server, before) if "s000" in line] == []
    server.order("all pass")
    assert lines(server, before).count("s001/a-1 is healthy") == 1


# -- fields and catalog --


@pytest.fixture
def journal(directory):
    """A socket in the journal's place, in a mount namespace of the server's own."""
    if os.geteuid() != 0:
        pytest.skip("only root can put a socket in the journal's place")
    place = directory / "journal"
    place.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(str(place / "socket"))
        s.settimeout(5)
        yield s, place


def records(receiver):
    """What has arrived, as dictionaries."""
    receiver.setblocking(False)
    found = []
    try:
        while True:
            text = receiver.recv(65536).decode()
            found.append(dict(line.split("=", 1) for line in text.splitlines()))
    except BlockingIOError:
        return found


def start_with_journal(directory, place):
    server = BusServer(directory / "server", services=1)
    script = ("mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal && "
              f'mount --bind {place} /run/systemd/journal && exec "$@"')
    server.wrap = lambda argv: ["/usr/bin/unshare", "--mount", "/bin/sh", "-c", script, "sh", *argv]
    server.log_path.touch()
    st = os.stat(server.log_path)
    server.environment = {"JOURNAL_STREAM": f"{st.st_dev}:{st.st_ino}"}
    return server


def test_fields(directory, journal):
    receiver, place = journal
    with start_with_journal(directory, place) as server:
        server.order("all pass")
        assert not any("DOCUMENTATION" in record for record in records(receiver))
        server.order("result 0 fail")
        told = []

        def all_told():
            told.extend(records(receiver))
            return len(told) >= 3
        eventually(all_told)
        check, service, host = told
        assert server.log == ""
    check.pop("MESSAGE_ID")
    assert check == {
        "PRIORITY": "4", "SYSLOG_IDENTIFIER": "bus-server",
        "MESSAGE": "s000/a-1 is unhealthy: Connection refused", "VITALD_SERVICE": "s000",
        "VITALD_CHECK": "a-1", "VITALD_STATE": "unhealthy", "VITALD_PREVIOUS_STATE": "healthy",
        "VITALD_REASON": "refused", "DOCUMENTATION": "https://wiki/s"}
    assert (service["VITALD_PROBE"], service["VITALD_STATE"], service["VITALD_CAUSE"]) == (
        "readiness", "not_ready", "a-1")
    assert "VITALD_SERVICE" not in host and host["VITALD_STATE"] == "not_ready"
    ids = set(re.findall(r"^-- ([0-9a-f]{32})$", CATALOG.read_text(), re.MULTILINE))
    assert {service["MESSAGE_ID"], host["MESSAGE_ID"]} <= ids


def test_catalog_is_complete_and_taken(directory):
    code = "".join(path.read_text() for path in (SOURCE / "src/output").glob("journal*.c"))
    in_code = set(re.findall(r'"([0-9a-f]{32})"', code))
    in_catalog = re.findall(r"^-- ([0-9a-f]{32})$", CATALOG.read_text(), re.MULTILINE)
    assert len(in_code) > 10 and sorted(in_code) == sorted(in_catalog)
    place = directory / "root/usr/lib/systemd/catalog"
    place.mkdir(parents=True)
    (place / "vitald.catalog").write_text(CATALOG.read_text())
    done = subprocess.run(["/usr/bin/journalctl", f"--root={directory}/root", "--update-catalog"],
                          capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    listed = subprocess.run(["/usr/bin/journalctl", f"--root={directory}/root", "--list-catalog"],
                            capture_output=True, text=True).stdout.splitlines()
    assert {line.split()[0] for line in listed} == in_code


def test_catalog_uses_only_fields_that_its_message_has(directory):
    """A field that is missing shows as nothing in the middle of a sentence."""
    for entry in re.split(r"^-- ", CATALOG.read_text(), flags=re.MULTILINE)[1:]:
        subject = re.search(r"^Subject: (.*)$", entry, re.MULTILINE).group(1)
        fields = set(re.findall(r"@(\w+)@", entry))
        if subject.startswith("The host"):
            assert fields == set(), subject
        elif "@VITALD_UNIT@" in subject:
            assert fields == {"VITALD_SERVICE", "VITALD_UNIT"}, subject
        elif subject.startswith("Service"):
            assert fields == {"VITALD_SERVICE"}, subject
        else:
            assert {"VITALD_SERVICE", "VITALD_CHECK"} <= fields <= {
                "VITALD_SERVICE", "VITALD_CHECK", "VITALD_STATE", "VITALD_REASON",
                "VITALD_TARGET"}, subject
