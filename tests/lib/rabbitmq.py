# SPDX-License-Identifier: MIT
"""A real RabbitMQ with ports, node name, cookie and epmd of its own, in a temporary directory.

It speaks AMQP 0-9-1 and, by its plug-in, AMQP 1.0.
"""

import base64
import hashlib
import json
import os
import pathlib
import secrets
import socket
import subprocess

from lib.process import CLEAN_ENVIRONMENT, Process, Server, eventually, free_port

SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"
PLUGINS = ["rabbitmq_amqp1_0", "rabbitmq_auth_mechanism_ssl"]

CONFIGURATION = """\
listeners.tcp.1 = 127.0.0.1:{port}
load_definitions = {directory}/definitions.json
auth_mechanisms.1 = PLAIN
auth_mechanisms.2 = EXTERNAL
ssl_cert_login_from = common_name
heartbeat = 60
disk_free_limit.absolute = 1MB
vm_memory_high_watermark.absolute = 4GB
log.console = true
log.console.level = info
log.file = false
"""

TLS_CONFIGURATION = """\
listeners.ssl.1 = 127.0.0.1:{port}
ssl_options.cacertfile = {tls.ca}
ssl_options.certfile = {tls.certificate}
ssl_options.keyfile = {tls.key}
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = false
"""


