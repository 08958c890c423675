# SPDX-License-Identifier: MIT
"""vitalctl against the real daemon: what it prints, what it changes, its exit codes."""

import json
import os
import pty
import re
import select
import subprocess
import time

import pytest

from lib.ctl import (ERROR, HOST, NO, TIMED_OUT, UNKNOWN, UNREACHABLE, USAGE, YES, break_app,
                     check, complaint, ctl, mend_app, start)
from lib.peers import Reply
from lib.process import CLEAN_ENVIRONMENT, eventually, free_port
from lib.vitald import SOURCE


# -- looking --

def test_history(shop, http_server):
    break_app(shop, http_server)
    mend_app(shop, http_server)
    lines = ctl(shop, "history", "shop/app", env={"LC_ALL": "C.UTF-8"}).splitlines()
    assert re.fullmatch(r"shop/app: healthy for \S+( \S+)?", lines[0])
    assert re.fullmatch(r"  Runs     [▁▂▃▄▅▆▇█]+x+[▁▂▃▄▅▆▇█]+  \S+ to \S+", lines[1])
    assert re.fullmatch(r"  Latency  p50 \S+, p95 \S+, p99 \S+, max \S+", lines[2])
    assert lines[3].split() == ["SINCE", "STATE", "REASON"]
    assert [line.split()[1:] for line in lines[4:6]] == [["healthy"], ["unhealthy", "status"]]
    assert re.search(r"  Runs     [_.~=+*#-]+x+[_.~=+*#-]+  ",
                     ctl(shop, "history", "shop/app", env={"LC_ALL": "C"}))
    past = json.loads(ctl(shop, "history", "shop/app", "--json=short"))
    assert [c["State"] for c in past["Changes"]][-2:] == ["unhealthy", "healthy"]
    assert past["Runs"][-1]["Outcome"] == "pass" and past["Latency"]["P50USec"] > 0
    assert "fail" in [run["Outcome"] for run in past["Runs"]]
    complaint(shop, "history", "shop/apo", code=UNKNOWN)


def test_history_lives_through_a_reload(shop):
    before = json.loads(ctl(shop, "history", "shop/app", "--json=short"))["Runs"]
    shop.service("another", check("app", "http://127.0.0.1:1/"))
    ctl(shop, "reload")
    after = json.loads(ctl(shop, "history", "shop/app", "--json=short"))["Runs"]
    assert after[:len(before)] == before and len(before) > 0
    assert len(json.loads(ctl(shop, "history", "another/app", "--json=short"))["Changes"]) >= 1


def test_status_of_a_host_that_is_ready(shop):
    lines = ctl(shop, "status").splitlines()
    assert lines[0] == f"{HOST}: READY (200)  {count_of(shop)}"
    assert "  shop  ready" in lines
    assert lines[-1] == ("Liveness alive: nothing will be restarted. Listening 127.0.0.1:%d, %s "
                         "(loopback only)." % (shop.address[1], shop.local))
    assert ctl(shop) == ctl(shop, "status", "--no-pager")


def count_of(daemon):
    services = json.loads(ctl(daemon, "status", "--json=short"))["Services"]
    n = sum(len(s["Checks"]) for s in services)
    return f"{n} check{'s' * (n != 1)} in {len(services)} service{'s' * (len(services) != 1)}"


def test_status_of_a_host_that_is_not(shop, http_server):
    break_app(shop, http_server)
    lines = ctl(shop, "status", code=NO).splitlines()
    assert re.fullmatch(rf"{HOST}: NOT READY \(503\)  shop/app status/500 for \d+s", lines[0])
    row = next(i for i, line in enumerate(lines) if line.startswith("! shop"))
    assert re.fullmatch(rf"! shop  not ready  app: HTTP 500 from {http_server.address}, "
                        r"next run in [\dminshd ]+", lines[row])
    assert re.fullmatch(r" {8}first at \d\d:\d\d:\d\d; see https://wiki/app", lines[row + 1])
    http_server.kill()
    ctl(shop, "run", "shop/app", code=NO)
    lines = ctl(shop, "status", code=NO).splitlines()
    assert "refused for" in lines[0]
    assert re.search(rf"app: {http_server.address}: Connection refused, \d in a row", lines[row])
    assert f"first: HTTP 500 from {http_server.address} at " in lines[row + 1]


