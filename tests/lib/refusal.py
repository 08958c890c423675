# SPDX-License-Identifier: MIT
"""Programs to which the kernel refuses a call, by a filter as those of systemd's units.

refusing("adjtimex") is a wrap for runners."""

import ctypes
import errno
import os
import pathlib
import platform
import struct
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
IS_X86 = platform.machine() == "x86_64"
LOAD, EQUAL, ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06
ALLOW, ERROR = 0x7fff0000, 0x00050000
NUMBER, THIRD_ARGUMENT = 0, 32      # offsets in struct seccomp_data
TMPFILE = 0o20000000

# Each ends in the refusal; a jump behind that is the permission.
FILTERS = {
    "adjtimex": [(LOAD, 0, 0, NUMBER), (EQUAL, 1, 0, 159 if IS_X86 else 171),
                 (EQUAL, 0, 1, 305 if IS_X86 else 266), (RETURN, 0, 0, ERROR | errno.EPERM)],
    "tmpfile": [(LOAD, 0, 0, NUMBER), (EQUAL, 0, 3, 257 if IS_X86 else 56),
                (LOAD, 0, 0, THIRD_ARGUMENT), (ANY_BIT, 0, 1, TMPFILE),
                (RETURN, 0, 0, ERROR | errno.EOPNOTSUPP)],
}


def refuse(name):
    program = [*FILTERS[name], (RETURN, 0, 0, ALLOW)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    head = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program),
                                                   ctypes.addressof(code)))
    assert LIBC.prctl(38, 1, 0, 0, 0) == 0      # PR_SET_NO_NEW_PRIVS
    assert LIBC.prctl(22, 2, head, 0, 0) == 0   # PR_SET_SECCOMP, SECCOMP_MODE_FILTER


def refusing(name):
    return lambda argv: [sys.executable, pathlib.Path(__file__).resolve(), name, *argv]


if __name__ == "__main__":
    refuse(sys.argv[1])
    os.execv(sys.argv[2], sys.argv[2:])
