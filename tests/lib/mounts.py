# SPDX-License-Identifier: MIT
"""File systems for tests: small, read-only, and one that never answers. Without the right to mount
the test is skipped."""

import ctypes
import os

import pytest

LIBC = ctypes.CDLL(None, use_errno=True)
MS_RDONLY, MS_REMOUNT = 1, 32


def mount(place, kind, options, flags=0):
    if LIBC.mount(b"vitald-test", bytes(place), kind.encode(), flags, options.encode()) < 0:
        pytest.skip(f"cannot mount a {kind}: {os.strerror(ctypes.get_errno())}")


def umount(place):
    LIBC.umount2(bytes(place), 2)


def mount_fuse(place):
    """The server's end of a mount on which every call waits until it is closed."""
    try:
        server = open("/dev/fuse", "r+b", buffering=0)
    except OSError as e:
        pytest.skip(f"no FUSE here: {e}")
    mount(place, "fuse", f"fd={server.fileno()},rootmode=40000,user_id=0,group_id=0")
    return server


def remount(place, is_read_only):
    """The file system itself, as the kernel does on errors of the disk."""
    mount(place, "tmpfs", "", MS_REMOUNT | (MS_RDONLY if is_read_only else 0))
