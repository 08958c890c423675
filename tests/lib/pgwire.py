# SPDX-License-Identifier: MIT
"""PostgreSQL's protocol as far as a scripted server needs it."""

import struct

SSL_REQUEST = 80877103


def message(kind, body=b""):
    return kind + struct.pack("!I", len(body) + 4) + body


def error(sqlstate, text, severity="FATAL", kind=b"E"):
    fields = {"S": severity, "V": severity, "C": sqlstate, "M": text}
    return message(kind, b"".join(k.encode() + v.encode() + b"\0" for k, v in fields.items())
                   + b"\0")


def parameter(name, value):
    return message(b"S", name.encode() + b"\0" + value.encode() + b"\0")


AUTHENTICATED = message(b"R", struct.pack("!I", 0))
READY = message(b"Z", b"I")
WELCOME = AUTHENTICATED + parameter("server_version", "9.6.24") + READY
COLUMN = b"x\0" + struct.pack("!IHIhIh", 0, 0, 25, -1, 0, 0)
ROW_DESCRIPTION = message(b"T", struct.pack("!H", 1) + COLUMN)
ANSWER = (ROW_DESCRIPTION + message(b"D", struct.pack("!HI", 1, 1) + b"1")
          + message(b"C", b"SELECT 1\0") + READY)


def receive(connection, n):
    data = b""
    while len(data) < n:
        chunk = connection.recv(n - len(data))
        if not chunk:
            raise OSError("closed")
        data += chunk
    return data


def startup(connection):
    """The parameters of the start-up message; TLS is declined."""
    while True:
        length, code = struct.unpack("!II", receive(connection, 8))
        body = receive(connection, length - 8)
        if code != SSL_REQUEST:
            words = body.split(b"\0")
            return {k.decode(): v.decode() for k, v in zip(words[::2], words[1::2]) if k}
        connection.sendall(b"N")


def query(connection):
    """The next message's kind and body."""
    kind = receive(connection, 1)
    return kind, receive(connection, struct.unpack("!I", receive(connection, 4))[0] - 4)


def answers(*replies):
    """A script that lets in and answers one query with each of these, then hangs."""
    def script(connection):
        startup(connection)
        connection.sendall(WELCOME)
        for reply in replies:
            query(connection)
            connection.sendall(reply)
        while connection.recv(65536):
            pass
    return script


def refuses(reply):
    """A script that answers the start-up message so, and closes."""
    def script(connection):
        startup(connection)
        connection.sendall(reply)
        connection.shutdown(1)
        while connection.recv(65536):
            pass
    return script


def wants_scram(rounds):
    """A script that asks for a password by SCRAM-SHA-256 with so many rounds, and closes."""
    def script(connection):
        startup(connection)
        connection.sendall(message(b"R", struct.pack("!I", 10) + b"SCRAM-SHA-256\0\0"))
        nonce = query(connection)[1].split(b"r=")[-1]
        connection.sendall(message(b"R", struct.pack("!I", 11) + b"r=" + nonce
                                   + b"more,s=QSXCR+Q6sek8bf92,i=%d" % rounds))
        query(connection)
    return script
