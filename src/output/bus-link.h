/* SPDX-License-Identifier: MIT */
#pragma once

/* What the files of the bus share: the Bus itself, and the links over which its objects are served.
 * A link is one sd_bus with all objects on it: the bus connection while there is one, and each peer
 * of the private socket. */

#include <systemd/sd-bus.h>

#include "base/list.h"
#include "io/bus-connection.h"
#include "output/bus-paths.h"
#include "output/bus.h"

#define BUS_INTERFACE_MANAGER BUS_NAME ".Manager"
#define BUS_INTERFACE_SERVICE BUS_NAME ".Service"
#define BUS_INTERFACE_CHECK   BUS_NAME ".Check"

#define BUS_ERROR_NO_SUCH_SERVICE BUS_NAME ".NoSuchService"
#define BUS_ERROR_NO_SUCH_CHECK   BUS_NAME ".NoSuchCheck"
#define BUS_ERROR_NOT_SUPPORTED   BUS_NAME ".NotSupported"
#define BUS_ERROR_RELOAD_FAILED   BUS_NAME ".ReloadFailed"

typedef struct BusLink BusLink;
typedef struct BusAnnouncer BusAnnouncer;
typedef struct BusPrivate BusPrivate;

struct Bus {
        sd_event *event; /* owned reference */
        BusContext context;
        BusMode mode;
        BusConnection *connection; /* owned; NULL with BUS_MODE_NONE */
        BusPrivate *private;       /* owned; NULL without a private socket */
        BusAnnouncer *announcer;   /* owned */
        BusPaths *paths;           /* owned; of the current snapshot, NULL before the first */
        List links;
        sd_event_source *reaper; /* owned: ends doomed links once nothing of them is running */
        List calls;              /* BusCall: answers owed */
        unsigned n_calls;
};

/* The object that a request is about. */
typedef struct BusTarget {
        BusLink *link;
        const Snapshot *snapshot; /* borrowed */
        size_t index;             /* of the service or check; INDEX_NONE for the manager */
} BusTarget;

struct BusLink {
        ListLink links;
        Bus *bus;
        sd_bus *connection; /* owned reference */
        bool is_peer;       /* of the private socket */
        bool is_fresh;      /* peers: may have sent a call right behind the handshake */
        bool is_doomed;     /* ends as soon as the loop turns */
        uid_t uid;          /* peers only: who it is */
        pid_t pid;          /* the same; 0: of another pid namespace */
        usec_t used_usec;   /* CLOCK_MONOTONIC of its last request */

        /* The properties of one object in the form that sd-bus reads by offset, filled anew for
         * each request. Begins with a BusTarget. Owned, by BusObject. */
        void *rows[BUS_OBJECT_COUNT_];

        /* Of bus-authorize.c: who the callers on the bus are. */
        List queries;
        unsigned n_queries;
        struct BusCaller *callers; /* owned */
        size_t next_caller;

        /* Of bus-polkit.c: what polkit was asked. */
        List polkit;
        unsigned n_polkit;
        uint64_t polkit_serial;
};

/* Puts all objects on the connection, of which it takes a reference. */
int bus_link_new(Bus *b, sd_bus *connection, BusLink **ret);

/* Closes the connection. */
BusLink *bus_link_free(BusLink *l);
DEFINE_CLEANUP(BusLink *, bus_link_free);

/* The link is to end: its peer is gone or does not read. Safe within its own callbacks. */
void bus_link_doom(BusLink *l);

/* r: of the sending of an answer that was owed. Whom there was no memory to answer would wait in
 * vain, and is hung up on. Returns 0, for handlers. */
int bus_link_answered(BusLink *l, int r);

/* Whether anybody would get a signal that is sent now. */
bool bus_link_is_ready(const BusLink *l);

/* Dooms the link if its peer leaves too much unread. */
void bus_link_check_queue(BusLink *l);

/* Sets the target if path is an object of this type now: 1, else 0 or negative errno. */
int bus_link_find(BusLink *l, const char *path, BusObject type, BusTarget *ret);

/* s, or a text in its place that D-Bus accepts: never NULL, always UTF-8. */
const char *bus_text(const char *s);

/* One file per interface: its vtable put on the link. */
int bus_manager_add(BusLink *l);
int bus_service_add(BusLink *l);
int bus_check_add(BusLink *l);
int bus_log_control_add(BusLink *l);
