# SPDX-License-Identifier: MIT
"""Monitoring plug-ins: those of Debian, and scripts that do what a test wants."""

import os
import pathlib
import struct

import pytest

REAL = pathlib.Path("/usr/lib/nagios/plugins")

PYTHON = "/usr/bin/python3 -IS"


def real(name):
    path = REAL / name
    assert path.exists(), f"no {path}; it is part of Debian's monitoring-plugins-basic"
    return path


def script(directory, body, name="plugin", interpreter="/bin/sh"):
    """An executable file."""
    path = directory / name
    path.write_text(f"#!{interpreter}\n{body}\n")
    path.chmod(0o755)
    return path


def processes_with(word):
    """The pids of all processes with this word as an argument, zombies aside."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and \
                    word.encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            pass
    return found


class DeadMount:
    """A FUSE mount that has come up, and whose server takes each further call and never answers:
    who asks waits in the kernel, deaf to SIGKILL, until release()."""

    def __init__(self, place, mount, umount):
        self.place, self.umount = place, umount
        place.mkdir()
        try:
            self.server = os.open("/dev/fuse", os.O_RDWR)
        except OSError as e:
            pytest.skip(f"no FUSE here: {e}")
        mount(place, "fuse", f"fd={self.server},rootmode=40000,user_id=0,group_id=0,allow_other")
        request = os.read(self.server, 65536)
        unique, = struct.unpack_from("<Q", request, 8)
        major, minor = struct.unpack_from("<II", request, 40)
        init = struct.pack("<IIIIHHI36x", major, min(minor, 31), 0, 0, 0, 0, 4096)
        os.write(self.server, struct.pack("<IiQ", 16 + len(init), 0, unique) + init)

    def take_call(self):
        """Waits for a call; from now on its caller cannot be killed."""
        return os.read(self.server, 65536)

    def release(self):
        if self.server is not None:
            os.close(self.server)
            self.server = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.release()
        self.umount(self.place)
