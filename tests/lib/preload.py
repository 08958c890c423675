# SPDX-License-Identifier: MIT
"""Libraries of tests/programs that are loaded in front of a program's own."""

import mmap
import struct
import subprocess

from lib.vitald import SOURCE


def compile_library(name, directory):
    """tests/programs/NAME.c as a library; returns its path."""
    path = directory / f"{name}.so"
    subprocess.run(["cc", "-D_GNU_SOURCE", "-shared", "-fPIC", "-O1", "-o", path,
                    SOURCE / f"tests/programs/{name}.c", "-pthread"], check=True)
    return path


class Clock:
    """What a daemon takes for one of the clocks; the others are left alone."""

    def __init__(self, directory, library, variable):
        self.path = directory / "clock"
        self.path.write_bytes(bytes(8))
        self.environment = {"LD_PRELOAD": str(library), variable: str(self.path)}

    def jump(self, seconds):
        """To so many seconds from the true time."""
        with open(self.path, "r+b") as f:
            f.write(struct.pack("q", seconds))


class ShortMemory:
    """Lets allocations of the program called so fail, by tests/programs/short-memory.c."""

    ALL = 2 ** 63

    def __init__(self, directory, library, program="vitald"):
        path = directory / "short-memory"
        path.write_bytes(bytes(32))
        with open(path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 32)
        self.suffice()
        self.environment = {"LD_PRELOAD": str(library), "SHORT_MEMORY": str(path),
                            "SHORT_PROGRAM": program}

    def fail(self, first, n=1):
        """From now on: the allocation `first`, counted from 0, and n - 1 more."""
        self.suffice()
        self._put(0, 0)
        self._put(24, 0)
        self._put(16, first + n - 1)
        self._put(8, first)

    def suffice(self):
        self._put(8, self.ALL)

    def _put(self, offset, value):
        self.map[offset:offset + 8] = struct.pack("Q", value)

    def _get(self, offset):
        return struct.unpack("Q", self.map[offset:offset + 8])[0]

    @property
    def n(self):
        """How many there were since fail()."""
        return self._get(0)

    @property
    def n_failed(self):
        return self._get(24)
