# SPDX-License-Identifier: MIT
"""A name server that can be scripted, and a mount namespace in which it is the only one.

resolv.conf knows no ports, so the server takes port 53 of a loopback address of its own, which
needs root.
"""

import pathlib
import random
import socket
import struct
import threading
import time

TYPES = {"A": 1, "CNAME": 5, "AAAA": 28}
NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5
BLACK_HOLE = "black hole"


class DnsServer:
    """`mode` is an rcode (NOERROR answers from `records`) or BLACK_HOLE; it may change any time.

    records: {"db.test": [("A", "127.0.0.1"), …]}; unknown names are NXDOMAIN. `delay` is in
    seconds; `queries` lists what was asked.
    """

    def __init__(self, directory, mode=BLACK_HOLE, records=None, delay=0):
        self.mode, self.records, self.delay = mode, records or {}, delay
        self.queries = []
        self.resolv_conf = pathlib.Path(directory) / "resolv.conf"
        self._hosts = pathlib.Path(directory) / "hosts"

    def __enter__(self):
        self.address, self._udp, self._tcp = self._bind()
        self.resolv_conf.write_text(f"nameserver {self.address}\n")
        self._hosts.write_text("127.0.0.1 localhost\n")
        threading.Thread(target=self._serve_udp, daemon=True).start()
        threading.Thread(target=self._serve_tcp, daemon=True).start()
        return self

    @staticmethod
    def _bind():
        while True:
            address = "127.%d.%d.%d" % tuple(random.randint(2, 250) for _ in range(3))
            udp, tcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket()
            try:
                udp.bind((address, 53))
                tcp.bind((address, 53))
                tcp.listen(16)
            except PermissionError:
                raise
            except OSError:
                continue
            return address, udp, tcp

    def __exit__(self, *_):
        for s in (self._udp, self._tcp):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    def wrap(self, argv):
        """argv in a mount namespace of its own, where this is the resolver; the pid stays."""
        return ["/usr/bin/unshare", "--mount", "--propagation", "private", "/bin/sh", "-ec",
                'mount --bind "$1" /etc/resolv.conf; mount --bind "$2" /etc/hosts; shift 2; '
                'exec "$@"', "sh", str(self.resolv_conf), str(self._hosts), *map(str, argv)]

    def _serve_udp(self):
        while True:
            try:
                query, peer = self._udp.recvfrom(4096)
            except OSError:
                return
            if not query:       # Shut down.
                return
            threading.Thread(target=self._answer_udp, args=(query, peer), daemon=True).start()

    def _answer_udp(self, query, peer):
        answer = self._answer(query)
        if answer is None:
            return
        if len(answer) > 512:       # Say TC and let the client come back by TCP.
            answer = answer[:2] + bytes([answer[2] | 2]) + answer[3:6] + bytes(6) + \
                question_of(query)
        try:
            self._udp.sendto(answer, peer)
        except OSError:
            pass        # Closed while we waited.

    def _serve_tcp(self):
        while True:
            try:
                connection, _ = self._tcp.accept()
            except OSError:
                return
            threading.Thread(target=self._answer_tcp, args=(connection,), daemon=True).start()

    def _answer_tcp(self, connection):
        with connection:
            while head := connection.recv(2, socket.MSG_WAITALL):
                query = connection.recv(struct.unpack("!H", head)[0], socket.MSG_WAITALL)
                answer = self._answer(query)
                if answer is not None:
                    connection.sendall(struct.pack("!H", len(answer)) + answer)

    def _answer(self, query):
        question = question_of(query)
        name, kind = name_of(question), struct.unpack("!H", question[-4:-2])[0]
        self.queries.append((name, kind))
        time.sleep(self.delay)
        if self.mode == BLACK_HOLE:
            return None
        records, rcode = self.records.get(name), self.mode
        if rcode == NOERROR and records is None:
            records, rcode = [], NXDOMAIN
        answers = [record_bytes(name, *r) for r in records or []
                   if rcode == NOERROR and (TYPES[r[0]] == kind or r[0] == "CNAME")]
        flags = 0x8580 | rcode
        return query[:2] + struct.pack("!HHHHH", flags, 1, len(answers), 0, 0) + question + \
            b"".join(answers)


def question_of(query):
    end = query.index(b"\0", 12) + 5
    return query[12:end]


def name_of(question):
    labels, at = [], 0
    while question[at]:
        labels.append(question[at + 1:at + 1 + question[at]].decode("latin-1").lower())
        at += 1 + question[at]
    return ".".join(labels)


def encode_name(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def record_bytes(name, kind, value):
    data = {"A": lambda: socket.inet_pton(socket.AF_INET, value),
            "AAAA": lambda: socket.inet_pton(socket.AF_INET6, value),
            "CNAME": lambda: encode_name(value)}[kind]()
    return encode_name(name) + struct.pack("!HHIH", TYPES[kind], 1, 1, len(data)) + data
