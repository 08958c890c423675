# SPDX-License-Identifier: MIT
"""Type=exec with programs that misbehave: each fault by its number in the list of faults."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import time

import pytest

from lib.checks import section
from lib.httpserver import cpu_seconds
from lib.notify import NotifySocket
from lib.plugins import PYTHON, DeadMount, processes_with, real, script
from lib.process import SLOWNESS, eventually, throughout
from lib.runner import CheckRunner, assert_first_of_stuck, assert_result

from test_exec import as_user, exec_check
from test_host_checks import mount, umount

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may do this")


@pytest.fixture
def mark(directory):
    """A word on the command line of what a test starts."""
    return f"mark-of-{directory.name}"


@pytest.fixture
def run(directory):
    """The first result of a check."""
    def first(command, *lines, wrap=list, within=30, **options):
        with CheckRunner(directory, exec_check(command, *lines, **options), wrap=wrap) as runner:
            return runner.next(within)
    return first


def message_of(vitald, check):
    return vitald.show(check)["Message"]


def session_of(pid):
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


def plugins_with(word):
    """Those that vitald started, without what they started themselves."""
    return [pid for pid in processes_with(word) if session_of(pid) == pid]


# -- never an end ----------------------------------------------------------------------------------

def test_fault_31_never_exits(directory, mark):
    """SIGTERM at the deadline ends it."""
    said = directory / "said"
    stubborn = script(directory, f"trap 'echo term >>{said}; exit' TERM\n"
                      "while :; do sleep 0.02; done")
    said.touch()
    said.chmod(0o666)
    text = exec_check(f"{stubborn} {mark}", timeout="2s", interval="1d")
    with CheckRunner(directory, text + "RetryInterval=1d\n") as runner:
        result = runner.next()
        assert_result(result, "fail", "timeout", "2000ms")
        eventually(lambda: said.read_text() == "term\n" * (1 + runner.was_late))
        eventually(lambda: not processes_with(mark))


def test_fault_31_deaf_to_sigterm(directory, mark):
    """SIGKILL after a grace; no second one is started beside it."""
    begun = directory / "begun"
    deaf = script(directory, f"trap '' TERM\necho begun >>{begun}\nwhile :; do sleep 0.02; done")
    begun.touch()
    begun.chmod(0o666)
    text = exec_check(f"{deaf} {mark}", "RetryInterval=50ms", timeout="400ms", interval="50ms")
    most = 0
    with CheckRunner(directory, text) as runner:
        result = runner.next()
        assert_first_of_stuck(runner, result, "waiting for the program to end")
        while "the program of the run before" not in result["message"]:     # It had no time.
            result = runner.next()
            assert_result(result, "fail", "timeout")
        first, deadline = plugins_with(mark), time.monotonic() + 30 * SLOWNESS
        while len(begun.read_text().split()) < 3:
            assert time.monotonic() < deadline
            most = max(most, len(plugins_with(mark)))
        assert most == 1
        assert not set(first) & set(plugins_with(mark))
    eventually(lambda: not processes_with(mark), what="the end of what ran at the end")


@needs_root
def test_fault_32_unkillable(directory, mark):
    """It waits in the kernel for a dead file server, deaf to SIGKILL: the check is stuck, the
    others are not, nothing is started beside it, and all is well when it ends."""
    place = directory / "dead"
    with DeadMount(place, mount, umount) as dead:
        text = exec_check(f"/bin/sh -c 'echo up; exec test -e {place}/x' {mark}",
                          "RetryInterval=100ms", timeout="300ms", interval="200ms") + \
            exec_check("/bin/true", name="good", interval="100ms")
        with CheckRunner(directory, text) as runner:
            dead.take_call()
            assert_result(runner.next_of("it"), "fail", "timeout")
            result = runner.next_that(check="it", reason="stuck")
            assert_result(result, "fail", "stuck", "/bin/sh cannot be ended, still stuck since")
            before, began = cpu_seconds(runner.pid), time.monotonic()
            for _ in range(10):
                assert runner.next_of("it")["reason"] == "stuck"
            spent = (cpu_seconds(runner.pid) - before) / (time.monotonic() - began)
            assert spent < 0.2, spent
            assert runner.next_of("good")["outcome"] == "pass"
            children = subprocess.run(["/bin/ps", "--no-headers", "--ppid", str(runner.pid)],
                                      capture_output=True, text=True).stdout
            assert sum("test" in line for line in children.splitlines()) == 1, children
            dead.release()
            eventually(lambda: runner.next_of("it")["reason"] not in ("stuck", "timeout"))


@needs_root
def test_fault_32_a_file_that_cannot_be_executed_now(directory):
    """A plug-in on a dead mount blocks who executes it, but not the loop."""
    place = directory / "dead"
    with DeadMount(place, mount, umount) as dead:
        text = exec_check(f"{place}/plugin", "RetryInterval=100ms", timeout="300ms",
                          interval="200ms") + \
            section("memory", name="good", interval="100ms")
        with CheckRunner(directory, text) as runner:
            dead.take_call()
            assert_first_of_stuck(runner, runner.next_of("it"))
            for _ in range(3):
                assert_result(runner.next_of("it"), "fail", "stuck", "cannot be ended")
                assert runner.next_of("good")["outcome"] == "pass"
            dead.release()
            result = runner.next_that(check="it", reason="exec")
            assert_result(result, "error", "exec", "Cannot execute")


# -- more than one process -------------------------------------------------------------------------

def test_fault_33_grandchildren_keep_the_pipe_open(directory, mark):
    """The result is there when the plug-in ends, and what it left behind ends with it."""
    text = exec_check(script(directory, f'/bin/sh -c "sleep 1000; :" {mark} &\n'
                             'echo "OK - mine | a=1"'), timeout="10s")
    with CheckRunner(directory, text) as runner:
        result = runner.next()
        assert_result(result, "pass", "", "OK - mine")
        assert result["a"] == 1
        eventually(lambda: not processes_with(mark))


@pytest.mark.parametrize("escape", [
    "os.setsid(); os.fork() and os._exit(0)",
    "os.setpgid(0, 0)",
    "os.setsid(); os.fork() and os._exit(0); os.setsid(); os.fork() and os._exit(0)",
])
def test_fault_33_escapees(directory, mark, escape):
    """Daemons by the book, with and without descriptors that are still open."""
    daemon = script(directory, "import os, time\nif os.fork() == 0:\n    " + escape +
                    "\n    os.closerange(0, 3)\n    time.sleep(1000)\nprint('OK', flush=True)\n"
                    "os._exit(0)", interpreter=PYTHON)
    text = exec_check(f"{daemon} {mark}", timeout="10s")
    with CheckRunner(directory, text) as runner:
        assert_result(runner.next(), "pass", "", "OK")
        eventually(lambda: not processes_with(mark))
        task = pathlib.Path(f"/proc/{runner.pid}/task")
        eventually(lambda: not any((t / "children").read_text() for t in task.iterdir()),
                   what="no zombies")


def test_fault_33_others_are_left_alone(directory, mark):
    """A plug-in at work, and its orphans in its own session, live on while another one ends."""
    slow = script(directory, "(sleep 1000 &)\nsleep 1000", name="slow")
    text = exec_check(f"{slow} {mark}", name="slow", timeout="1min") + \
        exec_check("/bin/true", name="quick", interval="50ms")
    with CheckRunner(directory, text) as runner:
        for _ in range(20):
            assert runner.next()["check"] == "quick"
        assert len(processes_with(mark)) == 1
        (pid,) = processes_with(mark)
        listed = subprocess.run(["/bin/ps", "--no-headers", "-o", "args", "-s", str(pid)],
                                capture_output=True, text=True).stdout
        assert listed.count("sleep 1000") == 2, listed
    eventually(lambda: not processes_with(mark))


# -- output ----------------------------------------------------------------------------------------

def test_fault_34_floods(directory):
    """It is read at the pace of the loop, then cut."""
    flood = script(directory, "echo first\nexec cat /dev/zero")
    with CheckRunner(directory, exec_check(flood, timeout="10s")) as runner:
        result = runner.next(20)
        assert_result(result, "fail", "signal/PIPE", "more output than is read", "first")
        assert runner.run("it", 20, within=60)["fail"] == 20
        memory = runner.usage()[1]
        assert runner.run("it", 20, within=60)["fail"] == 20
        assert runner.usage()[1] - memory < 512


def test_fault_34_floods_and_takes_no_hint(directory):
    """On standard error too, and deaf to SIGPIPE: it costs its own time, not ours."""
    flood = script(directory, "import os, signal\nblock = bytes(65536)\nwhile True:\n"
                   "    for fd in (1, 2):\n        try:\n            os.write(fd, block)\n"
                   "        except OSError:\n            pass", interpreter=PYTHON)
    with CheckRunner(directory, exec_check(flood, timeout="3s")) as runner:
        began = time.monotonic()
        assert_result(runner.next(20), "fail", "timeout")
        assert cpu_seconds(runner.pid) < 0.05 * (time.monotonic() - began) + 0.05


def test_fault_34_much_output_is_no_fault(run, directory):
    """Beyond 8 KiB it is thrown away."""
    much = script(directory, 'echo "OK | a=1"\nhead -c 500000 /dev/zero\necho "| b=1"')
    result = run(much, timeout="10s")
    assert_result(result, "pass", "", "OK")
    assert result["a"] == 1 and "b" not in result


def test_fault_35_output_that_is_no_text(vitald, directory):
    """NUL, escape sequences, invalid UTF-8, line ends of others, a line without an end."""
    shows = {
        "nul": ("a\\0b\\n", "a b"),
        "esc": ("\\033[31mred\\033[0m\\a\\n", "[31mred [0m"),
        "utf8": ("caf\\303 \\377\\303\\251\\n", "caf? ?\u00e9"),
        "crlf": ("\\r\\n  one\\r\\ntwo", "one"),
        "c1": ("x\\302\\233y\\n", "x y"),
    }
    for name, (text, _) in shows.items():
        plugin = script(directory, f"printf '{text}'\nexit 2", name=name)
        vitald.service(name, exec_check(plugin, "FailureThreshold=1"))
    long = script(directory, "head -c 1000000 /dev/zero | tr '\\0' x\nexit 2", name="long")
    vitald.service("long", exec_check(long, "FailureThreshold=1", timeout="10s"))
    vitald.start()
    for name, (_, message) in shows.items():
        vitald.wait_check(f"{name}/it", healthy=False, reason="exit-code/2")
        assert message_of(vitald, f"{name}/it") == message
        answer = vitald.get(f"/health/ready/{name}", local=True)
        assert answer.json["checks"]["it"]["error"] == message
    vitald.wait_check("long/it", healthy=False, reason="exit-code/2")
    shown = message_of(vitald, "long/it")
    assert shown.startswith("xxx") and shown.endswith("...") and len(shown) < 256
    assert vitald.metrics()
    assert not any(c in vitald.log for c in "\0\x1b\x9b\r")


# -- the end ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("how, outcome, reason", [
    ("exit 0", "pass", ""), ("exit 1", "warn", "exit-code/1"), ("exit 2", "fail", "exit-code/2"),
    ("exit 3", "error", "exit-code/3"), ("exit 4", "fail", "exit-code/4"),
    ("exit 126", "error", "exec/126"), ("exit 127", "error", "exec/127"),
    ("exit 255", "fail", "exit-code/255"), ("kill -TERM $$", "fail", "signal/TERM"),
    ("kill -KILL $$", "fail", "signal/KILL"), ("kill -HUP $$", "fail", "signal/HUP"),
    ("kill -ABRT $$", "fail", "signal/ABRT"), ("kill -40 $$", "fail", "signal/40"),
    ("/nonexistent", "error", "exec/127"), ("/etc/passwd", "error", "exec/126")])
def test_fault_36_ends(run, directory, how, outcome, reason):
    result = run(script(directory, how))
    assert (result["outcome"], result["reason"]) == (outcome, reason), result
    if outcome != "pass":
        assert result["message"]


def test_fault_36_a_core_dump(run, directory):
    crash = script(directory, "import ctypes\nctypes.string_at(0)", interpreter=PYTHON)
    assert_result(run(crash), "fail", "signal/SEGV", "Ended by SIGSEGV")


@pytest.mark.parametrize("kind, word", [
    ("missing", "No such file"), ("directory", "Permission denied"),
    ("not executable", "Permission denied"), ("no interpreter", "interpreter"),
    ("empty", "Exec format"), ("path through a file", "Not a directory"),
    ("endless link", "Too many levels")])
def test_fault_37_cannot_be_executed(run, directory, kind, word):
    path = directory / "plugin"
    if kind == "directory":
        path.mkdir()
    elif kind == "not executable":
        script(directory, "exit 0").chmod(0o644)
    elif kind == "no interpreter":
        script(directory, "exit 0", interpreter="/nonexistent/shell")
    elif kind == "empty":
        path.touch(0o755)
    elif kind == "path through a file":
        path = pathlib.Path("/etc/passwd/plugin")
    elif kind == "endless link":
        path.symlink_to(path)
    result = run(path)
    assert_result(result, "error", "exec", str(path), word)


def test_fault_37_busy(directory):
    """A file that is being written: once more, a little later."""
    path = directory / "plugin"
    path.write_bytes(pathlib.Path("/bin/true").read_bytes())
    path.chmod(0o755)
    with open(path, "ab"):
        with CheckRunner(directory, exec_check(path, interval="100ms")) as runner:
            assert_result(runner.next(), "error", "exec", "busy")
            writer = subprocess.Popen(["/bin/sleep", "0.02"], stdout=open(path, "ab"))
            writer.wait()
    with CheckRunner(directory, exec_check(path)) as runner:
        assert_result(runner.next(), "pass", "")


def test_fault_37_removed_between_runs(directory):
    path = script(directory, "exit 0")
    with CheckRunner(directory, exec_check(path, interval="100ms")) as runner:
        assert_result(runner.next(), "pass", "")
        path.unlink()
        assert_result(runner.next_that(outcome="error"), "error", "exec", "No such file")
        script(directory, "exit 0")
        runner.next_that(outcome="pass")


def test_fault_37_too_much_to_pass_on(vitald):
    """More environment than the kernel takes with a small stack."""
    lines = [f"Environment=V{i}={'x' * 15000}" for i in range(10)]
    vitald.service("default", exec_check("/bin/true", *lines, "FailureThreshold=1"))
    vitald.wrap = lambda argv: ["/usr/bin/prlimit", "--stack=524288", *map(str, argv)]
    vitald.start()
    run = eventually(lambda: vitald.runs("default/it"))[0]
    assert (run.outcome, run.reason) == ("error", "exec")
    assert "too long" in message_of(vitald, "default/it")


@needs_root
def test_fault_38_no_process_to_be_had(directory):
    """TasksMax= and RLIMIT_NPROC: our own lack, tried again, and other checks go on."""
    uid = 100000 + os.getpid()      # Nobody else has processes of this one.
    text = exec_check("/bin/true", "RetryInterval=100ms", interval="100ms") + \
        section("memory", name="other", interval="100ms")
    os.chown(directory, uid, uid)

    def wrap(argv):
        # Two: the program and its helper thread.
        return as_user(uid)(["/usr/bin/prlimit", "--nproc=2:100", *argv])
    with CheckRunner(directory, text, wrap=wrap) as runner:
        for _ in range(3):
            assert_result(runner.next_of("it"), "error", "resource", "Cannot start /bin/true",
                          "temporarily unavailable")
            assert runner.next_of("other")["outcome"] == "pass"
        subprocess.run(as_user(uid)(["/usr/bin/prlimit", f"--pid={runner.pid}", "--nproc=100"]),
                       check=True)
        runner.next_that(check="it", outcome="pass")


def test_fault_38_no_descriptors(directory):
    text = exec_check("/bin/true", interval="100ms") + \
        section("memory", name="other", interval="100ms")
    with CheckRunner(directory, text) as runner:
        runner.next_that(check="it", outcome="pass")
        deadline, used = time.monotonic() + 1, runner.usage()[0]
        while time.monotonic() < deadline:      # While it runs it has more.
            used = min(used, runner.usage()[0])
        limit = ["/usr/bin/prlimit", f"--pid={runner.pid}"]
        subprocess.run([*limit, f"--nofile={used + 2}:4096"], check=True)
        assert_result(runner.next_that(check="it", outcome="error"), "error", "resource",
                      "Too many open files")
        runner.forget()
        subprocess.run([*limit, "--nofile=4096:4096"], check=True)
        runner.next_that(check="it", outcome="pass")
        eventually(lambda: runner.usage()[0] <= used + 1)


# -- what is inherited -----------------------------------------------------------------------------

SHOW = """
import json, os
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines())
fds = {fd: os.readlink("/proc/self/fd/" + fd) for fd in os.listdir("/proc/self/fd")
       if os.path.exists("/proc/self/fd/" + fd)}
