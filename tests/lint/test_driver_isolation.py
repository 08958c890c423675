# SPDX-License-Identifier: MIT
"""A check type is known to its own file and to drivers.def; all others treat types alike."""

import re

from lib.tree import SOURCE, read, tree

DRIVERS = "src/check/drivers.def"


def driver_names():
    """The types in the table, from the files that hold them and from the table itself."""
    files = {path.stem.removeprefix("driver-") for path in tree("driver-*.c", below="src/check")}
    table = set(re.findall(r"^\s*(?:DRIVER|MODULE)\(\s*(\w+)", read(DRIVERS), re.MULTILINE)) \
        if (SOURCE / DRIVERS).exists() else set()
    return files, table


def test_the_table_and_the_files_agree():
    files, table = driver_names()
    assert {name.replace("-", "_") for name in files} == table


def test_the_table_of_dialects_and_their_files_agree():
    files = {path.stem.removeprefix("dialect-")
             for path in tree("dialect-*.c", below="src/output")} - {"view"}
    table = re.findall(r"^DIALECT\((\w+)\)", read("src/output/dialects.def"), re.MULTILINE)
    assert sorted(files) == table
    wrong = [f"{path}: {name}" for path in tree("*.c", "*.h", below="src") for name in files
             if path.name != f"dialect-{name}.c" and
             re.search(rf"\b{name}_dialect\b", read(path))]
    assert not wrong


def test_nobody_else_names_a_driver():
    files, _ = driver_names()
    wrong = []
    for path in tree("*.c", "*.h", below="src"):
        text = read(path)
        for name in files:
            if path.name == f"driver-{name}.c":
                continue
            symbol = name.replace("-", "_")
            for pattern in (rf"\b{symbol}_driver\b",
                            rf"\b(streq|strcmp|strcasecmp|str_equal)\s*\([^;]*\"{name}\"",
                            rf"->type(->name)?\s*==\s*[^;]*{symbol}"):
                wrong += [f"{path}: {m.group()}" for m in re.finditer(pattern, text)]
    assert not wrong, "\n".join(wrong)
