/* SPDX-License-Identifier: MIT */
#pragma once

/* File descriptors with an owner. */

#include "base/macro.h"

/* Closes fd if it is one, keeps errno, returns -1: `fd = fd_close(fd);` */
int fd_close(int fd);

static inline void fd_closep(int *fd) {
        fd_close(*fd);
}
#define _cleanup_fd_ _cleanup_(fd_closep)

/* Hands an fd on and forgets it here. */
#define TAKE_FD(fd)                        \
        ({                                 \
                int *_take_pfd = &(fd);    \
                int _take_fd = *_take_pfd; \
                *_take_pfd = -1;           \
                _take_fd;                  \
        })

/* Reads a whole regular file of at most max bytes; the buffer is the caller's, ends with NUL and
 * may hold others. Never blocks on a FIFO or device. Negative errno: -EISDIR, -EFBIG when it is
 * larger, -EBADFD when it is neither a file nor a directory, or what open(2) and read(2) say. */
int file_read(const char *path, size_t max, char **ret, size_t *ret_size);
