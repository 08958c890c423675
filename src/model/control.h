/* SPDX-License-Identifier: MIT */
#pragma once

/* What the outside may ask of the daemon. D-Bus and the private socket hold one of these and call
 * it after authorisation; daemon.c fills it in. Each request becomes an event like all others. */

#include "model/sender.h"
#include "model/snapshot.h"

/* The answer to a request: r is 0 or negative errno with an error text, snapshot the picture that
 * holds its effect (borrowed; never NULL on success). Called exactly once, perhaps before the
 * request's function returns. */
typedef void (*ControlDone)(void *userdata, int r, const char *error, const Snapshot *snapshot);

/* Every function returns 0 if done will be called, or negative errno if it will not. Indices are
 * those of the current snapshot. Times in microseconds are relative; USEC_INFINITY: for ever. */
typedef struct Control {
        void *daemon; /* borrowed: first argument of all */

        /* Runs the check now; done when that run has ended. -EOPNOTSUPP for checks without runs. */
        int (*run)(void *daemon, size_t check, ControlDone done, void *userdata);

        /* A pushed state. -EOPNOTSUPP unless the check takes reports, -EACCES if not from this
         * sender. */
        int (*report)(void *daemon, size_t check, const Result *result, const Sender *sender);

        /* Publishes this state instead of the measured one; timeout 0 clears. */
        int (*override)(void *daemon, size_t check, Health state, usec_t timeout_usec,
                        const char *note, const char *who);

        /* Withdraws readiness of a service (INDEX_NONE: the host); timeout 0 ends the drain. */
        int (*drain)(void *daemon, size_t service, usec_t timeout_usec, const char *note,
                     const char *who);

        /* The same until the service's unit starts anew. -EOPNOTSUPP if it has none. */
        int (*drain_until_start)(void *daemon, size_t service, const char *note, const char *who);

        /* Forgets which restarts of the service's unit have not helped. -EOPNOTSUPP if it is never
         * restarted. */
        int (*reset_restarts)(void *daemon, size_t service, const char *who);

        /* Loads the configuration again; done with its verdict, the error text naming FILE:LINE. */
        int (*reload)(void *daemon, ControlDone done, void *userdata);
} Control;
