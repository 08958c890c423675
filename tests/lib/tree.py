# SPDX-License-Identifier: MIT
"""What the checks of the tree share."""

import pathlib
import shutil
import subprocess

import pytest

SOURCE = pathlib.Path(__file__).resolve().parents[2]

# What git does not hold, and what is data for tests rather than text of ours.
LEFT_OUT = ("build", "build-aux", "autom4te.cache", ".git", "__pycache__", "corpus")


def tree(*patterns, below="."):
    """The files of the tree that match, as paths relative to it, in order."""
    found = {path.relative_to(SOURCE) for pattern in patterns
             for path in (SOURCE / below).rglob(pattern) if path.is_file()}
    return sorted(path for path in found
                  if not any(part in LEFT_OUT or part.startswith("build-") for part in path.parts))


def tracked():
    """All files under version control; in an unpacked distribution those that came with it."""
    if (SOURCE / ".git").exists():
        done = subprocess.run(["git", "-C", str(SOURCE), "-c", f"safe.directory={SOURCE}",
                               "ls-files", "-z"], capture_output=True, check=True)
        return [pathlib.Path(name) for name in done.stdout.decode().split("\0")
                if name and (SOURCE / name).is_file()]
    return tree("*")


def read(path):
    return (SOURCE / path).read_text()


def need(program):
    path = shutil.which(program, path="/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
    if path is None:
        pytest.skip(f"{program} is not installed")
    return path


def run(*argv, **options):
    """Both outputs in one text."""
    return subprocess.run(list(map(str, argv)), stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
