/* SPDX-License-Identifier: MIT */
#pragma once

/* The private socket RUNTIME_DIRECTORY/private: the same objects without a bus, for vitalctl. Each
 * peer is an sd-bus server connection of its own; who it is comes from SO_PEERCRED. */

#include "output/bus-link.h"

#define BUS_PRIVATE_NAME              "private"
#define BUS_PEERS_MAX                 64
#define BUS_PEERS_PER_USER_MAX        16 /* of any user but root and the daemon's own */
#define BUS_PRIVATE_ACCEPT_PAUSE_USEC (100 * USEC_PER_MSEC)

/* Replaces the socket that a process before this one left. The caller holds the lock on the
 * directory. */
int bus_private_new(Bus *b, const char *directory, BusPrivate **ret);

/* Stops listening and removes the socket; its links are the Bus' to end. */
BusPrivate *bus_private_free(BusPrivate *p);
DEFINE_CLEANUP(BusPrivate *, bus_private_free);
