# SPDX-License-Identifier: MIT
"""org.vitald1(5) says exactly what introspection says: members, arguments, types, flags."""

import re
import xml.etree.ElementTree as ET

import pytest

from bus_server import BusServer
from lib.dbus import MANAGER, check_path, service_path
from lib.vitald import SOURCE

PAGE = SOURCE / "man/org.vitald1.5"
SECTIONS = {
    "MANAGER": (MANAGER, "org.vitald1.Manager"),
    "SERVICE": (service_path("s000"), "org.vitald1.Service"),
    "CHECK": (check_path("s000", "a-1"), "org.vitald1.Check"),
    "LOG CONTROL": ("/org/freedesktop/LogControl1", "org.freedesktop.LogControl1"),
}
EMITS = "org.freedesktop.DBus.Property.EmitsChangedSignal"


def from_manual(section):
    """{(kind, name): arguments or "type, flag"} of one .Sh, in its order."""
    text = PAGE.read_text().split(f"\n.Sh {section}\n")[1].split("\n.Sh ")[0]
    members = {}
    for line in text.splitlines():
        if line.startswith(".Ss "):
            kind = {"Methods": "method", "Signals": "signal", "Properties": "property"}[line[4:]]
        elif match := re.match(r"\.It Fn (\w+)(.*)", line):
            assert (kind, match[1]) not in members, f"{match[1]} stands twice"
            members[kind, match[1]] = re.findall(r'"([^"]*)"', match[2])
        elif match := re.match(r"\.It Va (\w+) Pq (.*)", line):
            assert (kind, match[1]) not in members, f"{match[1]} stands twice"
            members[kind, match[1]] = match[2]
    return members


def from_introspection(node):
    members = {}
    for member in node:
        key = (member.tag, member.get("name"))
        if member.tag == "property":
            notes = {a.get("name"): a.get("value") for a in member.findall("annotation")}
            flag = {"false": "", "const": ", const"}.get(notes.get(EMITS), ", emits-change")
            if member.get("access") == "readwrite":
                flag = ", writable"
            members[key] = member.get("type") + flag
        elif member.tag in ("method", "signal"):
            members[key] = [" ".join(filter(None, (
                argument.get("direction") if member.tag == "method" else None,
                argument.get("type"), argument.get("name")))) for argument in member.findall("arg")]
            assert all(argument.get("name") for argument in member.findall("arg")), key
    return members


@pytest.mark.parametrize("section", SECTIONS)
def test_manual_matches_introspection(directory, section):
    path, interface = SECTIONS[section]
    with BusServer(directory / "server") as server, server.peer() as peer:
        root = ET.fromstring(peer.call(path, "org.freedesktop.DBus.Introspectable",
                                       "Introspect")[0])
    (node,) = [i for i in root.findall("interface") if i.get("name") == interface]
    manual, real = from_manual(section), from_introspection(node)
    assert len(manual) > 2
    assert manual == real
    # What is documented in another order than it is shown in is hard to find.
    assert [m for m in manual if m[0] == "property"] == [m for m in real if m[0] == "property"]


def test_errors_of_the_manual_are_those_of_the_code():
    code = (SOURCE / "src/output/bus-link.h").read_text()
    in_code = set(re.findall(r'BUS_ERROR_\w+\s+BUS_NAME "(\.\w+)"', code))
    text = PAGE.read_text().split("\n.Sh ERROR NAMES\n")[1].split("\n.Sh ")[0]
    assert in_code == set(re.findall(r"org\.vitald1(\.\w+)", text)) and len(in_code) >= 4
