# SPDX-License-Identifier: MIT
"""What vitald is for: three real dependencies of a service, each lost in turn and back again."""

import contextlib

import pytest

from lib.probes import ProbeLoad
from lib.process import SLOWNESS, eventually
from lib.scenario import check

# The service "default" gives its checks their bare names.
SERVICE = """
[Service]
Description=An application with a database, a cache and a language model

[Check database]
Type=postgresql
ConnectionString=host={postgres.host} port={postgres.port} user=health dbname=orders
PasswordCredential=orders-db
{common}
[Check redis]
Type=redis
Address={redis.address}
{common}
[Check openai]
Type=http
URL=http://{http.address}/openai/deployments?api-version=2024-12-01-preview
HeaderCredential=api-key: openai-key
{common}
"""
ROUTES = ("/health", "/health/live", "/health/ready", "/health/started", "/health/status",
          "/health/ready/default", "/health/status/default", "/health/ready/none", "/metrics",
          "/", "/nowhere")
COMMON = "Interval=500ms\nFailureThreshold=1\nTimeout=2s\n"


@pytest.fixture
def service(vitald, shared_postgres, redis, nginx):
    vitald.credential("orders-db", "secret\n")
    vitald.credential("openai-key", "k-123\n")
    vitald.service("default", SERVICE.format(postgres=shared_postgres, redis=redis, http=nginx,
                                             common=COMMON))
    vitald.start()
    vitald.wait_status("/health/ready", 200, within=20)
    return vitald


def checks(vitald):
    answer = vitald.ready()
    assert list(answer.json) == ["status", "checks"]
    ours = {name: c for name, c in answer.json["checks"].items() if not name.startswith("host/")}
    return answer, ours


def wait_only_down(vitald, down, reason, error):
    """Until one answer says all of it."""
    def says_so():
        answer, ours = checks(vitald)
        assert answer.status == 503 and answer.json["status"] == "not_ready"
        assert list(ours[down]) == ["healthy", "reason", "error"] and ours[down]["reason"] == reason
        assert [name for name, one in ours.items() if not one["healthy"]] == [down]
        return ours[down]["error"].startswith(error)
    eventually(says_so, within=30, what=f"{down} alone {reason}")


@contextlib.contextmanager
def alive_all_the_while(vitald):
    """Liveness and startup are asked without a pause, and never say anything but 200."""
    with contextlib.ExitStack() as stack:
        loads = [stack.enter_context(ProbeLoad(vitald.address, path, threads=1, pause=0.002))
                 for path in ("/health", "/health/started")]
        yield
        for load in loads:
            load.wait_for(10, within=30 * SLOWNESS)
    for load in loads:
        assert not load.failures
        assert set(load.answers) == {200}


def test_ready_has_the_shape_that_was_promised(service):
    def all_is_well():
        answer, ours = checks(service)
        assert answer.status == 200 and answer.json["status"] == "ready"
        assert list(ours) == ["database", "redis", "openai"]
        for one in ours.values():
            assert list(one) == ["healthy", "latency_ms"] and one["healthy"] is True
            assert isinstance(one["latency_ms"], float)
            assert 0 < one["latency_ms"] < 2000
        return True
    eventually(all_is_well)     # A machine that stood still knows of no latency.
    of_service = service.get("/health/ready/default").json
    assert list(of_service) == ["status", "service", "checks"]
    assert list(of_service["checks"]) == ["database", "redis", "openai"]


@pytest.mark.valgrind
@pytest.mark.time_limit(240)
def test_each_dependency_is_lost_and_found(service, shared_postgres, redis, nginx):
    with alive_all_the_while(service):
        for name, server in (("database", shared_postgres), ("redis", redis), ("openai", nginx)):
            server.kill9()
            # A dying server may still take a connection, to reset it.
            wait_only_down(service, name, "refused", "Connection refused")
            eventually(lambda: "Connection refused" in service.show(f"default/{name}")["Message"])
            server.start()
            service.wait_status("/health/ready", 200, within=30)


@pytest.mark.valgrind
@pytest.mark.time_limit(240)
def test_each_dependency_hangs_and_recovers(service, shared_postgres, redis, nginx):
    with alive_all_the_while(service):
        for name, server in (("database", shared_postgres), ("redis", redis), ("openai", nginx)):
            server.freeze()
            wait_only_down(service, name, "timeout", "Timeout after")
            server.thaw()
            service.wait_status("/health/ready", 200, within=30)


def test_all_are_lost_and_found(service, shared_postgres, redis, nginx):
    servers = {"database": shared_postgres, "redis": redis, "openai": nginx}
    with alive_all_the_while(service):
        for server in servers.values():
            server.kill9()
        for name in servers:
            service.wait_check(name, within=30, healthy=False, reason="refused")
        for server in servers.values():
            server.start()
        service.wait_status("/health/ready", 200, within=30)


def test_lost_from_the_start(vitald, redis, nginx):
    """What never answered keeps the service starting; liveness is not touched."""
    redis.kill9()
    vitald.service("default", "".join(
        check(name, kind, server, COMMON + "Probes=startup readiness")
        for name, kind, server in (("redis", "redis", redis), ("openai", "http", nginx))))
    vitald.start()
    eventually(lambda: vitald.get("/health/started").json["waiting_for"] == ["redis"],
               what="waiting for redis alone")
    wait_only_down(vitald, "redis", "refused", "Connection refused")
    answer = vitald.get("/health/started")
    assert (answer.status, answer.json["status"]) == (503, "starting")
    assert vitald.get("/health").status == 200
    redis.start()
    vitald.wait_status("/health/started", 200)
    vitald.wait_status("/health/ready", 200)


@pytest.mark.valgrind
@pytest.mark.time_limit(240)
def test_all_that_can_be_done_to_it(service):
    """Every verb and route, changes and reloads, while checks run: for the memory checkers."""
    for argv in (["status"], ["list"], ["show", "default/redis"], ["why"], ["run", "default/redis"],
                 ["override", "default/redis", "unhealthy", "--reason=test"], ["why"],
                 ["clear-override", "default/redis"], ["drain", "--all", "--reason=test"],
                 ["status"], ["undrain", "--all"], ["reload"], ["wait", "default"]):
        done = service.vitalctl(*argv)
        assert done.returncode in (0, 3), f"{argv}: {done.stderr}"
    for path in ROUTES:
        assert service.get(path).status in (200, 404, 503)
        assert service.get(path, local=True).status in (200, 404, 503)
    service.service("more", "[Check disk]\nType=disk\nMinFree=1K\n[Check memory]\nType=memory\n"
                    "[Check port]\nType=tcp\nAddress=%s:%d\n" % service.address)
    assert service.vitalctl("reload").returncode == 0
    service.wait_status("/health/ready/more", 200)
    service.service("more", "[Check disk]\nTyp=disk\n")
    assert service.vitalctl("reload").returncode == 1
    (service.etc / "services/more.conf").unlink()
    assert service.vitalctl("reload").returncode == 0
    eventually(lambda: service.get("/health/ready/more").status == 404)
