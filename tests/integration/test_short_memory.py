# SPDX-License-Identifier: MIT
"""FAULTS row 43: an allocation fails, one alone or all that follow until there is memory again.

Whatever it belonged to is refused, or the daemon ends with a line in the log and status 1, so that
systemd starts it again. It is never killed by a signal, a reload takes all or nothing, and a
service that is not ready gets no 200.
"""

import fcntl
import re
import subprocess

import pytest

from lib.ctl import ERROR, NO, UNREACHABLE, YES, start
from lib.preload import ShortMemory, compile_library
from lib.process import CLEAN_ENVIRONMENT, eventually, free_port

pytestmark = pytest.mark.timing     # A library in front of the sanitizers'.

ONE, MANY = 1, 10 ** 12     # As many fail as are tried until there is memory again.

# Checked types of all kinds, with keys whose values take more than a copy of a number.
WELL = """[Service]
Description={generation}
[Check web]
Type=http
URL={url}/{generation}
Header=X-One: 1
ExpectBody=ok
Warn=body:~:{limit}
[Check only-{generation}]
Type=memory
[Check disk]
Type=disk
Path=/
[Check program]
Type=exec
Command=/bin/sh -c "exit 0"
"""

ILL = """[Check tcp]
Type=tcp
Address={refused}
FailureThreshold=1
[Check redis]
Type=redis
Address={refused}
[Check postgresql]
Type=postgresql
ConnectionString=host=127.0.0.1 port={port} dbname=x user=x
[Check memcached]
Type=memcached
Address={refused}
[Check grpc]
Type=grpc
Address={refused}
[Check tls]
Type=tls
Address={refused}
[Check dns]
Type=dns
Name=localhost
[Check reported]
Type=push
Initial=fail
[Check file]
Type=file
Path=/nonexistent
[Check any]
Type=any-of
Checks=tcp redis
"""

DEFAULTS = "[Defaults]\nInterval=1d\nRetryInterval=50ms\n"

WELL_SERVICES = ("one", "two")


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return compile_library("short-memory", tmp_path_factory.mktemp("short-memory"))


