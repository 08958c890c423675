# SPDX-License-Identifier: MIT
"""Units that are restarted because they are dead, by the installed vitald, which is not root."""

import json
import textwrap
import time

import pytest

from lib.process import SLOWNESS, eventually, throughout
from lib.units import add_units

RULE = "usr/share/polkit-1/rules.d/60-vitald.rules"     # As installed.
LIST = "/etc/polkit-1/rules.d/60-vitald-units.rules"

# A server whose threads share a lock. GET /deadlock takes it for ever, and so does the third GET
# if it has a flaw; whatever needs the lock hangs from then on, while the process looks fine.
BACKEND = """
    import http.server, os, sys, threading
    NAME, PORT, HAS_FLAW = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "flaw"
    LOCK = threading.Lock()
    with open(f"/run/starts/{NAME}", "a") as f:
        f.write("started\\n")
    class Handler(http.server.BaseHTTPRequestHandler):
        n = 0
        def do_GET(self):
            Handler.n += 1
            if self.path == "/deadlock" or (HAS_FLAW and Handler.n == 3):
                LOCK.acquire()
                if self.path == "/deadlock":
                    self.send_response(204)
                    self.end_headers()
                    return
            with LOCK:
                self.send_response(200)
                self.send_header("Content-Length", "3")
                self.end_headers()
                self.wfile.write(b"ok\\n")
        def log_message(self, *_):
            pass
    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True
    Server(("127.0.0.1", PORT), Handler).serve_forever()
"""
QUICK = "Interval=200ms\nRetryInterval=200ms\nTimeout=1s\n"
EACH = ("OnLivenessFailure=restart\nStartupTimeout=1min\nRestartBackoff=1s\nRestartBackoffMax=1s\n"
        "RestartResetAfter=4s\nRestartLimit=2\n")
UNIT = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nTimeoutStopSec=2\n"
PORTS = {"shop": 8101, "flawed": 8102, "ledger": 8103, "kept": 8104}
N_SICK = 20


def http(port):
    return (f"[Check live]\nType=http\nURL=http://127.0.0.1:{port}/\nProbes=startup liveness\n"
            f"LivenessFailureThreshold=3\n{QUICK}")


@pytest.fixture(scope="module")
def host(vitald_host):
    host = vitald_host
    if host.systemctl("cat", "polkit.service", check=False).returncode != 0:
        pytest.skip("no polkit on this machine")
    host.write("/usr/local/bin/backend.py", textwrap.dedent(BACKEND))
    units = {f"{name}.service": f"{UNIT}ExecStart=/usr/bin/python3 /usr/local/bin/backend.py "
             f"{name} {port} {'flaw' if name == 'flawed' else 'sound'}\n"
             for name, port in PORTS.items()}
    units["sick@.service"] = (f"{UNIT}ExecStart=/bin/sh -c 'echo started >> /run/starts/sick-%i; "
                              "exec sleep 1000'\n")
    units["waiting@.service"] = units["sick@.service"].replace(
        "[Service]\n", "[Service]\nType=notify\n")        # Never told that it is started.
    host.run(["mkdir", "/run/starts"])
    add_units(host, units)
    host.drop_in("vitald.service", "[Service]\nWatchdogSec=1min\n")     # It is stopped here.
    budget(host, 100, "1s", reload=False)
    host.systemctl("start", "vitald.socket", "vitald.service")
    allow(host, *(u for u in units if "@" not in u and u != "shop.service"),
          *(f"sick@{i}.service" for i in range(N_SICK)))
    return host


def allow(host, *units):
    host.write(LIST, f"var vitaldUnits = {json.dumps(units)};\n", mode=0o644)


def budget(host, burst, interval, reload=True):
    host.write("/etc/vitald/vitald.conf.d/budget.conf",
               f"[Daemon]\nRestartBudgetBurst={burst}\nRestartBudgetInterval={interval}\n")
    if reload:
        host.run(["vitalctl", "reload"])


def service(host, name, checks, more=EACH, unit=None):
    unit = unit or f"{name}.service"
    host.write(f"/etc/vitald/services/{name}.conf",
               f"[Service]\nUnit={unit}\n{more}{checks}")
    host.systemctl("start", "--no-block", unit)
    host.run(["vitalctl", "reload"])


