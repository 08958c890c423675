# SPDX-License-Identifier: MIT
"""Type=redis: the value of a command, the role and replication, on real servers."""

import pytest

from lib.checks import section
from lib.peers import TcpServer, answer_with
from lib.process import eventually, free_port
from lib.redis import Redis, replica_of
from lib.runner import CheckRunner, assert_result


def check(server, *lines, **options):
    return section("redis", f"Address={getattr(server, 'address', server)}", *lines, **options)


@pytest.fixture
def run(directory):
    """The first result of a check."""
    def first(server, *lines, **options):
        with CheckRunner(directory, check(server, *lines, **options)) as runner:
            return runner.next()
    return first


@pytest.fixture
def results(directory):
    """The first results of several checks, in their order."""
    def first(*sections):
        text = "".join(section.replace("[Check it]", f"[Check {n}]")
                       for n, section in enumerate(sections))
        with CheckRunner(directory, text) as runner:
            found = runner.first_of(len(sections))
        return [found[str(n)] for n in range(len(sections))]
    return first


# -- Command= --------------------------------------------------------------------------------------

SETUP = [("RPUSH", "jobs", "10", "b", "42"), ("SET", "state", "up"), ("SET", "two words", "7.5"),
         ("HSET", "h", "f", "-3"), ("SADD", "s", "m", "n"), ("ZADD", "z", "1.5", "a", "9", "b"),
         ("XADD", "x", "*", "k", "v"), ("SET", "once", "1", "EX", "100000")]


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    with Redis(tmp_path_factory.mktemp("redis")) as server:
        for words in SETUP:
            assert not server.command(*words).startswith(b"-"), words
        yield server


VALUES = [
    ("LLEN jobs", 3, "LLEN jobs is 3"),
    ("llen jobs", 3, "LLEN jobs is 3"),
    ("LINDEX jobs -1", 42, "LINDEX jobs is 42"),
    ('GET "two words"', 7.5, "GET two words is 7.5"),
    (r"GET two\swords", 7.5, "GET two words is 7.5"),
    ("GET 'two words'", 7.5, "GET two words is 7.5"),
    ("HLEN h", 1, "HLEN h is 1"),
    ("HGET h f", -3, "HGET h is -3"),
    ("HEXISTS h g", 0, "HEXISTS h is 0"),
    ("SCARD s", 2, "SCARD s is 2"),
    ("SISMEMBER s m", 1, "SISMEMBER s is 1"),
    ("ZCARD z", 2, "ZCARD z is 2"),
    ("ZCOUNT z (1.5 +inf", 1, "ZCOUNT z is 1"),
    ("ZSCORE z a", 1.5, "ZSCORE z is 1.5"),
    ("XLEN x", 1, "XLEN x is 1"),
    ("STRLEN state", 2, "STRLEN state is 2"),
    ("BITCOUNT state", 8, "BITCOUNT state is 8"),
    ("EXISTS nothing", 0, "EXISTS nothing is 0"),
    ("LLEN nothing", 0, "LLEN nothing is 0"),
    ("DBSIZE", 8, "DBSIZE is 8"),
    ("TTL state", -1, "TTL state is -1"),
    ("INFO replication connected_slaves", 0, "INFO connected_slaves is 0"),
    ("GET state", None, "GET state is there"),
    ("TYPE jobs", None, "TYPE jobs is there"),
]


def test_commands(filled, results):
    found = results(*(check(filled, f"Command={command}") for command, _, _ in VALUES))
    for (command, value, words), result in zip(VALUES, found):
        assert_result(result, "pass", "")
        assert (result.get("value"), result["message"]) == (value, words), command


def test_commands_whose_value_moves(filled, run):
    assert 99000 < run(filled, "Command=TTL once")["value"] <= 100000
    assert 99000000 < run(filled, "Command=PTTL once")["value"] <= 100000000
    assert run(filled, "Command=LASTSAVE")["value"] > 1.7e9
    assert run(filled, "Command=INFO memory used_memory")["value"] > 100000


