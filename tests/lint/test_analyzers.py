# SPDX-License-Identifier: MIT
"""gcc's and clang's analyzers have nothing to say.

Neither knows the cleanup attribute, so each local owner looks like a leak to them: that one check
is off, and leaks are left to AddressSanitizer and valgrind.
"""

import concurrent.futures
import os
import re
import subprocess

import pytest

from lib.tree import SOURCE, need, tracked
from lib.vitald import build_directory

ANALYZERS = {
    "gcc": ["-O1", "-fanalyzer", "-Wno-analyzer-malloc-leak", "-c"],
    "clang": ["--analyze", "-Xclang", "-analyzer-disable-checker=unix.Malloc",
              "-Xclang", "-analyzer-output=text"],
}

# The job's owner holds a reference of its own, which no analyzer can know.
KNOWN = re.compile(r"io/workers\.c:\d+:\d+: warning: (use after .free. of .j.|Use of memory after)")


def analyze(compiler, path):
    includes = subprocess.run(["pkg-config", "--cflags", "libpq", "libsystemd", "libcurl",
                               "libmariadb", "rdkafka"],
                              capture_output=True, text=True).stdout.split()
    done = subprocess.run(
        [compiler, *ANALYZERS[compiler], "-std=gnu17", "-include", build_directory() / "config.h",
         f"-I{SOURCE}/src", f"-I{build_directory()}/src", '-DSYSCONFDIR="/etc"',
         '-DPREFIX_LIBDIR="/usr/lib"', '-DBINDIR="/usr/bin"', *includes, "-o", os.devnull,
         SOURCE / path],
        capture_output=True, text=True)
    if done.returncode != 0:
        return [f"{path}: {done.stderr}"]
    return [line for line in done.stderr.splitlines()
            if "warning:" in line and not KNOWN.search(line)]


@pytest.mark.time_limit(1800)
@pytest.mark.parametrize("compiler", sorted(ANALYZERS))
def test_analyzer_is_silent(compiler):
    need(compiler)
    sources = [path for path in tracked() if path.suffix == ".c" and path.parts[0] == "src"]
    assert sources
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        findings = [line for found in pool.map(lambda path: analyze(compiler, path), sources)
                    for line in found]
    assert not findings, "\n".join(findings)
