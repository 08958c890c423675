/* SPDX-License-Identifier: MIT */
#pragma once

/* Who may change things: root; on the user bus and the private socket also the daemon's own user;
 * on the system bus whom polkit lets. The one gate for every member that changes something.
 * Asynchronous, because who a caller on the bus is must be asked of the bus, and what it may of
 * polkit, and neither must stop the loop. */

#include "model/sender.h"
#include "model/state.h"
#include "output/bus-link.h"

#define BUS_QUERIES_MAX            16 /* callers being looked up at once, on one link */
#define BUS_QUERIES_PER_CALLER_MAX 4
#define BUS_CALLERS_MAX            32 /* remembered; more than can be looked up at once */

/* 1: go on; who is then the caller as others are to be told, "root" or "uid 1000". 0: not known
 * yet; the handler returns 1, and the message comes again from the start. Negative errno: refused,
 * the error is set. action: "org.vitald1.drain", a constant. unit: whose processes may as well, or
 * NULL. */
int bus_authorize(BusLink *l, sd_bus_message *m, const char *action, const char *unit,
                  char who[static WHO_MAX], sd_bus_error *error);

/* The same without a decision: who is calling, and whether that is one who may do everything. */
int bus_identify(BusLink *l, sd_bus_message *m, Sender *ret, sd_bus_error *error);

/* Ends all look-ups of a link that goes. */
void bus_authorize_done(BusLink *l);
