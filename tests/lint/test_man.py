# SPDX-License-Identifier: MIT
"""Manual pages are valid mdoc."""

import pytest

from lib.tree import SOURCE, need, read, run, tree

PAGES = [str(path) for path in tree("*.[1-8]", below="man")]


@pytest.mark.parametrize("page", PAGES)
def test_page(page):
    need("mandoc")
    done = run("mandoc", "-Tlint", "-Wwarning", page, cwd=SOURCE)
    # It cannot see pages that are not installed yet.
    wrong = [line for line in done.stdout.splitlines() if "referenced manual not found" not in line]
    assert not wrong, "\n".join(wrong)
    assert ".Dt" in read(page)
