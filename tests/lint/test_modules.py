# SPDX-License-Identifier: MIT
"""Modules (src/check/module.h): what vitald does without them, and what the program exports."""

import re
import shutil
import subprocess

import pytest

from lib.vitald import build_directory

MODULES = sorted(build_directory().glob("check-*.so"))
# Meant to be found: a hook, and what io/recv-limit and io/hmac-limit put before libpq.
KNOWN = {"_gnutls_global_init_skip", "recv", "HMAC_Init_ex"}


def verify(program, root, kind):
    place = root / "etc/vitald/services"
    place.mkdir(parents=True, exist_ok=True)
    (place / "shop.conf").write_text(f"[Check it]\nType={kind}\n")
    return subprocess.run([program, f"--root={root}", "--verify"], capture_output=True, text=True)


@pytest.fixture
def program(tmp_path):
    """The program alone."""
    return shutil.copy(build_directory() / "vitald", tmp_path)


def names():
    return [path.stem.removeprefix("check-") for path in MODULES]


@pytest.mark.parametrize("name", names())
def test_a_module_that_is_not_there(program, tmp_path, name):
    done = verify(program, tmp_path, name)
    assert done.returncode == 78
    assert re.search(rf"shop.conf:2: .*the check type {name} is not installed: there is no "
                     rf"\S+/check-{name}.so", done.stderr), done.stderr


@pytest.mark.parametrize("name", names())
def test_a_module_without_its_library(program, tmp_path, name):
    (tmp_path / f"check-{name}.so").write_bytes(b"\x7fELF")
    done = verify(program, tmp_path, name)
    assert done.returncode == 78
    assert re.search(rf"shop.conf:2: .*the check type {name} cannot be loaded: .*check-{name}.so",
                     done.stderr), done.stderr


def test_a_module_of_another_version(program, tmp_path):
    source = 'struct { const char *version; long sizes[3]; } module_abi = { "0.0.1" };' \
             'long mysql_driver[64];'
    subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", tmp_path / "check-mysql.so"],
                   input=source, text=True, check=True)
    done = verify(program, tmp_path, "mysql")
    assert done.returncode == 78
    assert "check-mysql.so is of another version than the running vitald" in done.stderr


def functions(path):
    done = subprocess.run(["nm", "-D", "--defined-only", "--format=posix", path],
                          capture_output=True, text=True, check=True)
    return {line.split("@")[0].split()[0] for line in done.stdout.splitlines()
            if line.split()[1] in "TWi"}


def libraries(path):
    done = subprocess.run(["ldd", path], capture_output=True, text=True, check=True)
    return set(re.findall(r"=> (/\S+)", done.stdout))


def test_the_program_hides_no_name_of_a_library():
    """A name that both have would make the library call us."""
    own = functions(build_directory() / "vitald") - KNOWN
    assert "check_run_finish" in own
    clashes = {}
    for library in set().union(*map(libraries, [build_directory() / "vitald", *MODULES])):
        if own & functions(library):
            clashes[library] = own & functions(library)
    assert not clashes
