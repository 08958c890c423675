# SPDX-License-Identifier: MIT
"""data/prometheus and data/grafana: they name what vitald measures, and say what they mean."""

import json
import re
import subprocess

from lib.tree import SOURCE, need, read

RULES = SOURCE / "data/prometheus/vitald.rules.yml"
DASHBOARD = "data/grafana/vitald.json"


def promtool(*arguments):
    need("promtool")
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def families():
    """The samples that there are."""
    names = {}
    for name, kind in re.findall(r'\{ "(\w+)", FAMILY_(\w+)', read("src/output/metrics.c")):
        suffixes = {"COUNTER": ["_total"], "HISTOGRAM": ["_bucket", "_sum", "_count"]}
        names |= dict.fromkeys(name + s for s in suffixes.get(kind, [""]))
    return set(names)


def expressions():
    """Those of the dashboard's panels, its own variables filled in."""
    panels = json.loads(read(DASHBOARD))["panels"]
    for target in (target for panel in panels for target in panel["targets"]):
        yield target["expr"].replace("$__rate_interval", "5m").replace("$instance", ".*") \
            .replace("$service", ".*")


def test_rules_are_well_formed():
    promtool("check", "rules", str(RULES))


def test_rules_fire_when_they_should_and_only_then(tmp_path):
    tests = tmp_path / "tests.yml"
    tests.write_text(read("tests/lint/vitald.rules.test.yml").replace("RULES", str(RULES)))
    promtool("test", "rules", str(tests))


def test_dashboard_is_well_formed(tmp_path):
    rules = tmp_path / "rules.yml"
    rules.write_text("groups: [{name: panels, rules: %s}]\n" % json.dumps(
        [{"record": f"panel:{i}", "expr": e} for i, e in enumerate(expressions())]))
    promtool("check", "rules", str(rules))


def test_both_name_metrics_that_there_are():
    text = RULES.read_text() + "\n".join(expressions())
    names = set(re.findall(r"\bvitald_\w+", text))
    assert len(names) > 8
    assert names <= families()


def test_panels_do_not_overlap():
    panels = json.loads(read(DASHBOARD))["panels"]
    taken = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}
        assert place["x"] + place["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in panels}) == len(panels)
