/* SPDX-License-Identifier: MIT */
#pragma once

/* Starting one program in a child that has nothing of ours: no descriptors but 0 to 2, no
 * environment, no signal masks and dispositions, a session of its own. For process.c; everything
 * here blocks (executing a file on a mount whose server is gone may never return) and is called in
 * a helper thread with all signals blocked. */

#include <stdatomic.h>
#include <sys/types.h>

#include "base/macro.h"

/* What was being done when it failed. */
typedef enum ChildStage {
        CHILD_STAGE_PREPARE, /* descriptors, memory, a process: our own lack as a rule */
        CHILD_STAGE_USER,    /* the user is not known, or may not be taken on */
        CHILD_STAGE_EXECUTE, /* the file cannot be executed */
} ChildStage;

typedef enum ChildFate { CHILD_STARTING, CHILD_READY, CHILD_UNWANTED } ChildFate;

/* One block of memory that owns all it points to: freed by free(). */
typedef struct ChildPlan {
        char **argv, **environment;
        const char *user;          /* NULL: as we are */
        uint64_t memory_max_bytes; /* of address space; 0: no bound */

        /* Set to CHILD_READY by the thread, to CHILD_UNWANTED by who gives it up: who comes second
         * ends the child. */
        _Atomic ChildFate fate;
        _Atomic pid_t pid; /* set before the child leaves our session */

        int error; /* negative errno; 0: started, and what follows is set */
        ChildStage stage;
        bool lacks_interpreter; /* ENOENT, but the file itself is there */
        bool lacks_rights;      /* the file has capabilities or is set-user-ID, to no effect */
        int pidfd, out, err;    /* owned once it is ready; the last two non-blocking */
} ChildPlan;

/* Copies all that it is given. NULL without memory. */
ChildPlan *child_plan_new(char *const *argv, char *const *environment, const char *user,
                          uint64_t memory_max_bytes);

/* Starts the child; a JobFunction of io/workers.h. */
void child_start(void *plan);

/* Ends the whole group of a child that nobody waits for, takes its status away, and closes what the
 * plan owns. Waits for the end of the child only if told so. */
void child_discard(ChildPlan *p, bool is_waiting);
