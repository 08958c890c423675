# SPDX-License-Identifier: MIT
"""data/examples: each is taken by the program that it is for."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from lib.tree import SOURCE, need, read, tree
from lib.vitald import build_directory

PLACE = SOURCE / "data/examples/load-balancers"


def taken(*argv):
    need(argv[0])
    done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr


def test_haproxy():
    taken("haproxy", "-c", "-q", "-f", str(PLACE / "haproxy.cfg"))


def test_nginx(tmp_path):
    text = (PLACE / "nginx.conf").read_text()
    (tmp_path / "nginx.conf").write_text(f"pid {tmp_path}/pid;\nerror_log stderr;\n{text}")
    taken("nginx", "-t", "-q", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"))


def keepalived(path, log):
    """What it finds fault with. Its exit code says nothing where it may not signal its children."""
    need("keepalived")
    subprocess.run(["keepalived", f"--config-test={log}", "-f", path], capture_output=True,
                   start_new_session=True, stdin=subprocess.DEVNULL)
    return log.read_text()


def test_keepalived(tmp_path):
    assert keepalived(PLACE / "keepalived.conf", tmp_path / "good.log") == ""
    (tmp_path / "bad.conf").write_text(
        (PLACE / "keepalived.conf").read_text().replace("HTTP_GET", "HTTP_ASK"))
    assert "HTTP_ASK" in keepalived(tmp_path / "bad.conf", tmp_path / "bad.log")


@pytest.mark.parametrize("name", ["aws-alb-target-group", "aws-nlb-target-group",
                                  "azure-application-health"])
def test_json(name):
    json.loads((PLACE / f"{name}.json").read_text())


def test_aws_limits():
    """An interval longer than the timeout, as both kinds of load balancer ask."""
    for kind in "alb", "nlb":
        group = json.loads((PLACE / f"aws-{kind}-target-group.json").read_text())
        assert group["HealthCheckTimeoutSeconds"] < group["HealthCheckIntervalSeconds"]
        assert 2 <= group["UnhealthyThresholdCount"] <= 10


@pytest.mark.parametrize("name", ["kubernetes", "container-apps", "envoy"])
def test_yaml(name):
    assert list(yaml.safe_load_all((PLACE / f"{name}.yaml").read_text()))


def test_paths_are_served():
    """Each path that an example asks for stands in the manual."""
    manual = read("man/vitald-http.7")
    asked = {match for path in tree("*", below="data/examples/load-balancers")
             for match in re.findall(r"/health(?:/[a-z]+)?", read(path))}
    assert len(asked) > 3
    assert {path for path in asked if path not in manual} == set()


# -- services and hooks ----------------------------------------------------------------------------

SERVICES = sorted(Path(SOURCE, "data/examples/services").glob("*.conf"))
HOOKS = SOURCE / "data/examples/hooks"


def test_services_are_good(tmp_path):
    """As a host would have them, all at once."""
    place = tmp_path / "etc/vitald/services"
    place.mkdir(parents=True)
    for path in SERVICES:
        (place / path.name).write_text(path.read_text())
    verify = [build_directory() / "vitald", f"--root={tmp_path}", "--verify", "--strict"]
    done = subprocess.run(verify, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(SERVICES) >= 4 and f"{len(SERVICES) + 1} services" in done.stdout + done.stderr


@pytest.mark.parametrize("path", sorted(HOOKS.glob("*.service")), ids=lambda p: p.name)
def test_hooks_are_good_units(tmp_path, path):
    need("systemd-analyze")
    (tmp_path / path.name).write_text(path.read_text())
    instance = str(tmp_path / path.name.replace("@", "@shop"))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", instance],
                          capture_output=True, text=True, stdin=subprocess.DEVNULL)
    said = [line for line in done.stderr.splitlines() if path.stem in line]
    assert said == []
    assert f"{path.stem}%s.service" in path.read_text()


def test_the_rule_of_polkit_allows_the_hooks_alone():
    rule = read("data/polkit/60-vitald.rules")
    pattern = re.compile(re.search(r"/(\^.*\$)/", rule).group(1))
    for path in HOOKS.glob("*.service"):
        assert pattern.fullmatch(path.name.replace("@", "@shop.eu-1"))
    for name in ("sshd.service", "vitald-alert@.service", "vitald-alert@x.serviced",
                 "x-vitald-alert@x.service", "vitald-alert@x y.service", "vitald.service"):
        assert not pattern.fullmatch(name)
