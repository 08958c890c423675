# SPDX-License-Identifier: MIT
"""Scripted peers: HTTP and TCP servers that behave as badly as a test wants, and black holes.

A script is a function that is called with each accepted connection, in a thread of its own; it
may be exchanged at any time by assigning `server.script`.
"""

import dataclasses
import fcntl
import pathlib
import socket
import struct
import termios
import threading

from lib.process import eventually, free_port


class TcpServer:
    """Listens from start() to close(); `connections` counts all that were accepted.

    kill() resets what is open and stops listening, as a crash would; start() takes the same port
    again.
    """

    def __init__(self, script=None, host="127.0.0.1", unix_path=None, tls=None):
        """tls: an ssl.SSLContext; the handshake happens in the connection's thread."""
        self.script = script or hold
        self.host = host
        self.port = None if unix_path else free_port(host)
        self.unix_path = pathlib.Path(unix_path) if unix_path else None
        self.tls = tls
        self.connections = 0
        self._listener = None
        self._open = set()
        self._lock = threading.Lock()
        self.closing = threading.Event()

    @property
    def address(self):
        host = f"[{self.host}]" if ":" in self.host else self.host
        return str(self.unix_path or f"{host}:{self.port}")

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.close()

    def start(self):
        self.closing = threading.Event()
        if self.unix_path:
            self._listener = socket.socket(socket.AF_UNIX)
            self.unix_path.unlink(missing_ok=True)
            self._listener.bind(str(self.unix_path))
        else:
            family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
            self._listener = socket.socket(family)
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind((self.host, self.port))
        self._listener.listen(128)
        threading.Thread(target=self._accept, args=(self._listener, self.closing),
                         daemon=True).start()

    def _accept(self, listener, closing):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            if connection.family != socket.AF_UNIX:     # Head and body go out at once.
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self.connections += 1
                self._open.add(connection)
            if closing.is_set():    # It came in the same moment; nobody else ends it any more.
                with self._lock:
                    self._open.discard(connection)
                connection.close()
                continue
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        raw = connection
        try:
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
                with self._lock:
                    self._open.discard(raw)
                    self._open.add(connection)
            self.script(connection)
        except (OSError, ValueError):
            pass
        finally:
            with self._lock:
                self._open.discard(raw)
                self._open.discard(connection)
            connection.close()

    def _stop_listening(self):
        if self._listener is not None:
            self.closing.set()
            try:
                self._listener.shutdown(socket.SHUT_RDWR)   # Wakes up the accepting thread.
            except OSError:
                pass
            self._listener.close()
            self._listener = None

    def _end_connections(self, end):
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            try:
                end(connection)
            except OSError:
                pass

    def close(self):
        """Stops listening and ends open connections in order (FIN)."""
        self._stop_listening()
        self._end_connections(lambda c: c.shutdown(socket.SHUT_RDWR))

    def kill(self):
        """Stops listening and resets open connections."""
        self._stop_listening()
        self._end_connections(reset)


