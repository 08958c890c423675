/* SPDX-License-Identifier: MIT */
#pragma once

/* Follows the service manager itself: the state of the system, its queue of jobs and its failed
 * units. Signals say that something may have changed; asking says what. */

#include "io/systemd-link.h"

typedef struct ManagerWatch ManagerWatch;

typedef struct ManagerStatus {
        char state[16]; /* "running", "degraded", "starting", "maintenance", "stopping", … */
        uint32_t n_jobs;
        char **failed; /* owned: names of units */
} ManagerStatus;

typedef struct ManagerWatchHandlers {
        /* It is time to ask: something may have changed, or following was lost. */
        void (*changed)(void *userdata);

        /* The manager was asked, by manager_watch_ask() or because following has begun, and has
         * answered; or, negative errno, not. */
        void (*asked)(void *userdata, int error);
} ManagerWatchHandlers;

/* As unit_watch_new(). */
int manager_watch_new(SystemdLink *l, const ManagerWatchHandlers *handlers, void *userdata,
                      ManagerWatch **ret);
ManagerWatch *manager_watch_free(ManagerWatch *w);
DEFINE_CLEANUP(ManagerWatch *, manager_watch_free);

/* Of the latest answer; all zero before the first. */
const ManagerStatus *manager_watch_status(const ManagerWatch *w);

void manager_watch_ask(ManagerWatch *w);
