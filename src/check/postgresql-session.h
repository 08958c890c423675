/* SPDX-License-Identifier: MIT */
#pragma once

/* A libpq connection on the event loop: its socket, what comes in unasked, and how much. For
 * driver-postgresql.c, which says what is sent and what the answers mean. */

#include <libpq-fe.h>

#include "check/postgresql-params.h"
#include "io/poll-set.h"

/* Bytes that a server may send during a log-in, for one query, or between two runs, because libpq
 * keeps messages whole, however long they are. */
#define SESSION_RECEIVED_MAX ((uint64_t) 65536)

/* Rounds of a log-in by SCRAM, because the loop stands still for them: 0.2s or so. Servers want
 * 4096 unless their scram_iterations says otherwise. */
#define SESSION_ROUNDS_MAX 100000

/* All zero: none. Must not move in memory while it is open. */
typedef struct PostgresqlSession {
        PGconn *conn;            /* owned; NULL: none */
        PollWatch watch;         /* of its socket */
        uint64_t received_bytes; /* since the user last made it 0 */
        bool is_reset;           /* the connection was reset by the peer */
        bool is_overworked;      /* the server wants more rounds than that */
        bool is_ended;           /* the server has said that it ends the session */
} PostgresqlSession;

/* Begins to connect; the outcome, also of a failure at once, is told by PQstatus(). -ENOMEM. */
int session_open(PostgresqlSession *s, const PostgresqlParams *params);

/* Says good-bye to the server if it is in a state to listen. */
void session_close(PostgresqlSession *s);

/* Goes on connecting. libpq may use another socket from then on: session_watch() anew. */
PostgresPollingStatusType session_connect(PostgresqlSession *s);

/* Watches the present socket, instead of what was watched before. Negative errno. */
int session_watch(PostgresqlSession *s, PollSet *set, uint32_t events, PollHandler handler,
                  void *userdata);

/* Sends a query, or what is left of it; 0 when all is sent, 1 when some is left, negative when the
 * connection is lost. */
int session_send(PostgresqlSession *s, const char *query);
int session_flush(PostgresqlSession *s);

/* Takes in what has come, and throws away what nobody asked for. False: the connection is lost. */
bool session_take_in(PostgresqlSession *s);

/* Whether the server has sent too much; to be asked after each of the functions above. */
static inline bool session_is_flooded(const PostgresqlSession *s) {
        return s->received_bytes >= SESSION_RECEIVED_MAX;
}
