/* SPDX-License-Identifier: MIT */
#pragma once

/* Programs that are run for what they print and how they end. Each has a session of its own, so
 * that it ends together with all that it has started; what left that session comes to us as to a
 * subreaper, and is ended as well. Nothing here blocks: programs are started by a helper thread,
 * since a file on a dead mount blocks who executes it, and a program that cannot be ended is left
 * alone until it ends. */

#include <sys/types.h>

#include "io/poll-set.h"
#include "io/workers.h"

#define PROCESS_OUTPUT_MAX 8192 /* bytes of standard output that are kept */
#define PROCESS_ERRORS_MAX 1024 /* and of standard error */

/* What is read and thrown away beyond; then the pipe is closed. */
#define PROCESS_READ_MAX (1024 * 1024)

/* After SIGTERM until SIGKILL, and after that until the process counts as stuck. */
#define PROCESS_GRACE_USEC (1000 * (uint64_t) 1000)

typedef struct Processes Processes;
typedef struct Process Process;

typedef struct ProcessRequest {
        char *const *argv;         /* the first is the absolute path of the program */
        char *const *environment;  /* "NAME=value"; nothing else is there */
        const char *user;          /* NULL: as we are */
        uint64_t memory_max_bytes; /* of address space; 0: no bound */
} ProcessRequest;

typedef struct ProcessFailure {
        int error;              /* negative errno */
        bool is_of_user;        /* the user is unknown (-ESRCH) or may not be taken on (-EPERM) */
        bool is_of_file;        /* the file cannot be executed */
        bool lacks_interpreter; /* -ENOENT, but the file itself is there */
        bool lacks_rights;      /* the file has rights that no_new_privs takes away, and we lack */
} ProcessFailure;

typedef struct ProcessEnd {
        bool is_signal;     /* ended by a signal */
        int code;           /* that signal, or the exit status */
        bool lacks_rights;  /* as above */
        bool is_cut;        /* more than PROCESS_READ_MAX came, and the pipe was closed */
        const char *output; /* borrowed until the process is freed; no text */
        size_t n_output;
        const char *errors; /* the same */
        size_t n_errors;
} ProcessEnd;

/* One of failed() and ended() is called, at most once, and nothing follows it. The process is still
 * the owner's, and may be freed from within each of them. */
typedef struct ProcessHandlers {
        void (*failed)(void *userdata, const ProcessFailure *failure);
        void (*ended)(void *userdata, const ProcessEnd *end);

        /* Does not even end by SIGKILL. It may still end at any time later. */
        void (*stuck)(void *userdata);
} ProcessHandlers;

/* Makes this process a subreaper. set and workers are borrowed. */
int processes_new(PollSet *set, Workers *workers, Processes **ret);

/* All processes must have been freed. Kills what has not ended yet, and waits for that for some
 * milliseconds at most. */
Processes *processes_free(Processes *s);
DEFINE_CLEANUP(Processes *, processes_free);

/* Starts a program; what the request points to is copied. handlers is borrowed for good. */
int process_start(Processes *s, const ProcessRequest *request, const ProcessHandlers *handlers,
                  void *userdata, Process **ret);

/* Asks it to end: SIGTERM to all of its group, and SIGKILL after the grace. The handlers tell how
 * it went. */
void process_terminate(Process *p);

/* Whether it has resisted SIGKILL, or its file has resisted being executed. */
bool process_is_stuck(const Process *p);

/* A stuck start calls no handler when it comes back at last. Whether it has. */
bool process_is_gone(const Process *p);

/* Kills it if it lives; its handlers stay silent. */
Process *process_free(Process *p);
DEFINE_CLEANUP(Process *, process_free);
