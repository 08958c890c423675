# SPDX-License-Identifier: MIT
"""Bad files at boot and on reload: nothing ends, nothing is lost, and file and line are told."""

import pytest

from lib.host import Host, stage_of
from lib.peers import HttpServer
from lib.probes import ProbeLoad
from lib.process import eventually, throughout

SERVICES = "/etc/vitald/services"
GOOD = "[Check disk]\nType=disk\nMinFree=1K\n"
BAD = "[Service]\nDescription=x\n[Check disk]\nTyp=disk\n"
FAULT = f"{SERVICES}/bad.conf:4: "
KEPT = "/var/lib/vitald/configuration"
PROBED_SECONDS = 10


@pytest.fixture(scope="module")
def booted(build, tmp_path_factory):
    """A host that comes up with a bad file, as one whose provisioning went wrong does."""
    stage = stage_of(build, tmp_path_factory.mktemp("stage"))
    services = stage / SERVICES.lstrip("/")
    services.mkdir(parents=True, exist_ok=True)
    (services / "good.conf").write_text(GOOD)
    (services / "bad.conf").write_text(BAD)
    with Host(stage) as host:
        yield host


def starts(host):
    return sum(m.startswith("Started vitald.service") for m in host.messages("vitald.service"))


def state_of(host, check):
    """All that a reload must not touch."""
    path = host.busctl("call", "org.vitald1", "/org/vitald1", "org.vitald1.Manager", "GetCheck",
                       "ss", *check.split("/")).stdout.split('"')[1]
    names = ("State", "StateChangeTimestamp", "NRuns", "LastRunTimestamp",
             "NextRunTimestampMonotonic", "LatencyUSec", "SuccessesInRow", "IntervalUSec")
    return dict(zip(names, host.busctl("get-property", "org.vitald1", path, "org.vitald1.Check",
                                       *names).stdout.splitlines()))


def phase(host, check):
    """Where its runs are within its interval; while one is under way there is no next one."""
    def known():
        shown = state_of(host, check)
        after, interval = (int(shown[name].split()[1]) for name in
                           ("NextRunTimestampMonotonic", "IntervalUSec"))
        assert after > 0
        return after % interval, shown
    return eventually(known)[0]


def manager(host, name):
    return host.busctl("get-property", "org.vitald1", "/org/vitald1", "org.vitald1.Manager",
                       name).stdout.strip()


def test_fault_1_a_bad_file_at_boot_is_one_start(booted):
    assert booted.show("vitald.service", "ActiveState") == "active"
    with ProbeLoad(("127.0.0.1", 9911), "/health/ready", within=booted.network) as load:
        throughout(lambda: booted.show("vitald.service", "ActiveState") == "active",
                   PROBED_SECONDS, every=0.2)
        load.wait_for(1000)
    assert set(load.answers) == {503} and not load.failures
    assert starts(booted) == 1 and booted.show("vitald.service", "NRestarts") == "0"


def test_fault_1_its_service_is_not_ready_and_the_others_are(booted):
    answer = booted.get("/health/ready/bad")
    assert (answer.status, answer.json["reason"]) == (503, "configuration")
    answer = booted.get("/health/ready")
    assert answer.status == 503 and answer.json["checks"]["good/disk"]["healthy"]
    assert booted.get("/health/ready/good").status == 200
    assert booted.get("/health/live").status == 200


def test_fault_1_file_and_line_are_told(booted):
    status = booted.systemctl("status", "vitald.service").stdout
    (line,) = [line for line in status.splitlines() if "Status: " in line]
    assert line.strip().startswith('Status: "NOT READY: 1 of 2 services ready; bad: configuration: '
                                   + FAULT)
    assert any(m.startswith(FAULT) for m in booted.messages("vitald.service"))
    assert booted.busctl("get-property", "org.vitald1", "/org/vitald1/service/bad",
                         "org.vitald1.Service", "ConfigurationError").stdout.startswith(
                             f's "{FAULT}')
    assert FAULT in booted.run(["vitalctl", "status"], check=False).stdout
    done = booted.run(["vitald", "--verify"], check=False)
    assert done.returncode == 78 and FAULT in done.stderr


def test_fault_1_a_bad_vitald_conf(booted):
    """Of which there is no good copy."""
    eventually((booted.root / KEPT.lstrip("/")).exists)
    booted.run(["rm", KEPT])
    booted.write("/etc/vitald/vitald.conf", "[HTTP]\nLayuot=standard\n")
    before = starts(booted)
    booted.systemctl("restart", "vitald.service")
    try:
        with ProbeLoad(("127.0.0.1", 9911), "/health/ready", within=booted.network) as load:
            load.wait_for(500)
        assert set(load.answers) == {503} and not load.failures
        assert booted.get("/health/ready").json["reason"] == "configuration"
        assert booted.get("/health/live").status == 200
        eventually(lambda: "/etc/vitald/vitald.conf:2: " in
                   booted.show("vitald.service", "StatusText"))
        assert "/etc/vitald/vitald.conf:2: " in manager(booted, "ConfigurationError")
        assert starts(booted) == before + 1
    finally:
        booted.run(["rm", "/etc/vitald/vitald.conf"])


def test_a_mended_file_is_taken_by_a_reload(booted):
    booted.write(f"{SERVICES}/bad.conf", GOOD)
    before = starts(booted)
    booted.systemctl("reload", "vitald.service")
    eventually(lambda: booted.get("/health/ready").status == 200)
    assert starts(booted) == before


