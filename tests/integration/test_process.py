# SPDX-License-Identifier: MIT
"""Type=process: by PID file and by name; what comes and goes is seen without waiting."""

import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import time

import pytest

from lib.checks import section
from lib.process import CLEAN_ENVIRONMENT, eventually, throughout
from lib.runner import CheckRunner, assert_result

# No other tests beside these have one of this name.
SLEEPER = f"sleeper-{os.getpid()}"

EATER = """
import sys, threading, time
held = bytearray(b"x") * (40 << 20)
files = [open("/dev/null") for _ in range(20)]
for _ in range(4):
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
print("ready", flush=True)
time.sleep(1000)
"""


@pytest.fixture
def start(directory):
    """start(name) runs a program of that name; its Popen."""
    children = []

    def start(name=SLEEPER):
        program = directory / name
        if not program.exists():
            shutil.copy("/bin/sleep", program)
        child = subprocess.Popen([program, "1000"], env=CLEAN_ENVIRONMENT)
        comm = pathlib.Path(f"/proc/{child.pid}/comm")
        eventually(lambda: comm.read_text().strip() == name[:15])
        children.append(child)
        return child
    yield start
    for child in children:
        child.kill()
        child.wait()


@pytest.fixture
def pid_file(directory):
    return directory / "program.pid"


def text(*lines, **options):
    return section("process", *lines, "RetryInterval=10ms", **options)


def write(file, pid):
    """As programs do it: a new file under its name."""
    other = file.with_suffix(".new")
    other.write_text(f"{pid}\n")
    other.rename(file)


def first(directory, *lines, wrap=list):
    with CheckRunner(directory, text(*lines), wrap=wrap) as runner:
        return runner.next()


# -- PID file --------------------------------------------------------------------------------------

def test_kill_and_restart_are_seen_at_once(directory, start, pid_file):
    """Interval= is a day."""
    program = start()
    write(pid_file, program.pid)
    with CheckRunner(directory, text(f"PIDFile={pid_file}")) as runner:
        result = runner.next()
        assert_result(result, "pass", "", f"{pid_file}: 1 process, ")
        assert result["count"] == 1 and result["threads"] == 1
        program.kill()
        # Before anybody has waited for it: a zombie is as good as nothing.
        assert_result(runner.next_that(outcome="fail"), "fail", "missing", "no such process")
        program.wait()
        write(pid_file, start().pid)
        assert_result(runner.next_that(outcome="pass"), "pass", "")
        pid_file.unlink()
        assert_result(runner.next_that(outcome="fail"), "fail", "missing", "no such PID file")
        write(pid_file, start().pid)
        runner.next_that(outcome="pass")


def test_it_keeps_to_the_new_process(directory, start, pid_file):
    """The end of one that the file no longer names is nothing."""
    old, new = start(), start()
    write(pid_file, old.pid)
    with CheckRunner(directory, text(f"PIDFile={pid_file}")) as runner:
        runner.next()
        write(pid_file, new.pid)
        eventually(lambda: watched_by(runner.pid) == [new.pid])
        assert runner.run("it")["pass"] == 1
        old.kill()
        old.wait()
        throughout(runner.is_quiet, 0.2)
        new.kill()
        assert_result(runner.next_that(outcome="fail"), "fail", "missing")


def watched_by(pid):
    """The processes of which it holds descriptors."""
    found = []
    for info in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir():
        lines = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
        if "Pid" in lines:
            found.append(int(lines["Pid"]))
    return found


@pytest.mark.parametrize("content", ["", "\n", "abc\n", "-1\n", "0\n", "99999999999999999999\n"])
def test_bad_pid_files(directory, pid_file, content):
    pid_file.write_text(content)
    assert_result(first(directory, f"PIDFile={pid_file}"), "fail", "mismatch", "holds no PID")


def test_odd_pid_files(directory, pid_file):
    os.mkfifo(pid_file)
    assert first(directory, f"PIDFile={pid_file}")["outcome"] == "error"
    pid_file.unlink()
    pid_file.write_text("1 and more\n")
    assert_result(first(directory, f"PIDFile={pid_file}"), "pass", "")
    pid_file.chmod(0)

    def as_nobody(argv):
        return ["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--", *argv]
    assert_result(first(directory, f"PIDFile={pid_file}", wrap=as_nobody), "error",
                  "configuration", "may not read it")


def test_a_pid_that_is_not_there(directory, pid_file):
    child = subprocess.Popen(["/bin/true"])
    child.wait()
    pid_file.write_text(f"{child.pid}\n")
    result = first(directory, f"PIDFile={pid_file}")
    assert_result(result, "fail", "missing", "no such process")
    assert result["count"] == 0


def test_a_pid_that_now_is_of_another_program(directory, start, pid_file):
    write(pid_file, start("other-program").pid)
    lines = f"PIDFile={pid_file}", f"Name={SLEEPER}"
    assert_result(first(directory, *lines), "fail", "mismatch", f"not {SLEEPER}")
    write(pid_file, start().pid)
    assert_result(first(directory, *lines), "pass", "")


# -- names -----------------------------------------------------------------------------------------

