/* SPDX-License-Identifier: MIT */
#pragma once

/* A socket of our own in the file system. */

#include <sys/types.h>

#include "base/macro.h"

/* Binds a new socket of this type (SOCK_STREAM, SOCK_DGRAM; close-on-exec, non-blocking) to path,
 * for those whom mode lets. A socket file that nobody serves any more makes room; one that is
 * served is -EADDRINUSE. -ENAMETOOLONG, or what socket(2), bind(2) and chmod(2) say. */
int unix_socket_bind(const char *path, int type, mode_t mode, int *ret);
