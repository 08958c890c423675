/* SPDX-License-Identifier: MIT */
#include "check/mysql-session.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "base/fd.h"

#define UNWIND_MAX       64 /* steps until a call that is given up must have ended */
#define HELPERS_WAIT_SEC 2

/* A step of connecting in a helper thread. The handle is of the loop until it runs, and again when
 * it is done; of the thread while it runs, and to the end if it is abandoned then. */
typedef enum AsideState { ASIDE_WAITS, ASIDE_RUNS, ASIDE_DONE, ASIDE_ABANDONED } AsideState;

struct SqlAside {
        SqlHandle *handle;
        atomic_int state;
        bool is_start;
        int events; /* that have come; then those that it waits for */
        MYSQL *connected;
};

/* Threads that are given up still end their step, which must be before the libraries end theirs at
 * exit. The library's state is the process's, and so is this. */
static struct Helpers {
        pthread_mutex_t lock;
        pthread_cond_t changed;
        unsigned n;
} helpers = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static void helpers_begin(void) {
        (void) pthread_mutex_lock(&helpers.lock);
        helpers.n++;
        (void) pthread_mutex_unlock(&helpers.lock);
}

static void helpers_end(void) {
        (void) pthread_mutex_lock(&helpers.lock);
        helpers.n--;
        (void) pthread_cond_signal(&helpers.changed);
        (void) pthread_mutex_unlock(&helpers.lock);
}

void sql_sessions_end(void) {
        struct timespec until;
        int r = 0;

        (void) clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += HELPERS_WAIT_SEC;
        (void) pthread_mutex_lock(&helpers.lock);
        while (helpers.n > 0 && r == 0)
                r = pthread_cond_timedwait(&helpers.changed, &helpers.lock, &until);
        (void) pthread_mutex_unlock(&helpers.lock);
}

/* -- in the helper thread ---------------------------------------------------------------------- */

/* A suspended call holds memory on a stack of its own: as if its time were over it ends by itself.
 */
static void handle_give_up(SqlHandle *h, int events) {
        MYSQL *connected;

        sql_handle_cut(h);
        for (unsigned n = 0; events && n < UNWIND_MAX; n++)
                events = sql_handle_connect_go_on(h, MYSQL_WAIT_TIMEOUT, &connected);
        sql_handle_free(h);
}

static void aside_run(void *data) {
        SqlAside *a = data;
        int waits = ASIDE_WAITS;

        if (!atomic_compare_exchange_strong(&a->state, &waits, ASIDE_RUNS))
                return;
        a->events = a->is_start ? sql_handle_connect_start(a->handle, &a->connected)
                                : sql_handle_connect_go_on(a->handle, a->events, &a->connected);
        if (atomic_exchange(&a->state, ASIDE_DONE) == ASIDE_ABANDONED)
                handle_give_up(a->handle, a->events);
        helpers_end();
}

/* -- the end ----------------------------------------------------------------------------------- */

static void session_end_aside(SqlSession *s) {
        s->aside = NULL;
        s->job = job_free(s->job);
        s->aside_fd = fd_close(s->aside_fd);
}

static void session_abandon(SqlSession *s) {
        SqlAside *a = s->aside;
        int state;

        if (s->aside_fd >= 0)
                (void) shutdown(s->aside_fd, SHUT_RDWR);
        state = atomic_exchange(&a->state, ASIDE_ABANDONED);
        if (state == ASIDE_WAITS) {
                handle_give_up(a->handle, !a->is_start);
                helpers_end();
        } else if (state == ASIDE_DONE)
                handle_give_up(a->handle, a->events);
        session_end_aside(s);
}

/* A socket that is shut down keeps the farewell from waiting. */
void sql_session_close(SqlSession *s) {
        int events = MYSQL_WAIT_TIMEOUT;

        if (s->aside)
                session_abandon(s);
        poll_watch_drop(&s->watch);
        if (s->call || s->rows)
                sql_handle_cut(s->handle);
        if (s->call) {
                for (unsigned n = 0; events && n < UNWIND_MAX; n++)
                        events = s->call->go_on(s, MYSQL_WAIT_TIMEOUT);
                s->call = NULL;
        }
        if (s->rows)
                mysql_free_result(TAKE(s->rows));
        s->mysql = NULL;
        s->handle = sql_handle_free(s->handle);
}