NO_VALUES = [
    ("GET nothing", "missing/value", "GET nothing: there is none"),
    ("HGET h nothing", "missing/value", "HGET h: there is none"),
    ("LINDEX jobs 10", "missing/value", "LINDEX jobs"),
    ("TTL nothing", "missing/value", "TTL nothing"),
    ("PTTL nothing", "missing/value", "PTTL nothing"),
    ("INFO memory nothing", "missing/value", "INFO nothing"),
    ("INFO nothing used_memory", "missing/value", "INFO used_memory"),
    ("LLEN state", "status/wrongtype", "WRONGTYPE"),
    ("GET jobs", "status/wrongtype", "WRONGTYPE"),
    ("ZCOUNT z a b", "status", "ZCOUNT: ERR min or max"),
]


def test_commands_without_a_value(filled, results):
    found = results(*(check(filled, f"Command={command}") for command, _, _ in NO_VALUES))
    for (_, reason, words), result in zip(NO_VALUES, found):
        assert_result(result, "fail", reason, words)
        assert "value" not in result


EXPECTED = [
    ("GET state", "up", ""), ("GET state", "UP", "mismatch/value"), ("LLEN jobs", "3", ""),
    ("LLEN jobs", "4", "mismatch/value"), ("TYPE jobs", "list", ""),
    ("INFO replication role", "master", ""), ("INFO replication role", "slave", "mismatch/value"),
    ("GET nothing", "up", "missing/value"),
]


def test_expected(filled, results):
    found = results(*(check(filled, f"Command={command}", f"ExpectValue={expected}")
                      for command, expected, _ in EXPECTED))
    for (_, expected, reason), result in zip(EXPECTED, found):
        assert_result(result, "fail" if reason else "pass", reason)
        assert not reason.startswith("mismatch") or f'not "{expected}"' in result["message"]


def test_a_user_that_may_not(redis, directory):
    redis.command("ACL", "SETUSER", "health", "on", ">pw", "+ping")
    lines = "Username=health", "PasswordCredential=redis", "Command=DBSIZE"
    with CheckRunner(directory, check(redis, *lines), {"redis": "pw"}) as runner:
        assert_result(runner.next(), "fail", "auth/permission", "NOPERM", "dbsize")
        redis.command("ACL", "SETUSER", "health", "+dbsize")
        assert runner.run("it")["pass"] == 1


def test_limits_of_the_value(vitald, filled):
    vitald.service("jobs", check(filled, "Command=LLEN jobs", "Warn=2", "Fail=100", name="warn")
                   + check(filled, "Command=LLEN jobs", "Fail=value:10:", name="fail")
                   + check(filled, "Command=GET state", "Warn=2", name="none"))
    vitald.start()
    vitald.wait_check("jobs/warn", reason="threshold/value")
    vitald.wait_check("jobs/fail", reason="threshold/value")
    vitald.wait_check("jobs/none", reason="threshold/unknown-value")


@pytest.mark.parametrize("reply, reason, words", [
    (b"+PONG\r\n*2\r\n:1\r\n:2\r\n", "protocol", "wrong kind"),
    (b"+PONG\r\n$65600\r\n" + 65600 * b"x" + b"\r\n", "protocol", "too long"),
    (b"+PONG\r\n-MOVED 866 10.0.0.1:6379\r\n", "status/moved", "MOVED"),
    (b"+PONG\r\n:1", "timeout", "waiting for the command's reply"),
], ids=["array", "huge", "moved", "half"])
def test_fault_20_and_30_replies(reply, reason, words, run):
    with TcpServer(answer_with(reply)) as server:
        assert_result(run(server, "Command=GET a", timeout="2s"), "fail", reason, words)


def test_values_in_small_pieces(run):
    text = b"+PONG\r\n$300\r\n" + b"x" * 298 + b"42\r\n"

    def script(connection):
        connection.recv(100)
        for at in range(0, len(text), 50):
            connection.sendall(text[at:at + 50])
        connection.recv(100)
    with TcpServer(script) as server:
        assert_result(run(server, "Command=GET a", "ExpectValue=" + "x" * 298 + "42"), "pass", "")


