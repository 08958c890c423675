# SPDX-License-Identifier: MIT
"""Manual pages are valid mdoc."""

from lib.tree import SOURCE, need, read, run, tree


def test_pages():
    need("mandoc")
    wrong = []
    for page in tree("*.[1-8]", below="man"):
        done = run("mandoc", "-Tlint", "-Wwarning", page, cwd=SOURCE)
        # It cannot see pages that are not installed yet.
        wrong += [line for line in done.stdout.splitlines()
                  if "referenced manual not found" not in line]
        if ".Dt" not in read(page):
            wrong.append(f"{page}: is not mdoc")
    assert not wrong, "\n".join(wrong)
