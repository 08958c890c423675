# SPDX-License-Identifier: MIT
"""Includes go one way: base <- model <- config, base <- io, {model, io} <- check and output."""

import pathlib
import re

import pytest

from lib.tree import read, tree

MAY_INCLUDE = {
    "base": {"base"},
    "model": {"base", "model"},
    "config": {"base", "model", "config"},
    "io": {"base", "io"},
    "check": {"base", "model", "io", "check"},
    "output": {"base", "model", "io", "output"},
    "ctl": {"base", "model", "ctl"},
    "run": {"base", "io", "run"},
}

# model/ is pure: no descriptors, no clocks, no logging, nothing of systemd.
IMPURE = re.compile(
    r"#include\s*[<\"](systemd/|sys/(socket|epoll|timerfd|eventfd|inotify|stat|statvfs)\.h|"
    r"fcntl\.h|unistd\.h|pthread\.h|poll\.h|netdb\.h|base/(log|fd)\.h)|"
    r"\b(clock_gettime|gettimeofday|time\(NULL\)|sd_[a-z]+_[a-z]|log_(line|errno|fields)|random\(|"
    r"now_usec)")

INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)


def layer_of(path):
    """The folder below src/, None for the files in src/ itself, which may know all."""
    return path.parts[1] if len(path.parts) > 2 else None


def forbidden_includes(path, text):
    layer = layer_of(path)
    if layer is None:
        return []
    return [name for name in INCLUDE.findall(text)
            if name != "config.h" and name.split("/")[0] not in MAY_INCLUDE[layer]]


def test_includes_go_to_the_left_only():
    files = tree("*.c", "*.h", "*.def", below="src")
    assert files
    wrong = [f"{path}: {name}" for path in files for name in forbidden_includes(path, read(path))]
    assert not wrong, "\n".join(wrong)


def test_every_layer_is_known():
    assert {layer_of(path) for path in tree("*.[ch]", below="src")} <= {None, *MAY_INCLUDE}


def test_the_model_is_pure():
    wrong = [f"{path}:{number}: {line.strip()}" for path in tree("*.[ch]", below="src/model")
             for number, line in enumerate(without_comments(read(path)).splitlines(), 1)
             if IMPURE.search(line)]
    assert not wrong, "\n".join(wrong)


def without_comments(text):
    blank = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
    return blank.sub(lambda m: "\n" * m.group().count("\n"), text)


@pytest.mark.parametrize("path, text, wrong", [
    ("src/model/x.c", '#include "io/stream.h"', ["io/stream.h"]),
    ("src/io/x.c", '#include "model/result.h"\n#include "base/fd.h"', ["model/result.h"]),
    ("src/check/x.c", '#  include "config/lexer.h"', ["config/lexer.h"]),
    ("src/daemon.c", '#include "output/bus.h"\n#include "check/engine.h"', []),
    ("src/output/x.c", '#include "check/engine.h"', ["check/engine.h"]),
    ("src/config/x.c", '#include "lexer.h"', ["lexer.h"])])
def test_the_check_itself(path, text, wrong):
    assert forbidden_includes(pathlib.Path(path), text) == wrong
