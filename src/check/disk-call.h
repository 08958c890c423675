/* SPDX-License-Identifier: MIT */
#pragma once

/* What a helper thread does for a check of a file system: calls that never return when the mount's
 * server is gone. */

#include <sys/statvfs.h>

#include "base/macro.h"

typedef struct DiskCall {
        bool is_write_wanted;

        int error; /* errno of looking; what follows is set when it is 0 */
        struct statvfs st;
        bool is_read_only; /* the file system itself, not merely the mount that we see it by */
        int write_error;   /* errno of writing */
        char path[];
} DiskCall;

/* NULL: no memory. */
DiskCall *disk_call_new(const char *path, bool is_write_wanted);

/* A JobFunction. */
void disk_call(void *data);
