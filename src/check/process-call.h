/* SPDX-License-Identifier: MIT */
#pragma once

/* Looking for processes and at them, for a helper thread: on a host with many it takes a while. */

#include <limits.h>
#include <sys/types.h>

#include "base/macro.h"

#define PROCESS_WATCHED_MAX 64
#define COMM_LENGTH         15 /* what the kernel keeps of a name */

typedef enum ProcessFault {
        PROCESS_FOUND,
        PROCESS_NO_FILE,  /* no PID file */
        PROCESS_BAD_FILE, /* it holds no PID */
        PROCESS_GONE,     /* there is no process any more, or none yet */
        PROCESS_OTHER,    /* the PID file's process has another name */
        PROCESS_HIDDEN,   /* the sandbox hides processes of others */
        PROCESS_ERROR,    /* see error */
} ProcessFault;

/* One allocation, so that free() is enough. */
typedef struct ProcessCall {
        char pid_file[PATH_MAX], unit[NAME_MAX + 1], name[NAME_MAX + 1]; /* "": not asked for */

        ProcessFault fault;
        int error;             /* positive errno */
        char cgroup[PATH_MAX]; /* of the unit; "" without one */
        uint64_t count;
        pid_t pids[PROCESS_WATCHED_MAX]; /* the first of them */
        size_t n_pids;
        bool has_memory, has_threads, has_files; /* known of every process */
        uint64_t memory_bytes, threads, files;
} ProcessCall;

/* NULL texts are not asked for. NULL: no memory. */
ProcessCall *process_call_new(const char *pid_file, const char *unit, const char *name);

/* A JobFunction. */
void process_call(void *data);