def test_status_of_a_service(shop, http_server):
    lines = ctl(shop, "status", "shop").splitlines()
    assert lines[:2] == [f"shop on {HOST}: READY (200)", "  The shop"]
    assert re.fullmatch(r"  app  healthy  \d+\.\dms", lines[2])
    break_app(shop, http_server)
    lines = ctl(shop, "status", "shop", code=NO).splitlines()
    assert re.fullmatch(rf"shop on {HOST}: NOT READY \(503\)  app status/500 for \d+s", lines[0])
    assert lines[2].startswith("! app  unhealthy  HTTP 500 from ")


def test_a_check_that_is_not_critical_degrades(vitald, http_server):
    vitald.service("shop", "[Service]\n" + check("app", http_server.url())
                   + check("cache", f"http://127.0.0.1:{free_port()}/", "Critical=no"))
    vitald.start()
    ctl(vitald, "wait", "shop", "--timeout=10s")
    eventually(lambda: "READY, degraded (200)  shop/cache refused for" in ctl(vitald, "status"))
    assert "\n  shop  degraded  cache: " in ctl(vitald, "status")
    assert ctl(vitald, "is-ready", "shop") == "shop is ready\n"
    assert "; not critical" in ctl(vitald, "why", "shop")


def test_dead_liveness_says_what_will_be_done(vitald, http_server):
    vitald.service("shop", "[Service]\nOnLivenessFailure=none\n"
                   + check("app", http_server.url(), "Probes=liveness readiness\n"
                           "LivenessFailureThreshold=2"))
    vitald.start()
    ctl(vitald, "wait", "shop", "--timeout=10s")
    break_app(vitald, http_server)
    assert "Liveness alive" in ctl(vitald, "status", code=NO)
    break_app(vitald, http_server)
    out = ctl(vitald, "status", code=NO)
    assert re.match(rf"{HOST}: DEAD, NOT READY \(503\)  shop/app status/500 for ", out)
    assert re.search(r"^! shop  dead   app: HTTP 500", out, re.MULTILINE)
    assert "\nLiveness dead: shop (OnLivenessFailure=none). Listening " in out
    assert vitald.vitalctl("wait", "--live", "shop", "--timeout=100ms").returncode == TIMED_OUT


def test_a_host_without_services_is_unconfigured(vitald):
    vitald.start()
    assert "NOT READY (503)  no service is configured" in ctl(vitald, "status", code=NO)
    assert "no service is configured" in ctl(vitald, "why", code=NO)


def test_a_bad_file_is_named(vitald, http_server):
    vitald.service("good", "[Service]\n" + check("app", http_server.url()))
    path = vitald.service("bad", "[Check x]\nType=http\nUrl=http://127.0.0.1/\n")
    vitald.start()
    ctl(vitald, "wait", "good", "--timeout=10s")
    out = ctl(vitald, "status", code=NO)
    assert f"bad: configuration: {path}:3: " in out.splitlines()[0]
    assert f"! bad   not ready  {path}:3: " in out
    assert f"its configuration was refused: {path}:3: " in ctl(vitald, "why", "bad", code=NO)
    ctl(vitald, "status", "good")


def test_list_and_show(shop, http_server):
    rows = [line.split() for line in ctl(shop, "list").splitlines()]
    assert rows[0] == ["CHECK", "STATE", "TYPE", "LATENCY", "LAST", "RUN", "TARGET"]
    row = next(r for r in rows if r[0] == "shop/app")
    assert row[1:3] == ["healthy", "http"] and re.fullmatch(r"[\d.]+m?s", row[3])
    assert row[-1] == http_server.url()
    out = ctl(shop, "show", "shop/app")
    assert re.match(r"shop/app: healthy for \d+s\n", out)
    for line in (r"Feeds +readiness", r"See +https://wiki/app", r"Last run +\d+s ago: pass in ",
                 r"In a row +\d+ success", r"Silence +3d \(MaxAge=\)"):
        assert re.search(rf"^  {line}", out, re.MULTILINE), f"{line} in\n{out}"


