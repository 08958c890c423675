# SPDX-License-Identifier: MIT
"""A broker by script, for what librdkafka's own do not speak: SASL, TLS, replicas out of sync."""

import base64
import hashlib
import hmac
import struct

from lib.peers import TcpServer, hold

METADATA, LIST_OFFSETS, OFFSET_FETCH = 3, 2, 9
SASL_HANDSHAKE, API_VERSIONS, SASL_AUTHENTICATE = 17, 18, 36
VERSIONS = {METADATA: (4, 4), SASL_HANDSHAKE: (0, 1), API_VERSIONS: (0, 3),
            SASL_AUTHENTICATE: (0, 0)}
FAILED, UNSUPPORTED_MECHANISM = 58, 33
SALT = b"some salt"


def text(s):
    return struct.pack(">h", -1) if s is None else struct.pack(">h", len(s)) + s.encode()


def array(items):
    return struct.pack(">i", len(items)) + b"".join(items)


def numbers(values):
    return array([struct.pack(">i", v) for v in values])


class Broker(TcpServer):
    """`topics` is {name: [(leader, replicas, in_sync), …]}, what is asked is kept in `requests`.

    users: {name: password}, then nobody else gets in; silent: a request that is never answered;
    rounds: what SCRAM asks for.
    """

    def __init__(self, users=None, mechanisms=("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"),
                 topics=None, tls=None, silent=None, rounds=4096):
        super().__init__(self._talk, tls=tls)
        self.users, self.mechanisms, self.topics = users, mechanisms, topics or {}
        self.silent, self.rounds, self.requests = silent, rounds, []

    def _talk(self, connection):
        stream = connection.makefile("rb")
        login = None if self.users is None else Login(self.users, self.rounds)
        while True:
            size = struct.unpack(">i", stream.read(4).rjust(4, b"\0"))[0]
            head = stream.read(size)
            if not head:
                return
            key, version, number, n = struct.unpack(">hhih", head[:10])
            body = head[10 + max(n, 0):]
            self.requests.append((key, body))
            if key == self.silent:
                hold(connection)
            is_free = login is None or login.is_in
            if key not in (API_VERSIONS, SASL_HANDSHAKE, SASL_AUTHENTICATE) and not is_free:
                return
            answer = {API_VERSIONS: lambda: self._versions(version), METADATA: self._metadata,
                      SASL_HANDSHAKE: lambda: self._handshake(body, login),
                      SASL_AUTHENTICATE: lambda: login.answer(body)}[key]()
            connection.sendall(struct.pack(">ii", 4 + len(answer), number) + answer)

    @staticmethod
    def _versions(version):
        if version < 3:
            return struct.pack(">h", 0) + array([struct.pack(">hhh", key, *span)
                                                 for key, span in VERSIONS.items()])
        return (struct.pack(">hB", 0, len(VERSIONS) + 1)
                + b"".join(struct.pack(">hhhB", key, *span, 0) for key, span in VERSIONS.items())
                + struct.pack(">iB", 0, 0))

    def _metadata(self):
        topics = [struct.pack(">h", 0) + text(name) + b"\0" + array(
            [struct.pack(">hii", 0 if leader >= 0 else 5, number, leader) + numbers(replicas)
             + numbers(in_sync) for number, (leader, replicas, in_sync) in enumerate(parts)])
            for name, parts in self.topics.items()]
        broker = struct.pack(">i", 1) + text("127.0.0.1") + struct.pack(">i", self.port)
        return (struct.pack(">i", 0) + array([broker + text(None)]) + text("cluster")
                + struct.pack(">i", 1) + array(topics))

    def _handshake(self, body, login):
        login.mechanism = body[2:].decode()
        is_known = login.mechanism in self.mechanisms
        return (struct.pack(">h", 0 if is_known else UNSUPPORTED_MECHANISM)
                + array([text(m) for m in self.mechanisms]))


class Login:
    """The server's side of SASL's PLAIN and SCRAM (RFC 5802)."""

    def __init__(self, users, rounds):
        self.rounds = rounds
        self.users, self.mechanism, self.is_in, self.first = users, None, False, None

    def answer(self, body):
        data = body[4:]
        answer = (self._plain if self.mechanism == "PLAIN" else self._scram)(data)
        error = FAILED if answer is None else 0
        why = "Authentication failed: Invalid username or password" if error else None
        return struct.pack(">h", error) + text(why) + struct.pack(">i", len(answer or b"")) + \
            (answer or b"")

    def _plain(self, data):
        _, user, password = data.decode().split("\0")
        self.is_in = self.users.get(user) == password
        return b"" if self.is_in else None

    def _scram(self, data):
        if self.first is None:
            bare = data.decode().partition(",,")[2]
            fields = dict(f.split("=", 1) for f in bare.split(","))
            self.user = fields["n"]
            server = f"r={fields['r']}more,s={base64.b64encode(SALT).decode()},i={self.rounds}"
            self.first = f"{bare},{server}"
            return server.encode()
        without, _, proof = data.decode().rpartition(",p=")
        message = f"{self.first},{without}".encode()
        return self._prove(message, base64.b64decode(proof))

    def _prove(self, message, proof):
        name = self.mechanism.replace("SCRAM-SHA-", "sha")

        def mac(key, data):
            return hmac.new(key, data, name).digest()
        salted = hashlib.pbkdf2_hmac(name, self.users.get(self.user, "?").encode(), SALT,
                                     self.rounds)
        client = mac(salted, b"Client Key")
        signature = mac(hashlib.new(name, client).digest(), message)
        self.is_in = bytes(a ^ b for a, b in zip(client, signature)) == proof
        server = mac(mac(salted, b"Server Key"), message)
        return b"v=" + base64.b64encode(server) if self.is_in else None
