# SPDX-License-Identifier: MIT
"""Type=mysql with TLS=yes against a real mariadbd, and against peers that spoil it."""

import dataclasses
import pathlib
import shutil
import tempfile

import pytest

from lib.checks import section
from lib.dns import NOERROR, DnsServer
from lib.mariadb import Mariadb
from lib.peers import TcpServer, hold, refused_address
from lib.process import eventually
from lib.runner import assert_result
from lib.tls import Authority
from lib.vitald import needs_module

pytestmark = needs_module("mysql")


@dataclasses.dataclass
class World:
    server: Mariadb
    authority: Authority
    good: object        # the certificate that it begins with


@pytest.fixture(scope="module")
def world():
    """One server for all tests: it takes seconds to make, and changes its certificate at will."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="vitald-test-mariadb-"))
    try:
        authority = Authority(directory / "ca")
        good, shown = authority.issue("good", ends=90), authority.issue("shown", ends=90)
        with Mariadb(directory / "db", tls=shown) as server:
            server.sql("CREATE USER safe@'%' IDENTIFIED BY 's3cret' REQUIRE SSL;"
                       "CREATE USER mutual@'%' IDENTIFIED BY 's3cret' REQUIRE X509")
            yield World(server, authority, good)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def mariadb(world):
    if world.server.process.exit_code is not None:
        world.server.start()
    world.server.use(world.good)
    return world.server


def db(server, *lines, ca=None, user="safe", secure=True, **options):
    return section("mysql", f"Address={getattr(server, 'address', server)}", f"Username={user}",
                   "PasswordCredential=mysql", *(["TLS=yes"] if secure else []),
                   *([f"CACertificate={ca}"] if ca else []), *lines, **options)


@pytest.fixture
def check(runner, world):
    runner.credential("mysql", "s3cret\n")

    def first(server, *lines, trust=True, **options):
        return runner.start(db(server, *lines, ca=world.authority.ca if trust else None,
                               **options)).next()
    return first


# -- good ones -------------------------------------------------------------------------------------

def test_answers_by_tls(check, mariadb):
    assert_result(check(mariadb, "Query=SELECT 1 FROM information_schema.session_status "
                                 "WHERE variable_name = 'Ssl_version' "
                                 "AND variable_value IN ('TLSv1.2', 'TLSv1.3') "
                                 "HAVING COUNT(*) = 1"), "pass", "")


def test_a_user_that_must_use_tls_and_does_not(check, mariadb):
    assert_result(check(mariadb, secure=False, trust=False), "fail", "auth/password")


def test_unix_socket(check, mariadb):
    assert_result(check(mariadb.unix_path, "ServerName=localhost"), "pass", "")

def test_host_name(runner, world, mariadb, directory):
    """The certificate is for the name, which libmariadb never sees."""
    runner.credential("mysql", "s3cret")
    mariadb.use(world.authority.issue("named", names=["DNS:db.test"], ends=90))
    with DnsServer(directory, mode=NOERROR, records={"db.test": [("A", "127.0.0.1")],
                                                     "no.test": [("A", "127.0.0.1")]}) as names:
        runner.wrap = names.wrap
        ca = world.authority.ca
        runner.start(db(f"db.test:{mariadb.port}", ca=ca)
                     + db(f"no.test:{mariadb.port}", ca=ca, name="other")
                     + db(mariadb, "ServerName=db.test", ca=ca, name="told")
                     + db(mariadb, ca=ca, name="address"))
        results = runner.first_of(4)
    assert_result(results["it"], "pass", "")
    assert_result(results["told"], "pass", "")
    assert_result(results["other"], "fail", "tls/name")
    assert_result(results["address"], "fail", "tls/name")


def test_client_certificate(check, runner, world, mariadb):
    mine = world.authority.issue("mine")
    runner.credential("key", mine.key.read_text())
    both = mine.certificate.with_name("both.pem")
    both.write_bytes(mine.certificate.read_bytes() + mine.key.read_bytes())
    shown, ca = f"ClientCertificate={mine.certificate}", world.authority.ca
    runner.credential("mysql", "s3cret")
    runner.start(db(mariadb, shown, f"ClientKey={mine.key}", ca=ca, user="mutual", name="files")
                 + db(mariadb, shown, "ClientKeyCredential=key", ca=ca, user="mutual", name="text")
                 + db(mariadb, f"ClientCertificate={both}", ca=ca, user="mutual", name="one")
                 + db(mariadb, ca=ca, user="mutual", name="none"))
    results = runner.first_of(4)
    for name in ("files", "text", "one"):
        assert_result(results[name], "pass", "")
    assert_result(results["none"], "fail", "auth/password")


def test_a_thousand_runs_leave_nothing(runner, check, mariadb):
    assert check(mariadb)["outcome"] == "pass"
    runner.run("it", 200)
    before = runner.usage()
    assert runner.run("it", 1000)["pass"] == 1000
    fds, memory = runner.usage()
    assert fds <= before[0] and memory - before[1] <= runner.memory_limit_kib / 2, (before, memory)


def test_hundreds_of_handshakes_leave_nothing(runner, check, mariadb):
    assert check(mariadb, "ServerName=other.test")["outcome"] == "fail"
    runner.run("it", 200)
    before = runner.usage()
    assert runner.run("it", 400)["fail"] == 400
    fds, memory = runner.usage()
    assert fds <= before[0] and memory - before[1] <= runner.memory_limit_kib, (before, memory)


def test_restarted_under_a_held_connection(runner, check, mariadb):
    check(mariadb)
    mariadb.kill9()
    runner.next_that(outcome="fail")
    mariadb.start()
    eventually(lambda: runner.run("it")["pass"] == 1)


def test_hangs(runner, check, mariadb):
    check(mariadb, timeout="1s")
    eventually(lambda: runner.run("it")["pass"] == 1, within=30)
    mariadb.freeze()
    for _ in range(3):
        assert_result(runner.run("it"), "fail", "timeout")
    mariadb.thaw()
    eventually(lambda: runner.run("it")["pass"] == 1, within=30)


# -- bad ones --------------------------------------------------------------------------------------

@pytest.mark.parametrize("terms, lines, reason", [
    ({"ends": -0.001}, [], "tls/expired"),
    ({"starts": 1, "ends": 2}, [], "tls/not-yet-valid"),
    ({"names": ["DNS:other.example"]}, [], "tls/name"),
    ({"names": ["DNS:db.example"]}, ["ServerName=db.example"], ""),
    ({"names": ["DNS:*.db.example"]}, ["ServerName=a.db.example"], ""),
    ({"names": ["IP:127.0.0.1"]}, ["ServerName=db.example"], "tls/name"),
], ids=str)
def test_fault_24_certificates(terms, lines, reason, world, mariadb, check):
    mariadb.use(world.authority.issue("bad", **terms))
    result = check(mariadb, *lines)
    assert_result(result, "fail" if reason else "pass", reason)


def test_fault_24_untrusted(check, mariadb):
    assert_result(check(mariadb, trust=False), "fail", "tls/untrusted")


def test_fault_24_self_signed(check, world, mariadb):
    mariadb.use(world.authority.self_signed())
    assert_result(check(mariadb), "fail", "tls/self-signed")


def test_fault_24_no_tls_offered(runner, check, mariadb, world):
    """A man in the middle would say so: nothing secret is sent."""
    seen = []

    def script(connection):
        connection.sendall(greeting(ssl=False))
        seen.append(connection.recv(4096))
        hold(connection)
    with TcpServer(script) as server:
        assert_result(check(server), "fail", "tls/refused", "does not support it")
    assert seen in ([], [b""])


def greeting(ssl=True):
    capabilities = (0xf7ff if not ssl else 0xffff).to_bytes(2, "little")
    payload = (b"\x0a10.11.6-MariaDB\0" + b"\1\0\0\0" + b"12345678\0" + capabilities + b"\x2d"
               + b"\2\0" + b"\xff\x81\x15" + 10 * b"\0" + b"123456789012\0"
               + b"mysql_native_password\0")
    return len(payload).to_bytes(3, "little") + b"\0" + payload


@pytest.mark.parametrize("say, end, reasons", [
    (b"", "hold", ["timeout"]),
    (b"", "close", ["tls/handshake", "truncated"]),
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", "hold", ["tls/plaintext"]),
    (b"\x15\x03\x03\x00\x02\x02\x28", "hold", ["tls/handshake"]),
], ids=["silence", "closed", "plaintext", "alert"])
def test_fault_24_handshakes(check, say, end, reasons):
    seen = []

    def script(connection):
        connection.sendall(greeting())
        seen.append(connection.recv(36))
        seen.append(connection.recv(4096))
        connection.sendall(say)
        if end == "hold":
            hold(connection)
    with TcpServer(script) as server:
        result = check(server, timeout="500ms" if "timeout" in reasons else "10s")
        assert result["outcome"] == "fail" and result["reason"] in reasons, result
    assert b"safe" not in b"".join(seen)     # Nor the name of the user.


def test_fault_24_the_password_waits_for_the_certificate(check, world, mariadb, runner):
    """An error that comes instead of the handshake is not believed more than it should be."""
    def script(connection):
        connection.sendall(greeting())
        connection.recv(36)
        connection.sendall(b"\x17\0\0\1\xff\x10\x04Too many connections")
        hold(connection)
    with TcpServer(script) as server:
        result = check(server)
        assert result["outcome"] == "fail" and result["reason"].startswith("tls"), result


def test_fault_13_a_handshake_that_hangs_holds_up_nobody(runner, world, mariadb):
    def script(connection):
        connection.sendall(greeting())
        hold(connection)
    runner.credential("mysql", "s3cret")
    with TcpServer(script) as silent:
        runner.start(db(silent, ca=world.authority.ca, name="silent", timeout="4s")
                     + section("tcp", f"Address={silent.address}", name="other", interval="50ms"))
        n_others = 0
        while (result := runner.next())["check"] == "other":
            assert result["outcome"] == "pass"
            n_others += 1
    assert_result(result, "fail", "timeout")
    assert n_others >= 10


def test_fault_14_refused(check):
    assert_result(check(refused_address()), "fail", "refused")


def test_files_that_cannot_be_read(check, directory):
    path = directory / "none.pem"
    assert_result(check(refused_address(), f"CACertificate={path}", trust=False), "error",
                  "configuration", str(path), "No such file")


@pytest.mark.valgrind
def test_no_leaks_in_a_handshake(runner, world, mariadb):
    def script(connection):
        connection.sendall(greeting())
        hold(connection)
    runner.credential("mysql", "s3cret")
    with TcpServer(script) as silent:
        text = db(mariadb, ca=world.authority.ca, name="good") + "".join(
            db(silent, ca=world.authority.ca, name=f"silent{n}", timeout="1h") for n in range(2))
        runner.start(text)
        assert runner.next(within=30)["check"] == "good"
        eventually(lambda: silent.connections >= 2)
