# SPDX-License-Identifier: MIT
"""FAULTS row 64: what stands in a secret's field is shown nowhere, whatever goes wrong."""

import collections
import os
import pathlib
import struct
import subprocess

import pytest

from lib.checks import section
from lib.dbus import MANAGER, Client
from lib.peers import BlackHole, TcpServer, disconnect, refused_address
from lib.plugins import script
from lib.process import eventually
from lib.vitald import build_directory

# What a check of the type needs besides; {address} is its peer's.
NEEDS = {
    "http": ["URL=http://{address}/"],
    "grpc": ["Address={address}"],
    "memcached": ["Address={address}", "Username=prober"],
    "mysql": ["Address={address}", "Username=prober"],
    "postgresql": ["ConnectionString=host={host} port={port} user=prober dbname=shop "
                   "sslmode=disable"],
    "redis": ["Address={address}", "Username=prober"],
    "tls": ["Address={address}"],
    "amqp": ["Address={address}", "Username=prober", "Source=jobs"],
    "rabbitmq": ["Address={address}", "Username=prober"],
    "kafka": ["Address={address}", "Username=prober"],
}

# Options that want others, or not those of NEEDS.
MORE = {
    ("http", "PasswordCredential"): ["Username=prober"],
    ("http", "KeyCredential"): ["Profile=openai"],
    ("redis", "SentinelPasswordCredential"): ["Sentinel={address}", "SentinelMaster=main"],
}
WITHOUT = {("redis", "SentinelPasswordCredential"): "Address="}


def secret_fields():
    """[(type, option)] of all check types that this build has."""
    done = subprocess.run([build_directory() / "tests/programs/schemas"], capture_output=True,
                          text=True, check=True, cwd=build_directory())
    fields, kind = [], None
    for line in done.stdout.splitlines():
        words = line.split("\t")
        if words[0] in ("type", "section"):
            kind = words[1] if words[0] == "type" else None
        elif words[0] == "option" and "credential" in words[2] and kind:
            fields.append((kind, words[1]))
    return fields


def test_every_type_with_secrets_is_here():
    assert {kind for kind, _ in secret_fields()} <= set(NEEDS)
    assert len(secret_fields()) >= 12


# -- a peer that says all that it is told in its complaints ----------------------------------------

def postgres_error(text):
    body = b"SFATAL\0VFATAL\0C28P01\0Mwrong: " + text + b"\0\0"
    return b"E" + struct.pack(">I", len(body) + 4) + body


def mirror(connection):
    """Of each protocol as much as it takes to be told the secret."""
    while data := connection.recv(65536):
        head = data.split(b"\r\n\r\n")[0].replace(b"\r\n", b" ")
        if data[:4] in (b"GET ", b"POST", b"HEAD"):
            body = b'{"error":{"message":"wrong: ' + head.replace(b'"', b"'") + b'"}}'
            answer = (b"HTTP/1.1 401 " + head[:2000] + b"\r\nContent-Type: application/json\r\n"
                      b"Content-Length: %d\r\n\r\n" % len(body) + body)
        elif data[:1] == b"*":
            answer = b"-ERR wrong: " + data.replace(b"\r\n", b" ") + b"\r\n"
        elif data[:4] in (b"set ", b"vers", b"stat"):
            answer = b"CLIENT_ERROR wrong: " + data.replace(b"\r\n", b" ") + b"\r\n"
        elif data[4:8] == b"\0\3\0\0":          # A start: asks for the password in clear.
            answer = b"R" + struct.pack(">II", 8, 3)
        elif data[:1] == b"p":
            answer = postgres_error(data[5:].rstrip(b"\0"))
        else:
            answer = data
        connection.sendall(answer)
    disconnect(connection)


# -- the matrix ------------------------------------------------------------------------------------

def key_with(canary):
    """What looks like a key and is none."""
    return f"-----BEGIN PRIVATE KEY-----\n{canary}\n-----END PRIVATE KEY-----\n"


def lines_of(kind, option, credential, address):
    without = WITHOUT.get((kind, option))
    lines = [line for line in NEEDS[kind] if not (without and line.startswith(without))]
    if option != "PasswordCredential" and kind != "mysql":      # Both or none.
        lines = [line for line in lines if not line.startswith("Username=")]
    lines += MORE.get((kind, option), [])
    host, _, port = address.rpartition(":")
    lines = [line.format(address=address, host=host, port=port) for line in lines]
    value = f"X-Secret: {credential}" if option == "HeaderCredential" else credential
    return [*lines, f"{option}={value}"]


class Matrix:
    """Each secret of each type towards each peer."""

    def __init__(self, daemon, peers, authority):
        self.daemon, self.canaries, self.text = daemon, {}, "[Service]\nDescription=All\n"
        own = authority.issue(name="prober")
        for kind, option in secret_fields():
            for peer, address in peers.items():
                name = f"{kind}-{option}-{peer}"
                lines = lines_of(kind, option, name, address)
                canary = f"canary{len(self.canaries):03d}x{os.urandom(6).hex()}"
                if option == "ClientKeyCredential":
                    # That of the machine takes long to load.
                    lines += [f"CACertificate={authority.ca}",
                              f"ClientCertificate={own.certificate}"]
                    lines = self.over_tls(kind, lines)
                    daemon.credential(name, key_with(canary))
                else:
                    daemon.credential(name, canary)
                self.canaries[name] = canary
                self.text += section(kind, *lines, name=name, interval="1s", timeout="300ms")

    @staticmethod
    def over_tls(kind, lines):
        if kind == "http":
            return [line.replace("http://", "https://") for line in lines]
        return lines if kind == "tls" else [*lines, "TLS=yes"]

    def shown_in(self, text):
        """The names of those that stand there."""
        text = text if isinstance(text, bytes) else text.encode()
        return [name for name, c in self.canaries.items() if c.encode() in text]


