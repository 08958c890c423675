# SPDX-License-Identifier: MIT
"""Two hosts and a cable between them that can be cut: network namespaces, for root."""

import contextlib
import ctypes
import errno
import os
import socket
import subprocess

from lib.peers import Proxy
from lib.process import CLEAN_ENVIRONMENT, eventually

HERE, THERE = "10.99.0.1", "10.99.0.2"
CLONE_NEWNET = 0x40000000
SYS_PIDFD_GETFD = 438

libc = ctypes.CDLL(None, use_errno=True)


def enter(network):
    """Moves the calling thread, and the threads that it starts, to another network."""
    if libc.setns(network.fileno(), CLONE_NEWNET) < 0:
        raise OSError(ctypes.get_errno(), f"setns {network.name}")


def ip(*argv):
    subprocess.run(["/usr/sbin/ip", *argv], check=True, env=CLEAN_ENVIRONMENT)


class Cable:
    """`here` is where checks run, `there` has the servers, which listen at THERE."""

    def __init__(self):
        name = f"vitald{os.getpid()}"
        self.here, self.there = f"{name}a", f"{name}b"
        self.wrap = lambda argv: ["/usr/bin/nsenter", f"--net=/run/netns/{self.here}", "--", *argv]

    def __enter__(self):
        self.home = open("/proc/self/ns/net", "rb")
        for name in (self.here, self.there):
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("-n", self.here, "link", "add", "v0", "type", "veth", "peer", "name", "v0", "netns",
           self.there)
        for name, address in ((self.here, HERE), (self.there, THERE)):
            ip("-n", name, "address", "add", f"{address}/24", "dev", "v0")
            ip("-n", name, "link", "set", "v0", "up")
        with self._at(self.here):   # A packet that comes too early is lost, and sent again late.
            eventually(self._carries, what="the cable")
        return self

    @staticmethod
    def _carries():
        with socket.socket() as s:
            s.settimeout(0.2)
            return s.connect_ex((THERE, 9)) == errno.ECONNREFUSED

    def __exit__(self, *_):
        self.home.close()
        for name in (self.here, self.there):
            subprocess.run(["/usr/sbin/ip", "netns", "delete", name], env=CLEAN_ENVIRONMENT)

    @contextlib.contextmanager
    def _at(self, end):
        try:
            with open(f"/run/netns/{end}", "rb") as network:
                enter(network)
            yield
        finally:
            enter(self.home)

    def at_the_other_end(self):
        """What the block listens on is reached by way of the cable."""
        return self._at(self.there)

    def _filter(self, rules):
        subprocess.run(["/usr/sbin/ip", "netns", "exec", self.there, "/usr/sbin/nft", "-f", "-"],
                       input=rules, text=True, check=True, env=CLEAN_ENVIRONMENT)

    def cut(self):
        """Everything that arrives there or would leave it is dropped without a word."""
        self._filter("table inet cut {\n"
                     " chain in { type filter hook input priority 0; policy drop; }\n"
                     " chain out { type filter hook output priority 0; policy drop; }\n}\n")

    def mend(self):
        self._filter("flush ruleset\n")


class FarProxy(Proxy):
    """Stands at the other end before a server that is here."""

    def __init__(self, cable, server, port):
        super().__init__(server)
        self.host, self.port, self.home = THERE, port, cable.home

    def _forward(self, connection):
        enter(self.home)
        super()._forward(connection)


def tcp_options(pid, option):
    """The value of a TCP option of each connected socket of a process."""
    values, pidfd = [], os.pidfd_open(pid)
    for fd in os.listdir(f"/proc/{pid}/fd"):
        copy = libc.syscall(SYS_PIDFD_GETFD, pidfd, int(fd), 0)
        if copy < 0:
            continue
        try:
            with socket.socket(fileno=copy) as s:
                if s.family in (socket.AF_INET, socket.AF_INET6) and s.getpeername():
                    values.append(s.getsockopt(socket.IPPROTO_TCP, option))
        except OSError:         # No socket, or not connected.
            pass
    os.close(pidfd)
    return values
