# SPDX-License-Identifier: MIT
"""The programs that are measured: vitald, the bare limits, nginx and HAProxy.

All of them serve probes at `port`; what they check is given at construction.
"""

import pathlib
import socket

from lib.process import Process, Server, eventually, free_port
from lib.redis import Redis
from lib.vitald import build_directory, fetch

from bench.measure import cpu_usec, pin, pss_mib

PROGRAMS = build_directory() / "tests/bench"


class Subject(Server):
    """name is the column of the table; argv() says how it is started."""

    name = None
    path = "/"

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()

    @property
    def address(self):
        return ("127.0.0.1", self.port)

    def start(self):
        self.process = Process(self.argv(), self.directory / "log")
        eventually(self.is_up, within=20, what=f"{self.name}: {self.process.log}")
        pin(self.pid, -1)

    def is_up(self):
        assert self.process.exit_code is None, self.process.log
        return fetch(self.address, self.path).status == 200

    def cpu_usec(self):
        return cpu_usec(self.pid)

    def pss_mib(self):
        return pss_mib(self.pid)


# -- the limits ------------------------------------------------------------------------------------

ANSWER = (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 18\r\n"
          b"Cache-Control: no-store\r\nDate: Fri, 20 Nov 2026 08:00:00 GMT\r\n\r\n"
          b'{"status":"ready"}')


class BareServer(Subject):
    name = "limit"

    def __init__(self, directory, answer=ANSWER):
        super().__init__(directory)
        (self.directory / "answer").write_bytes(answer)

    def argv(self):
        return [PROGRAMS / "bare-server", self.port, self.directory / "answer"]


class BareChecker(Subject):
    """A program that does nothing but the checks."""
    name = "limit"

    def is_up(self):
        assert self.process.exit_code is None, self.process.log
        return True


class BareRedis(BareChecker):
    def __init__(self, directory, redis, n):
        super().__init__(directory)
        self.arguments = [redis.port, n, 1000]

    def argv(self):
        return [PROGRAMS / "bare-redis", *self.arguments]


class BareHttp(BareChecker):
    def __init__(self, directory, nginx, n):
        super().__init__(directory)
        self.arguments = [f"http://127.0.0.1:{nginx.port}/", n, 1000]

    def argv(self):
        return [PROGRAMS / "bare-http", *self.arguments]


# -- peers -----------------------------------------------------------------------------------------

NGINX = """
daemon off; worker_processes 1; pid {dir}/pid; error_log {dir}/error.log;
worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
    access_log off; keepalive_requests 1000000000; keepalive_timeout 75s;
    client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi; uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        default_type application/json;
        location / {{ return 200 '{{"status":"ready"}}'; }}
        location = /count {{ stub_status; }}
    }}
}}
"""


class Nginx(Subject):
    name = "nginx"

    def argv(self):
        conf = self.directory / "nginx.conf"
        conf.write_text(NGINX.format(dir=self.directory, port=self.port))
        return ["/usr/sbin/nginx", "-p", self.directory, "-c", conf]

    def n_requests(self):
        """How many requests it has answered, this one not counted."""
        return int(fetch(self.address, "/count").text.split()[9]) - 1


HAPROXY = """
global
    nbthread 1
    maxconn 4096
defaults
    mode http
    timeout connect 1s
    timeout client 75s
    timeout server 5s
    timeout check 1s
    timeout http-keep-alive 75s
    default-server inter 1s fall 1 rise 1
frontend probes
    bind 127.0.0.1:{port} backlog 1024
    {fail}
    http-request return status 200 content-type application/json string '{{"status":"ready"}}'
{backends}
"""

HAPROXY_CHECKS = {
    "redis": ["mode tcp", "option tcp-check", "tcp-check connect", "tcp-check send PING\\r\\n",
              "tcp-check expect string +PONG"],
    "http": ["option httpchk GET /", "http-check expect status 200"],
    "tcp": ["mode tcp"],
}


class HAProxy(Subject):
    name = "haproxy"

    def __init__(self, directory, checks):
        """checks: {name: [(kind, port), …]}; ready when each of the names has one that is up."""
        super().__init__(directory)
        self.checks = checks

    def argv(self):
        fail = [f"http-request return status 503 content-type text/plain string down "
                f"if {{ nbsrv({name}) lt 1 }}" for name in self.checks]
        backends = []
        for name, servers in self.checks.items():
            backends += [f"backend {name}", *HAPROXY_CHECKS[servers[0][0]]]
            backends += [f"server s{i} 127.0.0.1:{port} check"
                         for i, (_, port) in enumerate(servers)]
        conf = self.directory / "haproxy.cfg"
        conf.write_text(HAPROXY.format(port=self.port, fail="\n    ".join(fail),
                                       backends="\n    ".join(backends)))
        return ["/usr/sbin/haproxy", "-q", "-db", "-f", conf]


# -- vitald ----------------------------------------------------------------------------------------

VITALD_CHECKS = {
    "redis": "Type=redis\nAddress=127.0.0.1:{port}\n",
    "http": "Type=http\nURL=http://127.0.0.1:{port}/\n",
    "tcp": "Type=tcp\nAddress=127.0.0.1:{port}\n",
}


class Vitald(Subject):
    name = "vitald"
    path = "/health/ready"

    def __init__(self, directory, services, options="Interval=1s\n"):
        """services: {name: [(kind, port), …]}; options stand in each check."""
        super().__init__(directory)
        self.etc = self.directory / "root/etc/vitald"
        (self.etc / "services").mkdir(parents=True)
        (self.directory / "run").mkdir()
        for name, checks in services.items():
            text = "[Service]\n" + "".join(
                f"[Check {kind}{i}]\n{VITALD_CHECKS[kind].format(port=port)}{options}"
                for i, (kind, port) in enumerate(checks))
            (self.etc / f"services/{name}.conf").write_text(text)

    def argv(self):
        return [build_directory() / "vitald", f"--root={self.directory}/root",
                f"--listen=127.0.0.1:{self.port}", "--bus=none",
                f"--runtime-directory={self.directory}/run",
                f"--state-directory={self.directory}/state"]

    def run_now(self, check):
        done = Process([build_directory() / "vitalctl",
                        f"--runtime-directory={self.directory}/run", "run", check],
                       self.directory / "vitalctl.log")
        done.wait()


# -- what is checked -------------------------------------------------------------------------------

class CheckedRedis(Redis):
    def counts(self):
        """(PINGs answered, connections taken), as the server counts them; PING by commandstats."""
        stats = self.information("commandstats")
        pings = stats["cmdstat_ping"].split(",")[0].partition("=")[2] if "cmdstat_ping" in stats \
            else 0
        return int(pings), int(self.information("stats")["total_connections_received"])

    def information(self, section):
        lines = self.command("INFO", section).decode().split("\r\n")
        return dict(line.split(":", 1) for line in lines if ":" in line)


class HangingServer:
    """Takes connections by its backlog and never answers."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.listener.getsockname()[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
