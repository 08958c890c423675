# SPDX-License-Identifier: MIT
"""A cluster of librdkafka's own brokers, in a process of its own."""

import subprocess

from lib.checks import section
from lib.process import Process, Server
from lib.vitald import build_directory


class KafkaCluster(Server):
    """`with KafkaCluster(directory, 3) as k: k("topic orders 4 1")`; brokers are counted from 1.

    The commands stand in tests/programs/kafka-cluster.c.
    """

    def __init__(self, directory, brokers=1):
        self.log_path, self.brokers = directory / "kafka.log", brokers

    def start(self):
        self.process = Process([build_directory() / "tests/programs/kafka-cluster", self.brokers],
                               self.log_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addresses = self._line().split(",")
        assert len(self.addresses) == self.brokers, self.process.log

    @property
    def address(self):
        return self.addresses[0]

    def _line(self):
        line = self.process.popen.stdout.readline().decode().strip()
        assert line, self.process.log
        return line

    def __call__(self, command):
        self.process.popen.stdin.write(f"{command}\n".encode())
        self.process.popen.stdin.flush()
        answer = self._line()
        assert answer == "ok", f"{command}: {answer}"


def kafka(server, *lines, **options):
    addresses = [getattr(server, "address", server)] if not isinstance(server, list) else server
    return section("kafka", *[f"Address={a}" for a in addresses], *lines, **options)
