# SPDX-License-Identifier: MIT
"""Who is answered over HTTP, how often, and how much he is told."""

import concurrent.futures
import os
import re
import socket
import threading
import time

import pytest

from lib.checks import section
from lib.network import Network
from lib.process import SLOWNESS, eventually
from lib.vitald import EAGER_ALLOCATOR

# Every kind of path; none of them ever asks who one is.
PATHS = ("/", "/health", "/health/live", "/livez", "/health/ready", "/readyz", "/health/started",
         "/startupz", "/health/status", "/health/ready/shop", "/health/ready/shop/file", "/metrics",
         "/nothing", "/health/ready?exclude=x", "/health/ready?format=azure")

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="a network of our own needs root")


@pytest.fixture
def network(directory):
    with Network(directory) as network:
        yield network


@pytest.fixture
def shop(vitald):
    (vitald.directory / "file").touch()
    vitald.service("shop", "[Service]\n" + section("file", f"Path={vitald.directory}/file",
                                                   "FailureThreshold=1", name="file"))
    return vitald


def start(daemon, network, text):
    """Listens in the network alone; ready once it is."""
    daemon.conf("[HTTP]\n" + text)
    daemon.start(wait=False, sockets={"http": network.listen()})
    eventually(lambda: network.get("127.0.0.1").status == 200)


# -- from where ------------------------------------------------------------------------------------

@needs_root
def test_addresses(shop, network):
    start(shop, network, "AllowFrom=192.0.2.0/25\nAllowFrom=2001:db8:1::/48\nAllowFrom=10.1.2.3\n")
    for source, status in (("192.0.2.1", 200), ("192.0.2.127", 200), ("192.0.2.128", 403),
                           ("198.51.100.1", 403), ("10.1.2.3", 200), ("10.1.2.4", 403),
                           ("2001:db8:1::1", 200), ("2001:db8:1:ffff::1", 200),
                           ("2001:db8:2::1", 403), ("127.0.0.1", 200), ("127.1.2.3", 200),
                           ("::1", 200)):
        for method in "GET", "HEAD", "OPTIONS":
            assert network.get(source, method=method).status == status, source
    for path in PATHS:
        answer = network.get("198.51.100.1", path)
        assert (answer.status, answer.text) == (403, "403 Forbidden\n")
        assert "x-health" not in answer.headers
        assert network.get("192.0.2.1", path).status not in (401, 403, 429)
    assert network.get("198.51.100.1", "*", method="OPTIONS").status == 403


@needs_root
def test_a_reload_is_for_open_connections_too(shop, network):
    start(shop, network, "AllowFrom=192.0.2.0/24\n")
    with network.connect("192.0.2.9") as s:
        def status():
            s.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
            return int(s.recv(65536).split()[1])
        assert status() == 200
        shop.conf("[HTTP]\nAllowFrom=10.0.0.0/8\n")
        shop.reload()
        eventually(lambda: status() == 403)
        shop.conf("[HTTP]\n")
        shop.reload()
        eventually(lambda: status() == 200)


