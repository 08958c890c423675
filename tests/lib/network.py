# SPDX-License-Identifier: MIT
"""A network of our own, where requests can come from any address; needs root."""

import contextlib
import http.client
import os
import socket
import subprocess

from lib.host import setns
from lib.process import PATIENCE, Process, SLOWNESS, eventually
from lib.vitald import Answer

# Whatever is in these belongs to the network's one host.
NETWORKS = ("192.0.2.0/24", "198.51.100.0/24", "10.0.0.0/8", "2001:db8::/32")


class Network:
    """
    with Network(directory) as network:
        vitald.start(sockets={"http": network.listen()})
        network.get("192.0.2.7", "/health")
    """

    def __init__(self, directory):
        self.directory = directory

    def __enter__(self):
        self.process = Process(["/usr/bin/unshare", "--net", "/bin/sleep", "infinity"],
                               self.directory / "network.log")
        eventually(self._is_apart, what="a network of our own")
        with self.entered():
            subprocess.run(["/usr/sbin/ip", "link", "set", "lo", "up"], check=True)
            for network in NETWORKS:
                family = "-6" if ":" in network else "-4"
                subprocess.run(["/usr/sbin/ip", family, "route", "add", "local", network, "dev",
                                "lo"], check=True)
        return self

    def __exit__(self, *_):
        self.process.kill9()

    def _is_apart(self):
        def network(pid):
            with open(f"/proc/{pid}/ns/net", "rb") as f:
                return os.fstat(f.fileno()).st_ino
        return network(self.process.pid) != network("self")

    @contextlib.contextmanager
    def entered(self):
        """This thread's new sockets belong to it."""
        with open("/proc/thread-self/ns/net", "rb") as ours, \
                open(f"/proc/{self.process.pid}/ns/net", "rb") as theirs:
            setns(theirs)
            try:
                yield
            finally:
                setns(ours)

    def listen(self):
        """A socket for IPv4 and IPv6; the daemon may be elsewhere."""
        with self.entered():
            s = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        self.port = s.getsockname()[1]
        return s

    def connect(self, source, within=PATIENCE):
        target = {"127": "127.0.0.1", "::1": "::1"}.get(source[:3]) or (
            "2001:db8::ffff" if ":" in source else "192.0.2.200")
        family = socket.AF_INET6 if ":" in source else socket.AF_INET
        with self.entered():
            s = socket.socket(family)
        if not source.startswith(("127", "::1")):
            # An address need not be there to be bound.
            level, option = (socket.IPPROTO_IPV6, 75) if ":" in source else (socket.IPPROTO_IP, 15)
            s.setsockopt(level, option, 1)
        s.settimeout(within * SLOWNESS)
        s.bind((source, 0))
        s.connect((target, self.port))
        return s

    def get(self, source, path="/health/ready", method="GET", headers=None):
        connection = http.client.HTTPConnection("vitald")
        connection.sock = self.connect(source)
        try:
            connection.request(method, path, headers=headers or {})
            reply = connection.getresponse()
            return Answer(reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read())
        finally:
            connection.close()
