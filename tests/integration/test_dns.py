# SPDX-License-Identifier: MIT
"""Type=dns against a real dnsmasq, and against a scripted name server where it never says so."""

import socket
import threading

import pytest

from lib.checks import section
from lib.dns import (BLACK_HOLE, NOERROR, NXDOMAIN, REFUSED, SERVFAIL, DnsServer, encode_name,
                     question_of)
from lib.process import Process, Server, eventually, free_port
from lib.runner import assert_result

RECORDS = ["--host-record=web.test,10.0.0.7,2001:db8::7,300", "--host-record=web.test,10.0.0.8",
           "--cname=www.test,web.test", "--mx-host=web.test,mail.test,10",
           "--srv-host=_db._tcp.web.test,db.test,5432,1,2", "--txt-record=web.test,v=one,two",
           "--ptr-record=7.0.0.10.in-addr.arpa,web.test", "--local=/test/", "--local-ttl=60",
           "--dns-rr=zone.test,2," + encode_name("ns.test").hex()]


class Dnsmasq(Server):
    def __init__(self, directory):
        self.directory, self.port = directory, free_port()
        self.address = f"127.0.0.1:{self.port}"

    def start(self):
        self.process = Process(
            ["/usr/sbin/dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv",
             "--no-hosts", "--user=root", "--pid-file=", "--bind-interfaces", "--log-facility=-",
             "--listen-address=127.0.0.1", "--port", self.port, *RECORDS],
            self.directory / "dnsmasq.log")
        eventually(self._answers, what="dnsmasq")

    def _answers(self):
        assert self.process.exit_code is None, self.process.log
        with socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True


@pytest.fixture
def dnsmasq(directory):
    with Dnsmasq(directory) as server:
        yield server


def dns(name, *lines, server=None, check="it", **options):
    lines = [f"Name={name}", *lines] + ([f"Server={server}"] if server else [])
    return section("dns", *lines, name=check, **options)


@pytest.fixture
def check(runner, dnsmasq):
    def first(name, *lines, **options):
        return runner.start(dns(name, *lines, server=dnsmasq.address, **options)).next()
    return first


# -- a real server ---------------------------------------------------------------------------------

@pytest.mark.parametrize("name, record, values", [
    ("web.test", "A", ["10.0.0.7", "10.0.0.8"]),
    ("web.test.", "A", ["10.0.0.7"]),
    ("WEB.test", "AAAA", ["2001:db8::7"]),
    ("web.test", "AAAA", ["2001:0DB8:0:0::7"]),
    ("www.test", "A", ["10.0.0.7"]),
    ("www.test", "CNAME", ["web.test"]),
    ("www.test", "CNAME", ["Web.Test."]),
    ("web.test", "MX", ["10 mail.test"]),
    ("_db._tcp.web.test", "SRV", ["1 2 5432 db.test"]),
    ("web.test", "TXT", ["v=onetwo"]),
    ("7.0.0.10.in-addr.arpa", "PTR", ["web.test"]),
])
def test_records(check, name, record, values):
    result = check(name, f"Record={record}", *[f"Expect={v}" for v in values])
    assert_result(result, "pass", "", values[0].lower().replace("0db8:0:0::", "db8::").rstrip("."))
    assert result["records"] >= len(values) and result["ttl"] in (60, 300)


def test_record_is_an_address_by_default(check):
    assert_result(check("web.test"), "pass", "", "10.0.0.7")


def test_name_servers_of_a_zone(check):
    assert_result(check("zone.test", "Record=NS", "Expect=ns.test"), "pass", "")


def test_other_values(check):
    assert_result(check("web.test", "Expect=10.0.0.7", "Expect=10.0.0.9"), "fail", "mismatch",
                  "Not 10.0.0.9 but", "10.0.0.7")


def test_no_such_name(check):
    assert_result(check("nowhere.test"), "fail", "dns/not-found", "nowhere.test")


@pytest.mark.parametrize("name, record", [("web.test", "SRV"), ("_db._tcp.web.test", "A")])
def test_no_such_record(check, name, record):
    assert_result(check(name, f"Record={record}"), "fail", "dns/no-record", record)


def test_refused(runner):
    result = runner.start(dns("web.test", server=f"127.0.0.1:{free_port()}")).next()
    assert_result(result, "fail", "dns/unreachable")


def test_hangs_and_is_restarted(runner, dnsmasq):
    runner.start(dns("web.test", server=dnsmasq.address, interval="100ms", timeout="300ms"))
    runner.next_that(outcome="pass")
    dnsmasq.freeze()
    assert_result(runner.next_that(outcome="fail"), "fail", "timeout", "name server")
    dnsmasq.thaw()
    runner.next_that(outcome="pass")
    dnsmasq.kill9()
    runner.next_that(outcome="fail", reason="dns/unreachable")
    dnsmasq.start()
    runner.next_that(outcome="pass")


@pytest.mark.parametrize("lines, outcome", [([], "pass"), (["Record=SRV"], "fail")])
def test_a_thousand_runs_leave_nothing(runner, dnsmasq, lines, outcome):
    runner.start(dns("web.test", *lines, server=dnsmasq.address))
    runner.next()
    assert runner.run("it", 500)[outcome] == 500
    before = runner.usage()
    assert runner.run("it", 1000)[outcome] == 1000
    fds, memory = runner.usage()
    assert fds <= before[0]
    assert memory - before[1] <= 256, (before, memory)


