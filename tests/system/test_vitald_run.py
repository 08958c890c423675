# SPDX-License-Identifier: MIT
"""vitald-run: units whose program knows nothing of systemd or vitald, started and watched by it."""

import pathlib
import re
import signal
import time

import pytest

from lib.process import eventually, throughout
from lib.tree import read

# A stranger: it answers HTTP once /run/web.open is there, and says how it was started.
WEB = """#!/usr/bin/python3
import http.server, os, signal, sys, time
fds = sorted(os.listdir("/proc/self/fd"))
with open("/run/web/seen", "w") as seen:
    seen.write(repr((os.getpid(), sys.argv[1:], dict(os.environ), fds,
                     open("/proc/self/status").read())))
while not os.path.exists("/run/web.open"):
    time.sleep(0.02)
http.server.HTTPServer(("127.0.0.1", 8099), http.server.SimpleHTTPRequestHandler).serve_forever()
"""

UNIT = """[Unit]
StartLimitIntervalSec=0
After=vitald.service
[Service]
Type=notify
NotifyAccess=all
ExecStart=/usr/bin/vitald-run --service=web -- /usr/local/bin/web --flag 'two words'
WorkingDirectory=/tmp
RuntimeDirectory=web
WatchdogSec=4s
TimeoutStartSec=4s
TimeoutAbortSec=4s
Restart=on-failure
RestartSec=100ms
DynamicUser=yes
SupplementaryGroups=vitald
ProtectSystem=strict
ProtectHome=yes
ProtectProc=invisible
ProcSubset=pid
PrivateTmp=yes
PrivateDevices=yes
NoNewPrivileges=yes
RestrictAddressFamilies=AF_UNIX AF_INET
SystemCallFilter=@system-service
MemoryDenyWriteExecute=yes
Environment=MINE=1
"""

SERVICE = """[Service]
Unit={unit}
[Check http]
Type=http
URL=http://127.0.0.1:8099/
Probes=startup readiness liveness
Interval=200ms
RetryInterval=100ms
Timeout=300ms
"""

LONGER = 5      # seconds: than each of these

UNREACHED = "neither the bus nor /run/vitald/private takes this user in"

# What it wants stays loaded when it has ended, with its status.
KEEPER = "[Unit]\nWants=ending.service\n[Service]\nExecStart=/bin/sleep infinity\n"

# Exits as it is told.
ENDING = """[Service]
Type=notify
NotifyAccess=all
ExecStart=/usr/bin/vitald-run /bin/sh -c '{script}'
"""


@pytest.fixture(scope="module")
def host(vitald_host):
    h = vitald_host
    h.write("/usr/local/bin/web", WEB, 0o755)
    h.write("/etc/systemd/system/web.service", UNIT)
    h.write("/etc/vitald/services/web.conf", SERVICE.format(unit="web.service"))
    h.write("/etc/systemd/system/keeper.service", KEEPER)
    h.write("/etc/vitald/services/ending.conf",
            "[Service]\nUnit=ending.service\n[Check disk]\nType=disk\nMinFree=1\n")
    h.systemctl("daemon-reload")
    h.systemctl("start", "vitald.socket", "vitald-local.socket", "vitald.service", "keeper.service")
    return h


@pytest.fixture
def web(host):
    """Started, and stopped at the end."""
    host.write("/run/web.open", "")
    host.systemctl("start", "web.service")
    yield host
    host.systemctl("stop", "web.service", check=False)
    host.systemctl("reset-failed", check=False)


def number(host, name, unit="web.service"):
    return int(host.show(unit, name))


def procs(host, unit="web.service"):
    """The unit's processes, as the host numbers them."""
    return [int(pid) for pid in
            (host.root / f"sys/fs/cgroup/system.slice/{unit}/cgroup.procs").read_text().split()]


def proc(host, pid, name):
    return host.root / "proc" / str(pid) / name


def inside(host, argv):
    return host.run(argv).stdout.strip()


def cmdline(host, pid):
    return inside(host, ["cat", f"/proc/{pid}/cmdline"]).replace("\0", " ").strip()


def exe(host, pid):
    return inside(host, ["readlink", f"/proc/{pid}/exe"])


def unit_procs(host, unit="web.service"):
    """From within, so that the numbers are those of the host."""
    path = f"/sys/fs/cgroup{host.show(unit, 'ControlGroup')}/cgroup.procs"
    return [int(pid) for pid in inside(host, ["cat", path]).split()]


