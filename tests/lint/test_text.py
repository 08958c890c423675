# SPDX-License-Identifier: MIT
"""Format, length and words of the files in the tree."""

import re

from lib.tree import need, read, run, tracked, tree, SOURCE

LICENSE_LINE = "SPDX-License-Identifier: MIT"
HAS_LICENSE = (".c", ".h", ".def", ".py", ".sh", ".ac", ".am", ".in", ".ini", ".service",
               ".socket", ".preset")

# Words of work that is not finished. Written apart, so that this file does not hold them.
# "Not Implemented" is HTTP's.
UNFINISHED = re.compile("|".join([r"(?i:\bTO" "DO\\b)", r"(?i:\bFIX" "ME\\b)", r"\bX" "XX\\b",
                                  r"\bH" "ACK\\b", "[Nn]ot (yet )?imple" "mented"]))

LINES_AT_MOST = 500
COLUMNS = 100


def text_files():
    for path in tracked():
        if "corpus" in path.parts:
            continue
        try:
            yield path, read(path)
        except UnicodeDecodeError:
            continue


def test_c_is_formatted():
    need("clang-format")
    files = tree("*.[ch]", below="src") + tree("*.[ch]", below="tests")
    done = run("clang-format", "--dry-run", "--Werror", *files, cwd=SOURCE)
    assert done.returncode == 0, done.stdout


def test_nothing_is_left_unfinished():
    wrong = [f"{path}:{number}: {line.strip()}" for path, text in text_files()
             for number, line in enumerate(text.splitlines(), 1) if UNFINISHED.search(line)]
    assert not wrong, "\n".join(wrong)


def test_files_say_their_license():
    wrong = [str(path) for path, text in text_files()
             if path.suffix in HAS_LICENSE and LICENSE_LINE not in "\n".join(text.split("\n")[:3])]
    assert not wrong, "\n".join(wrong)


def test_lines_and_files_are_short_enough():
    wrong = []
    for path, text in text_files():
        if path.suffix not in (".c", ".h", ".py"):
            continue
        lines = text.splitlines()
        if len(lines) > LINES_AT_MOST:
            wrong.append(f"{path}: {len(lines)} lines")
        wrong += [f"{path}:{number}: {len(line)} columns" for number, line in enumerate(lines, 1)
                  if len(line) > COLUMNS]
    assert not wrong, "\n".join(wrong)


def test_no_blanks_at_line_ends():
    wrong = [f"{path}:{number}" for path, text in text_files() if path.suffix not in (".patch",)
             for number, line in enumerate(text.split("\n"), 1) if line != line.rstrip(" \t")]
    assert not wrong, "\n".join(wrong)


def test_headers_begin_with_pragma_once_and_a_comment():
    wrong = []
    for path in tree("*.h", below="src"):
        if "#pragma once" not in read(path).split("\n")[:3]:
            wrong.append(str(path))
    assert not wrong, "\n".join(wrong)


def our_enum_constants():
    bodies = [body for path in tree("*.[ch]", below="src")
              for body in re.findall(r"\benum\b[^;{(]*\{([^}]*)\}", read(path))]
    return set(re.findall(r"\b[A-Z][A-Z0-9_]+\b", " ".join(bodies)))


def test_switches_over_our_enums_have_no_default():
    ours, wrong = our_enum_constants(), []
    for path in tree("*.c", below="src"):
        text = read(path)
        for default in re.finditer(r"^\s*default:", text, re.MULTILINE):
            labels = re.findall(r"\bcase (\w+)", text[:default.start()].rpartition("switch (")[2])
            if ours & set(labels):
                wrong.append(f"{path}:{text.count(chr(10), 0, default.start()) + 1}")
    assert not wrong, "default: in\n" + "\n".join(wrong)
