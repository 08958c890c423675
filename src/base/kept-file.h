/* SPDX-License-Identifier: MIT */
#pragma once

/* A small file by which something outlives the process: replaced as a whole or not at all, and read
 * by somebody who believes nothing. It begins with a line of its kind, version, length and digest;
 * what stands behind that is the caller's. Both functions may block for as long as the disk does;
 * they touch nothing but their arguments, so that a helper thread can call them. */

#include "base/macro.h"

/* Makes the directory if need be. The file that was there stays as it was on an error: negative
 * errno of mkdir(2), open(2), write(2), fsync(2), rename(2). */
int kept_file_write(const char *path, const char *kind, unsigned version, const void *bytes,
                    size_t n);

/* The bytes are the caller's and end with NUL. -ENOENT: there is no file; -EFBIG: longer than max;
 * -EPROTONOSUPPORT: of another kind or version; -EBADMSG: damaged; or as file_read(). */
int kept_file_read(const char *path, const char *kind, unsigned version, size_t max, char **ret,
                   size_t *ret_n);