@pytest.mark.parametrize("settings, failure, recovery, dead", [
    ("Interval=10s\nTimeout=1s\nRetryInterval=2s\nFailureThreshold=3",
     "17s (10s + 1s, then 2 x (2s + 1s))", "11s (10s + 1s)", None),
    ("Interval=5s\nTimeout=500ms\nFailureThreshold=1\nSuccessThreshold=2\nRetryInterval=1s",
     "5.5s (5s + 500ms)", "7s (5s + 500ms, then 1 x (1s + 500ms))", None),
    # Two quick failures, then two at the interval.
    ("Interval=10s\nTimeout=1s\nRetryInterval=2s\nFailureThreshold=2\nLivenessFailureThreshold=4\n"
     "Probes=readiness liveness",
     "14s (10s + 1s, then 1 x (2s + 1s))", "11s (10s + 1s)", "36s (4 failures in a row)")])
def test_show_tells_how_soon_a_check_acts(vitald, http_server, settings, failure, recovery, dead):
    vitald.service("shop", f"[Check app]\nType=http\nURL={http_server.url()}\n{settings}\n")
    vitald.start()
    out = ctl(vitald, "show", "shop/app")
    acts = dict(re.findall(r"^  (\w+) +(.*)$", out.split("Acts at the latest after:")[1],
                           re.MULTILINE))
    assert (acts["Failure"], acts["Recovery"], acts.get("Dead")) == (failure, recovery, dead)


def test_why(shop, http_server):
    out = ctl(shop, "why", "shop")
    assert re.fullmatch(r"shop is ready since \S+ \(\d+s\)\n", out)
    break_app(shop, http_server)
    out = ctl(shop, "why", code=NO)
    assert f"{HOST} is not ready since " in out and "\nshop is not ready since " in out
    assert re.search(r"\n  app: unhealthy, status/500 for \d+s: HTTP 500 from .*\n    first at .*"
                     "; see https://wiki/app\n", out)
    why = json.loads(ctl(shop, "why", "shop", "--json=short", code=NO))
    assert why == {"State": "not_ready", "Why": [f"app: HTTP 500 from {http_server.address}"]}


def test_json_is_what_the_bus_says(make_vitald, bus, http_server):
    daemon = make_vitald(bus=bus)
    daemon.service("shop", check("app", http_server.url()))
    daemon.start()
    eventually(lambda: "org.vitald1" in bus.names())
    eventually(lambda: " pending " not in ctl(daemon, "list"), what="results of all checks")
    short = ctl(daemon, "status", "--json=short")
    assert short.count("\n") == 1
    pretty = ctl(daemon, "status", "--json=pretty")
    assert pretty.count("\n") > 50
    view = json.loads(short)
    service = next(s for s in view["Services"] if s["Name"] == "shop")
    assert [c["Name"] for c in service["Checks"]] == ["app"]
    for path, interface, got in (
            ("/org/vitald1", "Manager", view),
            ("/org/vitald1/service/shop", "Service", service),
            ("/org/vitald1/service/shop/check/app", "Check", service["Checks"][0])):
        done = bus.busctl("--json=short", "call", "org.vitald1", path,
                          "org.freedesktop.DBus.Properties", "GetAll", "s",
                          f"org.vitald1.{interface}")
        properties = json.loads(done.stdout)["data"][0]
        for key, value in got.items():
            if key not in ("Hostname", "Services", "Checks", "Values") and value is not None:
                changes = key in ("Sequence", "NextRunTimestampMonotonic")
                assert changes or properties[key]["data"] == value, key
    assert json.loads(ctl(daemon, "list", "--json=short"))[-1]["Name"] == "app"
    assert json.loads(ctl(daemon, "show", "shop/app", "--json=short"))["Service"] == "shop"


# -- changing --

def test_run_answers_with_the_result(shop, http_server):
    before = len(http_server.requests)
    assert re.match(r"shop/app: pass in \d+\.\dms.*; the check is healthy\n",
                    ctl(shop, "run", "shop/app"))
    assert len(http_server.requests) == before + 1
    http_server.reply = Reply(status=500)
    answer = json.loads(ctl(shop, "run", "shop/app", "--json=short", code=NO))
    assert (answer["State"], answer["Outcome"], answer["Reason"]) == (
        "unhealthy", "fail", "status/500")