def catches(host, pid, name):
    """Whether the process has a handler for the signal."""
    status = inside(host, ["cat", f"/proc/{pid}/status"])
    caught = int(re.search(r"^SigCgt:\t(\w+)$", status, re.M).group(1), 16)
    return caught >> getattr(signal, f"SIG{name}") - 1 & 1


def status_text(host):
    return host.show("web.service", "StatusText")


# -- the start -------------------------------------------------------------------------------------

def test_start_waits_for_vitald(host):
    (host.root / "run/web.open").unlink(missing_ok=True)
    began = time.monotonic()
    host.systemctl("start", "--no-block", "web.service")
    # Longer than TimeoutStartSec=: it is extended.
    eventually(lambda: "Starting: http: " in status_text(host))
    throughout(lambda: host.show("web.service", "ActiveState") == "activating",
               began + LONGER - time.monotonic(), every=0.1)
    main = number(host, "MainPID")
    assert main in unit_procs(host)
    before = time.time()
    host.write("/run/web.open", "")
    host.systemctl("start", "web.service")
    assert host.show("web.service", "ActiveState") == "active"
    started = host.busctl("get-property", "org.vitald1", "/org/vitald1/service/web",
                          "org.vitald1.Service", "StartedChangeTimestamp").stdout.split()[1]
    active = host.busctl("get-property", "org.freedesktop.systemd1",
                         "/org/freedesktop/systemd1/unit/web_2eservice",
                         "org.freedesktop.systemd1.Unit", "ActiveEnterTimestamp").stdout.split()[1]
    assert before * 1e6 <= int(started) <= int(active)
    assert number(host, "MainPID") == main
    assert number(host, "NRestarts") == 0
    eventually(lambda: status_text(host) == "Alive: ready")
    host.systemctl("stop", "web.service")
    assert host.show("web.service", "Result") == "success"


def test_the_program_is_itself(web):
    main = number(web, "MainPID")
    assert exe(web, main) == inside(web, ["readlink", "-f", "/usr/bin/python3"])
    assert cmdline(web, main) == "/usr/bin/python3 /usr/local/bin/web --flag two words"
    pid, arguments, environment, fds, status = eval((web.root / "run/web/seen").read_text())
    assert (pid, arguments) == (main, ["--flag", "two words"])
    assert environment["MINE"] == "1" and environment["INVOCATION_ID"]
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & set(environment)
    assert len(fds) == 4, fds       # With that of the directory itself.
    # As every program of a unit has them: nothing blocked, SIGPIPE ignored.
    signals = dict(re.findall(r"^(Sig\w\w\w):\t(\w+)$", status, re.M))
    assert int(signals["SigBlk"], 16) == int(signals["SigPnd"], 16) == 0
    assert int(signals["SigIgn"], 16) & ~(1 << 24) == 1 << signal.SIGPIPE - 1
    assert inside(web, ["cat", f"/proc/{main}/task/{main}/children"]) == ""


def test_one_companion_and_nobody_else(web):
    main = number(web, "MainPID")
    others = [pid for pid in unit_procs(web) if pid != main]
    assert len(others) == 1
    companion = others[0]
    assert exe(web, companion) == "/usr/bin/vitald-run"
    assert cmdline(web, companion) == "vitald-run: health of web"
    shown = web.systemctl("status", "web.service").stdout
    tree = shown.partition("CGroup:")[2].partition("\n\n")[0]
    assert [line.strip(" ├└─│").split(maxsplit=1)[1].strip() for line in tree.splitlines()[1:]] == \
        sorted([cmdline(web, main), cmdline(web, companion)], key=lambda c: "vitald-run" in c) or \
        len(tree.splitlines()) == 3, shown
    memory = inside(web, ["cat", f"/proc/{companion}/smaps_rollup"])
    rss, private = (int(re.search(rf"^{key}: +(\d+)", memory, re.M).group(1))
                    for key in ("Rss", "Private_Dirty"))
    print(f"companion: RSS {rss} KiB, of its own {private} KiB")
    assert private < 2048 or "Sanitizer" in memory


