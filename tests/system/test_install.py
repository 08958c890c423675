# SPDX-License-Identifier: MIT
"""README's way to install, on a host, word by word; and what is left of it when it goes."""

import re
import subprocess

import pytest

from lib.host import stage_of
from lib.process import eventually
from lib.tree import read


def commands():
    """The lines of README's section that follow make install."""
    section = read("README.md").split("\n## Install\n")[1].split("\n## ")[0]
    return re.findall(r"^    (systemd-.*|systemctl .*)$", section, re.M)


@pytest.fixture(scope="module")
def installed(build, host, tmp_path_factory):
    stage = stage_of(build, tmp_path_factory.mktemp("stage"))
    subprocess.run(["/bin/cp", "-a", f"{stage}/.", f"{host.root}/"], check=True)
    assert len(commands()) == 3
    for line in commands():
        host.run(["/bin/sh", "-ec", line])
    return host


def test_runs_at_once(installed):
    assert installed.systemctl("is-system-running").stdout == "running\n"
    assert installed.get("/health/live").status == 200
    assert installed.get_local("/health/live").status == 200
    assert "READY (503)" in installed.run(["vitalctl", "status"], check=False).stdout
    eventually(lambda: "vitald" in installed.busctl("list", "--no-legend").stdout)


def test_comes_back_at_boot(installed):
    for unit in ("vitald.service", "vitald.socket", "vitald-local.socket"):
        assert installed.systemctl("is-enabled", unit).stdout == "enabled\n"


def test_the_manual_is_there(installed):
    for page in ("vitald.8", "vitalctl.1", "vitald-run.1", "vitald.conf.5", "vitald.services.5",
                 "vitald-http.7", "org.vitald1.5"):
        assert list((installed.root / f"usr/share/man/man{page[-1]}").glob(f"{page}*"))


def test_modes(installed):
    shown = installed.run(["stat", "-c", "%n %a %U:%G", "/etc/vitald", "/etc/vitald/credentials",
                           "/run/vitald", "/run/vitald/private", "/run/vitald/lock",
                           "/var/lib/vitald"]).stdout
    assert shown.splitlines() == [
        "/etc/vitald 755 root:root", "/etc/vitald/credentials 700 root:root",
        "/run/vitald 755 vitald:vitald", "/run/vitald/private 660 vitald:vitald",
        "/run/vitald/lock 600 vitald:vitald", "/var/lib/vitald 700 vitald:vitald"]
    assert installed.run(["stat", "-c", "%a %G", "/run/vitald/http.sock"]).stdout == "660 vitald\n"


def test_goes_without_a_trace(installed):
    installed.systemctl("disable", "--now", "vitald.service", "vitald.socket",
                        "vitald-local.socket")
    with pytest.raises(ConnectionRefusedError):
        installed.get("/health/live")
    assert not (installed.root / "run/vitald/http.sock").exists()
    assert not (installed.root / "run/vitald/private").exists()
    assert installed.systemctl("--failed", "--no-legend").stdout.strip() == ""
    assert installed.systemctl("is-system-running").stdout == "running\n"
