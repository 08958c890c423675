/* SPDX-License-Identifier: MIT */
#pragma once

/* Signals about flips: PropertiesChanged, the two StateChanged signals, and what a reload adds and
 * removes. Each object is told of at once, and again at the earliest after BUS_ANNOUNCE_USEC with
 * what it is by then; many objects go out in batches, so that those who listen can keep up. */

#include "output/bus-link.h"

#define BUS_ANNOUNCE_USEC       USEC_PER_SEC
#define BUS_ANNOUNCE_BATCH      64 /* objects at once */
#define BUS_ANNOUNCE_PAUSE_USEC (10 * USEC_PER_MSEC)

int bus_announcer_new(Bus *b, BusAnnouncer **ret);
BusAnnouncer *bus_announcer_free(BusAnnouncer *a);
DEFINE_CLEANUP(BusAnnouncer *, bus_announcer_free);

/* new is the current snapshot, and the Bus' paths are its paths. gone: the paths of another
 * configuration before this one, or NULL; borrowed for the call. */
void bus_announce(BusAnnouncer *a, const BusPaths *gone, const Snapshot *old, const Snapshot *new);

/* A service (by its index in the current snapshot) has something to tell. */
void bus_announce_service(BusAnnouncer *a, size_t service);