class RabbitMQ(Server):
    """User health (password s3cret) with virtual hosts / and orders; stranger (same) with none.

    reader may only read, certified as well, whom a certificate of this name lets in; the queue jobs
    is in both virtual hosts.
    """

    def __init__(self, directory, tls=None):
        """tls: a lib.tls.Certificate."""
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.host, self.port, self.tls_port = "127.0.0.1", free_port(), free_port()
        self.tls, self.epmd_port, self.distribution_port = tls, free_port(), free_port()
        self.node, self.cookie = f"vitald{self.port}@localhost", secrets.token_hex(16)
        self.epmd = None

    @property
    def address(self):
        return f"{self.host}:{self.port}"

    @property
    def tls_address(self):
        return f"{self.host}:{self.tls_port}"

    def _write(self):
        d = self.directory
        text = CONFIGURATION.format(port=self.port, directory=d)
        if self.tls:
            text += TLS_CONFIGURATION.format(port=self.tls_port, tls=self.tls)
        (d / "rabbitmq.conf").write_text(text)
        (d / "enabled_plugins").write_text(f"[{','.join(PLUGINS)}].\n")
        (d / "definitions.json").write_text(json.dumps(definitions()))
        cookie = d / ".erlang.cookie"
        if not cookie.exists():
            cookie.write_text(self.cookie)
            cookie.chmod(0o400)

    @property
    def environment(self):
        d = str(self.directory)
        return {**CLEAN_ENVIRONMENT, "HOME": d, "ERL_EPMD_PORT": str(self.epmd_port),
                "ERL_EPMD_ADDRESS": "127.0.0.1", "RABBITMQ_NODENAME": self.node,
                "RABBITMQ_MNESIA_BASE": d + "/mnesia", "RABBITMQ_LOG_BASE": d + "/log",
                "RABBITMQ_CONFIG_FILE": d + "/rabbitmq.conf",
                "RABBITMQ_ENABLED_PLUGINS_FILE": d + "/enabled_plugins",
                "RABBITMQ_DIST_PORT": str(self.distribution_port),
                # No shell around it, no epmd started by it, and no more threads than it needs.
                "RABBITMQ_ALLOW_INPUT": "1",
                "RABBITMQ_SERVER_START_ARGS": "-noinput -start_epmd false",
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none +A 4"}

    def start(self):
        self._write()
        if self.epmd is None:
            self.epmd = Process(["/usr/bin/epmd", "-port", self.epmd_port, "-address", "127.0.0.1"],
                                self.directory / "epmd.log")
        self.process = Process([SERVER], self.directory / "rabbitmq.log", env=self.environment)
        eventually(self._answers, within=100, what=f"RabbitMQ on {self.port}", every=0.2)

    def _answers(self):
        assert self.process.exit_code is None, self.process.log
        for port in (self.port, self.tls_port) if self.tls else (self.port,):
            socket.create_connection((self.host, port), timeout=5).close()
        return self.eval("rabbit:is_running().") == "true"

    def close(self):
        super().close()
        if self.epmd is not None:
            self.epmd = self.epmd.stop() and None

    def restart(self):
        super().close()
        self.start()

    def eval(self, erlang):
        """What an Erlang expression gives in the broker, as text."""
        done = subprocess.run(["/usr/bin/erl_call", "-c", self.cookie, "-n", self.node, "-e"],
                              input=erlang + "\n", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env=self.environment, text=True, timeout=30)
        assert done.returncode == 0 and done.stdout.startswith("{ok, "), done.stdout
        return done.stdout.strip()[len("{ok, "):-1]

    def depth(self, queue="jobs"):
        """Messages that are ready and messages that somebody has taken and not settled."""
        text = self.eval(f"""
            {{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"{queue}">>)),
            I = rabbit_amqqueue:info(Q, [messages_ready, messages_unacknowledged]),
            list_to_tuple([N || {{_, N}} <- I]).""")
        return [int(n) for n in text.strip("{}").split(",")]

    def publish(self, times, queue="jobs", vhost="/"):
        self.eval(f"""
            X = rabbit_misc:r(<<"{vhost}">>, exchange, <<"">>),
            M = rabbit_basic:message(X, <<"{queue}">>, [], <<"hello">>),
            [rabbit_basic:publish(rabbit_basic:delivery(false, false, M, undefined))
             || _ <- lists:seq(1, {times})], ok.""")

    def purge(self, queue="jobs"):
        self.eval(f"""
            {{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"{queue}">>)),
            rabbit_amqqueue:purge(Q), ok.""")

    def consumers(self, queue="jobs"):
        return int(self.eval(f"""
            {{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"{queue}">>)),
            [{{_, N}}] = rabbit_amqqueue:info(Q, [consumers]), N."""))

    def declare(self, queue):
        self.eval(f"""
            rabbit_amqqueue:declare(rabbit_misc:r(<<"/">>, queue, <<"{queue}">>), true, false, [],
                                    none, <<"test">>), ok.""")

    def delete(self, queue):
        self.eval(f"""
            {{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"{queue}">>)),
            rabbit_amqqueue:delete(Q, false, false, <<"test">>), ok.""")

    def connections(self):
        return int(self.eval("length(rabbit_networking:local_connections())."))

    def accepted(self):
        """How many connections there ever were."""
        return int(self.eval("ets:lookup_element(connection_churn_metrics, node(), 2)."))

    def close_connections(self):
        self.eval('rabbit_networking:close_all_connections("by the test").')

    def alarm(self, is_on):
        """As if memory were short."""
        alarm = "{resource_limit, memory, node()}"
        self.eval(f"rabbit_alarm:set_alarm({{{alarm}, []}})." if is_on
                  else f"rabbit_alarm:clear_alarm({alarm}).")


def password_hash(password):
    salt = os.urandom(4)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def definitions():
    users = ["health", "reader", "stranger", "certified"]
    # User, virtual host, what it may configure and write, what it may read.
    rights = [("health", "/", ".*", ".*"), ("health", "orders", ".*", ".*"),
              ("reader", "/", "", ".*"), ("certified", "/", "", ".*")]
    return {
        "users": [{"name": name, "password_hash": password_hash("s3cret"), "tags": "",
                   "hashing_algorithm": "rabbit_password_hashing_sha256"} for name in users],
        "vhosts": [{"name": name} for name in ("/", "orders")],
        "permissions": [{"user": user, "vhost": vhost, "configure": write, "write": write,
                         "read": read} for user, vhost, write, read in rights],
        "queues": [{"name": "jobs", "vhost": vhost, "durable": True, "auto_delete": False,
                    "arguments": {}} for vhost in ("/", "orders")],
    }