def test_a_restart_waits_for_its_own_verdict(web):
    """That of the start before is not taken for it."""
    (web.root / "run/web.open").unlink()
    assert web.get("/health/started/web").status == 200
    web.systemctl("restart", "--no-block", "web.service")
    eventually(lambda: web.show("web.service", "SubState") == "start")
    throughout(lambda: web.show("web.service", "ActiveState") == "activating", 1, every=0.05)
    web.write("/run/web.open", "")
    web.systemctl("start", "web.service")


def test_a_user_without_rights_asks_on_the_bus(web):
    web.drop_in("web.service", "[Service]\nDynamicUser=no\nUser=daemon\nSupplementaryGroups=\n"
                "PrivateTmp=no\n")
    web.systemctl("restart", "web.service")
    assert "daemon" in inside(web, ["ps", "-o", "user=", str(number(web, "MainPID"))])
    eventually(lambda: status_text(web) == "Alive: ready")
    web.systemctl("restart", "vitald.service")
    eventually(lambda: status_text(web) == "Alive: ready")
    web.systemctl("restart", "dbus.service")
    throughout(lambda: web.show("web.service", "ActiveState") == "active", LONGER, every=0.2)
    eventually(lambda: status_text(web) == "Alive: ready")
    web.systemctl("stop", "web.service")
    web.drop_in("web.service", "")


def test_a_stop_is_not_delayed(web):
    def seconds():
        web.systemctl("start", "web.service")
        began = time.monotonic()
        web.systemctl("stop", "web.service")
        return time.monotonic() - began
    assert any(seconds() < 1.5 for _ in range(5))       # This machine may be slow now and then.
    assert web.show("web.service", "Result") == "success"


@pytest.mark.parametrize("mode", ["mixed", "process"])
def test_the_companion_ends_with_the_program(web, mode):
    web.drop_in("web.service", f"[Service]\nKillMode={mode}\n")
    web.systemctl("restart", "web.service")
    companion, = [pid for pid in unit_procs(web) if pid != number(web, "MainPID")]
    web.systemctl("stop", "web.service")
    eventually(lambda: not proc(web, companion, "stat").exists()
               and web.run(["test", "-e", f"/proc/{companion}"], check=False).returncode != 0)
    web.drop_in("web.service", "")


def test_signals_to_all_of_the_unit_are_the_programs(web):
    """SIGHUP, SIGUSR1 and the like do not end the companion, so that nobody is starved by them."""
    names = ("HUP", "USR1", "INT", "QUIT")
    web.systemctl("stop", "web.service")        # Its port is the stand-in's from now on.
    web.run(["systemd-run", "--unit=stand-in", "/usr/bin/python3", "-m", "http.server",
             "--bind", "127.0.0.1", "8099"])
    eventually(lambda: web.get("/", port=8099).status == 200)
    web.drop_in("web.service", "[Service]\nExecStart=\n"
                "ExecStart=/usr/bin/vitald-run --service=web "
                "/bin/sh -c 'trap : HUP USR1 INT QUIT; while :; do sleep 1; done'\n")
    web.systemctl("start", "web.service")
    # The program need not have come so far, and what it runs comes and goes.
    eventually(lambda: all(catches(web, number(web, "MainPID"), name) for name in names))
    companion, = eventually(lambda: [p for p in unit_procs(web) if "vitald-run" in exe(web, p)])
    for name in names:
        web.systemctl("kill", "-s", name, "web.service")
    throughout(lambda: companion in unit_procs(web), 0.5, every=0.1)
    web.systemctl("stop", "web.service", "stand-in.service")
    web.drop_in("web.service", "")


# -- the watchdog ----------------------------------------------------------------------------------

def test_a_hang_ends_in_the_watchdog(web):
    main = number(web, "MainPID")
    web.run(["kill", "-STOP", str(main)])
    eventually(lambda: "DEAD, the watchdog is not fed: http: " in
               status_text(web))
    eventually(lambda: number(web, "NRestarts") == 1, within=60)
    eventually(lambda: web.show("web.service", "ActiveState") == "active")
    assert number(web, "MainPID") != main
    messages = web.messages("web.service")
    assert any("Watchdog timeout" in line for line in messages)
    assert any(line.startswith("web is dead: http: ") for line in messages)
    assert any("Failed with result 'watchdog'" in line for line in messages)
    # And that was the cure.
    throughout(lambda: number(web, "NRestarts") == 1, LONGER, every=0.2)
    eventually(lambda: status_text(web) == "Alive: ready")


