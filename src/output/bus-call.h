/* SPDX-License-Identifier: MIT */
#pragma once

/* A method call that is answered later, when what it asked for has been done. */

#include "output/bus-link.h"

#define BUS_CALLS_MAX 256 /* owed at once, over all links */

typedef struct BusCall {
        ListLink links;
        Bus *bus;                /* NULL once the bus is gone: nobody is answered any more */
        sd_bus_message *message; /* owned reference */
        CheckConfig *check;      /* owned reference, or NULL: which check it is about */
} BusCall;

/* Negative errno with the error set. check may be NULL. */
int bus_call_new(Bus *b, sd_bus_message *m, CheckConfig *check, sd_bus_error *error, BusCall **ret);
BusCall *bus_call_free(BusCall *c);
DEFINE_CLEANUP(BusCall *, bus_call_free);

/* The call was answered, with this result of sending. */
void bus_call_answered(const BusCall *c, int r);

/* The bus goes: its calls are no longer answered, and free themselves when they are done. */
void bus_calls_abandon(Bus *b);