def lock_is_free(vitald):
    """The kernel may let go of it a moment after the end of the process has been told."""
    with open(vitald.runtime_directory / "lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return True


class Shop:
    """A daemon with two services that are well and one that is not; started when it has ended."""

    def __init__(self, vitald, memory, http_server):
        self.vitald, self.memory, self.http_server = vitald, memory, http_server
        self.refused = free_port()
        self.generation = None
        self.vitald.environment.update(memory.environment)
        self.vitald.conf(DEFAULTS)
        self.write("a")

    def write(self, generation):
        url = self.http_server.url("").rstrip("/")
        limit = {"a": "1K", "b": "2K"}[generation]
        for name in WELL_SERVICES:
            self.vitald.service(name, WELL.format(generation=generation, url=url, limit=limit))
        self.vitald.service("ill", ILL.format(refused=f"127.0.0.1:{self.refused}",
                                              port=self.refused))

    @property
    def exit_code(self):
        return self.vitald.process.exit_code

    def status(self, path):
        """What is answered; None: nothing."""
        try:
            return self.vitald.get(path).status
        except OSError:
            return None
        except Exception as e:      # http.client has many for an answer that is cut short
            assert "http.client" in type(e).__module__, e
            return None

    def is_well(self):
        """Whether all is known and answered right."""
        return (self.status("/health/ready/ill") == 503 and self.status("/health/started") == 200
                and all(self.status(f"/health/ready/{name}") == 200 for name in WELL_SERVICES))

    def start(self, wait=True):
        if wait:
            self.memory.suffice()
        lock = self.vitald.runtime_directory / "lock"
        eventually(lambda: not lock.exists() or lock_is_free(self.vitald), what="a free lock")
        self.vitald.start(wait=False)
        if wait:
            eventually(self.is_well, within=10, what="all services as they should be")
        return self

    def has_ended(self, log):
        """Whether it has; then it has in order. log: what was written since."""
        if self.exit_code is None:
            return False
        assert self.exit_code == 1, f"{self.exit_code}:\n{log}"
        assert re.search(r"^(vitald ends|Cannot read the arguments): Cannot allocate memory$", log,
                         re.MULTILINE), log
        return True

    def recovers(self, after):
        """There is memory again: it works as before, or has ended and does when started again."""
        self.memory.suffice()
        eventually(lambda: self.exit_code is not None or self.is_well(), within=10,
                   what="all services as they should be, or the end")
        self.vitald.check_reports()
        if self.has_ended(self.vitald.log[after:]):
            self.start()


@pytest.fixture
def shop(vitald, library, directory, http_server):
    shop = Shop(vitald, ShortMemory(directory, library), http_server)
    yield shop
    shop.memory.suffice()


@pytest.mark.parametrize("n_failing", [ONE, MANY], ids=["one", "many"])
def test_fault_43_at_the_start(shop, n_failing):
    shop.start()
    shop.vitald.stop()
    n_ended = 0
    for n in [*range(0, 30, 3), *range(30, 900, 29), *range(900, 5000, 300)]:
        shop.memory.fail(n, n_failing)
        after = len(shop.vitald.log)
        shop.start(wait=False)
        eventually(lambda: shop.exit_code is not None or shop.memory.n_failed >= min(n_failing, 20)
                   or shop.is_well(), within=10, what="the allocation, or all that there are")
        shop.memory.suffice()
        eventually(lambda: shop.exit_code is not None or shop.is_well(), within=10,
                   what="all services as they should be, or the end")
        if shop.has_ended(shop.vitald.log[after:]):
            n_ended += 1
        else:
            shop.vitald.stop()
    assert n_ended > 20


def generations(vitald):
    """Of which configuration each part of what is in force is."""
    components = vitald.get("/health/status", local=True).json["components"]
    found = {name[-1] for name in components if "/only-" in name}
    for service in WELL_SERVICES:
        web = vitald.show(f"{service}/web")
        found |= {web["Target"][-1], "a" if "1K" in web["Warn"][0] else "b"}
    return found


@pytest.mark.parametrize("n_failing", [ONE, MANY], ids=["one", "many"])
def test_fault_43_reload_takes_all_or_nothing(shop, n_failing):
    shop.start()
    before, n_refused, n_taken = "a", 0, 0
    for n in [*range(0, 80, 5), *range(80, 2200, 61)]:
        new = "b" if before == "a" else "a"
        shop.write(new)
        after = len(shop.vitald.log)
        shop.memory.fail(n, n_failing)
        code = reload(shop)
        shop.memory.suffice()
        shop.recovers(after)
        found = generations(shop.vitald)
        assert len(found) == 1, f"{n}: {found}"
        if code == YES:
            assert found == {new}, n
        elif code == ERROR and "vitald ends" not in shop.vitald.log[after:]:
            assert found == {before}, n
        n_taken, n_refused = n_taken + (code == YES), n_refused + (code != YES)
        before, = found
    assert n_refused > 10 and n_taken > (5 if n_failing == ONE else 0)


def reload(shop):
    """vitalctl's exit code. Without any memory for it vitald need not answer until there is."""
    client = start(shop.vitald, "reload", env={"LD_PRELOAD": ""})
    eventually(lambda: client.exit_code is not None or shop.exit_code is not None
               or shop.memory.n_failed >= 50, within=10, what="an end of the reload")
    shop.memory.suffice()
    code = client.wait(10)
    assert code in (YES, ERROR, UNREACHABLE), client.log
    return code


def test_fault_43_no_probe_is_answered_wrong(shop):
    shop.start()
    paths = {"/health/ready/ill": 503, "/health/ready": 503, "/health/ready/one": 200,
             "/health/status": 503, "/health/ready/ill?format=spring": 503,
             "/health/ready/ill?exclude=tcp": 503, "/metrics": 200, "/": 503}
    wrong = 0
    for path, right in paths.items():
        after = len(shop.vitald.log)
        n = 0
        while True:
            shop.memory.fail(n, ONE)
            seen = shop.status(path)
            shop.memory.suffice()
            assert seen in (right, 500, 503, None), f"{path}, {n}: {seen}"
            assert shop.exit_code is None, f"{path}, {n}"
            wrong += seen != right
            if shop.memory.n_failed == 0:
                break
            n += 1
        shop.recovers(after)
    assert wrong > len(paths)


COMMANDS = {"run": ("run", "one/web"), "run-ill": ("run", "ill/redis"),
            "drain": ("drain", "one", "--timeout=1h"), "undrain": ("undrain", "one"),
            "override": ("override", "ill/tcp", "degraded", "--timeout=1h"),
            "report": ("report", "ill/reported", "warn"), "show": ("show", "one/web"),
            "list": ("list",), "status": ("status",)}


@pytest.mark.parametrize("name", COMMANDS)
def test_fault_43_command(shop, name):
    """vitald has no memory for a part of it."""
    shop.start()
    seen = set()
    for n in [*range(0, 60, 4), *range(60, 800, 37)]:
        after = len(shop.vitald.log)
        shop.memory.fail(n, ONE)
        seen.add(shop.vitald.vitalctl(*COMMANDS[name], within=10,
                                      env={"LD_PRELOAD": ""}).returncode)
        shop.memory.suffice()
        settle(shop, after)
    assert seen <= {YES, NO, ERROR, UNREACHABLE} and len(seen) > 1, seen


def settle(shop, after):
    """What a command may have changed is undone; then all is as it was."""
    if not shop.has_ended(shop.vitald.log[after:]):
        shop.vitald.vitalctl("undrain", "one")
    shop.recovers(after)


def test_fault_43_at_the_end(shop):
    codes = set()
    for n in range(0, 50, 5):
        shop.start()
        shop.memory.fail(n, MANY if n % 2 else ONE)
        codes.add(shop.vitald.process.stop(10))
        shop.memory.suffice()
    assert codes <= {0, 1}, shop.vitald.log
    shop.vitald.check_reports()


@pytest.mark.parametrize("argv", [("status",), ("list", "--json=short"), ("show", "one/web"),
                                  ("run", "one/web"), ("why",)], ids=lambda argv: argv[0])
def test_fault_43_vitalctl(shop, library, directory, argv):
    """vitalctl itself: the whole answer, or a complaint."""
    shop.start()
    place = directory / "client"
    place.mkdir()
    memory = ShortMemory(place, library, program="vitalctl")
    right = shop.vitald.vitalctl(*argv).returncode
    failed = 0
    for n in [*range(0, 200, 9), *range(200, 3000, 171)]:
        memory.fail(n, ONE)
        done = shop.vitald.vitalctl(*argv, env=memory.environment)
        stderr = "".join(line for line in done.stderr.splitlines(True) if "[0x" not in line)
        assert done.returncode in (right, ERROR, UNREACHABLE), (n, done)
        assert done.returncode == right or stderr.startswith("vitalctl: "), (n, done)
        failed += done.returncode != right
        if memory.n_failed == 0:
            break
    assert failed > 0


@pytest.mark.parametrize("argv", [("--verify",), ("--verify", "--json=pretty")],
                         ids=["text", "json"])
def test_fault_43_verify(vitald, library, directory, http_server, argv):
    """No configuration is found good or bad for lack of memory."""
    memory = ShortMemory(directory, library)
    Shop(vitald, memory, http_server)
    whole = verify(vitald, argv)
    assert whole.returncode == 0
    n_failed = 0
    for n in [*range(0, 100, 7), *range(100, 3000, 71)]:
        memory.fail(n, ONE)
        done = verify(vitald, argv)
        if done.returncode == 0:
            assert done.stdout == whole.stdout, n
        else:
            assert done.returncode in (1, 71), (n, done)
            assert "Cannot allocate memory" in done.stderr, (n, done)
            n_failed += 1
        if memory.n_failed == 0:
            break
    assert n_failed > 20


def verify(vitald, argv):
    return subprocess.run(list(map(str, vitald.argv(*argv))), capture_output=True, text=True,
                          env={**CLEAN_ENVIRONMENT, **vitald._environment()}, timeout=20)