def test_an_override_restarts_nothing(web):
    web.run(["vitalctl", "override", "web/http", "unhealthy", "--timeout=1h"])
    eventually(lambda: web.get("/health/ready/web").status == 503)
    throughout(lambda: number(web, "NRestarts") == 0, LONGER, every=0.2)
    web.run(["vitalctl", "clear-override", "web/http"])


def test_without_vitald_nothing_happens(web):
    """Stopped, restarted: what runs is left alone."""
    invocation = web.show("web.service", "InvocationID")
    web.systemctl("stop", "vitald.socket", "vitald-local.socket", "vitald.service")
    eventually(lambda: status_text(web) == f"No verdict: {UNREACHED}")
    throughout(lambda: web.show("web.service", "ActiveState") == "active", LONGER, every=0.2)
    web.systemctl("start", "vitald.socket", "vitald-local.socket", "vitald.service")
    eventually(lambda: status_text(web) == "Alive: ready")
    for _ in range(3):
        web.systemctl("restart", "vitald.service")
    eventually(lambda: status_text(web) == "Alive: ready")
    assert web.show("web.service", "InvocationID") == invocation
    assert number(web, "NRestarts") == 0


def test_a_start_without_vitald_waits_for_it(web):
    web.systemctl("stop", "web.service", "vitald.socket", "vitald-local.socket", "vitald.service")
    web.systemctl("start", "--no-block", "web.service")
    throughout(lambda: web.show("web.service", "ActiveState") == "activating", LONGER, every=0.2)
    eventually(lambda: status_text(web) == f"Starting: {UNREACHED}")
    web.systemctl("start", "vitald.socket", "vitald-local.socket", "vitald.service")
    web.systemctl("start", "web.service")
    assert number(web, "NRestarts") == 0


def test_vitald_that_waits_for_services_does_not_wait_for_this_one(web):
    """NotifyReady=started, and the unit is ordered behind vitald: both come up."""
    conf = web.root / "etc/vitald/vitald.conf"
    before = conf.read_text()
    web.write("/etc/vitald/vitald.conf", "[Daemon]\nNotifyReady=started\n")
    web.systemctl("stop", "web.service", "vitald.service")
    web.systemctl("start", "vitald.service", "web.service", within=60)
    conf.write_text(before)
    web.systemctl("restart", "vitald.service")


def test_a_wrong_name_fails_in_its_time(web):
    web.drop_in("web.service", "[Service]\nRestart=no\nExecStart=\n"
                "ExecStart=/usr/bin/vitald-run --service=nobody /usr/local/bin/web\n")
    web.systemctl("stop", "web.service")
    web.systemctl("start", "--no-block", "web.service")
    eventually(lambda: status_text(web) ==
               "Starting: vitald knows no service nobody")
    eventually(lambda: "No verdict for this unit: vitald knows no service nobody" in
               web.messages("web.service"))
    web.drop_in("web.service", "")


# -- the end ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("script, code, status", [
    ("exit 0", 1, 0), ("exit 1", 1, 1), ("exit 42", 1, 42),
    ("kill -TERM $$", 2, 15), ("kill -KILL $$", 2, 9), ("kill -SEGV $$", 3, 11)])
@pytest.mark.parametrize("when", ["at once", "once it is active"])
def test_exit_statuses_are_exact(host, script, code, status, when):
    wait = "" if when == "at once" else "while [ ! -e /run/go ]; do sleep 0.05; done; "
    (host.root / "run/go").unlink(missing_ok=True)
    script = (wait + script).replace("$$", "$$$$")
    host.write("/etc/systemd/system/ending.service", ENDING.format(script=script))
    host.systemctl("daemon-reload")
    host.systemctl("reset-failed", check=False)
    host.systemctl("start", "ending.service", check=False)
    host.write("/run/go", "")
    eventually(lambda: host.show("ending.service", "ActiveState") in ("inactive", "failed"))
    got = number(host, "ExecMainCode", "ending.service"), number(host, "ExecMainStatus",
                                                                 "ending.service")
    assert got in ((code, status), (2 if code == 3 else code, status))
    eventually(lambda: host.show("ending.service", "ControlGroup") == "")


