# SPDX-License-Identifier: MIT
"""The files of the installation: systemd, dbus-daemon and systemd-sysusers take them."""

import pathlib
import re
import subprocess
import xml.etree.ElementTree

import pytest

from lib.process import CLEAN_ENVIRONMENT
from lib.tree import SOURCE, need, read, run, tree
from lib.vitald import build_directory

EXPOSURE_AT_MOST = 1.5
SERVICE = "usr/lib/systemd/system/vitald.service"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The tree that make install makes, of the build in use or of the files alone."""
    stage = tmp_path_factory.mktemp("stage")
    build = build_directory()
    if not (build / "Makefile").exists():
        pytest.fail(f"{build} is not a build directory; set VITALD_BUILD")
    done = subprocess.run(["make", "-C", str(build), "install", f"DESTDIR={stage}"], text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, env=CLEAN_ENVIRONMENT)
    assert done.returncode == 0, done.stdout
    return stage


def test_everything_is_installed(installed):
    for name in (SERVICE, "usr/lib/systemd/system/vitald.socket",
                 "usr/lib/systemd/system/vitald-local.socket",
                 "usr/lib/systemd/system-preset/90-vitald.preset",
                 "usr/lib/sysusers.d/vitald.conf", "usr/lib/tmpfiles.d/vitald.conf",
                 "usr/share/dbus-1/system.d/org.vitald1.conf",
                 "usr/share/dbus-1/system-services/org.vitald1.service",
                 "etc/vitald/services", "etc/vitald/credentials"):
        assert (installed / name).exists(), name
    assert (installed / "etc/vitald/credentials").stat().st_mode & 0o777 == 0o700
    assert "@" not in read(installed / SERVICE).replace("@system-service", "") \
        .replace("@privileged @resources", "")


def test_exposure(installed):
    need("systemd-analyze")
    done = run("systemd-analyze", "security", "--offline=yes", "--no-pager", installed / SERVICE)
    level = float(re.search(r"exposure level for vitald.service: ([\d.]+)", done.stdout).group(1))
    assert level <= EXPOSURE_AT_MOST, done.stdout


def test_systemd_takes_the_units(installed):
    """In a root of their own, so that only their own words are judged."""
    need("systemd-analyze")
    units = ["vitald.service", "vitald.socket", "vitald-local.socket", "vitald-agent.socket",
             "vitald-ready@x.service", "vitald-live@x.service", "vitald-started@x.service"]
    binaries = re.findall(r"^Exec\w+=\+?(\S+)", read(installed / SERVICE), re.MULTILINE)
    for binary in map(pathlib.Path, binaries):
        place = installed / binary.relative_to("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            place.write_text("#!/bin/sh\n")
            place.chmod(0o755)
    directory = installed / "usr/lib/systemd/system"
    for name in ("basic", "sysinit", "sockets", "shutdown", "network", "multi-user"):
        (directory / f"{name}.target").write_text(f"[Unit]\nDescription={name}\n")
    (directory / "dbus.socket").write_text("[Socket]\nListenStream=/run/x\nService=vitald.service")
    done = run("systemd-analyze", "verify", "--man=no", f"--root={installed}", *units)
    wrong = [line for line in done.stdout.splitlines() if "vitald" in line]
    assert done.returncode == 0 and not wrong, done.stdout


def test_sysusers_and_tmpfiles(installed, tmp_path):
    need("systemd-sysusers")
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    done = run("systemd-sysusers", f"--root={root}", installed / "usr/lib/sysusers.d/vitald.conf")
    assert done.returncode == 0, done.stdout
    assert re.search(r"^vitald:.*:/usr/sbin/nologin$", (root / "etc/passwd").read_text(), re.M)
    assert re.search(r"^vitald:", (root / "etc/group").read_text(), re.M)
    done = run("systemd-tmpfiles", "--create", f"--root={root}",
               installed / "usr/lib/tmpfiles.d/vitald.conf")
    assert (root / "etc/vitald/credentials").is_dir(), done.stdout


def test_bus_policy():
    policy = xml.etree.ElementTree.parse(SOURCE / "units/org.vitald1.conf")
    owners = [p.get("user") for p in policy.iter("policy") if p.find("allow[@own]") is not None]
    assert owners == ["root", "vitald"]
    assert not policy.findall(".//*[@own='*']")


def test_activation_goes_through_systemd():
    text = (SOURCE / "units/org.vitald1.service").read_text()
    assert "Name=org.vitald1\n" in text and "SystemdService=vitald.service\n" in text


def test_drop_ins(installed):
    """Each is installed, and named by a check's result and by the manual."""
    files = tree("*.conf", below="data/drop-ins")
    code = "".join(read(path) for path in tree("*.c", below="src/check"))
    assert files
    for path in files:
        assert (installed / "usr/share/vitald/drop-ins" / path.name).exists(), path
        assert path.name in code and path.name in read("man/vitald.services.5"), path
