/* SPDX-License-Identifier: MIT */
#pragma once

/* One verdict, of a service or the host: looked at once, or again whenever it may have changed. */

#include "ctl/link.h"

typedef struct Subject {
        Link link;
        const char *service; /* borrowed; NULL: the host */
        bool is_true;        /* the answer to the question of the command line, at the last look */
        bool is_starting;    /* the first checks are still running */
        char *text;          /* owned: "orders is not ready: redis: Connection refused" */
} Subject;

void subject_done(Subject *s);
#define _cleanup_subject_ _cleanup_(subject_done)

/* Looks once, without waiting for anything. 0, or the exit code with everything said. */
int subject_look(Subject *s);

/* Waits for a reason to look, and looks. Returns what link_next() does. */
int subject_next(Subject *s, usec_t deadline, usec_t patience_usec);
