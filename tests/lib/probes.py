# SPDX-License-Identifier: MIT
"""Load: probes of load balancers and requests of clients, one after the other, in threads."""

import collections
import contextlib
import errno
import socket
import threading
import time


class ProbeLoad:
    """
    with ProbeLoad(("127.0.0.1", 9911), within=host.network) as load:
        …
    assert not load.failures

    A probe that was not answered whole is a failure: "refused", "reset", "cut" (the connection
    ended before the answer did), "late", or another error's name.
    """

    def __init__(self, address, path="/health/live", threads=3, within=contextlib.nullcontext,
                 patience=60.0, pause=0.0, keeps=False):
        """within: called in each thread; what it returns is entered for each connection.

        pause: seconds between an answer and the thread's next probe.
        keeps: connections are kept; else each probe has one of its own.
        """
        self.address, self.path, self.n_threads = address, path, threads
        self.within, self.patience, self.pause, self.keeps = within, patience, pause, keeps
        self.answers = collections.Counter()    # by status
        self.failures = []                      # "what after how long", in order
        self.slowest = 0.0                      # seconds
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def __enter__(self):
        self._threads = [threading.Thread(target=self._run, daemon=True)
                         for _ in range(self.n_threads)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def count(self):
        return sum(self.answers.values())

    def wait_for(self, more, within=100.0):
        """Until so many more probes have been answered."""
        goal, deadline = self.count + more, time.monotonic() + within
        while self.count < goal:
            assert time.monotonic() < deadline, f"{self.count} of {goal} probes answered"
            time.sleep(0.005)

    def _run(self):
        kept = []
        with self.within():
            while not self._stop.wait(self.pause):
                before = time.monotonic()
                outcome = self._probe(kept)
                took = time.monotonic() - before
                with self._lock:
                    self.slowest = max(self.slowest, took)
                    if isinstance(outcome, int):
                        self.answers[outcome] += 1
                    else:
                        self.failures.append(f"{outcome} after {took:.3f} s")
        for connection in kept:
            connection.close()

    def _probe(self, kept):
        try:
            s = kept.pop() if kept else socket.create_connection(self.address,
                                                                 timeout=self.patience)
            with contextlib.ExitStack() as stack:
                stack.enter_context(s)
                status = self._ask(s)
                if self.keeps and status != "cut":
                    kept.append(s)
                    stack.pop_all()
                return status
        except ConnectionRefusedError:
            return "refused"
        except (ConnectionResetError, BrokenPipeError):
            return "reset"
        except TimeoutError:
            return "late"
        except OSError as e:
            return errno.errorcode.get(e.errno, str(e))

    def _ask(self, s):
        connection = "keep-alive" if self.keeps else "close"
        s.sendall(f"GET {self.path} HTTP/1.1\r\nHost: probe\r\n"
                  f"Connection: {connection}\r\n\r\n".encode())
        data = b""
        while not (self.keeps and status_of(data) != "cut") and (chunk := s.recv(65536)):
            data += chunk
        return status_of(data)


def status_of(data):
    """The status of a whole answer, or "cut"."""
    head, _, body = data.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length" and int(value) == len(body):
            return int(head.split(b" ", 2)[1])
    return "cut"