def test_drain_of_a_service_and_of_the_host(shop):
    ctl(shop, "drain", "shop", "--reason=kernel update", "--timeout=1h")
    out = ctl(shop, "status", code=NO)
    assert re.match(rf"{HOST}: NOT READY \(503\)  shop: drained by root \d+s ago, until \S+: "
                    "kernel update\n", out)
    assert re.search(r"^! shop  draining  drained by root ", out, re.MULTILINE)
    ctl(shop, "undrain", "shop")
    assert ctl(shop, "is-ready") == f"{HOST} is ready\n"
    ctl(shop, "drain", "--all", "--reason=move")
    assert shop.ready().status == 503
    assert re.match(rf"{HOST}: NOT READY \(503\)  drained by root \d+s ago: move\n",
                    ctl(shop, "status", code=NO))
    ctl(shop, "undrain", "--all")
    assert shop.ready().status == 200
    # An empty variable in a script drains nothing.
    complaint(shop, "drain", code=USAGE)
    complaint(shop, "drain", "shop", "--all", code=USAGE)
    assert shop.ready().status == 200


def test_an_override_is_seen_at_first_sight(shop, http_server):
    break_app(shop, http_server)
    ctl(shop, "override", "shop/app", "healthy", "--reason=ticket 7", "--timeout=10min")
    out = ctl(shop, "status")
    assert out.splitlines()[0].endswith("; 1 override")
    assert re.search(r"^Override: shop/app is shown as healthy by root, set \d+s ago, until \S+: "
                     "ticket 7; measured unhealthy$", out, re.MULTILINE)
    assert "Override" in ctl(shop, "show", "shop/app")
    assert re.search(r"^shop/app is shown as healthy by decision of root, for (10min|9min \d+s): "
                     "ticket 7; measured unhealthy$", shop.log, re.MULTILINE)
    ctl(shop, "clear-override", "shop/app")
    ctl(shop, "is-ready", "-q", code=NO)
    assert "shop/app is no longer overridden, cleared by root: unhealthy\n" in shop.log
    # The time runs out.
    ctl(shop, "override", "shop/app", "pass", "--timeout=5s")
    ctl(shop, "is-ready", "-q")
    shop.wait_status("/health/ready", 503)
    assert "shop/app is no longer overridden, as its time is over: unhealthy\n" in shop.log
    assert "healthy, degraded or unhealthy" in complaint(shop, "override", "shop/app", "fine",
                                                         code=ERROR)


def test_what_is_for_some_alone(shop):
    assert "takes no reports" in complaint(shop, "report", "shop/app", "pass", "ok", code=ERROR)
    assert "never has its unit" in complaint(shop, "reset-restarts", "shop", code=ERROR)


def test_reload_returns_the_verdict(shop, http_server):
    assert ctl(shop, "reload") == ""
    good = shop.etc / "services/shop.conf"
    text = good.read_text()
    shop.service("shop", text + "Intervall=5s\n")
    line = len(text.splitlines()) + 1
    error = complaint(shop, "reload", code=ERROR)
    assert f"{good}:{line}: " in error and "Interval" in error
    out = ctl(shop, "status")                  # Nothing has changed but that it is told.
    assert out.splitlines()[0].endswith("; last reload refused")
    assert "\nReload refused at " in out and f"\n  {good}:{line}: " in out
    shop.service("shop", text + check("second", http_server.url()))
    ctl(shop, "reload")
    ctl(shop, "wait", "shop", "--timeout=10s")
    assert "refused" not in ctl(shop, "status") and "shop/second" in ctl(shop, "list")


# -- names, usage, reach --

@pytest.mark.parametrize("argv, hint", [
    (["status", "shpo"], "is it shop?"),
    (["status", "nothing-like-it"], "vitalctl list"),
    (["is-ready", "shpo"], "is it shop?"),
    (["wait", "shpo", "--timeout=5s"], "is it shop?"),
    (["follow", "shpo"], "is it shop?"),
    (["drain", "shpo"], "is it shop?"), (["reset-restarts", "shpo"], "is it shop?"),
    (["show", "shop/ap"], "is it shop/app?"),
    (["show", "app"], "is it shop/app?"),
    (["show", "shop"], "is it shop/app?"),
    (["run", "shpo/app"], "is it shop/app?"),
    (["override", "other/app", "healthy"], "is it shop/app?")])
def test_an_unknown_name_is_answered_with_the_nearest(shop, argv, hint):
    assert hint in complaint(shop, *argv, code=UNKNOWN)


def test_checks_of_the_default_service_go_by_their_bare_name(vitald, http_server):
    vitald.service("default", check("app", http_server.url()))
    vitald.start()
    assert ctl(vitald, "show", "app").startswith("app: ")
    assert ctl(vitald, "show", "default/app").startswith("app: ")
    assert "\napp " in ctl(vitald, "list")


