/* SPDX-License-Identifier: MIT */
#pragma once

/* A connection to vitald that comes back, for verbs that stay: it says when there is reason to look
 * again, and waits a restart of vitald out. */

#include "ctl/ctl.h"

typedef struct Link {
        const Ctl *ctl; /* borrowed */
        Client *client; /* owned; NULL while there is no connection */
        usec_t lost;    /* CLOCK_MONOTONIC when vitald was last missed; 0: never */
} Link;

void link_done(Link *l);

/* Returns 0 with a client when it is time to look: at once the first time, then after each change
 * that vitald signals. -ETIMEDOUT: the deadline (CLOCK_MONOTONIC) has passed. -EHOSTDOWN: vitald
 * has been missed for longer than patience_usec. Else the exit code, with everything said. */
int link_next(Link *l, usec_t deadline, usec_t patience_usec);

/* The connection is no good any more. */
void link_drop(Link *l);
