/* SPDX-License-Identifier: MIT */
#include "check/postgresql-session.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/text.h"

/* What the kernel takes in ahead of us: libpq reads all of it at once. */
#define RECEIVE_BUFFER_BYTES 32768

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
        session_unpoll(s);
        PQfinish(s->conn);
        *s = (PostgresqlSession){};
}

int session_poll(PostgresqlSession *s, sd_event *event, uint32_t events,
                 sd_event_io_handler_t handler, void *userdata) {
        static const int receive_buffer = RECEIVE_BUFFER_BYTES;
        int fd = PQsocket(s->conn);

        if (fd < 0)
                return -EBADF;
        (void) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
        return sd_event_add_io(event, &s->source, fd, events, handler, userdata);
}

void session_unpoll(PostgresqlSession *s) {
        s->source = sd_event_source_disable_unref(s->source);
}

bool session_count(PostgresqlSession *s, uint32_t revents) {
        int n = 0;

        if (revents & EPOLLERR)
                s->is_reset = true;
        if (ioctl(PQsocket(s->conn), FIONREAD, &n) == 0 && n > 0)
                s->received_bytes += (uint64_t) n;
        return s->received_bytes <= SESSION_RECEIVED_MAX;
}

bool session_take_in(PostgresqlSession *s) {
        PGnotify *n;

        if (!PQconsumeInput(s->conn))
                return false;
        while ((n = PQnotifies(s->conn)))
                PQfreemem(n);
        return PQstatus(s->conn) == CONNECTION_OK;
}
