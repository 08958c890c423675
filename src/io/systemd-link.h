/* SPDX-License-Identifier: MIT */
#pragma once

/* The service manager (systemd) over the system or user bus, for all who follow something of it:
 * one connection, which is there only while there are followers and comes back by itself, the
 * subscription to the manager's signals, and the order in which followers ask it. Nothing here
 * waits.
 *
 * A follower asks for all that it wants to know when following begins, when the manager has read
 * its files again, and when systemd_follower_ask() says so; in between signals keep it up to date.
 * Only so many ask at a time, because a bus bounds the answers that one connection may wait for.
 * Who follows: io/unit-watch, io/manager-watch. */

#include "base/list.h"
#include "io/bus-connection.h"

#define SYSTEMD_NAME      "org.freedesktop.systemd1"
#define SYSTEMD_PATH      "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER   "org.freedesktop.systemd1.Manager"
#define SYSTEMD_UNIT_PATH "/org/freedesktop/systemd1/unit"

#define DBUS_PROPERTIES "org.freedesktop.DBus.Properties"

typedef struct SystemdLink SystemdLink;
typedef struct SystemdFollower SystemdFollower;

typedef struct SystemdFollowerHandlers {
        /* Sends questions; systemd_follower_asked() says when the answers are there. bus is
         * borrowed until lost(). Negative errno: could not ask. */
        int (*ask)(SystemdFollower *f, sd_bus *bus);

        /* A signal of the manager about any of its objects; read from its beginning. */
        void (*signalled)(SystemdFollower *f, sd_bus_message *m);

        /* The connection or the manager is gone: answers that are missing do not come any more. */
        void (*lost)(SystemdFollower *f);
} SystemdFollowerHandlers;

/* A part of whoever follows. */
struct SystemdFollower {
        const SystemdFollowerHandlers *handlers; /* borrowed, constant */
        SystemdLink *link;                       /* borrowed */
        ListLink all, waiting;
        bool is_asking, is_wanted_again;
        bool is_known;   /* all has been asked for and answered since following began */
        bool has_failed; /* to be asked again later */
};

/* Connects with the first follower. event is referenced. */
int systemd_link_new(sd_event *event, BusScope scope, SystemdLink **ret);

/* All followers have ended. */
SystemdLink *systemd_link_free(SystemdLink *l);
DEFINE_CLEANUP(SystemdLink *, systemd_link_free);

/* Why nothing can be followed at present, with the remedy; NULL if it can, or will in a moment. */
const char *systemd_link_obstacle(const SystemdLink *l);

/* What a call that was answered by an error means: negative errno. */
int systemd_reply_errno(sd_bus_message *m);

/* f is zeroed. Handlers are called from the event loop only, never from within these functions, and
 * may end no follower. -ENOMEM or another errno: nothing has begun. */
int systemd_follower_begin(SystemdFollower *f, SystemdLink *l,
                           const SystemdFollowerHandlers *handlers);
void systemd_follower_end(SystemdFollower *f);

/* Signals arrive. */
bool systemd_follower_is_on(const SystemdFollower *f);

/* Asks as soon as it is possible. Asking that is under way is done once more when it has ended. */
void systemd_follower_ask(SystemdFollower *f);

/* Called by the follower when what ask() began has ended. Negative errno: not all is known; it is
 * asked for again later. */
void systemd_follower_asked(SystemdFollower *f, int error);
