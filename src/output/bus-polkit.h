/* SPDX-License-Identifier: MIT */
#pragma once

/* Asks polkit whether a caller on the system bus may do something. Nothing waits for it: the
 * message is put back when polkit has answered, and its handler runs again. Without polkit the
 * answer is no.
 *
 * libsystemd has no such thing for others; its own is internal to systemd. */

#include "output/bus-link.h"

#define BUS_POLKIT_MAX            16 /* questions open at once, on one link */
#define BUS_POLKIT_PER_CALLER_MAX 4

/* 1: it may. 0: asked; the message comes again from the start. Negative errno: it may not, and the
 * error says why. action: "org.vitald1.drain". */
int bus_polkit_check(BusLink *l, sd_bus_message *m, const char *action, sd_bus_error *error);

/* Drops all questions of a link that goes. */
void bus_polkit_done(BusLink *l);
