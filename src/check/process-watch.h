/* SPDX-License-Identifier: MIT */
#pragma once

/* Wakes a check when a process that it found ends (pidfd), when a control group becomes empty or is
 * used again, and when a file is written or goes away. Each run says what to watch from then on;
 * what it does not name any more is let go. Where the kernel gives no more watches the interval has
 * to do. */

#include "check/driver.h"
#include "check/process-call.h"

typedef struct ProcessHold {
        Check *check;
        pid_t pid;
        int fd; /* owned; -1: free */
        PollWatch watch;
} ProcessHold;

typedef struct ProcessWatch {
        Check *check;
        ProcessHold holds[PROCESS_WATCHED_MAX];
        int inotify; /* owned; -1: none */
        PollWatch watch;
        char name[NAME_MAX + 1]; /* of the file, in whatever directory is watched */
} ProcessWatch;

void process_watch_begin(ProcessWatch *w, Check *check);

/* These and no other processes. Returns how many of them have ended already. */
size_t process_watch_set(ProcessWatch *w, const pid_t *pids, size_t n);

/* A file or directory that appears, is written, or goes away. */
void process_watch_path(ProcessWatch *w, const char *path);

/* A control group in which the first process appears or the last ends. */
void process_watch_cgroup(ProcessWatch *w, const char *directory);

void process_watch_end(ProcessWatch *w);