def test_thousands_of_values_leave_nothing(filled, directory):
    lines = "Command=INFO replication role", "Replication=yes", "ExpectValue=master"
    with CheckRunner(directory, check(filled, *lines)) as runner:
        runner.next()
        assert runner.run("it", 1000)["pass"] == 1000
        before = runner.usage()
        assert runner.run("it", 5000)["pass"] == 5000
        fds, memory = runner.usage()
        assert fds <= before[0]
        assert memory - before[1] <= runner.memory_limit_kib / 4, (before, memory)


# -- what a configuration may say ------------------------------------------------------------------

HERE = "Address=127.0.0.1"


FAULTS = [
    (["Command=DEL jobs", HERE], ["Command=", '"DEL" is none of those that only read: BITCOUNT']),
    (["Command=SET a b", HERE], ["LLEN, PTTL", "ZSCORE"]),
    (["Command=GETDEL a", HERE], ["GETDEL"]),
    (["Command=INCR a", HERE], ["INCR"]),
    (["Command=EVAL x 0", HERE], ["EVAL"]),
    (["Command=CONFIG GET x", HERE], ["CONFIG"]),
    (["Command=FLUSHALL", HERE], ["FLUSHALL"]),
    (["Command=LLEN", HERE], ["the command is to be: LLEN KEY"]),
    (["Command=DBSIZE now", HERE], ["the command is to be: DBSIZE"]),
    (["Command=INFO memory", HERE], ["INFO SECTION FIELD"]),
    (['Command=GET "a', HERE], ["quote"]),
    ([r"Command=GET a\x00b", HERE], ["NUL"]),
    (["Command=' '", HERE], ["none of those that only read"]),
    (["ExpectValue=1", HERE], ["ExpectValue=", "needs Command="]),
    (["Role=slave", HERE], ["Role=", "slave"]),
    (["Role=any"], ["Address="]),
    (["SentinelMaster=a", HERE], ["SentinelMaster=", "Address="]),
    (["SentinelMaster=a"], ["needs Sentinel="]),
    (["Sentinel=127.0.0.1", HERE], ["needs SentinelMaster="]),
    (["Sentinel=:x", "SentinelMaster=a"], ["Sentinel="]),
    (["SentinelMaster=a", "Sentinel=127.0.0.1", "Role=replica"], ["Role="]),
    (["CACertificate=/x", HERE], ["CACertificate=", "needs TLS=yes"]),
    (["TLS=yes", "ClientKey=/x", HERE], ["ClientKey=", "needs ClientCertificate="]),
    (["TLS=yes", "Address=/run/redis.sock"], ["ServerName=", "unix socket"]),
    (["Username=a", HERE], ["Username=", "needs PasswordCredential="]),
]


def test_fault_3_settings(vitald):
    vitald.service("bad", "".join(section("redis", *lines, name=f"c{n}")
                                  for n, (lines, _) in enumerate(FAULTS)))
    done = vitald.verify()
    assert done.returncode == 78
    for n, (lines, words) in enumerate(FAULTS):
        told = [line for line in done.stderr.splitlines() if f"[Check c{n}]" in line]
        assert len(told) == 1 and all(word in told[0] for word in words), (lines, done.stderr)


# -- roles and replication -------------------------------------------------------------------------

@pytest.fixture
def pair(redis, directory):
    """A master and its replica."""
    replica = replica_of(redis, directory / "replica")
    yield redis, replica
    replica.close()


def test_roles(pair, directory):
    text = "".join(check(server, f"Role={role}", name=f"{name}-{role}")
                   for server, name in zip(pair, ("master", "replica"))
                   for role in ("master", "replica", "any"))
    master, replica = pair
    with CheckRunner(directory, text) as runner:
        results = runner.first_of(6)
    assert_result(results["master-master"], "pass", "", f"Master {master.address}, 1 replicas")
    assert results["master-master"]["replicas"] == 1 and "lag_bytes" in results["master-master"]
    assert_result(results["replica-replica"], "pass", "", f"Replica of {master.address}")
    assert results["replica-replica"]["last_io"] >= 0
    assert results["replica-replica"]["lag_bytes"] >= 0
    assert_result(results["master-replica"], "fail", "mismatch/role", "no replica but a master")
    assert_result(results["replica-master"], "fail", "mismatch/role", master.address)
    assert_result(results["master-any"], "pass", "", "PONG")
    assert_result(results["replica-any"], "pass", "", "PONG")