def test_what_cannot_be_executed(host):
    host.write("/etc/systemd/system/ending.service",
               ENDING.replace("/bin/sh -c '{script}'", "/usr/bin/no-such-program"))
    host.systemctl("daemon-reload")
    assert host.systemctl("start", "ending.service", check=False).returncode != 0
    assert number(host, "ExecMainStatus", "ending.service") == 203
    eventually(lambda: "vitald-run: cannot execute /usr/bin/no-such-program: No such file or "
               "directory" in host.messages("ending.service"))


# -- the manual ------------------------------------------------------------------------------------

def test_the_example_of_the_manual(host):
    """Its unit and its service, as they stand there."""
    for path, text in re.findall(r"^\.Bd -literal[^\n]*\n# (/etc/\S+)\n(.*?)^\.Ed",
                                 read("man/vitald-run.1"), re.M | re.S):
        host.write(path, text)
    host.systemctl("daemon-reload")
    host.systemctl("reload", "vitald.service")
    host.systemctl("start", "shop.service")
    eventually(lambda: host.get("/", port=8080).status == 200)
    eventually(lambda: host.get("/health/ready/shop").status == 200)
    assert exe(host, number(host, "MainPID", "shop.service")).startswith("/usr/bin/python3")
    host.systemctl("stop", "shop.service")


# -- the light form --------------------------------------------------------------------------------

def test_the_light_form(host):
    (host.root / "run/web.open").unlink(missing_ok=True)
    host.write("/etc/systemd/system/light.service", LIGHT)
    host.write("/etc/vitald/services/light.conf", SERVICE.format(unit="light.service"))
    host.systemctl("daemon-reload")
    host.systemctl("reload", "vitald.service")
    for verb in ("start", "restart"):
        (host.root / "run/web.open").unlink(missing_ok=True)
        host.systemctl(verb, "--no-block", "light.service")
        eventually(lambda: host.show("light.service", "SubState") == "start-post")
        throughout(lambda: host.show("light.service", "ActiveState") == "activating", 0.7,
                   every=0.05)
        host.write("/run/web.open", "")
        host.systemctl("start", "light.service")
        assert host.get("/health/started/light").status == 200
    host.systemctl("stop", "light.service")


LIGHT = """[Service]
ExecStart=/usr/local/bin/web
ExecStartPost=+/usr/bin/vitalctl wait --started light
DynamicUser=yes
RuntimeDirectory=web
TimeoutStartSec=60s
"""


# -- a user's own ----------------------------------------------------------------------------------

USER_UNITS = {
    "vitald.service": "[Service]\nType=notify\nRuntimeDirectory=vitald\n"
                      "ExecStart=/usr/bin/vitald --bus=user --root=%h --listen=%h/web.sock\n",
    "own.service": "[Service]\nType=notify\nNotifyAccess=all\nWatchdogSec=4s\n"
                   "Restart=on-failure\nRestartSec=100ms\nExecStart=/usr/bin/vitald-run "
                   "--bus=user /usr/bin/python3 -m http.server --bind 127.0.0.1 8098\n",
}


def test_a_manager_of_a_user(host):
    """With a vitald of the user's own, on the user's bus."""
    if not (host.root / "usr/lib/systemd/user/dbus.socket").exists():
        pytest.skip("no bus for users on this machine")
    host.run(["useradd", "--create-home", "--uid=1500", "alice"])
    for name, text in USER_UNITS.items():
        host.write(f"/home/alice/.config/systemd/user/{name}", text)
    host.write("/home/alice/etc/vitald/services/own.conf",
               SERVICE.format(unit="own.service").replace("8099", "8098"))
    host.run(["chown", "-R", "alice:", "/home/alice"])
    host.systemctl("start", "user@1500.service")

    def user(*argv):
        return host.run(["env", "XDG_RUNTIME_DIR=/run/user/1500", *argv], user="alice").stdout
    user("systemctl", "--user", "start", "vitald.service")
    user("systemctl", "--user", "start", "own.service")

    def show(name):
        return user("systemctl", "--user", "show", "-P", name, "own.service").strip()
    eventually(lambda: show("StatusText") == "Alive: ready")
    assert "own.service (active)" in user("vitalctl", "--bus=user", "status", "own")
    main = show("MainPID")
    host.run(["kill", "-STOP", main])
    eventually(lambda: show("NRestarts") == "1" and show("ActiveState") == "active", within=60)
    assert show("MainPID") != main
    host.systemctl("stop", "user@1500.service")