/* -- calls ------------------------------------------------------------------------------------- */

/* Waits for what the call wants. */
static int session_wait(SqlSession *s, int events) {
        uint32_t wanted = (events & MYSQL_WAIT_READ ? (uint32_t) EPOLLIN : 0) |
                          (events & MYSQL_WAIT_WRITE ? (uint32_t) EPOLLOUT : 0) |
                          (events & MYSQL_WAIT_EXCEPT ? (uint32_t) EPOLLPRI : 0);

        poll_watch_drop(&s->watch);
        return poll_watch_add(&s->watch, s->set, mysql_get_socket(s->mysql), wanted, s->on_socket,
                              s);
}

void sql_session_resume(SqlSession *s, const SqlCall *call, int events) {
        int r;

        s->call = events ? call : NULL;
        if (!events) {
                call->ended(s->userdata);
                return;
        }
        r = session_wait(s, events);
        if (r < 0)
                s->handlers->failed(s->userdata, r);
}

void sql_session_call(SqlSession *s, const SqlCall *call) {
        sql_session_resume(s, call, call->start(s));
}

int sql_session_watch(SqlSession *s) {
        return session_wait(s, MYSQL_WAIT_READ);
}

/* -- connecting -------------------------------------------------------------------------------- */

int sql_connect_start(SqlSession *s) {
        return sql_handle_connect_start(s->handle, &s->connected);
}

int sql_connect_go_on(SqlSession *s, int events) {
        return sql_handle_connect_go_on(s->handle, events, &s->connected);
}

/* The loop has the handle again. */
static void on_aside_done(void *userdata, void *data) {
        SqlSession *s = userdata;
        SqlAside *a = data;

        session_end_aside(s);
        s->handle = a->handle;
        s->mysql = s->handle->mysql;
        s->connected = a->connected;
        sql_session_resume(s, s->connect_call, a->events);
}

static int session_connect_aside(SqlSession *s, bool is_start, int events) {
        SqlAside *a = malloc(sizeof(*a));
        int r;

        if (!a)
                return -ENOMEM;
        *a = (SqlAside){ .handle = s->handle, .is_start = is_start, .events = events };
        s->aside_fd = is_start ? -1 : fcntl(mysql_get_socket(s->mysql), F_DUPFD_CLOEXEC, 3);
        helpers_begin();
        r = workers_submit(s->workers, aside_run, a, on_aside_done, s, &s->job);
        if (r < 0) {
                helpers_end();
                s->aside_fd = fd_close(s->aside_fd);
                return r;
        }
        s->aside = a;
        s->handle = NULL;
        s->mysql = NULL;
        s->call = NULL;
        return 0;
}

static void on_socket(void *userdata, uint32_t revents) {
        SqlSession *s = userdata;
        const SqlCall *call = s->call;
        int events = (revents & ~(uint32_t) (EPOLLOUT | EPOLLPRI) ? MYSQL_WAIT_READ : 0) |
                     (revents & (EPOLLOUT | EPOLLERR) ? MYSQL_WAIT_WRITE : 0) |
                     (revents & EPOLLPRI ? MYSQL_WAIT_EXCEPT : 0);
        int r = 0;

        if (!call) {
                s->handlers->disturbed(s->userdata);
                return;
        }
        poll_watch_drop(&s->watch);
        if (call == s->connect_call && s->is_tls)
                r = session_connect_aside(s, false, events);
        else
                sql_session_resume(s, call, call->go_on(s, events));
        if (r < 0)
                s->handlers->failed(s->userdata, r);
}

int sql_session_connect(SqlSession *s, const MysqlSettings *settings, const IpAddress *ip) {
        int r;

        sql_session_close(s);
        s->on_socket = on_socket;
        s->is_tls = settings->is_tls;
        r = sql_handle_new(settings, ip, &s->handle);
        if (r < 0)
                return r;
        s->mysql = s->handle->mysql;
        if (s->is_tls)
                return session_connect_aside(s, true, 0);
        sql_session_call(s, s->connect_call);
        return 0;
}
