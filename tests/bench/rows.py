# SPDX-License-Identifier: MIT
"""The rows of the table: each function measures and yields Rows, with everything it needs in a
directory of its own."""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import time

from lib.process import eventually

from bench.measure import Row, alternate
from bench.subjects import (PROGRAMS, BareHttp, BareRedis, BareServer, CheckedRedis, HAProxy,
                            HangingServer, Nginx, Vitald)

CHECKS = 1000       # At one a second each.
SERVICES = 10


def load(port, path="/", status=200, **options):
    """probe-load on the first CPU; what it says."""
    words = [f"--{name}" if value is True else f"--{name}={value}"
             for name, value in options.items()]
    first_cpu = min(os.sched_getaffinity(0))
    done = subprocess.run(["/usr/bin/taskset", "-c", str(first_cpu), PROGRAMS / "probe-load",
                           *words, str(port), path, str(status)],
                          capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise RuntimeError(f"probe-load: {done.stderr}")
    return json.loads(done.stdout)


def raw_answer(port, path):
    """Head and body of one answer, as they come."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: s.recv(65536), b""))
    return answer.replace(b"Connection: close\r\n", b"")


# -- serving probes --------------------------------------------------------------------------------

def probes(directory, scale):
    """CPU per probe, beside three checks that run; and the memory of that."""
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(CheckedRedis(directory / "redis"))
        nginx = stack.enter_context(Nginx(directory / "nginx"))
        three = {"redis": [("redis", redis.port)], "http": [("http", nginx.port)],
                 "tcp": [("tcp", redis.port)]}
        vitald = stack.enter_context(Vitald(directory / "vitald", three))
        # The limit sends the same bytes as vitald.
        answer = raw_answer(vitald.port, vitald.path)
        bare = stack.enter_context(BareServer(directory / "bare", answer))
        haproxy = stack.enter_context(HAProxy(directory / "haproxy", three))
        subjects = [bare, nginx, haproxy, vitald]

        yield Row("PSS at 3 checks, MiB", {s.name: [s.pss_mib()] for s in subjects}, must=6)

        def cpu_per_probe(subject, n, **options):
            before = subject.cpu_usec()
            load(subject.port, subject.path, requests=n, **options)
            return (subject.cpu_usec() - before) / n

        yield Row("CPU per probe, keep-alive, us",
                  alternate(scale.rounds, subjects, lambda subject: cpu_per_probe(
                      subject, scale.probes, connections=64)), must=1.1, against="limit", digits=2)
        yield Row("CPU per probe, new connection, us",
                  alternate(scale.rounds, subjects, lambda subject: cpu_per_probe(
                      subject, scale.probes // 5, connections=16, new=True)),
                  must=1.1, against="limit", digits=2)


# -- running checks --------------------------------------------------------------------------------

def spread_over_services(kind, port):
    return {f"service{i}": [(kind, port)] * (CHECKS // SERVICES) for i in range(SERVICES)}


def check_cost(scale, count, subjects):
    """{name: [CPU per check]}, {name: [MiB]} while each subject runs its checks alone."""
    memory = {subject.name: [] for subject in subjects}

    def cost(subject):
        with subject:
            if subject.name == "haproxy":       # Spreads its first checks over the interval.
                time.sleep(2)
            time.sleep(2)
            before, begin, n = subject.cpu_usec(), time.monotonic(), count()
            time.sleep(scale.check_seconds)
            used, seconds, n = subject.cpu_usec() - before, time.monotonic() - begin, count() - n
            memory[subject.name].append(subject.pss_mib())
            assert subject.is_up(), f"{subject.name} is not ready any more"
            rate = n / seconds
            assert 0.9 * CHECKS < rate < 1.1 * CHECKS, f"{subject.name}: {rate:.0f} checks/s"
            return used / n
    return alternate(scale.check_rounds, subjects, cost), memory


def redis_checks(directory, scale):
    with CheckedRedis(directory / "redis", options=["--maxclients", "15000"]) as redis:
        subjects = [BareRedis(directory / "bare", redis, CHECKS),
                    HAProxy(directory / "haproxy", {"redis": [("redis", redis.port)] * CHECKS}),
                    Vitald(directory / "vitald", spread_over_services("redis", redis.port))]
        cpu, memory = check_cost(scale, lambda: redis.counts()[0], subjects)
    yield Row("CPU per Redis check, 1,000/s, us", cpu, must=1.5, against="limit",
              must_also=[("haproxy", 0.6)])
    yield Row("PSS at 1,000 Redis checks, MiB", memory, must=9)


def http_checks(directory, scale):
    with Nginx(directory / "nginx") as nginx:
        subjects = [BareHttp(directory / "bare", nginx, CHECKS),
                    HAProxy(directory / "haproxy", {"http": [("http", nginx.port)] * CHECKS}),
                    Vitald(directory / "vitald", spread_over_services("http", nginx.port))]
        cpu, memory = check_cost(scale, nginx.n_requests, subjects)
    yield Row("CPU per HTTP check, 1,000/s, us", cpu, must=1, against="haproxy")
    yield Row("PSS at 1,000 HTTP checks, MiB", memory)


# -- seeing a failure ------------------------------------------------------------------------------

class Prober:
    """Asks over one kept connection, as fast as it can."""

    def __init__(self, subject):
        self.socket = socket.create_connection(("127.0.0.1", subject.port), timeout=5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request = f"GET {subject.path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()

    def status(self):
        self.socket.sendall(self.request)
        return int(self.socket.recv(65536)[9:12])

    def close(self):
        self.socket.close()


def detect(redis, subject):
    """Milliseconds from kill -9 of Redis to the subject's 503, and to EOF of a held connection."""
    eof = None
    with socket.create_connection(("127.0.0.1", redis.port)) as held, \
            contextlib.closing(Prober(subject)) as prober:
        held.setblocking(False)
        assert prober.status() == 200
        begin = time.monotonic()
        os.kill(redis.pid, signal.SIGKILL)
        while prober.status() == 200:
            assert time.monotonic() - begin < 10, f"{subject.name} sees nothing"
            if eof is None and has_ended(held):
                eof = time.monotonic() - begin
        seen = time.monotonic() - begin
    return seen * 1000, (eof or seen) * 1000


def has_ended(s):
    try:
        return s.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def detection(directory, scale):
    with CheckedRedis(directory / "redis") as redis:
        one = {"cache": [("redis", redis.port)]}
        options = "Interval=60s\nRetryInterval=250ms\nFailureThreshold=1\n"
        vitald = Vitald(directory / "vitald", one, options)
        with vitald, HAProxy(directory / "haproxy", one) as haproxy:
            trials = {"vitald": [], "haproxy": [], "limit": []}
            for _ in range(scale.kills):
                for subject in (vitald, haproxy):
                    eventually(subject.is_up, within=20, what=f"{subject.name} is ready")
                    # HAProxy looks once a second: come at any time of it; and vitald's next look
                    # is not bound to the last failure.
                    time.sleep(random.uniform(0.3, 1.3))
                    seen, eof = detect(redis, subject)
                    trials[subject.name].append(seen)
                    if subject is vitald:
                        trials["limit"].append(eof)
                    redis.process.popen.wait()
                    redis.start()
                    vitald.run_now("cache/redis0")
    yield Row("kill -9 of Redis until 503, median, ms", trials, must=5)
    yield Row("kill -9 of Redis until 503, maximum, ms",
              {name: [max(times)] for name, times in trials.items()}, must=50)


def hanging(directory, scale):
    """The probes' latency while one dependency is stopped and another never answers."""
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(CheckedRedis(directory / "redis"))
        hanging_server = stack.enter_context(HangingServer())
        two = {"redis": [("redis", redis.port)], "http": [("http", hanging_server.port)]}
        bare = stack.enter_context(BareServer(directory / "bare"))
        haproxy = HAProxy(directory / "haproxy", two)
        vitald = Vitald(directory / "vitald", two, "Interval=1s\nTimeout=500ms\n")
        for subject in (haproxy, vitald):
            subject.is_up = lambda subject=subject: Prober(subject).status() == 503
            stack.enter_context(subject)
        redis.freeze()
        time.sleep(2)

        def p99_msec(subject):
            said = load(subject.port, subject.path, 200 if subject is bare else 503,
                        requests=scale.hang_probes, pause=1000)
            return said["p99_usec"] / 1000
        yield Row("probe while dependencies hang, p99, ms",
                  alternate(scale.rounds, [bare, haproxy, vitald], p99_msec), must=0.5, digits=2)


# -- starting --------------------------------------------------------------------------------------

def first_answer_msec(subject):
    """From exec to the first whole answer, whatever it says."""
    argv = [str(word) for word in subject.argv()]
    null = os.open(os.devnull, os.O_RDWR)
    try:
        begin = time.monotonic()
        pid = os.posix_spawn(argv[0], argv, os.environ,
                             file_actions=[(os.POSIX_SPAWN_DUP2, null, fd) for fd in (0, 1, 2)])
    finally:
        os.close(null)
    try:
        while time.monotonic() - begin < 10:
            try:
                raw_answer(subject.port, subject.path)
                return (time.monotonic() - begin) * 1000
            except ConnectionRefusedError:
                time.sleep(0.0002)
        raise RuntimeError(f"{subject.name} does not answer")
    finally:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)


def start_up(directory, scale):
    with CheckedRedis(directory / "redis") as redis, Nginx(directory / "checked") as checked:
        three = {"redis": [("redis", redis.port)], "http": [("http", checked.port)],
                 "tcp": [("tcp", redis.port)]}
        subjects = [BareServer(directory / "bare"), Nginx(directory / "nginx"),
                    HAProxy(directory / "haproxy", three), Vitald(directory / "vitald", three)]
        yield Row("exec to first answer, ms", alternate(scale.starts, subjects, first_answer_msec),
                  must=15)


ALL = {"probes": probes, "redis": redis_checks, "http": http_checks, "detection": detection,
       "hanging": hanging, "start": start_up}
