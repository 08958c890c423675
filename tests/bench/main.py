#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Measures vitald beside its peers and prints one table; called by scripts/bench."""

import argparse
import dataclasses
import json
import os
import pathlib
import resource
import shutil
import sys
import tempfile
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from bench import rows                  # noqa: E402
from bench.measure import table         # noqa: E402
from lib.vitald import build_directory  # noqa: E402


@dataclasses.dataclass
class Scale:
    rounds: int = 9             # of all subjects in turn
    probes: int = 30000         # of one subject in one round
    check_rounds: int = 3
    check_seconds: float = 6
    kills: int = 20
    hang_probes: int = 1000
    starts: int = 15


QUICK = Scale(rounds=3, probes=20000, check_rounds=1, check_seconds=3, kills=3, hang_probes=500,
              starts=5)


def say(text):
    print(text, file=sys.stderr, flush=True)


def machine():
    model = [line.partition(":")[2].strip() for line in open("/proc/cpuinfo")
             if line.startswith("model name")]
    return (f"{len(model)} x {model[0] if model else 'unknown CPU'}, Linux {os.uname().release}, "
            f"load {os.getloadavg()[0]:.1f}")


def measure(names, scale, place):
    """All rows; a group that fails is told and leaves the others alone."""
    measured, failed = [], []
    for name in names:
        begin = time.monotonic()
        directory = place / name
        directory.mkdir()
        try:
            measured += rows.ALL[name](directory, scale)
        except Exception:       # Whatever it is, it is shown, and the rest is worth having.
            say(f"{name} failed:\n{traceback.format_exc()}")
            failed.append(name)
        say(f"{name}: {time.monotonic() - begin:.0f} s")
    return measured, failed


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less of everything: about a minute")
    parser.add_argument("--json", metavar="FILE", help="write the figures of all rounds too")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {' '.join(rows.ALL)}")
    options = parser.parse_args()
    unknown = set(options.names) - set(rows.ALL)
    if unknown:
        parser.error(f"no such measurement: {' '.join(sorted(unknown))}")

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    place = pathlib.Path(tempfile.mkdtemp(prefix="vitald-bench-"))
    try:
        measured, failed = measure(options.names or list(rows.ALL),
                                   QUICK if options.quick else Scale(), place)
    finally:
        shutil.rmtree(place)
    print(f"vitald in {build_directory()}; {machine()}")
    print("Medians of all rounds. CPU is user and system of the process with its children; ratios "
          "are vitald's to what\nit is held against, round by round; memory that others on this "
          "machine use as well counts in part.\n")
    print(table(measured))
    print("\nok: yes, NO, or ? where the bare limit misses the figure too: this machine is busy.")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(
            {row.what: row.values for row in measured}, indent=1) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
