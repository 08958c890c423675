# SPDX-License-Identifier: MIT
"""What vitald is for: three real dependencies of a service, each lost in turn and back again."""

import pytest

from lib.peers import HANG
from lib.process import SLOWNESS, eventually

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
URL={http.base}/openai/deployments?api-version=2024-12-01-preview
HeaderCredential=api-key: openai-key
{common}
"""
ROUTES = ("/health", "/health/live", "/health/ready", "/health/started", "/health/status",
          "/health/ready/default", "/health/status/default", "/health/ready/none", "/metrics",
          "/", "/nowhere")
COMMON = "Interval=500ms\nFailureThreshold=1\n"


@pytest.fixture
def service(vitald, postgres, redis, http_server):
    http_server.base = f"http://{http_server.address}"
    vitald.credential("orders-db", "secret\n")
    vitald.credential("openai-key", "k-123\n")
    vitald.service("default", SERVICE.format(postgres=postgres, redis=redis, http=http_server,
                                             common=COMMON))
    vitald.start()
    vitald.wait_status("/health/ready", 200, within=20)
    return vitald


def checks(vitald):
    answer = vitald.ready()
    ours = {name: c for name, c in answer.json["checks"].items() if not name.startswith("host/")}
    return answer, ours


def lives(vitald):
    assert vitald.get("/health").status == vitald.get("/health/started").status == 200


def test_ready_has_the_shape_that_was_promised(service, http_server):
    answer, ours = checks(service)
    assert answer.status == 200 and answer.json["status"] == "ready"
    assert list(ours) == ["database", "redis", "openai"]
    for check in ours.values():
        assert set(check) == {"healthy", "latency_ms"} and check["healthy"] is True
        assert 0 < check["latency_ms"] < 1000 * SLOWNESS
    assert http_server.requests[0].headers["api-key"] == "k-123"


@pytest.mark.valgrind
@pytest.mark.time_limit(240)
def test_each_dependency_is_lost_and_found(service, postgres, redis, http_server):
    losses = {
        "database": (postgres.kill9, postgres.start),
        "redis": (redis.kill9, redis.start),
        "openai": (http_server.kill, http_server.start),
    }
    for name, (lose, find) in losses.items():
        lose()
        service.wait_status("/health/ready", 503)
        service.wait_check(name, healthy=False, reason="refused")
        answer, ours = checks(service)
        assert answer.json["status"] == "not_ready"
        assert [n for n, c in ours.items() if not c["healthy"]] == [name]
        assert ours[name]["error"] == "Connection refused" and "latency_ms" not in ours[name]
        lives(service)
        find()
        service.wait_status("/health/ready", 200)
        lives(service)


@pytest.mark.valgrind
@pytest.mark.time_limit(240)
def test_each_dependency_hangs_and_recovers(service, postgres, redis, http_server):
    """SIGSTOP, and a server that takes requests and says nothing."""
    fine = http_server.reply
    hangs = {
        "database": (postgres.freeze, postgres.thaw),
        "redis": (redis.freeze, redis.thaw),
        "openai": (lambda: setattr(http_server, "reply", HANG),
                   lambda: setattr(http_server, "reply", fine)),
    }
    for name, (hang, recover) in hangs.items():
        hang()
        service.wait_check(name, within=15, healthy=False, reason="timeout")
        _, ours = checks(service)
        assert [n for n, c in ours.items() if not c["healthy"]] == [name]
        lives(service)
        recover()
        service.wait_status("/health/ready", 200)


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
