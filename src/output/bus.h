/* SPDX-License-Identifier: MIT */
#pragma once

/* org.vitald1 on D-Bus, see org.vitald1(5): the objects of the current snapshot, for callers on the
 * system or user bus and on the private socket. Properties are read from the snapshot at the time
 * of the request; signals tell of flips alone. Changes are authorised here and then go through
 * struct Control. A bus that is absent, hung or lost changes nothing for anybody else. */

#include <systemd/sd-event.h>

#include "model/actions.h"
#include "model/control.h"
#include "output/history.h"
#include "output/http-probers.h"
#include "output/keeper.h"
#include "output/publisher.h"

#define BUS_NAME "org.vitald1"

/* What probes need goes before what people ask for: a flood on the bus must not make probes wait.
 */
#define BUS_PRIORITY (SD_EVENT_PRIORITY_NORMAL + 10)

typedef enum BusMode { BUS_MODE_SYSTEM, BUS_MODE_USER, BUS_MODE_NONE } BusMode;

/* "system", "user", "none". -EINVAL. */
int bus_mode_from_string(const char *s, BusMode *ret);

/* Everything is borrowed and must outlive the Bus, the publisher's last snapshot included. */
typedef struct BusContext {
        Publisher *publisher;
        const Control *control;
        const History *history;
        const HttpProbers *probers;
        const Actions *actions;
        const Restoration *restoration; /* NULL: vitald has begun anew, some time ago */

        /* CLOCK_MONOTONIC of a check's next run, USEC_INFINITY for none. */
        usec_t (*next_run)(void *userdata, size_t check);

        /* Where HTTP is listening, for people: "127.0.0.1:9911". */
        char *const *(*listening)(void *userdata);

        void *userdata;
} BusContext;

typedef struct Bus Bus;

/* Begins to connect to the bus unless the mode is none, and listens on RUNTIME_DIRECTORY/private
 * unless that is NULL. What is not to be had (no bus, no such directory) is logged and done
 * without. Fails only without memory or room at the publisher. */
int bus_new(sd_event *event, const BusContext *context, BusMode mode, const char *runtime_directory,
            Bus **ret);

/* A property of this service that says when it changes has changed, without a new snapshot. */
void bus_service_changed(Bus *b, size_t service);

/* Answers that are still owed (Run(), Reload()) are dropped. Publish nothing afterwards. */
Bus *bus_free(Bus *b);
DEFINE_CLEANUP(Bus *, bus_free);