@pytest.fixture
def running(booted):
    """Ready, with checks that run all the time, seldom, and towards a held server."""
    with booted.network():
        server = HttpServer()
        server.start()
    booted.write(f"{SERVICES}/bad.conf", GOOD)
    booted.write(f"{SERVICES}/app.conf",
                 f"[Check web]\nType=http\nURL={server.url()}\nInterval=1d\n"
                 "[Check often]\nType=memory\nInterval=250ms\nMaxAge=1min\n")
    booted.systemctl("restart", "vitald.service")
    eventually(lambda: booted.get("/health/ready").status == 200)
    yield booted
    server.close()


@pytest.mark.parametrize("how", ["systemctl", "vitalctl", "SIGHUP"])
def test_fault_2_a_bad_file_on_reload_changes_nothing(running, how):
    before, often = state_of(running, "app/web"), phase(running, "app/often")
    pid = running.show("vitald.service", "MainPID")
    running.write(f"{SERVICES}/bad.conf", BAD)
    running.run(["rm", "-f", f"{SERVICES}/good.conf"])  # Nothing of it is taken.
    try:
        if how == "SIGHUP":
            running.run(["kill", "-HUP", pid])
        else:
            argv = {"systemctl": ["systemctl", "reload", "vitald.service"],
                    "vitalctl": ["vitalctl", "reload"]}[how]
            done = running.run(argv, check=False)
            assert done.returncode == 1
            if how == "vitalctl":
                assert FAULT in done.stderr
        eventually(lambda: FAULT in manager(running, "LastReloadError"))
        assert FAULT in running.show("vitald.service", "StatusText")
        assert any(FAULT in m for m in running.messages("vitald.service"))
        answer = running.get("/health/ready")
        assert answer.status == 200 and answer.json["checks"]["good/disk"]["healthy"]
        assert state_of(running, "app/web") == before
        # Its next run is where it would have been, and so are the next ones.
        assert phase(running, "app/often") == often
        assert running.show("vitald.service", "ActiveState") == "active"
        assert running.show("vitald.service", "MainPID") == pid
    finally:
        running.write(f"{SERVICES}/good.conf", GOOD)
        running.write(f"{SERVICES}/bad.conf", GOOD)
    running.systemctl("reload", "vitald.service")
    assert manager(running, "LastReloadError") == 's ""'
    assert "reload refused" not in running.show("vitald.service", "StatusText")
    assert state_of(running, "app/web") == before


def test_journal_of_a_failed_reload_shows_what_the_administrator_needs(running):
    running.write(f"{SERVICES}/bad.conf", BAD)
    try:
        assert running.systemctl("reload", "vitald.service", check=False).returncode == 1
        words = "\n".join(running.messages("vitald.service")[-20:])
        assert f"{FAULT}unknown key Typ= in [Check disk]; did you mean Type=?" in words
        assert "Reload refused, the configuration in force stays: " in words
        assert "NOT READY" not in running.show("vitald.service", "StatusText")
    finally:
        running.write(f"{SERVICES}/bad.conf", GOOD)


def service(host, name, *properties):
    return host.busctl("get-property", "org.vitald1", f"/org/vitald1/service/{name}",
                       "org.vitald1.Service", *properties).stdout.splitlines()


def test_a_bad_file_at_a_restart_runs_its_last_good_copy(running):
    """Behind a probe: one start, each request answered, and soon ready as before."""
    running.write(f"{SERVICES}/bad.conf", BAD)
    before = starts(running)
    try:
        with ProbeLoad(("127.0.0.1", 9911), "/health/ready", within=running.network) as load:
            load.wait_for(100)
            running.systemctl("restart", "vitald.service")
            eventually(lambda: running.get("/health/ready").status == 200)
            load.wait_for(100)
        assert not load.failures and set(load.answers) == {200}
        assert starts(running) == before + 1
        assert running.get("/health/ready/bad").status == 200

        error, since = service(running, "bad", "ConfigurationError", "LastGoodTimestamp")
        assert error.startswith(f's "{FAULT}') and since.split()[0] == "t" and since != "t 0"
        eventually(lambda: f"; bad runs its last good copy: {FAULT}" in
                   running.show("vitald.service", "StatusText"))
        status = running.run(["vitalctl", "status"]).stdout
        assert any(line.startswith("! bad ") and FAULT in line for line in status.splitlines())
        words = running.journal("-u", "vitald.service", "-p", "err", "VITALD_SERVICE=bad")
        assert any(w["MESSAGE"].startswith("bad runs the last good copy of its configuration from ")
                   for w in words)
        assert running.run(["vitald", "--verify"], check=False).returncode == 78
        mode = running.run(["stat", "-c", "%a %U", KEPT]).stdout.split()
        assert mode[0] == "600" and mode[1] != "root"
    finally:
        running.write(f"{SERVICES}/bad.conf", GOOD)
    running.systemctl("reload", "vitald.service")
    assert service(running, "bad", "ConfigurationError", "LastGoodTimestamp") == ['s ""', "t 0"]
    assert "last good" not in running.show("vitald.service", "StatusText")


def test_reloads_of_good_files_keep_what_has_not_changed(running):
    before = state_of(running, "app/web")
    for n in range(5):
        running.write(f"{SERVICES}/new.conf", GOOD.replace("1K", f"{n + 1}K"))
        running.systemctl("reload", "vitald.service")
    assert state_of(running, "app/web") == before
    eventually(lambda: running.get("/health/ready/new").status == 200)
    running.run(["rm", f"{SERVICES}/new.conf"])
    running.systemctl("reload", "vitald.service")
    assert running.get("/health/ready/new").status == 404
