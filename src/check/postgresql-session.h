/* SPDX-License-Identifier: MIT */
#pragma once

/* A libpq connection on the event loop: its socket, what comes in unasked, and how much. For
 * driver-postgresql.c, which says what is sent and what the answers mean. */

#include <libpq-fe.h>
#include <systemd/sd-event.h>

#include "base/macro.h"
#include "check/postgresql-settings.h"

/* Bytes that a server may send during a log-in, for one query, or between two runs, because libpq
 * keeps messages whole, however long they are. What it leaves unread for a while is counted again.
 */
#define SESSION_RECEIVED_MAX 262144

/* All zero: none. Must not move in memory while it is open. */
typedef struct PostgresqlSession {
        PGconn *conn;            /* owned; NULL: none */
        sd_event_source *source; /* owned */
        uint64_t received_bytes; /* since the user last made it 0 */
        bool is_reset;           /* the socket has reported an error */
        bool is_ended;           /* the server has said that it ends the session */
} PostgresqlSession;

/* Begins to connect; the outcome, also of a failure at once, is told by PQstatus(). -ENOMEM. */
int session_open(PostgresqlSession *s, const PostgresqlParams *params);

/* Says good-bye to the server if it is in a state to listen. */
void session_close(PostgresqlSession *s);

/* Has the socket polled; the source is made anew, since libpq may be using another socket. */
int session_poll(PostgresqlSession *s, sd_event *event, uint32_t events,
                 sd_event_io_handler_t handler, void *userdata);

/* Stops that, before libpq may close the socket. */
void session_unpoll(PostgresqlSession *s);

/* Counts what is about to be read; first of all on an event. False: it is too much already. */
bool session_count(PostgresqlSession *s, uint32_t revents);

/* Takes in what has come, and throws away what nobody asked for. False: the connection is lost. */
bool session_take_in(PostgresqlSession *s);
