# SPDX-License-Identifier: MIT
"""What is well-formed and will hurt: vitald --verify, vitalctl verify, one line in the journal."""

import json

import pytest

from lib.process import eventually

GOOD = "[Check disk]\nType=disk\n"
HURTS = "[Check disk]\nType=disk\nInterval=1s\nTimeout=2s\n"     # A warning.
ALONE = "[Service]\nHost=no\n" + GOOD                            # A hint.


def verify(vitald, *argv):
    return vitald.vitalctl("verify", "--root", vitald.root, *argv)


@pytest.mark.parametrize("text, code, strict, total", [
    (GOOD, 0, 0, "good"),
    (ALONE, 0, 0, "good, 1 hint"),
    (HURTS, 0, 78, "good, 1 warning"),
    ("[Service]\nHost=no\n" + HURTS, 0, 78, "good, 1 warning, 1 hint"),
    (HURTS + "Nonsense=1\n", 78, 78, "1 fault"),
])
def test_exit_codes(vitald, text, code, strict, total):
    vitald.service("shop", text)
    done = verify(vitald)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.endswith(f"{total}\n"), done.stderr
    assert verify(vitald, "--strict").returncode == strict
    assert verify(vitald, "--strict").stderr == done.stderr


def test_json(vitald):
    path = vitald.service("shop", HURTS)
    short, pretty = (verify(vitald, f"--json={style}") for style in ("short", "pretty"))
    assert short.stdout.count("\n") == 1 and pretty.stdout.count("\n") > 5
    report = json.loads(short.stdout)
    assert report == json.loads(pretty.stdout) and short.stderr == ""
    assert (report["services"], report["warnings"], report["hints"]) == (2, 1, 0)
    finding, = report["findings"]
    assert "1s" in finding.pop("text")
    assert finding == {"severity": "warning", "rule": "timeout-interval", "service": "shop",
                       "check": "disk", "key": "Timeout", "file": str(path), "line": 4}
    vitald.service("shop", HURTS + "Nonsense=1\n")
    report = json.loads(verify(vitald, "--json=short").stdout)
    assert report["findings"] == [] and report["faults"][0]["line"] == 5


def test_the_watchdog_is_known_to_who_runs_below_it(vitald):
    vitald.service("shop", "[Service]\nOnLivenessFailure=watchdog\n" + GOOD +
                   "Probes=readiness liveness\n")
    assert "watchdog" not in verify(vitald).stderr
    done = vitald.vitalctl("verify", "--root", vitald.root, env={"WATCHDOG_USEC": "1000000"})
    assert "is set to 1s" in done.stderr and "[watchdog-detection]" in done.stderr


def test_options_are_for_verify_alone(vitald):
    assert vitald.vitalctl("list", "--strict").returncode == 2
    assert vitald.vitalctl("verify", "--json=so").returncode == 2


def test_one_line_in_the_journal(vitald):
    vitald.service("shop", "[Service]\nHost=no\n" + HURTS)
    vitald.start()
    eventually(lambda: "1 warning and 1 hint on the configuration, see vitalctl verify"
               in vitald.log)
    vitald.service("shop", ALONE)
    assert vitald.vitalctl("reload").returncode == 0
    assert vitald.log.count("on the configuration") == 2
    vitald.service("shop", GOOD)
    assert vitald.vitalctl("reload").returncode == 0
    assert vitald.log.count("on the configuration") == 2


def test_a_drain_that_no_load_balancer_notices(vitald):
    vitald.conf("[HTTP]\nLoadBalancer=aws-alb\nLoadBalancerInterval=10s\n")
    vitald.service("shop", GOOD)
    vitald.start()
    short = vitald.vitalctl("drain", "shop", "--timeout=19s")
    assert short.returncode == 0
    assert "(aws-alb) has noticed it, which takes up to 20s" in short.stderr
    for argv in ["drain", "shop", "--timeout=20s"], ["drain", "shop"], ["undrain", "shop"]:
        done = vitald.vitalctl(*argv)
        assert (done.returncode, done.stderr) == (0, "")
