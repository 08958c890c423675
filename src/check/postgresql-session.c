/* SPDX-License-Identifier: MIT */
#include "check/postgresql-session.h"

#include <errno.h>

#include "base/text.h"
#include "io/hmac-limit.h"
#include "io/recv-limit.h"

/* What SCRAM needs besides its rounds, with room to spare. */
#define OTHER_HMACS_MAX 100

static void session_begin(const PostgresqlSession *s) {
        recv_limit_begin(
                (size_t) (SESSION_RECEIVED_MAX - MIN(s->received_bytes, SESSION_RECEIVED_MAX)));
}

static void session_end(PostgresqlSession *s) {
        RecvCount count = recv_limit_end();

        s->received_bytes += count.bytes;
        s->is_reset |= count.is_reset;
}

/* Notices are swallowed, but the last words of a server. */
static void on_notice(void *userdata, const PGresult *notice) {
        PostgresqlSession *s = userdata;
        const char *severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);

        if (severity && (str_equal(severity, "FATAL") || str_equal(severity, "PANIC")))
                s->is_ended = true;
}

int session_open(PostgresqlSession *s, const PostgresqlParams *params) {
        *s = (PostgresqlSession){
                .conn = PQconnectStartParams(params->keywords, params->values, 0),
        };
        if (!s->conn)
                return -ENOMEM;
        (void) PQsetErrorVerbosity(s->conn, PQERRORS_VERBOSE);
        (void) PQsetNoticeReceiver(s->conn, on_notice, s);
        return 0;
}

void session_close(PostgresqlSession *s) {
        poll_watch_drop(&s->watch);
        PQfinish(s->conn);
        *s = (PostgresqlSession){};
}

PostgresPollingStatusType session_connect(PostgresqlSession *s) {
        PostgresPollingStatusType status;

        poll_watch_drop(&s->watch);
        session_begin(s);
        hmac_limit_begin(SESSION_ROUNDS_MAX + OTHER_HMACS_MAX);
        status = PQconnectPoll(s->conn);
        s->is_overworked |= hmac_limit_end();
        session_end(s);
        return status;
}

int session_watch(PostgresqlSession *s, PollSet *set, uint32_t events, PollHandler handler,
                  void *userdata) {
        int fd = PQsocket(s->conn);

        if (fd < 0)
                return -EBADF;
        poll_watch_drop(&s->watch);
        return poll_watch_add(&s->watch, set, fd, events, handler, userdata);
}

int session_flush(PostgresqlSession *s) {
        int r;

        /* It reads, too, when the server does so no longer. */
        session_begin(s);
        r = PQflush(s->conn);
        session_end(s);
        return r;
}

int session_send(PostgresqlSession *s, const char *query) {
        int r;

        session_begin(s);
        r = PQsendQuery(s->conn, query);
        session_end(s);
        return r ? session_flush(s) : -1;
}

bool session_take_in(PostgresqlSession *s) {
        PGnotify *n;
        int r;

        session_begin(s);
        r = PQconsumeInput(s->conn);
        session_end(s);
        if (!r)
                return false;
        while ((n = PQnotifies(s->conn)))
                PQfreemem(n);
        return PQstatus(s->conn) == CONNECTION_OK;
}