def starts(host, name):
    path = host.root / "run/starts" / name
    return path.read_text().count("\n") if path.exists() else 0


def prop(host, name, key):
    """One property of a service."""
    done = host.run(["busctl", "--json=short", "get-property", "org.vitald1",
                     f"/org/vitald1/service/{name}", "org.vitald1.Service", key])
    return json.loads(done.stdout)["data"]


def wait_prop(host, name, key, *wanted, within=40):
    eventually(lambda: prop(host, name, key) in wanted, within=within * SLOWNESS,
               what=f"{key} of {name} to be {wanted}")


def said(host, text):
    return [m for m in host.messages("vitald.service") if text in m]


def deadlock(host, name):
    wait_prop(host, name, "State", "ready", "degraded")
    with host.network():
        assert host.get("/deadlock", port=PORTS[name]).status == 204


# -- the right to ----------------------------------------------------------------------------------

def test_without_the_right_nothing_happens_loudly(host):
    """And with it the same episode ends well."""
    service(host, "shop", http(PORTS["shop"]))
    deadlock(host, "shop")
    wait_prop(host, "shop", "RestartState", "refused")
    throughout(lambda: starts(host, "shop") == 1, 3)
    assert len(said(host, "vitald may not restart shop.service")) == 1
    line = said(host, "vitald may not restart shop.service")[0]
    assert line.endswith(f'{LIST}: var vitaldUnits = ["shop.service"];')
    # It is tried again now and then, and for the time of that it is being restarted.
    eventually(lambda: "vitald may not restart" in
               host.run(["vitalctl", "status"], check=False).stdout)
    eventually(lambda: 'vitald_unit_restart_refused{service="shop"} 1' in
               host.get("/metrics").text)
    assert prop(host, "shop", "Restarts") == 0
    assert not said(host, "restarting shop.service")

    done = host.run(["vitalctl", "verify"], check=False)
    assert 'var vitaldUnits = ["shop.service"];' in done.stdout + done.stderr
    allow(host, "shop.service", "flawed.service", "ledger.service", "kept.service",
          "waiting@0.service", *(f"sick@{i}.service" for i in range(N_SICK)))
    eventually(lambda: starts(host, "shop") == 2, within=30 * SLOWNESS)
    wait_prop(host, "shop", "State", "ready", "degraded")
    done = host.run(["vitalctl", "verify"], check=False)
    assert "vitaldUnits" not in done.stdout + done.stderr
    host.systemctl("stop", "shop.service")


@pytest.mark.parametrize("verb,unit", [
    ("TryRestartUnit", "dbus.service"), ("RestartUnit", "shop.service"),
    ("StopUnit", "shop.service"), ("StartUnit", "shop.service"), ("StartUnit", "other.service"),
    ("StartUnit", "vitald-alertx@a.service"), ("ReloadUnit", "shop.service")])