@pytest.mark.parametrize("argv, hint", [
    (["stauts"], "is it status?"), (["nonsense"], "--help"),
    (["show"], "usage: vitalctl show SERVICE/CHECK"), (["status", "a", "b"], "usage"),
    (["--json=long"], "off, short or pretty"), (["--bus=none"], "system or user"),
    (["wait", "--timeout=soon"], "30s"), (["list", "--timeout=1s"], "does not take --timeout"),
    (["reload", "--json=short"], "does not take --json"),
    (["--bus=system", "--runtime-directory=/run"], "exclude each other")])
def test_usage(vitald, argv, hint):
    assert hint in complaint(vitald, *argv, code=USAGE)


def test_a_vitald_that_is_not_there(vitald, directory):
    done = complaint(vitald, "status", code=UNREACHABLE)
    assert "vitald cannot be reached" in done and str(vitald.runtime_directory) in done
    for argv in (["list"], ["reload"], ["is-ready"], ["drain", "--all"], ["run", "a/b"]):
        complaint(vitald, *argv, code=UNREACHABLE)
    done = complaint(vitald, "--runtime-directory", directory / "no", "status", code=UNREACHABLE)
    assert f"{directory}/no/private: No such file or directory" in done
    # Where one place is named no other one is looked at.
    assert "/run/vitald" not in done and "bus" not in done


def test_a_vitald_that_hangs(shop):
    shop.freeze()
    try:
        began = time.monotonic()    # D-Bus itself waits for 25 seconds.
        assert "does not answer" in complaint(shop, "status", code=UNREACHABLE)
        assert time.monotonic() - began < 22
    finally:
        shop.thaw()
    ctl(shop, "status")


def test_over_the_bus(make_vitald, bus, http_server):
    daemon = make_vitald(bus=bus)
    daemon.service("shop", check("app", http_server.url()))
    assert "system bus: no org.vitald1 there" in complaint(daemon, "--bus=system", "list",
                                                           code=UNREACHABLE)
    daemon.start()
    eventually(lambda: "org.vitald1" in bus.names())
    ctl(daemon, "--bus=system", "wait", "--timeout=10s", "shop")
    assert " READY (200)" in ctl(daemon, "--bus=system")
    ctl(daemon, "--bus=user", "run", "shop/app")
    waiting = start(daemon, "--bus=system", "follow", "shop")
    eventually(lambda: "shop is ready" in waiting.log)
    daemon.kill9()
    daemon.start()
    eventually(lambda: "org.vitald1" in bus.names())
    ctl(daemon, "--bus=system", "wait", "--timeout=10s", "shop")
    ctl(daemon, "--bus=system", "drain", "shop")
    assert waiting.wait() == YES


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_others_may_look_over_the_bus_and_change_nothing(make_vitald, bus, http_server):
    daemon = make_vitald(bus=bus)
    daemon.service("shop", check("app", http_server.url()))
    daemon.start()
    eventually(lambda: "org.vitald1" in bus.names())

    def as_nobody(*argv):
        return subprocess.run(
            ["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
             daemon.build / "vitalctl", *argv], capture_output=True, text=True,
            env={**CLEAN_ENVIRONMENT, **bus.environment,
                 "RUNTIME_DIRECTORY": str(daemon.runtime_directory)})
    done = as_nobody("list")
    assert done.returncode == YES and "shop/app" in done.stdout
    done = as_nobody("drain", "shop")
    assert done.returncode == ERROR and "not permitted" in done.stderr
    done = as_nobody("--runtime-directory", daemon.runtime_directory, "list")
    assert done.returncode == UNREACHABLE and "only by root" in done.stderr
    ctl(daemon, "is-ready", "shop")


# -- terminals --

