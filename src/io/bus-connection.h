/* SPDX-License-Identifier: MIT */
#pragma once

/* One connection to the system or user bus that comes back: absent at start, lost, hung or
 * restarted, it is tried again with growing pauses, and its owner goes on meanwhile. Nothing here
 * waits: connecting, Hello and the request for the name are all asynchronous, and every call over
 * the connection that names no timeout of its own ends after BUS_CALL_TIMEOUT_USEC. */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "base/clock.h"

#define BUS_CALL_TIMEOUT_USEC  USEC_PER_SEC
#define BUS_RETRY_MIN_USEC     (100 * USEC_PER_MSEC)
#define BUS_RETRY_MAX_USEC     (2 * USEC_PER_SEC)
#define BUS_CALLS_QUEUED_MAX   16   /* unsent messages at which new calls are refused */
#define BUS_SIGNALS_QUEUED_MAX 1024 /* unsent messages at which the connection is given up */

typedef struct BusConnection BusConnection;

typedef enum BusScope { BUS_SYSTEM, BUS_USER } BusScope;

typedef struct BusHandlers {
        /* Before a new sd_bus is started: export objects, add matches. The connection is borrowed
         * until lost(). Negative errno gives this attempt up, without lost(). */
        int (*setup)(void *userdata, sd_bus *bus);

        /* The bus takes messages; the name is being requested. NULL: nothing. */
        void (*connected)(void *userdata, sd_bus *bus);

        /* The sd_bus that setup() was given is gone, whether or not it ever was connected; it is
         * closed already. Not called by bus_connection_free(). */
        void (*lost)(void *userdata, sd_bus *bus);
} BusHandlers;

/* Signals that are wanted, for setup(): handlers get the userdata that is given here. */
typedef struct BusMatch {
        const char *rule;
        sd_bus_message_handler_t handler;
} BusMatch;

int bus_add_matches(sd_bus *bus, const BusMatch matches[], size_t n, void *userdata);

/* The rule for who has a name, a literal. */
#define BUS_MATCH_OWNER(name)                                                           \
        "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus'," \
        "member='NameOwnerChanged',arg0='" name "'"

/* Begins to connect at once; setup() may be called before this returns. name: the well-known name
 * to own, queued for when another owns it; NULL for none. Fails only without memory. */
int bus_connection_new(sd_event *event, BusScope scope, int64_t priority, const char *name,
                       const BusHandlers *handlers, void *userdata, BusConnection **ret);

/* The same for a client alone, which at each attempt prefers a peer's own socket to the bus, where
 * it is there and open to this user (sd_bus_is_bus_client() tells which it became). socket_path is
 * borrowed and lives as long; it may be NULL. */
int bus_connection_new_client(sd_event *event, BusScope scope, const char *socket_path,
                              const BusHandlers *handlers, void *userdata, BusConnection **ret);
BusConnection *bus_connection_free(BusConnection *c);
DEFINE_CLEANUP(BusConnection *, bus_connection_free);

/* The connection if messages can be sent now, else NULL. Borrowed for the call. */
sd_bus *bus_connection_get(BusConnection *c);

/* Gives the present connection up and makes a new one later: the peer does not read what we send.
 * Calls lost(). */
void bus_connection_drop(BusConnection *c, const char *why);
