# SPDX-License-Identifier: MIT
"""Type=memory of one control group, and swap."""

import pathlib
import re
import subprocess
import sys

import pytest

from lib.checks import section
from lib.pressure import memory_cgroup
from lib.process import CLEAN_ENVIRONMENT
from lib.runner import CheckRunner, assert_result

MIB = 1 << 20
LIMIT = 64 * MIB
EATER = """
import pathlib, sys
pathlib.Path(sys.argv[1], "cgroup.procs").write_text("0")
held = bytearray(b"x") * (48 << 20)
print("ready", flush=True)
sys.stdin.read()
"""


def first(directory, *lines):
    with CheckRunner(directory, section("memory", *lines)) as runner:
        return runner.next()


def meminfo(key):
    text = pathlib.Path("/proc/meminfo").read_text()
    return int(re.search(rf"^{key}: +(\d+)", text, re.MULTILINE).group(1)) * 1024


@pytest.fixture
def cgroup():
    with memory_cgroup(LIMIT) as path:
        if path is None:
            pytest.skip("no cgroup with a memory limit can be made here")
        yield path


def test_limit_of_a_real_group(directory, cgroup):
    """What a process in it takes is missing, and comes back when it is killed."""
    check = section("memory", f"Cgroup={cgroup}", "MinAvailable=32M", interval="50ms")
    with CheckRunner(directory, check) as runner:
        result = runner.next()
        assert_result(result, "pass", "", "of 64M available")
        assert result["total"] == LIMIT and result["available"] > LIMIT - MIB
        eater = subprocess.Popen([sys.executable, "-c", EATER, cgroup], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, env=CLEAN_ENVIRONMENT)
        try:
            assert eater.stdout.readline() == b"ready\n"
            # Some are of the time when it was still growing.
            while (result := runner.next_that(outcome="fail"))["available"] >= 16 * MIB:
                pass
            assert_result(result, "fail", "threshold", "MinAvailable= (32M)")
        finally:
            eater.kill()
            eater.communicate()
        runner.next_that(outcome="pass")


def level(path, limit, used, inactive=0, swap=("max", 0)):
    path.mkdir(exist_ok=True)
    for name, value in (("memory.max", limit), ("memory.current", used),
                        ("memory.stat", f"anon 1\ninactive_file {inactive}\nactive_file 7"),
                        ("memory.swap.max", swap[0]), ("memory.swap.current", swap[1])):
        (path / name).write_text(f"{value}\n")


def test_the_tightest_level_counts(directory):
    """The files of version 2, as they are; the host is the outermost level."""
    outer, inner = directory / "outer.slice", directory / "outer.slice/x.service"
    level(outer, 100 * MIB, 95 * MIB, 5 * MIB)
    level(inner, 80 * MIB, 40 * MIB)
    result = first(directory, f"Cgroup={inner}", "MinAvailable=5M")
    assert_result(result, "pass", "")
    assert (result["total"], result["available"]) == (80 * MIB, 10 * MIB)
    level(outer, "max", 95 * MIB)
    result = first(directory, f"Cgroup={inner}")
    assert (result["total"], result["available"]) == (80 * MIB, 40 * MIB)
    level(inner, "max", 40 * MIB)
    result = first(directory, f"Cgroup={inner}")
    assert result["total"] == meminfo("MemTotal")


def test_swap_of_the_host(directory):
    result = first(directory)
    assert result["swap_total"] == meminfo("SwapTotal")
    assert 0 <= result["swap_free"] <= result["swap_total"]
    assert_result(first(directory, "MinSwapFree=1000P"), "fail", "threshold", "of swap free")
    # A share of nothing is nothing.
    if not meminfo("SwapTotal"):
        assert_result(first(directory, "MinSwapFree=50%"), "pass", "")


def test_a_group_that_is_not_there(directory):
    result = first(directory, f"Cgroup={directory}/none")
    assert_result(result, "fail", "missing", f"{directory}/none", "no such control group")
    result = first(directory, "Unit=vitald-test-none.service")
    assert_result(result, "fail", "missing", "vitald-test-none.service does not run")


def test_bad_numbers(directory):
    level(directory / "bad", "many", 1)
    assert first(directory, f"Cgroup={directory}/bad")["outcome"] == "error"


def test_unit_and_path_exclude_each_other(vitald):
    vitald.service("x", section("memory", "Unit=a.service", "Cgroup=/sys/fs/cgroup/a"))
    done = vitald.verify()
    assert done.returncode == 78 and "Cgroup= and Unit= exclude" in done.stdout + done.stderr


def test_a_thousand_runs_leave_nothing(directory):
    level(directory / "x", 80 * MIB, 40 * MIB)
    with CheckRunner(directory, section("memory", f"Cgroup={directory}/x")) as runner:
        runner.next()
        runner.run("it", 2000)
        before = runner.usage()
        assert runner.run("it", 1000)["error"] == 0
        fds, memory = runner.usage()
        assert fds <= before[0] and memory - before[1] <= 256, (before, memory)
