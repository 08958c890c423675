# SPDX-License-Identifier: MIT
"""Shell by shellcheck, Python by the compiler."""

from lib.tree import SOURCE, need, read, run, tracked


def shell_scripts():
    for path in tracked():
        with open(SOURCE / path, "rb") as f:
            first = f.readline()
        if first.startswith(b"#!") and b"sh" in first.split(b"/")[-1]:
            yield path


def test_shell_scripts():
    need("shellcheck")
    scripts = list(shell_scripts())
    assert scripts
    done = run("shellcheck", "--external-sources", *scripts, cwd=SOURCE)
    assert done.returncode == 0, done.stdout


def test_python_compiles():
    for path in tracked():
        if path.suffix == ".py":
            compile(read(path), str(path), "exec")
