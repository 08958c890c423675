/* SPDX-License-Identifier: MIT */
#pragma once

/* From the settings of a postgresql check to a connection that is logged in: resolves and tries the
 * servers in their order, as libpq would. The next one is tried when a server cannot be reached, is
 * silent for its share of the time, is starting or stopping, or is not what target_session_attrs=
 * asks for; an error such as a wrong password ends it, since it would hide behind the others. */

#include <systemd/sd-event.h>

#include "check/driver.h"
#include "check/postgresql-session.h"

/* What a check remembers from one dial to the next. */
typedef struct PostgresqlMemory {
        size_t server;          /* index of the one dialled last */
        unsigned first_address; /* of a name's: moves on when one is silent */
        bool takes_no_options;  /* a pooler that refuses options= */
} PostgresqlMemory;

/* failure: NULL when the session is there; borrowed. Called once, unless dial_end() comes first. */
typedef void (*DialHandler)(void *userdata, const Result *failure);

#define DIAL_PHASE_MAX (ADDRESS_TEXT_MAX + RESULT_MESSAGE_MAX + 32)

/* All zero: none. Must not move in memory while it goes on. */
typedef struct PostgresqlDial {
        CheckRun *run;              /* borrowed; NULL: over */
        PostgresqlSession *session; /* borrowed */
        PostgresqlMemory *memory;   /* borrowed */
        DialHandler handler;
        void *userdata;

        /* Handlers of events, which begin what the events go on with. */
        ResolverHandler on_resolved;
        sd_event_time_handler_t on_patience;
        PollHandler on_socket;

        size_t attempt; /* counts through the servers, twice where a standby is preferred */
        bool is_due;    /* the attempt has not begun */
        bool is_done, has_failed;
        Address server;            /* of the attempt */
        ResolverQuery *query;      /* owned; NULL: none under way */
        sd_event_source *patience; /* owned: ends an attempt that is not the last */
        bool is_stale;             /* the addresses dialled are the last good ones */
        ResolveStatus why_stale;
        char addresses[RESOLVER_ADDRESSES_MAX * IP_TEXT_MAX]; /* with commas between */
        size_t n_addresses;
        Result failure;                  /* of the latest attempt that failed */
        char before[RESULT_MESSAGE_MAX]; /* what became of the attempts before it */
        char phase[DIAL_PHASE_MAX];
} PostgresqlDial;

/* May call the handler at once. */
void dial_begin(PostgresqlDial *d, CheckRun *run, PostgresqlSession *session,
                PostgresqlMemory *memory, DialHandler handler, void *userdata);

/* Drops what is under way, with the session; the handler stays silent. Nothing happens when it is
 * over. */
void dial_end(PostgresqlDial *d);
