/* SPDX-License-Identifier: MIT */
#pragma once

/* Carries out what model/actions decides: restarts the unit of a service that is dead, or did not
 * start, by systemd's TryRestartUnit(), which starts nothing that is stopped, in mode "fail", which
 * leaves the jobs of others alone. Asynchronously; while systemd cannot be reached a restart stays
 * due, and nothing has piled up when it can. What was done outlives vitald in a file of the runtime
 * directory. Asks nobody who is not needed: without such a service there is no connection. */

#include "io/systemd-link.h"
#include "io/workers.h"
#include "model/actions.h"
#include "output/publisher.h"

#define RESTARTS_FILE "restarts"

typedef struct UnitActions UnitActions;

typedef struct UnitActionsContext {
        sd_event *event;
        Publisher *publisher;
        SystemdLink *systemd;          /* NULL if vitald is on no bus, then nothing is restarted */
        Workers *workers;              /* that write the file */
        const char *runtime_directory; /* NULL: nothing is kept */

        /* Looks whether the host has stood still, as unit_actions_stalled() wants to know before
         * anything is done. */
        void (*notice_stall)(void *userdata);

        /* The state of the restarts of this service is another. */
        void (*changed)(void *userdata, size_t service);
        void *userdata;
} UnitActionsContext;

/* All borrowed for its life; the context itself is copied. */
int unit_actions_new(const UnitActionsContext *context, UnitActions **ret);

/* Before the link to systemd and the workers are freed; writes what is not written. Publish nothing
 * afterwards. */
UnitActions *unit_actions_free(UnitActions *u);
DEFINE_CLEANUP(UnitActions *, unit_actions_free);

/* The host, or vitald, stood still. */
void unit_actions_stalled(UnitActions *u);

/* By order of who: as actions_reset(). -EAGAIN if the current snapshot is of another configuration.
 */
int unit_actions_reset(UnitActions *u, size_t service, const char *who);

/* What is known of restarts, for who shows it; borrowed for as long. */
const Actions *unit_actions_get(const UnitActions *u);
