/* SPDX-License-Identifier: MIT */
#pragma once

/* Drains of operators whose services are not in the configuration at present: removed for a while,
 * or nobody can read where they stand. Such a drain waits for its service; a mask ends it, and so
 * does its time. Held and written by the keeper. */

#include "model/state.h"

/* More do not wait, nor for longer. */
#define ABSENT_DRAINS_MAX          1000
#define ABSENT_DRAINS_MAX_AGE_USEC (7 * USEC_PER_DAY)

/* A drain that nobody but a person or its time ends. */
typedef struct LastingDrain {
        char service[NAME_LENGTH_MAX + 1]; /* "": of the host */
        usec_t absent_realtime;            /* since when its service is not there; 0: it was */
        Drain drain;
} LastingDrain;

typedef void (*DrainHandler)(void *userdata, const LastingDrain *drain);

/* Zero-initialise; absent_drains_done() takes it in any state. */
typedef struct AbsentDrains {
        LastingDrain *items; /* owned */
        size_t n, n_allocated;
} AbsentDrains;

void absent_drains_done(AbsentDrains *a);

/* Without memory it is lost, which is logged. */
void absent_drains_add(AbsentDrains *a, const LastingDrain *drain);

/* Hands out those whose services this configuration has, and forgets these and what waits no
 * longer. What begins to wait is logged. handler may be NULL if there is nothing to hand out. */
void absent_drains_settle(AbsentDrains *a, const Config *config, Time now, DrainHandler handler,
                          void *userdata);
