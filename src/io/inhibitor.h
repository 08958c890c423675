/* SPDX-License-Identifier: MIT */
#pragma once

/* A delay lock of logind: a shutdown of this host waits until the lock is let go, but for no longer
 * than logind allows, and its holder learns of it before the first unit is stopped. The lock is
 * taken again when the bus or logind were away, when it was refused, and when a shutdown was
 * cancelled. Nothing here waits; without a bus, logind or permission there is no lock, one line in
 * the log says so, and shutdowns are heard of as far as that goes. */

#include <systemd/sd-event.h>

#include "base/clock.h"

typedef struct Inhibitor Inhibitor;

typedef struct InhibitorHandlers {
        /* The host is about to go down: when inhibitor_release() is called, or after max_usec. 0:
         * nothing waits for us. */
        void (*preparing)(void *userdata, usec_t max_usec);

        /* It does not go down, after all. */
        void (*cancelled)(void *userdata);
} InhibitorHandlers;

/* Begins at once to ask for the lock. who and why are for people, and constant as handlers is.
 * Handlers are called from the event loop only. Fails only without memory. */
int inhibitor_new(sd_event *event, const char *who, const char *why,
                  const InhibitorHandlers *handlers, void *userdata, Inhibitor **ret);

/* Lets go, too. */
Inhibitor *inhibitor_free(Inhibitor *i);
DEFINE_CLEANUP(Inhibitor *, inhibitor_free);

/* Lets a shutdown go on; nothing if there is no lock. */
void inhibitor_release(Inhibitor *i);