def test_a_replica_loses_its_master_and_is_promoted(pair, directory):
    master, replica = pair
    text = check(replica, "Replication=yes")
    with CheckRunner(directory, text) as runner:
        assert_result(runner.next(), "pass", "", "Replica of")
        master.kill9()
        eventually(lambda: replica.info("master_link_status") == "down", what="lost link")
        assert_result(runner.run("it"), "fail", "status/master-link",
                      f"The link to the master {master.address} is down")
        replica.command("REPLICAOF", "NO", "ONE")
        assert_result(runner.run("it"), "pass", "", f"Master {replica.address}, 0 replicas")


def test_first_copy(redis, directory):
    redis.command("DEBUG", "POPULATE", "1000")
    redis.command("CONFIG", "SET", "rdb-key-save-delay", "20000")
    replica = Redis(directory / "replica", options=["--replicaof", redis.host, str(redis.port)])
    with replica:
        eventually(lambda: replica.info("master_sync_in_progress") == "1", within=20)
        with CheckRunner(directory, check(replica, "Role=replica")) as runner:
            assert_result(runner.next(), "fail", "status/sync", redis.address)


def test_lag_of_a_replica(pair, directory):
    master, replica = pair
    with CheckRunner(directory, check(master, "Role=master")) as runner:
        runner.next()
        replica.freeze()
        master.command("SET", "a", 50000 * "x")
        result = runner.run("it")
        assert_result(result, "pass", "")
        assert result["lag_bytes"] >= 50000 and result["replicas"] == 1
        replica.thaw()
        eventually(lambda: runner.run("it")["lag_bytes"] < 1000, what="caught up", every=0.1)


def test_a_master_whose_replica_has_gone(pair, directory):
    master, replica = pair
    replica.kill9()
    eventually(lambda: master.info("connected_slaves") == "0", within=20)
    with CheckRunner(directory, check(master, "Role=master")) as runner:
        result = runner.next()
        assert_result(result, "pass", "", "0 replicas")
        assert result["replicas"] == 0 and "lag_bytes" not in result


@pytest.mark.parametrize("info, reason, words", [
    (b"", "protocol", "does not tell"),
    (b"rolex:master\r\n", "protocol", "does not tell"),
    (b"role:slave\r\n", "status/master-link", "?:?"),
    (b"role:slave\r\nmaster_host:::1\r\nmaster_port:1\r\nmaster_link_status:down\r\n"
     b"master_link_down_since_seconds:12\r\n", "status/master-link", "[::1]:1 is down for 12s"),
    (b"role:slave\r\nmaster_host:\x1b[31m\xff\r\nmaster_port:" + 999 * b"9",
     "status/master-link", "is down"),
], ids=str)
def test_fault_30_odd_replication(info, reason, words, run):
    reply = b"+PONG\r\n$%d\r\n%b\r\n" % (len(info), info)
    with TcpServer(answer_with(reply)) as server:
        result = run(server, "Replication=yes")
        assert_result(result, "fail", reason, words)
        assert "\x1b" not in result["message"]


@pytest.mark.valgrind
def test_command_and_role(pair, directory):
    master, replica = pair
    text = check(replica, "Command=DBSIZE", "Role=replica") \
        + check(replica, "Command=DBSIZE", "Role=master", name="wrong")
    with CheckRunner(directory, text) as runner:
        results = runner.first_of(2)
    assert_result(results["it"], "pass", "", "DBSIZE is 0")
    assert results["it"]["value"] == 0 and "last_io" in results["it"]
    assert_result(results["wrong"], "fail", "mismatch/role")


def test_refused_with_everything_asked(directory, run):
    assert_result(run(f"127.0.0.1:{free_port()}", "Command=DBSIZE", "Role=replica"), "fail",
                  "refused")