json.dump({"fds": fds, "environ": open("/proc/self/environ").read().split("\\0")[:-1],
           "signals": [status[k] for k in ("SigBlk", "SigIgn", "SigCgt", "ShdPnd")],
           "nofile": open("/proc/self/limits").read().partition("Max open files")[2].split()[0],
           "core": open("/proc/self/limits").read().partition("core file size")[2].split()[0],
           "cwd": os.getcwd(), "ids": [os.getpid(), os.getpgid(0), os.getsid(0)],
           "oom": open("/proc/self/oom_score_adj").read().strip(),
           "parent": os.getppid()}, open("OUT", "w"))
"""


def test_fault_39_inherits_nothing(vitald, directory):
    out = directory / "shown"
    out.touch()
    out.chmod(0o666)
    show = script(directory, SHOW.replace("OUT", str(out)), interpreter=PYTHON)
    vitald.service("default", exec_check(show))
    vitald.environment |= {"WATCHDOG_USEC": "30000000", "SECRET": "x", "LD_LIBRARY_PATH": "/x",
                           "LISTEN_PIDFDID": "7"}
    with NotifySocket(directory) as notify:
        vitald.environment["NOTIFY_SOCKET"] = str(notify.path)
        sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        vitald.address = sockets[0].getsockname()
        vitald.start(sockets={"http": sockets[0], "more": sockets[1]})
        vitald.wait_check("it", healthy=True)
        vitald.stop()
    for s in sockets:
        s.close()
    seen = json.loads(out.read_text())
    fds = seen["fds"]
    # The fourth is the directory that is being read, gone by then; the fifth is the output.
    assert fds.pop("0") == "/dev/null"
    assert fds.pop("1").startswith("pipe:") and fds.pop("2").startswith("pipe:")
    assert not fds, fds
    assert seen["environ"] == ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                               "LANG=C.UTF-8"]
    blocked, ignored, caught, pending = (int(word, 16) for word in seen["signals"])
    assert (blocked, pending) == (0, 0)
    # Python itself ignores SIGPIPE and SIGXFSZ and catches SIGINT.
    own = {1 << signal.SIGPIPE - 1, 1 << signal.SIGXFSZ - 1}
    assert ignored == sum(own) and caught == 1 << signal.SIGINT - 1
    assert int(seen["nofile"]) <= 1024 and seen["core"] == "0"
    assert seen["cwd"] == "/" and len(set(seen["ids"])) == 1
    assert seen["oom"] == "1000"


def test_fault_39_signals_as_a_shell_sees_them(run, directory):
    """A program that changes no disposition itself."""
    for line in ("SigBlk", "SigIgn", "SigPnd", "ShdPnd"):
        assert run(f"/bin/grep ^{line} /proc/self/status")["message"] == \
            f"{line}: 0000000000000000"


ATTACK = """
import ctypes, os, signal
parent = os.getppid()
done = []
def attempt(name, call):
    try:
        call()
        done.append(name)
    except OSError:
        pass
