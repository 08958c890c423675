/* SPDX-License-Identifier: MIT */
#pragma once

/* Feeds systemd's watchdog while vitald itself is alive, and starves it when the administrator
 * wants a dead service to restart vitald (OnLivenessFailure=watchdog).
 *
 * vitald is alive while every class of its work progresses: at each ping the classes are asked for
 * a sign, which must have come by the next one. A service's dead liveness starves the watchdog once
 * per episode: a file in the runtime directory remembers it over the restart, until the service's
 * liveness checks have been good again. */

#include <systemd/sd-event.h>

#include "output/notify.h"

typedef struct Watchdog Watchdog;

/* What the watchdog asks of the daemon. */
typedef struct WatchdogHandler {
        /* Asks every class of work for a sign of life. */
        void (*kick)(void *userdata);
        /* NULL while all have given it, else what is stuck: "the HTTP server". */
        const char *(*stuck)(void *userdata);
} WatchdogHandler;

/* Reads and unsets $WATCHDOG_USEC and $WATCHDOG_PID. runtime_directory, handler, notify and
 * publisher are borrowed and must live as long. */
int watchdog_new(sd_event *event, Publisher *publisher, Notify *notify,
                 const char *runtime_directory, const WatchdogHandler *handler, void *userdata,
                 Watchdog **ret);
Watchdog *watchdog_free(Watchdog *w);
DEFINE_CLEANUP(Watchdog *, watchdog_free);
