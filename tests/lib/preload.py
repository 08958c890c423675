# SPDX-License-Identifier: MIT
"""Libraries of tests/programs that are loaded in front of a program's own."""

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