def test_the_rule_allows_nothing_else(host, verb, unit):
    done = host.run(["busctl", "call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                     "org.freedesktop.systemd1.Manager", verb, "ss", unit, "fail"],
                    user="vitald", check=False)
    assert done.returncode != 0
    assert "ccess denied" in done.stderr or "authentication required" in done.stderr, done.stderr


# -- restarts --------------------------------------------------------------------------------------

def test_a_deadlock_is_restarted_once_and_cured(host):
    service(host, "ledger", http(PORTS["ledger"]))
    deadlock(host, "ledger")
    eventually(lambda: starts(host, "ledger") == 2, within=30 * SLOWNESS)
    wait_prop(host, "ledger", "RestartState", "idle")       # Healthy for RestartResetAfter=.
    assert starts(host, "ledger") == 2
    assert prop(host, "ledger", "Restarts") == 1 and prop(host, "ledger", "RestartsInRow") == 0
    assert len(said(host, "ledger: liveness has failed (live: ")) == 1
    assert len(said(host, "ledger: healthy for 4s since ledger.service was restarted")) == 1
    assert "nothing will be restarted" in host.run(["vitalctl", "status"], check=False).stdout
    entry, = host.journal("-u", "vitald.service", "VITALD_UNIT=ledger.service",
                          "MESSAGE_ID=0c8c8dd614344e5a8307f4a88b2b966a")
    assert entry["VITALD_SERVICE"] == "ledger"


def test_what_stays_sick_is_left_running(host):
    service(host, "flawed", http(PORTS["flawed"]))
    wait_prop(host, "flawed", "RestartState", "fail-static", within=90)
    throughout(lambda: starts(host, "flawed") == 3, 3)      # Two restarts.
    assert host.show("flawed.service", "ActiveState") == "active"
    assert prop(host, "flawed", "RestartsInRow") == 2
    assert prop(host, "flawed", "FailStaticTimestamp") > 0
    assert len(said(host, "2 restarts of flawed.service did not help")) == 1
    metrics = host.get("/metrics").text
    assert 'vitald_unit_restart_fail_static{service="flawed"} 1' in metrics
    assert 'vitald_unit_restarts_total{service="flawed"} 2' in metrics
    for argv in ["status"], ["status", "flawed"], ["why", "flawed"]:
        text = host.run(["vitalctl", *argv], check=False).stdout
        assert "2 restarts of flawed.service did not help" in " ".join(text.split()), text

    # Said to be repaired, which it is not.
    host.run(["vitalctl", "reset-restarts", "flawed"])
    assert prop(host, "flawed", "FailStaticTimestamp") == 0
    eventually(lambda: starts(host, "flawed") == 4, within=30 * SLOWNESS)
    assert len(said(host, "flawed: by order of root 2 restarts of flawed.service without a cure "
                    "are forgotten; it is no longer left running (fail-static)")) == 1
    wait_prop(host, "flawed", "RestartState", "fail-static", within=90)
    assert starts(host, "flawed") == 5
    (host.root / "etc/vitald/services/flawed.conf").unlink()
    host.systemctl("stop", "flawed.service")


@pytest.mark.parametrize("unit", ["sick@0.service", "waiting@0.service"])
def test_a_start_that_fails(host, unit):
    """Its clock begins anew with each start, also where systemd itself still waits for that."""
    name = unit.split("@")[0]
    service(host, name, "[Check up]\nType=file\nPath=/run/never\nProbes=startup\n" + QUICK,
            unit=unit, more="OnStartupFailure=restart\nRestartBackoff=1s\n"
            "RestartLimit=1\nStartupTimeout=2s\n")
    wait_prop(host, name, "RestartState", "fail-static")
    assert starts(host, "sick-0") == 2
    assert len(said(host, f"{name}: not started in time (up: ")) == 2
    assert host.get(f"/health/live/{name}").status == 200   # Nothing has been found dead.
    (host.root / f"etc/vitald/services/{name}.conf").unlink()
    (host.root / "run/starts/sick-0").unlink()
    host.systemctl("stop", unit)


def test_postgresql_is_down(host):
    """A server that is away makes a service not ready, and restarts nothing."""
    service(host, "web", f"{http(PORTS['ledger'])}[Check db]\nType=postgresql\n"
            f"ConnectionString=host=127.0.0.1 port=5999 user=u dbname=d\n{QUICK}",
            unit="ledger.service")
    wait_prop(host, "web", "State", "not_ready")
    before = starts(host, "ledger")
    throughout(lambda: starts(host, "ledger") == before and
               prop(host, "web", "RestartState") == "idle", 3)
    (host.root / "etc/vitald/services/web.conf").unlink()


@pytest.mark.time_limit(600)
def test_budget_of_the_host(host):
    """Twenty at once; and another vitald knows what was spent."""
    budget(host, 3, "1h")
    for i in range(N_SICK):
        host.write(f"/etc/vitald/services/sick{i}.conf",
                   f"[Service]\nUnit=sick@{i}.service\n{EACH}[Check file]\nType=file\n"
                   f"Path=/run/well\nProbes=liveness\n{QUICK}")
        host.systemctl("start", "--no-block", f"sick@{i}.service")

    def all_starts():
        return sum(starts(host, f"sick-{i}") for i in range(N_SICK))
    eventually(lambda: all_starts() == N_SICK)      # Who is killed before he has said so never did.
    host.run(["vitalctl", "reload"])
    eventually(lambda: all_starts() == N_SICK + 3, within=60 * SLOWNESS)
    throughout(lambda: all_starts() == N_SICK + 3, 2)
    assert "vitald_restart_budget_remaining 0" in host.get("/metrics").text
    eventually(lambda: sum(prop(host, f"sick{i}", "RestartState") == "budget"
                           for i in range(N_SICK)) >= N_SICK - 3, within=60 * SLOWNESS)
    assert len(said(host, "has used up its restart budget (3 in 1h)")) <= N_SICK
    assert "restart budget" in host.run(["vitalctl", "status"], check=False).stdout

    totals = [prop(host, f"sick{i}", "Restarts") for i in range(N_SICK)]
    assert sorted(totals) == [0] * (N_SICK - 3) + [1] * 3
    host.systemctl("kill", "--signal=SIGKILL", "vitald.service")
    eventually(lambda: host.get("/health/live").status in (200, 503))
    eventually(lambda: prop(host, "sick0", "RestartState") in ("budget", "held", "watched"),
               within=20 * SLOWNESS)
    assert [prop(host, f"sick{i}", "Restarts") for i in range(N_SICK)] == totals
    throughout(lambda: all_starts() == N_SICK + 3, 12)      # Longer than it settles.
    wait_prop(host, "sick19", "RestartState", "budget", "watched")


def test_what_comes_due_while_it_stands_still(host):
    """Nothing is restarted on the word of what was seen before, however late it has become."""
    for i in range(N_SICK):
        (host.root / f"etc/vitald/services/sick{i}.conf").unlink()
    budget(host, 100, "1s")
    service(host, "late", f"[Check file]\nType=file\nPath=/run/well\nProbes=liveness\n{QUICK}"
            "MaxAge=1min\n", unit="sick@1.service",
            more="OnLivenessFailure=restart\nRestartBackoff=8s\nRestartBackoffMax=8s\n")
    pid = host.show("vitald.service", "MainPID")
    wait_prop(host, "late", "RestartState", "backoff")
    host.run(["kill", "-STOP", pid])
    (host.root / "run/well").touch()
    time.sleep(9)                                           # The stall, longer than the delay.
    host.run(["busctl", "call", "--expect-reply=no", "org.vitald1", "/org/vitald1/service/shop",
              "org.vitald1.Service", "Drain", "ts", "1000000", "a drain is looked at first"])
    host.run(["kill", "-CONT", pid])
    wait_prop(host, "late", "RestartState", "watched")
    assert prop(host, "late", "Restarts") == 1
    (host.root / "run/well").unlink()
    (host.root / "etc/vitald/services/late.conf").unlink()
    host.systemctl("stop", "sick@1.service")


def test_a_bus_that_is_away(host):
    """What is due stays so, is told of once, and is done once."""
    service(host, "kept", http(PORTS["kept"]))
    wait_prop(host, "kept", "State", "ready", "degraded")
    host.systemctl("stop", "dbus.socket", "dbus.service")
    assert host.get("/deadlock", port=PORTS["kept"]).status == 204
    waits = "liveness has failed (live: Timeout after 1000ms, waiting for the reply), but systemd"
    eventually(lambda: said(host, f"kept: {waits}"), within=60 * SLOWNESS)
    before = starts(host, "kept")
    assert before == 1
    throughout(lambda: starts(host, "kept") == before, 2)
    assert "once systemd can be reached" in host.run(["vitalctl", "status"], check=False).stdout
    host.systemctl("start", "dbus.socket", "dbus.service")
    eventually(lambda: starts(host, "kept") == before + 1, within=60 * SLOWNESS)
    wait_prop(host, "kept", "RestartState", "idle")
    assert starts(host, "kept") == before + 1 and len(said(host, f"kept: {waits}")) == 1


def test_a_file_that_is_no_use(host):
    """Nobody knows what was spent: the budget begins empty."""
    budget(host, 2, "1h", reload=False)
    host.systemctl("stop", "vitald.service", "vitald.socket")
    host.write("/run/vitald/restarts", "garbage\n")
    host.systemctl("start", "vitald.socket", "vitald.service")
    eventually(lambda: "vitald_restart_budget_remaining 0" in host.get("/metrics").text)
    assert said(host, "/run/vitald/restarts is no use, so it is left aside")