@needs_root
def test_a_reload_ends_the_streams_of_those_it_lets_in_no_more(shop, network):
    start(shop, network, "AllowFrom=192.0.2.0/24\n")
    with network.connect("192.0.2.9") as out, network.connect("192.0.2.10") as still_in, \
            network.connect("127.0.0.1") as near:
        seen = {}
        for s in (out, still_in, near):
            s.settimeout(10 * SLOWNESS)
            s.sendall(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
            seen[s] = s.recv(65536)     # Perhaps with the first of what is told.
            assert seen[s].startswith(b"HTTP/1.1 200 ")
        shop.conf("[HTTP]\nAllowFrom=192.0.2.10\n")
        shop.reload()
        while out.recv(65536):      # What was sent before, and then its end.
            pass
        # The others are told of what changes all the same.
        known = int(network.get("127.0.0.1").headers["x-health-sequence"])
        (shop.directory / "file").unlink()
        for s in (still_in, near):
            while not any(int(n) > known for n in re.findall(rb"data: (\d+)\n", seen[s])):
                received = s.recv(65536)
                assert received, seen[s]
                seen[s] += received


@pytest.mark.parametrize("text, complaint", [
    ("AllowFrom=10.0.0.1/8", "ends in zeroes"), ("AllowFrom=10.0.0.0/33", "behind the slash"),
    ("AllowFrom=web.example", "is no address"), ("AllowFrom=10.0.0.0/8 192.0.2.0/24", "slash"),
    ("RateLimit=-1", "RateLimit"), ("RateLimit=1000001", "1000000"),
    ("TokenCredential=s3cret token", "not a credential's name")])
def test_faults(vitald, text, complaint):
    vitald.conf(f"[HTTP]\n{text}\n")
    verdict = vitald.verify()
    assert verdict.returncode == 78
    assert "vitald.conf:2" in verdict.stderr + verdict.stdout
    assert complaint in verdict.stderr + verdict.stdout


# -- how often -------------------------------------------------------------------------------------

def ask_often(network, source, times):
    """The statuses, over one connection."""
    with network.connect(source) as s, s.makefile("rb") as answers:
        statuses = []
        for _ in range(times):
            s.sendall(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
            statuses.append(int(answers.readline().split()[1]))
            length, retry = 0, None
            while (line := answers.readline()) != b"\r\n":
                name, _, value = line.partition(b": ")
                length = int(value) if name == b"Content-Length" else length
                retry = int(value) if name == b"Retry-After" else retry
            answers.read(length)
            assert (statuses[-1] == 429) == (retry == 1)
        return statuses


@needs_root
def test_rate_limit(shop, network):
    start(shop, network, "RateLimit=20\nAllowFrom=192.0.2.77\nAllowFrom=192.0.2.0/24\n"
          "AllowFrom=2001:db8::/32\n")
    before = time.monotonic()
    statuses = ask_often(network, "192.0.2.1", 200)
    allowed = 20 * (time.monotonic() - before) + 20
    assert 20 <= statuses.count(200) <= allowed + 1
    assert statuses[:20] == [200] * 20 and set(statuses) == {200, 429}
    # It is the address that is limited, on whatever connection.
    assert 429 in ask_often(network, "192.0.2.1", 30)
    # Others are not touched by it, and who is named, or on this host, not by anything.
    assert ask_often(network, "192.0.2.2", 20) == [200] * 20
    assert ask_often(network, "192.0.2.77", 300) == [200] * 300
    assert ask_often(network, "127.0.0.1", 300) == [200] * 300
    assert ask_often(network, "::1", 300) == [200] * 300
    # Of IPv6 it is the network of 64 bits that counts.
    assert 429 in ask_often(network, "2001:db8:0:1::1", 60)
    assert 429 in ask_often(network, "2001:db8:0:1::2", 30)
    assert ask_often(network, "2001:db8:0:2::1", 20) == [200] * 20
    # Retry-After: 1.
    time.sleep(1.05)
    assert ask_often(network, "192.0.2.1", 5) == [200] * 5

    shop.conf("[HTTP]\nRateLimit=0\n")
    shop.reload()
    eventually(lambda: ask_often(network, "192.0.2.1", 300) == [200] * 300)


@needs_root
def test_a_load_balancer_is_never_starved(shop, network):
    """Whoever floods, from however many addresses: who asks now and then is answered."""
    start(shop, network, "RateLimit=10\nAllowFrom=192.0.2.0/24\nAllowFrom=10.0.0.0/8\n"
          "AllowFrom=192.0.2.77\n")
    is_over = threading.Event()

    rounds = [0] * 3

    def flood(first):
        while not is_over.is_set():
            rounds[first] += 1
            ask_often(network, f"10.{first}.{rounds[first] % 64}.1", 25)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        floods = [pool.submit(flood, i) for i in range(3)]
        try:
            asked = 0
            while asked < 20 or sum(rounds) <= 100:
                asked += 1      # As often as load balancers ask, or more.
                assert network.get("192.0.2.5").status == 200
                assert ask_often(network, "192.0.2.77", 20) == [200] * 20
                time.sleep(0.1)
        finally:
            is_over.set()
        for f in floods:
            f.result()


@needs_root
def test_many_addresses_take_no_memory(shop, network):
    """Each has its own first request, also where they are more than can be remembered."""
    shop.environment |= EAGER_ALLOCATOR
    start(shop, network, "RateLimit=1\n")

    def ask(round):
        for i in range(1500):
            assert network.get(f"10.{round}.{i // 250}.{i % 250 + 1}", "/livez").status == 200
    ask(0)
    before = shop.memory_kib()
    ask(1)
    assert shop.memory_kib() - before < shop.growth_max_kib


# -- a token ---------------------------------------------------------------------------------------

TOKEN = "canary-7f3a91c4e8d2b605"


@pytest.fixture
def secretive(shop):
    """Whose full messages name a file."""
    shop.conf("[HTTP]\nTokenCredential=http-token\n")
    shop.credential("http-token", TOKEN + "\n")
    (shop.directory / "file").unlink()
    shop.start()
    eventually(lambda: shop.get("/health/ready", local=True).json["checks"]["shop/file"]["reason"])
    return shop


def sees_more(daemon, authorization, path="/health/ready"):
    answer = daemon.get(path, headers={"Authorization": authorization} if authorization else {})
    assert answer.status == (200 if path == "/metrics" else 503)
    return str(daemon.directory / "file") in answer.text


def test_a_token_shows_more(secretive):
    assert sees_more(secretive, f"Bearer {TOKEN}")
    assert sees_more(secretive, f"bearer  {TOKEN}")
    for path in ("/health/status", "/health/status/shop", "/health/ready/shop/file",
                 "/health/ready?format=spring", "/readyz?verbose"):
        assert sees_more(secretive, f"Bearer {TOKEN}", path)
        assert not sees_more(secretive, None, path)


@pytest.mark.parametrize("authorization", [
    None, "", "Bearer", "Bearer ", "Bearer x", TOKEN, f"Basic {TOKEN}", f"Bearer{TOKEN}",
    f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", f"Bearer {TOKEN}{TOKEN}", f"Bearer x{TOKEN}",
    f"Bearer {TOKEN.upper()}", f"Bearer {TOKEN[:-1]}4", f"Bearer \"{TOKEN}\"",
    "Bearer " + "x" * 7000])
def test_a_wrong_token_shows_no_more_and_takes_nothing_away(secretive, authorization):
    assert not sees_more(secretive, authorization)


def test_the_token_is_shown_nowhere(secretive):
    for path in PATHS:
        for local in False, True:
            answer = secretive.get(path, local=local, headers={"Authorization": f"Bearer {TOKEN}"})
            assert answer.status != 401 and "www-authenticate" not in answer.headers
            assert TOKEN not in answer.text + str(answer.headers)
    secretive.reload()
    secretive.get("/" + TOKEN[:3])
    assert TOKEN not in secretive.log
    assert TOKEN not in secretive.vitalctl("status", "--json=short").stdout
    environment = f"/proc/{secretive.pid}/environ"
    assert TOKEN.encode() not in open(environment, "rb").read()


def test_a_token_changes_by_reload(secretive):
    secretive.credential("http-token", "another")
    assert sees_more(secretive, f"Bearer {TOKEN}")
    secretive.reload()
    eventually(lambda: sees_more(secretive, "Bearer another"))
    assert not sees_more(secretive, f"Bearer {TOKEN}")
    secretive.conf("[HTTP]\n")
    secretive.reload()
    eventually(lambda: not sees_more(secretive, "Bearer another"))


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_without_the_credential_nobody_has_the_token(shop, content):
    """Nothing else is touched by it."""
    shop.conf("[HTTP]\nTokenCredential=http-token\n")
    if content is not None:
        shop.credential("http-token", content)
    shop.start()
    shop.wait_status("/health/ready", 200)
    assert "no token is accepted" in shop.log and "http-token" in shop.log
    (shop.directory / "file").unlink()
    shop.wait_status("/health/ready", 503)
    for authorization in ("Bearer", "Bearer ", "Bearer  ", "Bearer x"):
        assert not sees_more(shop, authorization)


def test_a_unix_socket_is_trusted_and_never_limited(shop):
    shop.conf("[HTTP]\nAllowFrom=192.0.2.1\nRateLimit=1\n")
    shop.start()
    shop.wait_status("/health/ready", 200)
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(shop.local))
        for _ in range(50):
            s.sendall(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
            assert s.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_history_is_for_those_who_may_see_it(secretive):
    for path in ("/health/history", "/health/history/shop", "/health/history/shop/file"):
        assert secretive.get(path).status == 403
        for answer in (secretive.get(path, local=True),
                       secretive.get(path, headers={"Authorization": f"Bearer {TOKEN}",
                                                    "Accept": "application/health+json"})):
            assert answer.status == 200
            (check,) = [c for name, c in answer.json["checks"].items() if name.endswith("file")]
            assert [c["state"] for c in check["changes"]][0] == "pending"
            assert len(check["runs"]) > 0 and set(check["runs"][0]) >= {"timestamp", "outcome"}
    assert secretive.get("/health/history/nobody", local=True).status == 404


@needs_root
def test_agent_checks_come_from_there_as_well(shop, network):
    shop.conf("[HTTP]\nAllowFrom=192.0.2.0/25\n")
    agent = network.listen()
    shop.start(wait=False, sockets={"agent": agent, "http": network.listen()})
    eventually(lambda: network.get("127.0.0.1").status == 200)
    network.port = agent.getsockname()[1]

    def ask(source):
        with network.connect(source) as s:
            return s.recv(100)
    eventually(lambda: ask("192.0.2.1") == b"up ready 100%\n")
    assert ask("192.0.2.128") == b""
    assert ask("127.0.0.1") == b"up ready 100%\n"
