/* SPDX-License-Identifier: MIT */
#pragma once

/* A connection to a MariaDB or MySQL server by the non-blocking calls of libmariadb: each either
 * ends or says what it waits for, and is continued then. Those of connecting block in the handshake
 * of TLS, whatever the library was asked for, and are made by a helper thread then.
 *
 * The session stands in its holder's memory, all zero before its first use. The handlers and the
 * ends of calls may close it. */

#include "check/mysql-handle.h"
#include "io/poll-set.h"
#include "io/workers.h"

typedef struct SqlSession SqlSession;
typedef struct SqlAside SqlAside;

/* A call that may be suspended. start() and go_on() return what it waits for, MYSQL_WAIT_*; 0: it
 * has ended. */
typedef struct SqlCall {
        int (*start)(SqlSession *s);
        int (*go_on)(SqlSession *s, int events);
        void (*ended)(void *userdata);
} SqlCall;

typedef struct SqlHandlers {
        void (*failed)(void *userdata, int error); /* it cannot be waited: negative errno */
        void (*disturbed)(void *userdata); /* something came that nobody waits for, or the end */
} SqlHandlers;

struct SqlSession {
        PollSet *set;                /* borrowed */
        Workers *workers;            /* borrowed */
        const SqlHandlers *handlers; /* borrowed, constant */
        const SqlCall *connect_call; /* borrowed, constant: ends with connected or NULL */
        void *userdata;
        SqlHandle *handle; /* owned; NULL: no connection, or a helper thread has it */
        MYSQL *mysql;      /* borrowed: the handle's */
        bool is_tls;
        Job *job;            /* owned: of the helper thread */
        SqlAside *aside;     /* borrowed: what the job knows, until it is done */
        int aside_fd;        /* owned meanwhile: the socket once more, to end the job's waiting */
        MYSQL_RES *rows;     /* owned; while they are fetched */
        const SqlCall *call; /* borrowed, constant: the one under way; NULL: none */
        PollWatch watch;
        PollHandler on_socket;
        /* what the calls return: */
        MYSQL *connected;
        int is_failed;
        MYSQL_ROW row;
};

/* Connects anew by connect_call. Negative errno: it will not end. */
int sql_session_connect(SqlSession *s, const MysqlSettings *settings, const IpAddress *ip);

/* Drops what is under way. */
void sql_session_close(SqlSession *s);

/* When all have been closed: waits a moment for what helper threads still have of them. */
void sql_sessions_end(void);

/* A call, which may have ended when this returns. */
void sql_session_call(SqlSession *s, const SqlCall *call);

/* The same for one that has been started by hand, and waits for events; 0: it has ended. */
void sql_session_resume(SqlSession *s, const SqlCall *call, int events);

/* Sees the next thing that comes, while no call is under way. Negative errno. */
int sql_session_watch(SqlSession *s);

/* For connect_call. */
int sql_connect_start(SqlSession *s);
int sql_connect_go_on(SqlSession *s, int events);
