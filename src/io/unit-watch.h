/* SPDX-License-Identifier: MIT */
#pragma once

/* Follows one systemd unit by the manager's signals. What is known of it stays when the bus or the
 * manager is lost, and is asked for again when it is back. */

#include "io/systemd-link.h"

typedef struct UnitWatch UnitWatch;

/* In systemd's own words; "" and 0 for what the unit's type does not have. */
typedef struct UnitStatus {
        char load[16];          /* "loaded", "not-found", "masked", "bad-setting", … */
        char active[16];        /* "active", "reloading", "inactive", "failed", … */
        char sub[24];           /* "running", "exited", "auto-restart", … */
        char result[24];        /* "success", "exit-code", "signal", … */
        char invocation_id[40]; /* of the present or latest start: 32 digits */
        uint32_t job;           /* queued for it; 0: none */
        uint32_t main_pid;      /* 0: none */
        uint32_t n_restarts;    /* automatic ones since the last start by hand */
        int32_t exec_code;   /* of the main process that ended last: CLD_EXITED, CLD_KILLED, … */
        int32_t exec_status; /* its exit status, or the signal */
} UnitStatus;

typedef struct UnitWatchHandlers {
        /* The status is another, or following has begun or was lost. */
        void (*changed)(void *userdata);

        /* The manager was asked, by unit_watch_ask() or otherwise, and has answered; or, negative
         * errno, not. changed() came before if there was anything new. NULL: nothing. */
        void (*asked)(void *userdata, int error);
} UnitWatchHandlers;

/* name: with its suffix; an alias will do. Neither handler is called from within these functions,
 * and neither may end a watch. userdata is borrowed. */
int unit_watch_new(SystemdLink *l, const char *name, const UnitWatchHandlers *handlers,
                   void *userdata, UnitWatch **ret);
UnitWatch *unit_watch_free(UnitWatch *w);
DEFINE_CLEANUP(UnitWatch *, unit_watch_free);

/* The latest that is known, or NULL: nothing yet. */
const UnitStatus *unit_watch_status(const UnitWatch *w);

/* Whether that is the present: signals arrive, and all has been asked for. */
bool unit_watch_is_current(const UnitWatch *w);

/* When the manager last said anything about the unit, CLOCK_MONOTONIC. */
usec_t unit_watch_heard_usec(const UnitWatch *w);

/* Asks the manager; the answer is asked(). When the link is lost meanwhile it is asked with an
 * error. */
void unit_watch_ask(UnitWatch *w);
