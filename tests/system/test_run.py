# SPDX-License-Identifier: MIT
"""scripts/run, in a copy of the tree in which nothing was built yet."""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess

import pytest

from lib.process import (CLEAN_ENVIRONMENT, PATIENCE, children_of, eventually, is_running,
                         tree_of)
from lib.tree import SOURCE

ROUTES = ("/health/live", "/health/ready", "/health/started")
NOT_COPIED = shutil.ignore_patterns(".git", "build", "autom4te.cache", "__pycache__")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    place = tmp_path_factory.mktemp("run") / "vitald"
    shutil.copytree(SOURCE, place, ignore=NOT_COPIED, symlinks=True)
    return place


def environment(tree):
    return {**CLEAN_ENVIRONMENT, "HOME": str(tree)}


@pytest.fixture(scope="module")
def built(tree):
    """What the first run says, which builds it."""
    return once(tree)


def once(tree):
    return subprocess.run([tree / "scripts/run", "--once"], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, env=environment(tree), timeout=600)


def mind_interrupts():
    """What runs in the background of a shell ignores them, and a script cannot undo that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def live(tree, built):
    """Running, with its output in a file."""
    log = tree / "live.log"
    with open(log, "wb") as out:
        process = subprocess.Popen([tree / "scripts/run"], stdin=subprocess.DEVNULL, stdout=out,
                                   stderr=out, env=environment(tree), start_new_session=True,
                                   preexec_fn=mind_interrupts)
    try:
        eventually(lambda: "make it take effect" in log.read_text(), within=100)
        yield process, log.read_text()
    finally:
        everything = tree_of(process.pid)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        eventually(lambda: not any(is_running(p) for p in everything))


@pytest.mark.time_limit(600)
def test_once_shows_the_status_and_the_answers_of_the_probes(built):
    assert built.returncode == 0, built.stdout + built.stderr
    lines = built.stdout.splitlines()
    assert re.search(r": READY \(200\)  \d checks in \d services$", lines[0])
    assert {"example/disk", "example/memory", "example/port", "example/web"} <= \
        {line.split()[0] for line in lines if " healthy " in line}
    for route in ROUTES:
        shown = next(i for i, line in enumerate(lines)
                     if re.fullmatch(rf"curl -i http://127\.0\.0\.1:\d+{route}", line))
        assert lines[shown + 1].startswith('    200 {"status":"')


def test_nothing_stays_after_once(built, tree):
    assert f"{tree}/build/run/vitald" not in subprocess.run(
        ["ps", "-eo", "args"], capture_output=True, text=True).stdout


def test_what_it_prints_can_be_typed(live, tree):
    _, said = live
    curls = re.findall(r"^    (curl -i .*)$", said, re.M)
    assert len(curls) == len(ROUTES)
    for line in curls:
        answer = subprocess.run(line.split(), capture_output=True, text=True).stdout
        assert answer.startswith("HTTP/1.1 200 OK\n")
    files = pathlib.Path(re.search(r"^Edit the example below (/.*)$", said, re.M)[1])
    example = files / "services/example.conf"
    before = example.read_text()
    reload = re.search(r"^    (/.*vitalctl .*reload)$", said, re.M)[1].split()
    try:
        example.write_text(before + "[Check more]\nType=disk\nMinFree=1K\n")
        subprocess.run(reload, check=True, env=environment(tree))
        assert "example/more" in subprocess.run(curls[1].split(), capture_output=True,
                                                text=True).stdout
        example.write_text(before + "[Check more]\nTyp=disk\n")
        done = subprocess.run(reload, capture_output=True, text=True, env=environment(tree))
        assert done.returncode == 1 and f"{example}:" in done.stderr
    finally:
        example.write_text(before)


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143),
                                          (signal.SIGKILL, -9)])
def test_its_end_is_the_end_of_all(live, number, code):
    process, _ = live
    everything = tree_of(process.pid)
    assert len(everything) > 1
    if number == signal.SIGINT:     # As a terminal sends it.
        os.killpg(process.pid, number)
    else:
        os.kill(process.pid, number)
    assert process.wait(PATIENCE) == code
    eventually(lambda: not any(is_running(p) for p in everything))


def test_a_second_one_in_the_same_tree_says_so(live, tree):
    done = once(tree)
    assert done.returncode == 1 and "running in this tree already" in done.stderr
    process, _ = live
    assert process.poll() is None and children_of(process.pid)


def test_a_taken_port_is_passed_over_and_edits_are_kept(built, tree):
    example = tree / "build/run/root/etc/vitald/services/example.conf"
    example.write_text(example.read_text() + "# mine\n")
    port = int((tree / "build/run/port").read_text())
    with socket.create_server(("127.0.0.1", port)):
        done = once(tree)
    assert done.returncode == 0, done.stdout + done.stderr
    new = int((tree / "build/run/port").read_text())
    assert new > port and f"http://127.0.0.1:{new}/health/ready" in done.stdout
    assert "# mine" in example.read_text() and f":{port}" not in example.read_text()


def test_wrong_usage(tree):
    done = subprocess.run([tree / "scripts/run", "--twice"], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("usage: ")


def test_a_build_that_fails_says_why(built, tree):
    broken = tree / "src/main.c"
    before = broken.read_text()
    broken.write_text(before + "#error broken on purpose\n")
    try:
        done = once(tree)
        assert done.returncode == 1 and "broken on purpose" in done.stderr
        assert done.stdout == ""
    finally:
        broken.write_text(before)