# -- resolv.conf -----------------------------------------------------------------------------------

@pytest.fixture
def names(directory, runner):
    with DnsServer(directory, mode=NOERROR, records={"db.test": [("A", "127.0.0.1")]}) as server:
        runner.wrap = server.wrap
        yield server


def test_servers_of_resolv_conf(runner, names):
    assert_result(runner.start(dns("db.test")).next(), "pass", "", "127.0.0.1")
    assert ("db.test", 1) in names.queries


def test_hosts_file_does_not_count(runner, names, directory):
    (directory / "hosts").write_text("127.0.0.1 localhost other.test\n")
    assert_result(runner.start(dns("other.test")).next(), "fail", "dns/not-found")


@pytest.mark.parametrize("mode, reason", [
    (NXDOMAIN, "dns/not-found"), (SERVFAIL, "dns/server-failed"), (REFUSED, "dns/server-failed"),
])
def test_fault_25_servers_say_no(runner, names, mode, reason):
    names.mode = mode
    assert_result(runner.start(dns("db.test")).next(), "fail", reason, "db.test")


def test_fault_25_silence(runner, names):
    names.mode = BLACK_HOLE
    assert_result(runner.start(dns("db.test", timeout="300ms")).next(), "fail", "timeout")


def test_every_run_asks(runner, names):
    """Nothing is taken from a cache, also not while the answer would be good for a minute."""
    runner.start(dns("db.test"))
    runner.next()
    assert runner.run("it", 10)["pass"] == 10
    assert len(names.queries) >= 11     # A query that is not answered in time is sent again.
    names.records = {"db.test": [("A", "127.0.0.2")]}
    assert_result(runner.run("it"), "pass", "", "127.0.0.2")


def test_a_thousand_records(runner, names):
    names.records = {"db.test": [("A", f"10.0.{i // 250}.{i % 250}") for i in range(1000)]}
    result = runner.start(dns("db.test", "Expect=10.0.0.63")).next()
    assert_result(result, "pass", "")
    assert result["records"] == 64


# -- servers that lie ------------------------------------------------------------------------------

def record(kind, data, name=b"\xc0\x0c", length=None):
    size = len(data) if length is None else length
    return name + kind.to_bytes(2, "big") + b"\0\1\0\0\0\1" + size.to_bytes(2, "big") + data


@pytest.mark.parametrize("kind, records", [
    ("A", [record(1, b"\1\2\3")]),
    ("A", [record(1, b"\1\2\3\4", length=400)]),
    ("A", [record(1, b"\1\2\3\4", name=b"\xc0\xff")]),
    ("CNAME", [record(5, b"\x3fabc")]),
    ("CNAME", [record(5, b"\xc0\x25")]),
    ("MX", [record(15, b"\0")]),
    ("SRV", [record(33, b"\0\1\0\1\0\1")]),
    ("TXT", [record(16, b"\xffabc")]),
], ids=["short", "beyond the end", "name beyond the end", "label beyond the end",
        "name that is itself", "no exchange", "no target", "text beyond the end"])
def test_fault_19_answers_that_make_no_sense(runner, kind, records):
    def serve(udp):
        while True:
            try:
                query, peer = udp.recvfrom(4096)
            except OSError:
                return
            if not query:
                return
            udp.sendto(query[:2] + b"\x85\x80\0\1" + len(records).to_bytes(2, "big") + bytes(4)
                       + question_of(query) + b"".join(records), peer)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", free_port()))
        threading.Thread(target=serve, args=(udp,), daemon=True).start()
        server = "127.0.0.1:%d" % udp.getsockname()[1]
        result = runner.start(dns("db.test", f"Record={kind}", server=server)).next()
        assert_result(result, "fail", "protocol")


# -- settings --------------------------------------------------------------------------------------

@pytest.mark.parametrize("lines, words", [
    (["Name=a..b"], "a..b"),
    (["Name=" + 64 * "x" + ".test"], "is not a name"),
    (["Name=db.test", "Server=ns.example"], "not an IP address"),
    (["Name=db.test", "Server=/run/dns"], "not an IP address"),
    (["Name=db.test", "Expect=2001:db8::1"], "record A"),
    (["Name=db.test", "Record=AAAA", "Expect=10.0.0.1"], "record AAAA"),
    (["Name=db.test", "Record=ANY"], "ANY"),
    (["Record=A"], "Name"),
])
def test_fault_3_settings(runner, lines, words):
    runner.start(section("dns", *lines))
    eventually(lambda: runner.popen.poll() is not None)
    assert words in runner.log
    runner.popen = None


@pytest.mark.valgrind
def test_no_leaks_with_a_run_under_way(runner, names):
    names.mode = BLACK_HOLE
    runner.start(dns("db.test", check="silent", timeout="10s")
                 + dns("db.test", server=f"127.0.0.1:{free_port()}", check="refused"))
    assert runner.next()["check"] == "refused"
