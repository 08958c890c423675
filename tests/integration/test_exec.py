# SPDX-License-Identifier: MIT
"""Type=exec with Debian's monitoring plug-ins: good and bad answers, values, a clean start."""

import os
import pathlib
import shutil

import pytest

from lib.checks import section
from lib.peers import BlackHole, HttpServer, Reply, TcpServer, hold, refused_address
from lib.plugins import PYTHON, real, script
from lib.process import eventually
from lib.runner import CheckRunner, assert_result

SECOND_USER = "nobody"


def exec_check(command, *lines, **options):
    return section("exec", f"Command={command}", *lines, **options)


@pytest.fixture
def run(directory):
    """The first result of a check."""
    def first(command, *lines, wrap=list, within=30, **options):
        with CheckRunner(directory, exec_check(command, *lines, **options), wrap=wrap) as runner:
            return runner.next(within)
    return first


# -- real plug-ins ---------------------------------------------------------------------------------

@pytest.mark.parametrize("status, outcome, reason", [
    (0, "pass", ""), (1, "warn", "exit-code/1"), (2, "fail", "exit-code/2"),
    (3, "error", "exit-code/3")])
def test_what_a_plugin_says(run, status, outcome, reason):
    result = run(f'{real("check_dummy")} {status} "all the same"')
    assert_result(result, outcome, reason, "all the same")
    assert ("latency_ms" in result) == (outcome in ("pass", "warn"))


def test_values_of_a_disk(run):
    result = run(f'{real("check_disk")} -w 0% -c 0% -p /')
    assert_result(result, "pass", "", "DISK OK - free space: /")
    assert abs(result["/"] - shutil.disk_usage("/").used) < 0.1 * shutil.disk_usage("/").total
    assert "|" not in result["message"]


def test_values_of_the_load(run):
    result = run(f'{real("check_load")} -w 900 -c 900')
    assert_result(result, "pass", "", "LOAD OK")
    assert {"load1", "load5", "load15"} <= result.keys()


def test_healthy_refused_and_restarted(directory):
    with TcpServer(hold) as server:
        text = exec_check(f'{real("check_tcp")} -H 127.0.0.1 -p {server.port}', interval="100ms",
                          timeout="5s")
        with CheckRunner(directory, text) as runner:
            result = runner.next()
            assert_result(result, "pass", "", "TCP OK")
            assert 0 < result["latency_ms"]
            server.kill()
            result = runner.next_that(outcome="fail")
            assert_result(result, "fail", "exit-code/2", "Connection refused")
            server.start()
            runner.next_that(outcome="pass")


def test_a_port_that_hangs(run):
    with BlackHole() as hole:
        result = run(f'{real("check_tcp")} -H 127.0.0.1 -p {hole.port} -t 60', timeout="300ms")
        assert_result(result, "fail", "timeout", "300ms", "waiting for the program")
        # The plug-in's own time limit says more.
        result = run(f'{real("check_tcp")} -H 127.0.0.1 -p {hole.port} -t 1', timeout="10s")
        assert_result(result, "fail", "exit-code/2", "timeout after 1 seconds")


def test_wrong_answers(run):
    with HttpServer(Reply(status=401, keep_alive=False)) as server:
        command = f'{real("check_http")} -I 127.0.0.1 -p {server.port}'
        result = run(f"{command} -a user:wrong")
        assert_result(result, "warn", "exit-code/1", "401")
        server.reply = Reply(status=500, keep_alive=False)
        assert_result(run(command), "fail", "exit-code/2", "500")
        server.reply = Reply(status=200, body=b"up", keep_alive=False)
        result = run(f'{command} -s up')
        assert_result(result, "pass", "", "200")
        assert result["size"] > 0
        assert_result(run(f'{command} -s "not there"'), "fail", "exit-code/2", "not found")


def test_refused_address_by_http(run):
    port = refused_address().rpartition(":")[2]
    assert_result(run(f'{real("check_http")} -I 127.0.0.1 -p {port}'), "fail", "exit-code/2",
                  "refused")


# -- the command -----------------------------------------------------------------------------------

