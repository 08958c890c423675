/* SPDX-License-Identifier: MIT */
#pragma once

/* A handle of libmariadb, made from a check's settings, and what its callbacks keep about it. It
 * never sees a host name, which it would look up by a blocking call, nor anything of the
 * environment. One thread has it at a time. */

#include <mysql.h>

#include "check/mysql-settings.h"

#define SQL_REPLY_MAX (1024 * 1024) /* bytes that may come until received is set back */

typedef struct SqlHandle {
        MYSQL *mysql;    /* owned */
        size_t received; /* bytes; for whoever wants to begin anew to set back */
        /* libmariadb keeps no copies, and settings may go away: */
        char ip[IP_TEXT_MAX], path[ADDRESS_PATH_MAX + 1];
        char name[ADDRESS_HOST_MAX + 1]; /* what the certificate must be for; "": without TLS */
        uint16_t port;
        int key_fd; /* owned, or -1: a client key that came as text */
} SqlHandle;

/* libmariadb, once per process and to its end: helper threads that were given up may still be in it
 * when the last check has gone. */
void sql_library_begin(void);

/* ip: where the settings hold no path. -ENOMEM. */
int sql_handle_new(const MysqlSettings *settings, const IpAddress *ip, SqlHandle **ret);

SqlHandle *sql_handle_free(SqlHandle *h);
DEFINE_CLEANUP(SqlHandle *, sql_handle_free);

/* Connecting, which may be suspended: what it waits for, MYSQL_WAIT_*; 0: it has ended, with
 * ret_connected NULL when it has failed. With TLS they may block, while the handshake goes on. */
int sql_handle_connect_start(SqlHandle *h, MYSQL **ret_connected);
int sql_handle_connect_go_on(SqlHandle *h, int events, MYSQL **ret_connected);

/* Whatever is under way finds no peer any more. */
void sql_handle_cut(const SqlHandle *h);

static inline bool sql_handle_is_flooded(const SqlHandle *h) {
        return h->received > SQL_REPLY_MAX;
}
