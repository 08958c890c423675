# SPDX-License-Identifier: MIT
"""The HTTP server against clients that are slow, broken, many, or hostile."""

import email.utils
import signal
import socket
import threading
import time

import pytest

from lib.httpserver import GET, BareServer, Client, cpu_seconds, raise_own_file_limit
from lib.process import SLOWNESS, eventually

HOST = b"Host: a\r\n"


def close(clients):
    for c in clients:
        c.socket.close()


@pytest.fixture
def make_server(directory):
    servers = []

    def make(**options):
        server = BareServer(directory, **options)
        servers.append(server)
        server.start()
        eventually(lambda: server.counters()["connections"] == 1)
        return server
    yield make
    for server in servers:
        server.close()


@pytest.fixture
def server(make_server):
    return make_server()


# What a peer may send, the status that it gets, and nothing but the end of the stream after it.
REFUSED = [
    ("no-version", b"GET /\r\n\r\n", 400),
    ("http09", b"GET / HTTP/0.9\r\n\r\n", 505),
    ("http12", b"GET / HTTP/1.2\r\n" + HOST + b"\r\n", 505),
    ("http2-preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ("tls", bytes.fromhex("16030102000100 01fc0303") + bytes(range(128, 256)), 400),
    ("proxy-v1", b"PROXY TCP4 192.0.2.1 192.0.2.2 5 80\r\n" + GET, 400),
    ("proxy-v2", b"\r\n\r\n\0\r\nQUIT\n!\x11\0\x0c" + bytes(12) + GET, 400),
    ("bare-lf", b"GET / HTTP/1.1\nHost: a\n\n", 400),
    ("bare-cr", b"GET / HTTP/1.1\r\n" + HOST + b"A: b\rC: d\r\n\r\n", 400),
    ("nul", b"GET /\0 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    ("nul-in-field", b"GET / HTTP/1.1\r\n" + HOST + b"A: \0\r\n\r\n", 400),
    ("folded", b"GET / HTTP/1.1\r\n" + HOST + b"A: b\r\n c\r\n\r\n", 400),
    ("blank-before-colon", b"GET / HTTP/1.1\r\n" + HOST + b"A : b\r\n\r\n", 400),
    ("empty-name", b"GET / HTTP/1.1\r\n" + HOST + b": b\r\n\r\n", 400),
    ("no-host", b"GET / HTTP/1.1\r\n\r\n", 400),
    ("two-hosts", b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400),
    ("bad-host", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    ("length-plus", b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: +5\r\n\r\n", 400),
    ("length-hex", b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: 0x5\r\n\r\n", 400),
    ("length-list", b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: 5,5\r\n\r\n", 400),
    ("length-twice", b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n" * 2 + b"\r\n", 400),
    ("length-and-coding", b"POST / HTTP/1.1\r\n" + HOST +
     b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("coding-unknown", b"GET / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: x,chunked\r\n\r\n", 501),
    ("coding-not-chunked", b"GET / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: x\r\n\r\n", 400),
    ("body", b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello", 413),
    ("chunked-body", b"GET / HTTP/1.1\r\n" + HOST +
     b"Transfer-Encoding: chunked\r\n\r\n5;ext=\"" + b"x" * 5000 +
     b"\"\r\nhello\r\n0\r\nT: x\r\n\r\n", 413),
    ("expect", b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n",
     413),
    ("post", b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello", 405),
    ("connect", b"CONNECT a:443 HTTP/1.1\r\n" + HOST + b"\r\n", 405),
    ("long-method", b"A" * 100_000, 501),
    ("long-target", b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
    ("long-head", b"GET / HTTP/1.1\r\n" + HOST + b"A: " + b"b" * 1_000_000 + b"\r\n\r\n", 431),
    ("many-fields", b"GET / HTTP/1.1\r\n" + HOST + b"A: b\r\n" * 100_000 + b"\r\n", 431),
    ("after-a-good-one", GET + b"GET / HTTP/1.1\r\n\r\n" + GET, 400),
]


@pytest.mark.parametrize("data, status", [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_fault_63_refuses_and_closes(server, data, status):
    with Client(server.address) as c:
        c.send(data)
        if data.startswith(GET):
            assert c.read_answer()[0] == 200
        got, headers, body = c.read_answer()
        assert got == status
        assert headers["connection"] == "close"
        assert body.startswith(b"%d " % status)
        assert ("allow" in headers) == (status == 405)
        assert c.is_closed()


def test_fault_63_error_arrives_while_the_client_is_still_sending(make_server):
    with Client(make_server(linger=60_000).address) as c:
        c.send(b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: 1000000\r\n\r\n")
        for _ in range(100):
            c.send(b"x" * 10_000)
        assert c.read_answer()[0] == 413
        assert c.is_closed()


# What is unusual, and right.
ACCEPTED = [
    ("absolute-form-elsewhere", b"GET http://b:81/ HTTP/1.1\r\n" + HOST + b"\r\n", 200),
    ("upgrade-h2c", b"GET / HTTP/1.1\r\n" + HOST +
     b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
     b"HTTP2-Settings: AAMAAABk\r\n\r\n", 200),
    ("range-bomb", b"GET / HTTP/1.1\r\n" + HOST + b"Range: bytes=" + b"0-," * 1000 + b"0-\r\n\r\n",
     200),
    ("options", b"OPTIONS / HTTP/1.1\r\n" + HOST + b"\r\n", 200),
    ("options-asterisk", b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", 204),
    ("empty-line-first", b"\r\n" + GET, 200),
    ("no-body", b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n", 200),
    ("unavailable", b"GET /unavailable HTTP/1.1\r\n" + HOST + b"\r\n", 503),
]


@pytest.mark.parametrize("data, status", [r[1:] for r in ACCEPTED], ids=[r[0] for r in ACCEPTED])
def test_accepts_and_stays_open(server, data, status):
    with Client(server.address) as c:
        for _ in range(2):
            c.send(data)
            got, headers, body = c.read_answer()
            assert got == status
            assert "connection" not in headers
            assert (status == 204) == ("content-length" not in headers) == (body == b"")
            date = email.utils.parsedate_to_datetime(headers["date"]).timestamp()
            assert abs(date - time.time()) < 10


def test_connection_closes_or_stays_as_asked(server):
    close = b"GET / HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
    for data in (close, b"GET / HTTP/1.0\r\n\r\n"):
        with Client(server.address) as c:
            c.send(data)
            status, headers, _ = c.read_answer()
            assert (status, headers["connection"]) == (200, "close")
            assert c.is_closed()

    with Client(server.address) as c:
        for _ in range(3):
            c.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            status, headers, _ = c.read_answer()
            assert (status, headers["connection"]) == (200, "keep-alive")


def test_head_has_the_head_of_get(server):
    with Client(server.address) as c:
        for path in (b"/", b"/unavailable", b"/big"):
            c.send(b"HEAD " + path + b" HTTP/1.1\r\n" + HOST + b"\r\n")
            head = c.read_answer(is_head=True)
            c.send(b"GET " + path + b" HTTP/1.1\r\n" + HOST + b"\r\n")
            get = c.read_answer()
            for answer in (head, get):
                answer[1].pop("date")
            assert head[:2] == get[:2]
            assert int(head[1]["content-length"]) == len(get[2])


def test_half_closed_client_is_answered(server):
    with Client(server.address) as c:
        c.send(GET)
        c.socket.shutdown(socket.SHUT_WR)
        assert c.read_answer()[0] == 200
        assert c.is_closed()


def test_tells_listeners_apart(server):
    for address, expected in ((server.address, b"trusted=0 local=0 mapped=1"),
                              (server.address6, b"trusted=0 local=0 mapped=0"),
                              (server.path, b"trusted=1 local=1 mapped=0")):
        with Client(address) as c:
            c.send(b"GET /x?y=%20 HTTP/1.1\r\nHost: h\r\nuser-AGENT:  u/1 \r\n\r\n")
            body = c.read_answer()[2]
            assert body.splitlines() == [expected, b"path=/x", b"query=y=%20", b"host=h",
                                         b"user-agent=u/1"]


def test_handler_without_an_answer_is_500(server):
    with Client(server.address) as c:
        c.send(b"GET /fault HTTP/1.1\r\n" + HOST + b"\r\n")
        assert c.read_answer()[0] == 500
        assert c.is_closed()


@pytest.mark.parametrize("piece", [1, 3, 17, 4096])
def test_requests_in_pieces(server, piece):
    data = (GET + b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n") * 3
    with Client(server.address) as c:
        c.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(0, len(data), piece):
            c.send(data[i:i + piece])
        for _ in range(3):
            assert c.read_answer()[2] == b'{"status":"ready"}'
            assert b"path=/a" in c.read_answer()[2]


def test_fault_63_pipelining_of_10000_requests_is_answered_in_order(server):
    n = 10_000
    data = b"".join(b"GET /%d HTTP/1.1\r\n" % i + HOST + b"\r\n" for i in range(n))
    with Client(server.address) as c:
        sender = threading.Thread(target=c.send, args=(data,))
        sender.start()
        for i in range(n):
            assert b"\npath=/%d\n" % i in c.read_answer()[2]
        sender.join()


def test_fault_63_pipelining_without_reading_is_bounded(server):
    """While an answer is not taken nothing more is read, so the client's sending gets stuck."""
    with Client(server.address, receive_buffer=4096) as c:
        c.socket.setblocking(False)
        data = b"GET /big HTTP/1.1\r\n" + HOST + b"\r\n"
        sent = 0

        def is_stuck():
            nonlocal sent
            try:
                sent += c.socket.send(data * 1000)
            except BlockingIOError:
                return True
            return False
        eventually(is_stuck, within=10)
        before = cpu_seconds(server.pid)
        with Client(server.address) as other:
            other.send(GET)
            assert other.read_answer()[0] == 200
        assert server.counters()["200"] < 10
        assert cpu_seconds(server.pid) - before < 0.5
        with open(f"/proc/{server.pid}/statm") as statm:
            assert int(statm.read().split()[1]) * 4096 < (64 << 20) * SLOWNESS


def test_big_answer_arrives_whole(server):
    with Client(server.address, receive_buffer=4096) as c:
        c.send((b"GET /big HTTP/1.1\r\n" + HOST + b"\r\n") * 2 + GET)
        for _ in range(2):
            assert c.read_answer()[2] == b"x" * (4 << 20)
        assert c.read_answer()[0] == 200


def test_fault_63_slow_head_has_one_deadline_for_all_of_it(make_server):
    server = make_server(header=400, linger=300)
    with Client(server.address) as silent, Client(server.address) as slow:
        began = time.monotonic()
        try:
            for byte in b"GET / HTTP/1.1\r\nHost: " + b"a" * 1000:
                slow.send(bytes([byte]))
                time.sleep(0.02)
        except OSError:
            pass
        took = time.monotonic() - began
        assert slow.read_answer()[0] == 408
        assert 0.4 < took < 15      # All of it would take twenty seconds.
        assert silent.is_closed()           # no answer: there was no question
    eventually(lambda: server.counters()["timed_out"] >= 2)
    eventually(lambda: server.counters()["connections"] == 1)


def test_fault_63_slow_second_head_has_it_too(make_server):
    server = make_server(header=300, idle=60_000)
    with Client(server.address) as c:
        c.send(GET + b"GET / HT")
        assert c.read_answer()[0] == 200
        assert c.read_answer()[0] == 408
        assert c.is_closed()


def test_fault_63_idle_connection_is_closed(make_server):
    server = make_server(idle=300, header=60_000)
    with Client(server.address) as c:
        began = time.monotonic()
        c.send(GET)
        assert c.read_answer()[0] == 200
        assert c.is_closed()
        assert time.monotonic() - began >= 0.3
    assert server.counters()["timed_out"] == 0


def test_fault_63_slow_reader_is_closed(make_server):
    server = make_server(write=300)
    with Client(server.address, receive_buffer=4096) as c:
        c.send(b"GET /big HTTP/1.1\r\n" + HOST + b"\r\n")
        eventually(lambda: server.counters()["timed_out"] == 1)
        received = 0
        with pytest.raises(AssertionError):
            received = len(c.read_answer()[2])
        assert received < 4 << 20


def test_fault_63_requests_per_connection(make_server):
    server = make_server(requests_per_connection=3)
    with Client(server.address) as c:
        c.send(GET * 5)
        assert ["connection" in c.read_answer()[1] for _ in range(3)] == [False, False, True]
        assert c.is_closed()


def test_fault_63_at_the_cap_the_longest_idle_makes_room(make_server):
    server = make_server(connections=8)
    clients = [Client(server.address) for _ in range(8)]
    for c in clients:
        c.send(GET)
        assert c.read_answer()[0] == 200
    clients[0].send(GET)                    # now the second is the longest idle
    assert clients[0].read_answer()[0] == 200

    with Client(server.address) as newcomer:
        newcomer.send(GET)
        assert newcomer.read_answer()[0] == 200
        assert clients[1].is_closed()
        clients[0].send(GET)
        assert clients[0].read_answer()[0] == 200
    close(clients)
    eventually(lambda: server.counters()["connections"] == 1)


def test_fault_63_an_address_has_its_own_cap(make_server):
    server = make_server(connections=20, connections_per_address=4)
    with Client(server.address, bind="127.0.0.9") as balancer:
        balancer.send(GET)
        assert balancer.read_answer()[0] == 200
        flood = [Client(server.address) for _ in range(50)]
        for c in flood[-4:]:
            c.send(GET)
            assert c.read_answer()[0] == 200
        assert server.counters()["evicted"] == 46
        assert flood[0].is_closed()
        balancer.send(GET)
        assert balancer.read_answer()[0] == 200
        close(flood)


def test_fault_63_a_load_balancer_gets_in_beside_10000_idle_connections(make_server):
    raise_own_file_limit(12_000)
    server = make_server(connections=200, connections_per_address=100_000)
    flood = []
    for i in range(10_000):
        flood.append(Client(server.address, bind=f"127.0.1.{i % 250 + 1}"))
        if i % 3 == 0:
            flood[-1].send(b"GET / HT")
        if i % 500 == 0:
            with Client(server.address) as probe:
                probe.send(GET)
                assert probe.read_answer()[0] == 200
    assert server.counters()["connections"] <= 200
    close(flood)


def test_fault_63_connect_and_close_flood(server):
    for i in range(3000):
        c = Client(server.address)
        if i % 3 == 0:
            c.send(GET)
        if i % 2:
            c.reset()
        else:
            c.socket.close()
        if i % 300 == 0:
            with Client(server.address) as probe:
                probe.send(GET)
                assert probe.read_answer()[0] == 200
    eventually(lambda: server.counters()["connections"] == 1)


def test_fault_62_stop_answers_what_was_received_and_leaves_the_backlog(server):
    idle, quick, begun = (Client(server.address) for _ in range(3))
    for c in (idle, quick):
        c.send(GET)
        assert c.read_answer()[0] == 200
    begun.send(GET[:10])
    eventually(lambda: server.counters()["connections"] == 4)
    server.freeze()
    quick.send(GET)                         # at the moment of the stop
    server.process.signal(signal.SIGTERM)
    server.thaw()
    status, headers, _ = quick.read_answer()
    assert (status, headers.get("connection")) in ((200, "close"), (200, None))
    assert quick.is_closed() and idle.is_closed()
    assert server.process.exit_code is None
    late = Client(server.address)           # stays in the backlog of the socket
    late.send(GET)
    begun.send(GET[10:])
    status, headers, _ = begun.read_answer()
    assert (status, headers["connection"]) == (200, "close")
    assert begun.is_closed()
    assert server.process.wait() == 0
    server.start()
    assert late.read_answer()[0] == 200
    close((idle, quick, begun, late))


def test_no_refused_and_no_unanswered_request_over_restarts(server):
    """A new connection for each request, as most load balancers probe."""
    stop, answers = threading.Event(), []

    def probe():
        while not stop.is_set():
            with Client(server.address, within=20) as c:
                c.send(b"GET / HTTP/1.0\r\n\r\n")
                answers.append(c.read_answer()[0])
    probers = [threading.Thread(target=probe) for _ in range(4)]
    for p in probers:
        p.start()
    try:
        for _ in range(10):
            n = len(answers)
            eventually(lambda: len(answers) > n + 20, within=20)
            server.process.signal(signal.SIGTERM)
            assert server.process.wait(10) == 0
            server.start()
    finally:
        stop.set()
        for p in probers:
            p.join()
    assert set(answers) == {200}
    assert len(answers) > 200


def test_kick_shows_that_the_set_turns(server):
    def has_kicked():
        counters = server.counters()
        return counters if counters["kicks"] > 5 else None
    counters = eventually(has_kicked)
    assert counters["progressed"] >= counters["kicks"] - 2


def test_many_busy_connections_share(server):
    """Each of many clients that always have a request under way gets on, and timers run."""
    stop, done = threading.Event(), [0] * 8

    def hammer(i):
        with Client(server.address) as c:
            while not stop.is_set():
                c.send(GET * 200)
                for _ in range(200):
                    assert c.read_answer()[0] == 200
                done[i] += 1
    workers = [threading.Thread(target=hammer, args=(i,)) for i in range(8)]
    for w in workers:
        w.start()
    try:
        before = server.counters()
        eventually(lambda: min(done) >= 5, within=60)
        eventually(lambda: server.counters()["progressed"] > before["progressed"] + 5)
    finally:
        stop.set()
        for w in workers:
            w.join()
