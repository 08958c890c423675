#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Runs the tests of every level in their order and adds them up; called by scripts/test.

A stage is one build or one kind of test. Builds go to build/STAGE, their output and that of the
tests to build/logs. A stage that cannot run counts as one failed test.
"""

import argparse
import fnmatch
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree

SOURCE = pathlib.Path(__file__).resolve().parents[1]
BUILD = SOURCE / "build"
LOGS = BUILD / "logs"
CORES = os.cpu_count() or 1
JOBS = f"-j{CORES}"
STAGE_SECONDS = 40 * 60     # More means that something hangs.

PLACES = ["--prefix=/usr", "--sysconfdir=/etc", "--localstatedir=/var",
          "--with-systemdsystemunitdir=/usr/lib/systemd/system"]
BUILDS = {
    "gcc": ["--enable-werror", "CC=gcc", "CFLAGS=-O2 -g"],
    "sanitizers": ["--enable-werror", "--enable-sanitizers", "CC=gcc", "CFLAGS=-O1 -g"],
    "clang": ["--enable-werror", "CC=clang", "CFLAGS=-O2 -g"],
}


class Tally:
    def __init__(self):
        self.passed = 0
        self.failed = []        # "name: why"
        self.skipped = []

    def add(self, name, outcome, why=""):
        line = f"{name}: {why}" if why else name
        if outcome == "passed":
            self.passed += 1
        else:
            (self.failed if outcome == "failed" else self.skipped).append(line)

    def summary(self):
        text = f"{self.passed} passed, {len(self.failed)} failed"
        return text + (f", {len(self.skipped)} skipped" if self.skipped else "")


def say(text):
    print(text, flush=True)


def run(argv, log, env=None, show=False, cwd=SOURCE):
    """Runs one command into build/logs/LOG.log; True when it exits 0 in time."""
    path = LOGS / f"{log}.log"
    with open(path, "wb") as out:
        process = subprocess.Popen(
            list(map(str, argv)), cwd=cwd, env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL, stdout=None if show else out,
            stderr=None if show else subprocess.STDOUT, start_new_session=True)
        try:
            return process.wait(STAGE_SECONDS) == 0
        except subprocess.TimeoutExpired:
            say(f"{log}: still running after {STAGE_SECONDS // 60} minutes")
            return False
        finally:
            end_group(process)


def end_group(process):
    """Lets the group end in order, then ends it; harmless when it has gone."""
    for number, patience in ((signal.SIGTERM, 20), (signal.SIGKILL, 5)):
        if process.poll() is not None:
            break
        os.killpg(process.pid, number)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            pass


def tail(log, lines=40):
    path = LOGS / f"{log}.log"
    if path.exists():
        say("".join(f"    {line}\n" for line in
                    path.read_text(errors="replace").splitlines()[-lines:]))


# -- builds ----------------------------------------------------------------------------------------

def build(kind):
    """Configures when needed and makes everything, tests too. True when it worked."""
    place = BUILD / kind
    place.mkdir(parents=True, exist_ok=True)
    log = f"build-{kind}"
    if not (SOURCE / "configure").exists() or is_older(SOURCE / "configure", "configure.ac"):
        if not run([SOURCE / "autogen.sh"], "autogen"):
            tail("autogen")
            return False
    if is_older(place / "config.status", "configure"):
        if not run([SOURCE / "configure", "-q", *PLACES, *BUILDS[kind]], log, cwd=place):
            tail(log)
            return False
    # "check" with no tests makes their programs and runs nothing.
    for goal in (["all"], ["check", "TESTS="]):
        if not run(["make", JOBS, *goal], log, cwd=place):
            tail(log)
            return False
    return True


def is_older(path, than):
    return not path.exists() or path.stat().st_mtime < (SOURCE / than).stat().st_mtime


# -- kinds of tests --------------------------------------------------------------------------------

def unit_programs(kind="gcc"):
    done = subprocess.run(["make", "-s", "--no-print-directory", "--eval",
                           "print-tests:;@echo $(TESTS)", "print-tests"], cwd=BUILD / kind,
                          capture_output=True, text=True)
    return done.stdout.split()


def make_check(tally, stage, kind, programs):
    """The TAP tests; names are STAGE/PROGRAM/what the program calls it."""
    place = BUILD / kind
    if not programs:
        tally.add(stage, "failed", "there are no tests to run")
        return
    for old in place.rglob("*.trs"):
        old.unlink()
    fine = run(["make", "-k", "check", f"TESTS={' '.join(programs)}"], f"{stage}", cwd=place)
    before = len(tally.failed)
    for program in programs:
        read_tap(tally, f"{stage}/{pathlib.Path(program).name}", place / program)
    if not fine and len(tally.failed) == before:
        tally.add(stage, "failed", f"make check failed, see build/logs/{stage}.log")


def read_tap(tally, name, program):
    trs, log = program.with_suffix(".trs"), program.with_suffix(".log")
    if not trs.exists():
        tally.add(name, "failed", "did not run")
        return
    text = log.read_text(errors="replace")
    points = re.findall(r"^(?:not )?ok\b(?: +\d+)?[ -]*(.*)$", text, re.MULTILINE)
    results = re.findall(r"^:test-result: (\S+)(.*)$", trs.read_text(), re.MULTILINE)
    if not results:
        tally.add(name, "failed", "ran no test")
    for i, (result, _) in enumerate(results):
        point, _, why = (points[i] if i < len(points) else "").partition("#")
        outcome = {"PASS": "passed", "XFAIL": "passed", "SKIP": "skipped"}.get(result, "failed")
        why = why.strip() if outcome == "skipped" else result.lower()
        tally.add(f"{name}/{point.strip()}".rstrip("/"), outcome, why)
    if any(result in ("FAIL", "ERROR", "XPASS") for result, _ in results):
        say("".join(f"    {line}\n" for line in text.splitlines()[-60:]))


def pytest_env(kind):
    return {"VITALD_BUILD": str(BUILD / kind), "PYTHONDONTWRITEBYTECODE": "1",
            "VITALD_TEST_KEEP": str(LOGS / "kept")}


def pytest(tally, stage, kind, folder, names, options=(), env=None):
    report = LOGS / f"{stage}.xml"
    report.unlink(missing_ok=True)
    targets = names or [folder]
    fine = run(["/usr/bin/python3", "-B", "-m", "pytest", "-q", "--tb=short",
                f"--junitxml={report}", *options, *targets], stage, show=True,
               env={**pytest_env(kind), **(env or {})}, cwd=SOURCE / "tests")
    before = len(tally.failed)
    if report.exists():
        for case in xml.etree.ElementTree.parse(report).iter("testcase"):
            read_case(tally, stage, case)
    if not fine and len(tally.failed) == before:
        tally.add(stage, "failed", "pytest failed")


def read_case(tally, stage, case):
    name = f"{stage}/{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}"
    bad = [child for child in case if child.tag in ("failure", "error")]
    skip = case.find("skipped")
    if bad:
        tally.add(name, "failed", (bad[0].get("message") or "").split("\n")[0])
    elif skip is not None:
        tally.add(name, "skipped", skip.get("message") or "")
    else:
        tally.add(name, "passed")


def collect(folder, options=()):
    """The node ids below tests/FOLDER."""
    done = subprocess.run(["/usr/bin/python3", "-B", "-m", "pytest", "-q", "--collect-only",
                           *options, folder], cwd=SOURCE / "tests", capture_output=True, text=True,
                          env={**os.environ, **pytest_env("gcc")})
    return [line for line in done.stdout.splitlines() if "::" in line and
            line.startswith(f"{folder}/")]


def distcheck(tally):
    flags = "DISTCHECK_CONFIGURE_FLAGS=--enable-werror"
    fine = run(["make", JOBS, "distcheck", flags], "distcheck", cwd=BUILD / "gcc")
    if not fine:
        tail("distcheck")
    tally.add("distcheck", "passed" if fine else "failed", "" if fine else "see build/logs")


# -- stages ----------------------------------------------------------------------------------------

# Name, the build it needs, and the folder of tests for those that are pytest's.
STAGES = [
    ("check", "gcc", None, ()),
    ("lint", "gcc", "lint", ()),
    ("integration", "gcc", "integration", ("-m", "not timing")),
    ("integration-timing", "gcc", "integration", ("-m", "timing")),
    ("system", "gcc", "system", ("-m", "not timing")),
    ("system-timing", "gcc", "system", ("-m", "timing")),
    ("check-sanitizers", "sanitizers", None, ()),
    ("integration-sanitizers", "sanitizers", "integration", ("-m", "not timing")),
    ("integration-valgrind", "gcc", "integration", ("-m", "valgrind")),
    ("clang", "clang", None, ()),
    ("distcheck", "gcc", None, ()),
]
BUILD_ONLY = ("clang", "distcheck")
REPEATS = ("check-sanitizers", "integration-sanitizers", "integration-valgrind", *BUILD_ONLY)

# Most tests wait most of the time. A file is one worker's, so that what it starts is started once;
# a file of system tests starts a whole host.
WORKERS = {"integration": 2 * CORES, "integration-sanitizers": 2 * CORES, "system": CORES}


def names_of(stage, kind, folder, options):
    """What can be selected in a stage, as (name to match, what the stage is given)."""
    if stage in BUILD_ONLY:
        return [(stage, stage)]
    if folder is None:
        return [(f"{stage}/{program}", program) for program in unit_programs(kind)]
    return [(f"{stage}/{node.partition('/')[2]}", node) for node in collect(folder, options)]


def selects(patterns, name):
    return any(p in name or fnmatch.fnmatchcase(name, p) for p in patterns)


class Runner:
    def __init__(self, patterns):
        self.patterns = patterns
        self.tally = Tally()
        self.builds = {}
        self.times = {}         # stage: seconds, in order

    def has_build(self, kind):
        if kind not in self.builds:
            say(f"== build/{kind}")
            before = time.monotonic()
            self.builds[kind] = build(kind)
            self.times[f"build/{kind}"] = time.monotonic() - before
            if not self.builds[kind]:
                self.tally.add(f"build-{kind}", "failed", f"see build/logs/build-{kind}.log")
        return self.builds[kind]

    def run(self):
        for stage in STAGES:
            if not self.patterns or self.may_match(stage):
                self.run_stage(*stage)

    def may_match(self, stage):
        """Without a pattern that names them, the stages that repeat others are left out."""
        name = stage[0]
        return name not in REPEATS or any(p.startswith(name) for p in self.patterns)

    def wanted(self, stage, kind, folder, options):
        """What the stage is given; the whole of a folder is no list of its tests."""
        if folder is not None and not self.patterns:
            return []
        return [given for name, given in names_of(stage, kind, folder, options)
                if not self.patterns or selects(self.patterns, name)]

    def run_stage(self, stage, kind, folder, options):
        if not self.has_build(kind):
            if self.patterns or stage not in BUILD_ONLY:
                self.tally.add(stage, "failed", "there is no build to test")
            return
        wanted = self.wanted(stage, kind, folder, options)
        if self.patterns and not wanted:
            return
        say(f"== {stage}")
        before = time.monotonic()
        if stage == "distcheck":
            distcheck(self.tally)
        elif stage == "clang":
            self.tally.add(stage, "passed")     # That it was built is the test.
        elif folder is None:
            make_check(self.tally, stage, kind, wanted)
        else:
            env = {"VITALD_VALGRIND": "1"} if stage.endswith("-valgrind") else {}
            if stage in WORKERS:
                options = (*options, "-n", str(WORKERS[stage]), "--dist", "loadfile")
            pytest(self.tally, stage, kind, folder, wanted, options, env)
        self.times[stage] = time.monotonic() - before
        say(f"   {self.tally.summary()} so far; {stage} took {self.times[stage]:.0f} s")

    def show_times(self):
        say("Seconds:\n" + "".join(f"    {seconds:6.0f}  {name}\n"
                                   for name, seconds in self.times.items())
            + f"    {sum(self.times.values()):6.0f}  in all")


def list_names():
    if not build("gcc"):
        return 1
    for stage, _, folder, options in STAGES:
        for name, _ in names_of(stage, "gcc", folder, options):
            print(name)
    return 0


def main():
    parser = argparse.ArgumentParser(prog="scripts/test", description="builds and tests vitald")
    parser.add_argument("--list", action="store_true", help="print the names of all tests")
    parser.add_argument("names", nargs="*", metavar="NAME", help="part of a test's name, or a glob")
    arguments = parser.parse_args()
    shutil.rmtree(LOGS, ignore_errors=True)
    LOGS.mkdir(parents=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if arguments.list:
        return list_names()
    runner = Runner(arguments.names)
    runner.run()
    tally = runner.tally
    if arguments.names and not (tally.passed or tally.failed or tally.skipped):
        tally.add(" ".join(arguments.names), "failed", "no test has such a name")
    for title, lines in (("Skipped", tally.skipped), ("Failed", tally.failed)):
        if lines:
            say(f"{title}:\n" + "".join(f"    {line}\n" for line in lines).rstrip("\n"))
    runner.show_times()
    say(tally.summary())
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