def trace():
    if ctypes.CDLL(None, use_errno=True).ptrace(16, parent, 0, 0) < 0:
        raise OSError(ctypes.get_errno(), "ptrace")
attempt("ptrace", trace)
for name in ("environ", "mem", "maps", "auxv"):
    attempt(name, lambda: open(f"/proc/{parent}/{name}", "rb").read(1))
attempt("fd", lambda: os.listdir(f"/proc/{parent}/fd"))
attempt("kill", lambda: os.kill(parent, 0))
print("DONE", *done)
raise SystemExit(2)
"""


@needs_root
def test_fault_40_a_plugin_against_vitald(vitald, directory):
    """As the same user it can send signals, and is heard on the private socket, like whoever
    started vitald; it sees nothing. As another user it can do neither."""
    uid = 61235
    attack = script(directory, ATTACK, interpreter="/usr/bin/python3 -I")
    for path in (vitald.runtime_directory, vitald.directory, vitald.credentials):
        os.chown(path, uid, uid)
    vitald.service("default", exec_check(attack, "FailureThreshold=1"))
    vitald.wrap = as_user(uid)
    vitald.start()
    vitald.wait_check("it", healthy=False, reason="exit-code/2")
    assert message_of(vitald, "default/it") == "DONE kill"


@needs_root
def test_fault_40_a_plugin_with_a_user_of_its_own(vitald, directory):
    attack = script(directory, ATTACK, interpreter="/usr/bin/python3 -I")
    ctl = script(directory, f"RUNTIME_DIRECTORY={vitald.runtime_directory} exec "
                 f"{vitald.build}/vitalctl drain --reason=x", name="ctl")
    vitald.service("default", exec_check(attack, "User=nobody", "FailureThreshold=1") +
                   exec_check(ctl, "User=nobody", "FailureThreshold=1", name="ctl"))
    vitald.start()
    vitald.wait_check("it", healthy=False, reason="exit-code/2")
    assert message_of(vitald, "default/it") == "DONE"
    eventually(lambda: vitald.runs("default/ctl"))
    assert vitald.show("default/ctl")["State"] == "unhealthy"
    assert throughout(lambda: "drained" not in vitald.ready().text, 0.2) is None


# -- the end of vitald -----------------------------------------------------------------------------

def test_stopping_ends_what_runs(vitald, mark):
    vitald.service("default", exec_check(f"/bin/sh -c 'sleep 1000; :' {mark}", timeout="1min"))
    vitald.start()
    eventually(lambda: processes_with(mark))
    vitald.stop()
    eventually(lambda: not processes_with(mark))


def test_a_reload_ends_what_it_no_longer_holds(vitald, mark):
    vitald.service("default", exec_check(f"/bin/sh -c 'sleep 1000; :' {mark}", timeout="1min"))
    vitald.start()
    eventually(lambda: processes_with(mark))
    vitald.service("default", exec_check(f'{real("check_dummy")} 0'))
    vitald.reload()
    vitald.wait_check("it", healthy=True)
    eventually(lambda: not processes_with(mark))