def reset(connection):
    """Closes with RST instead of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    # A thread that sleeps in recv() keeps the file open past close(); shutdown() wakes it, and
    # AF_UNSPEC sends the reset at once.
    disconnect(connection)


def until_read(connection):
    """Until the peer, a process of this network, has read all that was sent to it by TCP."""
    def row(address):
        host, port = address[:2]
        return f"{struct.unpack('=I', socket.inet_aton(host))[0]:08X}:{port:04X}"
    ends = [row(connection.getpeername()), row(connection.getsockname())]

    def is_read():
        unsent = struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))[0]
        assert unsent == 0
        (queued,) = [line.split()[4] for line in pathlib.Path("/proc/net/tcp").read_text()
                     .splitlines() if line.split()[1:3] == ends]
        return int(queued.partition(":")[2], 16) == 0
    eventually(is_read, every=0.001, what="all to be read")


def disconnect(connection):
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    libc.connect(connection.fileno(), struct.pack("H14x", socket.AF_UNSPEC), 16)
    connection.shutdown(socket.SHUT_RDWR)


class Proxy(TcpServer):
    """Stands before a server and hands bytes on, so that the way to it can be cut and mended."""

    def __init__(self, server):
        """server: whatever has host and port."""
        super().__init__(self._forward)
        self.server = server

    def _forward(self, connection):
        with socket.create_connection((self.server.host, self.server.port)) as upstream:
            back = threading.Thread(target=copy, args=(upstream, connection), daemon=True)
            back.start()
            copy(connection, upstream)
            back.join()


def copy(source, target):
    """Until one of them ends, which ends both."""
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    for s in (source, target):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


# -- scripts for TcpServer -------------------------------------------------------------------------

def hold(connection):
    """Reads and never answers."""
    while connection.recv(65536):
        pass


def send_then_hold(data):
    def script(connection):
        connection.sendall(data)
        hold(connection)
    return script


def send_then_close(data):
    def script(connection):
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        hold(connection)
    return script


def close_at_once(connection):
    connection.shutdown(socket.SHUT_RDWR)


def reset_at_once(connection):
    reset(connection)


def answer_with(data, times=None):
    """The same answer to each chunk that arrives."""
    def script(connection):
        while connection.recv(65536):
            connection.sendall(data)
    return script


# -- HTTP ------------------------------------------------------------------------------------------

@dataclasses.dataclass
class Request:
    method: str
    target: str
    headers: dict       # lower-case name -> value (the last one)
    raw: bytes
    body: bytes = b""


@dataclasses.dataclass
class Reply:
    """What HttpServer answers; give_up says what happens after `body` was sent.

    give_up: None = the answer is complete; "hang" = send nothing more; "close" = FIN;
    "reset" = RST. With give_up, announce more than the body holds in content_length.
    """
    status: int = 200
    headers: dict = dataclasses.field(default_factory=dict)
    body: bytes = b""
    content_length: int = None
    pause_per_byte: float = 0       # seconds; the whole answer, head too, goes byte by byte
    repeat_body: int = 1            # sends the body that many times over (huge bodies)
    give_up: str = None
    keep_alive: bool = True


HANG = "hang"


class HttpServer(TcpServer):
    """Answers each request with `reply`: a Reply, HANG, raw bytes, or a function of the Request.

    `requests` collects what was asked.
    """

    def __init__(self, reply=None, **options):
        super().__init__(self._script, **options)
        self.reply = reply or Reply(body=b"ok\n")
        self.requests = []

    def url(self, path="/"):
        return f"http{'s' if self.tls else ''}://{self.address}{path}"

    def _script(self, connection):
        pending = b""
        while True:
            while b"\r\n\r\n" not in pending:
                data = connection.recv(65536)
                if not data:
                    return
                pending += data
            head, _, pending = pending.partition(b"\r\n\r\n")
            request = parse_request(head)
            while len(pending) < (length := int(request.headers.get("content-length", 0))):
                data = connection.recv(65536)
                if not data:
                    return
                pending += data
            request.body, pending = pending[:length], pending[length:]
            self.requests.append(request)
            if not self._answer(connection, request):
                return

    def _answer(self, connection, request):
        reply = self.reply(request) if callable(self.reply) else self.reply
        if reply == HANG:
            self.closing.wait()
            return False
        if isinstance(reply, bytes):
            connection.sendall(reply)
            connection.shutdown(socket.SHUT_WR)
            hold(connection)
            return False
        return self._send(connection, request, reply)

    def _send(self, connection, request, reply):
        size = reply.content_length
        if size is None:
            size = len(reply.body) * reply.repeat_body
        head = f"HTTP/1.1 {reply.status} Scripted\r\nContent-Length: {size}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items())
        head += "\r\n" if reply.keep_alive else "Connection: close\r\n\r\n"
        body = b"" if request.method == "HEAD" else reply.body
        if reply.pause_per_byte:
            for byte in head.encode() + body:
                connection.sendall(bytes([byte]))
                if self.closing.wait(reply.pause_per_byte):
                    return False
        else:
            connection.sendall(head.encode())
            for _ in range(reply.repeat_body):
                connection.sendall(body)
        if reply.give_up == "hang":
            self.closing.wait()
        elif reply.give_up == "reset":
            reset(connection)
        return reply.give_up is None and reply.keep_alive


def parse_request(head):
    lines = head.decode("latin-1").split("\r\n")
    method, target, _ = lines[0].split(" ", 2)
    headers = dict(line.split(":", 1) for line in lines[1:])
    return Request(method, target, {k.lower(): v.strip() for k, v in headers.items()}, head)


# -- black holes -----------------------------------------------------------------------------------

class BlackHole:
    """A port whose SYNs the kernel drops: nobody accepts, and the accept queue is full."""

    def __init__(self):
        self.host = "127.0.0.1"
        self.port = free_port()
        self.address = f"{self.host}:{self.port}"
        self._sockets = []

    def __enter__(self):
        listener = socket.socket()
        listener.bind((self.host, self.port))
        listener.listen(0)
        self._sockets.append(listener)
        for _ in range(8):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex((self.host, self.port))
            self._sockets.append(filler)
        eventually(self._swallows, what="black hole")
        return self

    def _swallows(self):
        with socket.socket() as s:
            s.settimeout(0.3)
            try:
                s.connect((self.host, self.port))
            except TimeoutError:
                return True
        return False

    def __exit__(self, *_):
        for s in self._sockets:
            s.close()


def refused_address():
    """An address at which nobody listens."""
    return f"127.0.0.1:{free_port()}"


