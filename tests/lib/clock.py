# SPDX-License-Identifier: MIT
"""The kernel's word on the clock (adjtimex). The clock itself is never moved."""

import contextlib
import ctypes

LIBC = ctypes.CDLL(None, use_errno=True)
ADJ_MAXERROR, ADJ_STATUS = 4, 16
STA_UNSYNC = 0x40


class Timex(ctypes.Structure):
    _fields_ = [("modes", ctypes.c_uint), ("offset", ctypes.c_long), ("freq", ctypes.c_long),
                ("maxerror", ctypes.c_long), ("esterror", ctypes.c_long), ("status", ctypes.c_int),
                ("rest", ctypes.c_char * 256)]


def adjtimex(**fields):
    timex = Timex(**fields)
    if LIBC.adjtimex(ctypes.byref(timex)) < 0:
        raise OSError(ctypes.get_errno(), "adjtimex")
    return timex


@contextlib.contextmanager
def kernel_clock():
    """A function that says what the kernel shall say; undone at the end. OSError: not permitted."""
    before = adjtimex()

    def say(is_synchronized, error_usec=1000):
        status = before.status & ~STA_UNSYNC | (0 if is_synchronized else STA_UNSYNC)
        adjtimex(modes=ADJ_STATUS | ADJ_MAXERROR, status=status, maxerror=error_usec)

    say(not before.status & STA_UNSYNC, before.maxerror)
    try:
        yield say
    finally:
        say(not before.status & STA_UNSYNC, before.maxerror)