def on_terminal(daemon, *argv, env=None):
    """What is written to a terminal of 80 columns."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [daemon.build / "vitalctl", *argv], stdin=slave, stdout=slave, stderr=slave,
        env={**CLEAN_ENVIRONMENT, "TERM": "xterm", "RUNTIME_DIRECTORY":
             str(daemon.runtime_directory), **(env or {})})
    os.close(slave)
    data = b""
    while select.select([master], [], [], 30)[0]:
        try:
            chunk = os.read(master, 65536)
        except OSError:
            break
        data += chunk
    process.wait()
    os.close(master)
    return data.decode().replace("\r\n", "\n")


def without_ages(text):
    return re.sub(r"\d+(ms|s|min|h|d)( \d+(s|min|h))?", "", " ".join(text.split())).split()


def test_colours_and_width_of_a_terminal(vitald):
    vitald.service("shop", check("app", f"http://127.0.0.1:{free_port()}/" + "long/" * 20,
                                 "Documentation=https://wiki.internal/" + "page " * 20))
    vitald.start()
    eventually(lambda: "refused" in ctl(vitald, "status", code=NO))
    colourful = on_terminal(vitald, "status")
    assert "\033[1;31mNOT READY (503)\033[0m" in colourful
    plain = on_terminal(vitald, "status", env={"NO_COLOR": "1"})
    assert "\033" not in plain and "\033" not in on_terminal(vitald, env={"TERM": "dumb"})
    assert all(len(line) <= 80 for line in plain.splitlines())
    piped = ctl(vitald, "status", code=NO)
    assert "\033" not in piped and any(len(line) > 80 for line in piped.splitlines())
    # Nothing but the line breaks and the ages differs.
    assert without_ages(piped) == without_ages(plain)


# -- what it hands on to vitald --

def test_verify(shop):
    ctl(shop, "verify", f"--root={shop.root}")
    path = shop.service("bad", "[Check x]\nType=nothing\n")
    done = shop.vitalctl("verify", "--root", shop.root)
    assert done.returncode == 78 and f"{path}:2: " in done.stderr


def phases(out):
    """The words of the phases that a probe shows, with what each took."""
    return {text: float(ms) for ms, text in re.findall(r"^ +([\d.]+)ms  (.+)$", out, re.MULTILINE)}


def test_probe(vitald, http_server):
    def slow(_):
        time.sleep(0.2)
        return Reply(body=b"ok\n")
    http_server.reply = slow
    out = ctl(vitald, "probe", http_server.url())
    assert "pass" in out.splitlines()[0]
    took = phases(out)["waiting for the reply"]
    total = float(re.search(r" in ([\d.]+)ms", out).group(1))
    assert 190 <= took <= total + 0.1
    http_server.kill()
    assert "refused" in ctl(vitald, "probe", http_server.url(), code=NO)


# -- help, completion, manual --

def verbs_and_options(daemon):
    out = ctl(daemon, "--help")
    verbs = re.findall(r"^  ([a-z][a-z-]+) ", out, re.MULTILINE)
    assert len(verbs) >= 17
    return verbs, set(re.findall(r"--[a-z-]+", out))


def test_the_manual_names_every_verb_option_and_exit_code(vitald):
    verbs, options = verbs_and_options(vitald)
    page = (SOURCE / "man/vitalctl.1").read_text()
    for verb in verbs:
        assert re.search(rf"^\.(It )?Cm {verb}\b", page, re.MULTILINE), verb
    for option in options:
        assert re.search(rf" -{option[2:]}\b", page), option
    codes = page.split(".Sh EXIT STATUS")[1]
    assert re.findall(r"^\.It (\d+)", codes, re.MULTILINE) == [
        str(c) for c in (YES, ERROR, USAGE, NO, UNKNOWN, UNREACHABLE, TIMED_OUT)]


COMPLETE = """
PATH={build}:$PATH; source {source}/data/completion/vitalctl.bash
COMP_LINE="vitalctl $1" COMP_POINT=$((9 + ${{#1}})); _vitalctl; printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def test_completion(shop):
    def complete(line):
        script = COMPLETE.format(build=shop.build, source=SOURCE)
        done = subprocess.run(["/bin/bash", "-c", script, "bash", line], capture_output=True,
                              text=True, env={**CLEAN_ENVIRONMENT})
        assert done.stderr == ""
        return set(done.stdout.split())
    here = f"--runtime-directory={shop.runtime_directory}"
    verbs, options = verbs_and_options(shop)
    assert complete("") == set(verbs)
    assert "shop" in complete(f"{here} status ")
    assert complete(f"{here} show shop/") == {"shop/app"}
    assert complete(f"{here} override shop/app h") == {"healthy"}
    offered = set().union(*(complete(f"{verb} --") for verb in verbs))
    assert {o.rstrip("=") for o in offered} == options
    zsh = (SOURCE / "data/completion/_vitalctl").read_text()
    for word in [f"'{verb}:" for verb in verbs] + [o for o in options]:
        assert word in zsh, word