def test_names(directory, start):
    name = f"a-name-of-more-than-15-letters-{os.getpid()}"
    with CheckRunner(directory, text(f"Name={name}")) as runner:
        assert_result(runner.next(), "fail", "missing", f"{name}: no such process")
    programs = [start(name), start(name), start(name)]
    with CheckRunner(directory, text(f"Name={name}")) as runner:
        assert runner.next()["count"] == 3
        for left in 2, 1:
            programs.pop().kill()
            runner.next_that(count=left)
        programs.pop().kill()
        assert_result(runner.next_that(outcome="fail"), "fail", "missing")


def test_no_part_of_a_name(directory, start):
    start()
    assert first(directory, "Name=sleeper")["outcome"] == "fail"


def without_others(argv):
    """As under ProtectProc=invisible."""
    script = 'mount -t proc -o hidepid=invisible proc /proc; exec "$@"'
    return ["/usr/bin/unshare", "--mount", "--propagation", "private", "/bin/sh", "-ec", script,
            "sh", "/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--",
            *map(str, argv)]


def test_names_are_hidden(directory, start):
    start()
    result = first(directory, f"Name={SLEEPER}", wrap=without_others)
    assert_result(result, "error", "configuration", "hides", "drop-in process.conf")


def test_a_hidden_process_is_watched_all_the_same(directory, start, pid_file):
    program = start()
    write(pid_file, program.pid)
    with CheckRunner(directory, text(f"PIDFile={pid_file}"), wrap=without_others) as runner:
        result = runner.next()
        assert_result(result, "pass", "", "1 process")
        assert "memory" not in result and "files" not in result
        program.kill()
        assert_result(runner.next_that(outcome="fail"), "fail", "missing")


# -- figures ---------------------------------------------------------------------------------------

def test_figures(directory, pid_file):
    program = subprocess.Popen([sys.executable, "-c", EATER], stdout=subprocess.PIPE)
    try:
        assert program.stdout.readline() == b"ready\n"
        pid_file.write_text(str(program.pid))
        result = first(directory, f"PIDFile={pid_file}")
        status = pathlib.Path(f"/proc/{program.pid}/status").read_text()
        rss = int(status.partition("VmRSS:")[2].split()[0]) * 1024
        assert abs(result["memory"] - rss) < 0.1 * rss and rss > 40 << 20
        assert result["threads"] == 5
        assert result["files"] == len(os.listdir(f"/proc/{program.pid}/fd")) > 20
    finally:
        program.kill()
        program.communicate()


def test_limits_of_figures(vitald, start):
    """Through the daemon: fewer than two fail, more than two are too many."""
    vitald.service("default", text(f"Name={SLEEPER}", "Fail=count:2:", "Warn=count:2",
                                   "FailureThreshold=1"))
    programs = [start(), start()]
    vitald.start()
    vitald.wait_status("/health/ready", 200)
    assert "degraded" not in vitald.ready().json
    programs.pop().kill()
    vitald.wait_check("it", healthy=False, reason="threshold/count")
    start(), start()
    vitald.vitalctl("run", "default/it")
    eventually(lambda: vitald.ready().json["degraded"] == ["it"])


# -- at once ---------------------------------------------------------------------------------------

@pytest.mark.timing
def test_not_ready_within_50_ms_of_kill_9(vitald, directory, start, pid_file):
    program = start()
    write(pid_file, program.pid)
    vitald.service("default", text(f"PIDFile={pid_file}", "FailureThreshold=1", interval="60s"))
    vitald.start()
    delays = []
    for _ in range(20):
        vitald.wait_status("/health/ready", 200)
        began = time.monotonic()
        os.kill(program.pid, signal.SIGKILL)
        while vitald.ready().status != 503:
            pass
        delays.append(time.monotonic() - began)
        program.wait()
        program = start()
        write(pid_file, program.pid)
    print(f"median {1000 * statistics.median(delays):.1f} ms, maximum {1000 * max(delays):.1f} ms")
    # Most of them, as the machine may stand still in any.
    assert sorted(delays)[15] < 0.05, delays


# -- the rest --------------------------------------------------------------------------------------

@pytest.mark.parametrize("lines, words", [
    ((), "PIDFile=, Unit= or Name= is needed"),
    (("PIDFile=/run/a", "Unit=a.service"), "exclude each other"),
    ((f"Name={'x' * 300}",), "too long"),
])
def test_faults_of_settings(vitald, lines, words):
    vitald.service("x", text(*lines))
    done = vitald.verify()
    assert done.returncode == 78 and words in done.stdout + done.stderr


def test_a_thousand_runs_leave_nothing(directory, start, pid_file):
    """Also while the process is replaced all the time."""
    write(pid_file, start().pid)
    with CheckRunner(directory, text(f"PIDFile={pid_file}")) as runner:
        runner.next()
        runner.run("it", 2000)
        before = runner.usage()
        assert runner.run("it", 1000)["pass"] == 1000
        for _ in range(50):
            program = start()
            write(pid_file, program.pid)
            runner.run("it", 2)
            program.kill()
            program.wait()
        write(pid_file, start().pid)
        runner.run("it", 10)
        fds, memory = runner.usage()
        # Lost calls would be 10 KiB each.
        assert fds <= before[0] and memory - before[1] <= 1024, (before, memory)
