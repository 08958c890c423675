/* SPDX-License-Identifier: MIT */
#pragma once

/* Services that stand for a systemd unit (Unit=): each change of the unit becomes an event. When
 * the bus is lost the last state stays, with a warning. Called by the daemon's files alone. */

#include "io/systemd-link.h"
#include "model/state.h"

typedef struct Units Units;

typedef struct UnitsHandler {
        /* The unit of this service (by its index in the configuration) is in another state, or it
         * was started anew. */
        void (*changed)(void *userdata, size_t service, UnitState state, const char *invocation_id);

        /* units_is_awaited() of some service may say otherwise now. */
        void (*released)(void *userdata);
} UnitsHandler;

/* systemd: NULL for none: nothing is followed. Handlers come from the event loop, and changed()
 * from units_configure(). */
int units_new(sd_event *event, SystemdLink *systemd, const UnitsHandler *handler, void *userdata,
              Units **ret);
Units *units_free(Units *u);
DEFINE_CLEANUP(Units *, units_free);

/* Follows the units of this configuration from now on; those that the one before had for the same
 * services go on undisturbed. config is referenced. 0 or -ENOMEM with part of them. */
int units_configure(Units *u, Config *config);

/* The unit of this configuration's service will be known in a moment, and its checks had better
 * wait for that: whether what they find is a fault depends on it. */
bool units_is_awaited(const Units *u, const Config *config, size_t service);