def test_words_and_variables(run, directory):
    """Arguments come as they are: there is no shell."""
    show = script(directory, "import sys\nprint(sys.argv[1:], sorted(open('/proc/self/environ')."
                  "read().split('\\0')))", interpreter=PYTHON)
    result = run(f"""{show} "a b" 'c"d' $HOME *.py %h ;x \\x41\\sb | `id`""",
                 'Environment=A=1 "B=x y"', "Environment=LANG=C")
    assert_result(result, "pass", "", "['a b', 'c\"d', '$HOME', '*.py', '%h', ';x', 'A b', '")
    result = run(f"{show}", 'Environment=A=1 "B=x y"', "Environment=LANG=C")
    assert result["message"] == ("[] ['', 'A=1', 'B=x y', 'LANG=C', 'PATH="
                                 "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin']")


@pytest.mark.parametrize("line, why", [
    ("Command=check_dummy 0", "absolute path"),
    ("Command=/bin/sh -c \"x", "quote is not closed"),
    ("Command=/bin/sh \\q", "unknown escape"),
    ("Command=", "Command"),
    ("Command=/bin/true\nEnvironment=1A=x", "NAME=value"),
    ("Command=/bin/true\nProbes=liveness", "AllowRemoteLiveness=yes"),
])
def test_faults_in_files(vitald, line, why):
    vitald.service("default", f"[Check it]\nType=exec\n{line}\n")
    done = vitald.verify()
    assert done.returncode == 78 and why in done.stdout + done.stderr


def test_a_limit_of_memory(run, directory):
    """Of address space: what is asked for counts, whether it is used or not."""
    eat = script(directory, "import mmap\nprint(len(mmap.mmap(-1, 1 << 30)))", interpreter=PYTHON)
    assert_result(run(eat), "pass", "", str(1 << 30))
    result = run(eat, "MaxMemory=512M")
    assert_result(result, "warn", "exit-code/1", "Traceback")


# -- a user of its own -----------------------------------------------------------------------------

def as_user(uid):
    def wrap(argv):
        return ["/usr/bin/setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups",
                *map(str, argv)]
    return wrap


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_another_user(run, directory):
    show = script(directory, "import os\nprint(os.getresuid(), os.getresgid(), os.getgroups(), "
                  "[l for l in open('/proc/self/status') if l.startswith('CapEff')])",
                  interpreter=PYTHON)
    result = run(show, f"User={SECOND_USER}")
    assert_result(result, "pass", "", "(65534, 65534, 65534) (65534, 65534, 65534) [65534]",
                  "0000000000000000")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_without_the_right_to_change_the_user(directory):
    text = exec_check("/bin/true", f"User={SECOND_USER}", name="other") + \
        exec_check("/bin/true", "User=daemon", name="same")
    os.chown(directory, 1, 1)
    with CheckRunner(directory, text, wrap=as_user(1)) as runner:
        assert_result(runner.next_of("other"), "error", "exec/user", "User=nobody", "CAP_SETUID",
                      "exec-user.conf")
    with CheckRunner(directory, text, wrap=as_user(1)) as runner:
        assert_result(runner.next_of("same"), "pass", "")


def test_a_user_that_is_not_there(run):
    assert_result(run("/bin/true", "User=no-such-user"), "error", "exec/user", "no such user")


# -- nothing is left -------------------------------------------------------------------------------

def zombies_of(pid):
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        found += (task / "children").read_text().split()
    return found


@pytest.mark.time_limit(300)
def test_a_thousand_runs_leave_nothing(directory):
    good = exec_check(f'{real("check_dummy")} 0 "fine | a=1s"', name="good", timeout="10s")
    bad = exec_check("/nonexistent/plugin", name="bad", timeout="10s")
    with CheckRunner(directory, good + bad) as runner:
        runner.first_of(2)
        for name in ("good", "bad"):
            runner.run(name, 300)
        before = runner.usage()
        assert runner.run("good", 1000, within=200)["pass"] == 1000
        assert runner.run("bad", 1000, within=200)["error"] == 1000
        fds, memory = runner.usage()
        assert fds <= before[0]
        assert memory - before[1] <= 256, (before, memory)
        eventually(lambda: not zombies_of(runner.pid))


def test_runs_that_time_out_leave_nothing(directory):
    text = exec_check("/bin/sleep 1000", timeout="20ms")
    with CheckRunner(directory, text) as runner:
        runner.next()
        runner.run("it", 20)
        before = runner.usage()[0]
        assert runner.run("it", 100)["fail"] == 100
        eventually(lambda: runner.usage()[0] <= before)
        eventually(lambda: not zombies_of(runner.pid))