def files_below(*directories):
    for directory in directories:
        for path in pathlib.Path(directory).rglob("*"):
            if path.is_file():
                yield str(path), path.read_bytes()


def from_http(daemon, token):
    paths = [p + d for p in ("/health", "/health/ready", "/health/live", "/health/started",
                             "/health/status", "/health/status/all")
             for d in ("", "?format=spring", "?format=aspnet", "?format=ietf", "?format=nagios",
                       "?format=text&verbose")]
    for path in [*paths, "/", "/metrics", "/nowhere"]:
        for local in False, True:
            for headers in {}, {"Authorization": f"Bearer {token}"}:
                answer = daemon.get(path, local=local, headers=headers)
                yield f"{path} {local}", answer.text + str(answer.headers)


def from_bus(bus):
    with Client(bus.address) as client:
        objects = client.managed_objects()
        yield "GetManagedObjects", str(objects)
        yield "Manager", str(client.get_all(MANAGER, "org.vitald1.Manager"))
        yield "LogControl1", str(client.get_all("/org/freedesktop/LogControl1",
                                                "org.freedesktop.LogControl1"))
        for path, interfaces in objects.items():
            for interface in interfaces:
                if interface.startswith("org.vitald1."):
                    yield f"{path} {interface}", str(client.get_all(path, interface))


def from_vitalctl(daemon, checks):
    for argv in (["status"], ["status", "--json=short"], ["list"], ["why"], ["verify"],
                 ["history", checks[0]]):
        done = daemon.vitalctl(*argv)
        yield str(argv), done.stdout + done.stderr
    for check in checks[:: max(1, len(checks) // 8)]:
        yield check, daemon.vitalctl("show", check).stdout


def from_process(daemon):
    for name in "cmdline", "environ", "comm", "stat":
        yield f"/proc/PID/{name}", pathlib.Path(f"/proc/{daemon.pid}/{name}").read_bytes()


@pytest.mark.time_limit(180)
def test_fault_64_a_secret_is_shown_nowhere(make_vitald, bus, directory, authority):
    daemon, token = make_vitald(bus=bus), "canary999x" + os.urandom(6).hex()
    seen = directory / "seen"
    plugin = script(directory, f"cat /proc/$$/environ /proc/$$/cmdline > {seen}; echo fine")
    with TcpServer(mirror) as mirrored, BlackHole() as hole:
        peers = {"mirror": mirrored.address, "hole": hole.address, "refused": refused_address()}
        matrix = Matrix(daemon, peers, authority)
        matrix.canaries["token"] = token
        daemon.credential("token", token)
        daemon.conf("[HTTP]\nTokenCredential=token\n")
        daemon.service("all", matrix.text + section("exec", f"Command={plugin}", name="plugin"))
        assert daemon.verify().returncode == 0, daemon.verify().stderr
        daemon.start()
        checks = [f"all/{name}" for name in matrix.canaries if name != "token"]

        def have_run():
            counts = collections.Counter(run.check for run in daemon.runs())
            assert not (missing := [c for c in checks if counts[c] < 2]), missing
            return counts["all/plugin"]
        eventually(have_run, within=90, every=0.1)
        eventually(lambda: "org.vitald1" in bus.names(), what="the name")
        daemon.reload()
        places = [*from_http(daemon, token), *from_bus(bus), *from_vitalctl(daemon, checks),
                  *from_process(daemon), ("plug-in", seen.read_bytes())]
        assert daemon.stop() == 0
    places += [("log", daemon.log), *files_below(daemon.runtime_directory, daemon.state_directory)]
    assert {"state", "history"} <= {pathlib.Path(place).name for place, _ in places}
    shown = {place: matrix.shown_in(text) for place, text in places}
    assert not {place: names for place, names in shown.items() if names}
    assert len(places) > 100 and seen.read_bytes()


# -- where no secret may stand ---------------------------------------------------------------------

@pytest.mark.parametrize("line", [
    "Type=http\nURL=http://prober:{canary}@127.0.0.1/", "Type=redis\nAddress=prober:{canary}@h:1",
    "Type=postgresql\nConnectionString=host=h password={canary}",
    "Type=postgresql\nConnectionString=postgresql://prober:{canary}@h/shop",
    "Type=redis\nAddress=h:1\nPassword={canary}",
    "Type=redis\nAddress=h:1\nPasswordCredential={canary} x",
    "Type=http\nURL=http://h/\nHeaderCredential=Authorization: Bearer {canary}"])
def test_a_secret_in_the_configuration_is_refused_and_not_repeated(make_vitald, bus, line):
    canary = "canary7f3a91c4"
    daemon = make_vitald(bus=bus)
    daemon.service("shop", "[Service]\n[Check it]\n" + line.format(canary=canary) + "\n")
    daemon.start()
    assert daemon.wait_status("/health/ready", 503).json["status"] == "not_ready"
    eventually(lambda: "org.vitald1" in bus.names(), what="the name")
    verified = daemon.verify()
    assert verified.returncode != 0
    places = [*from_http(daemon, "x"), *from_bus(bus), ("verify", verified.stdout +
                                                        verified.stderr), ("log", daemon.log)]
    assert not [place for place, text in places if canary in text]
    assert "shop.conf:" in daemon.log
