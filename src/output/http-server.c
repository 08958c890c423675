/* SPDX-License-Identifier: MIT */
#include "output/http-server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "output/http-connection.h"

/* What one turn of the main loop handles at most, so that everything else in it gets its turn. */
#define EVENTS_MAX 64

/* Deadlines are kept to this: one timer for all connections, which rarely moves. */
#define TIMER_GRID_USEC (100 * USEC_PER_MSEC)

/* How long idle connections may still bring a request that was under way when the stop came. */
#define STOP_GRACE_USEC (100 * USEC_PER_MSEC)

/* -- time ------------------------------------------------------------------------------------- */

usec_t http_server_deadline(const HttpServer *s, HttpPhase phase, usec_t since_usec) {
        const usec_t allowed[] = {
                [HTTP_PHASE_HEADER] = s->limits.header_usec,
                [HTTP_PHASE_IDLE] = s->limits.idle_usec,
                [HTTP_PHASE_WRITE] = s->limits.write_usec,
                [HTTP_PHASE_STREAM] = s->limits.stream_usec,
                [HTTP_PHASE_LINGER] = s->limits.linger_usec,
        };
        usec_t deadline = usec_add(since_usec, allowed[phase]);

        if (s->is_stopping && (phase == HTTP_PHASE_IDLE || phase == HTTP_PHASE_STREAM))
                return MIN(deadline, s->stop_usec);
        return deadline;
}

void http_server_arm(HttpServer *s, usec_t deadline_usec) {
        usec_t when = deadline_usec;

        if (when >= s->timer_usec)
                return;

        when = MIN(usec_add(when, TIMER_GRID_USEC - when % TIMER_GRID_USEC), s->timer_usec);
        if (when == s->timer_usec || sd_event_source_set_time(s->timer, when) < 0 ||
            sd_event_source_set_enabled(s->timer, SD_EVENT_ONESHOT) < 0)
                return;

        s->timer_usec = when;
}

static void tail_format(HttpTail *ret, time_t now, HttpPersistence persistence) {
        static const char days[][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
        static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
        static const char *const connection[] = {
                [HTTP_PERSISTS] = "",
                [HTTP_PERSISTS_SAY_SO] = "Connection: keep-alive\r\n",
                [HTTP_CLOSES] = "Connection: close\r\n",
        };
        struct tm t = { .tm_mday = 1 };
        int n;

        gmtime_r(&now, &t);
        n = snprintf(ret->text, sizeof(ret->text),
                     "Date: %s, %02d %s %d %02d:%02d:%02d GMT\r\n%s\r\n", days[t.tm_wday],
                     t.tm_mday, months[t.tm_mon], t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec,
                     connection[persistence]);
        assert(n > 0 && (size_t) n < sizeof(ret->text));
        ret->length = (size_t) n;
}

/* A batch begins: it has one time and one budget. */
static void server_begin(HttpServer *s) {
        time_t second = (time_t) (clock_usec(CLOCK_REALTIME_COARSE) / USEC_PER_SEC);

        s->now_usec = clock_usec(CLOCK_MONOTONIC);
        s->budget = EVENTS_MAX;
        if (second == s->tail_second)
                return;

        s->tail_second = second;
        for (HttpPersistence p = 0; p < HTTP_PERSISTENCE_COUNT_; p++)
                tail_format(&s->tails[p], second, p);
}

static int server_fill_reserve(HttpServer *s) {
        if (s->reserve_fd < 0)
                s->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        return s->reserve_fd < 0 ? -errno : 0;
}

/* It ends: nothing points to the closed connections any more. */
static void server_end(HttpServer *s) {
        (void) server_fill_reserve(s);
        LIST_FOREACH_SAFE(i, &s->closed) {
                list_unlink(i);
                list_append(&s->unused, i);
        }

        if (s->is_stopping && s->n_connections == 0 && s->stopped) {
                HttpStopped stopped = TAKE(s->stopped);

                stopped(s->stopped_userdata);
        }
}

/* -- the main loop's view --------------------------------------------------------------------- */

static void server_on_kick(HttpServer *s) {
        uint64_t n;

        if (read(s->kick.fd, &n, sizeof(n)) == sizeof(n))
                s->is_kicked = false;
}

static int server_on_events(sd_event_source *source _unused_, int fd _unused_,
                            uint32_t revents _unused_, void *userdata) {
        HttpServer *s = userdata;
        struct epoll_event events[EVENTS_MAX];
        int n;

        n = epoll_wait(s->epoll_fd, events, EVENTS_MAX, 0);
        if (n <= 0)
                return 0;

        server_begin(s);
        for (int i = 0; i < n && s->budget > 0; i++) {
                HttpWatch *w = events[i].data.ptr;

                switch (w->kind) {
                case HTTP_WATCH_LISTENER:
                        http_listener_accept(s, container_of(w, HttpListener, watch));
                        break;
                case HTTP_WATCH_KICK:
                        server_on_kick(s);
                        break;
                case HTTP_WATCH_CONNECTION:
                        http_connection_work(container_of(w, HttpConnection, watch));
                        break;
                }
        }
        server_end(s);
        return 0;
}

static int server_on_timer(sd_event_source *source _unused_, uint64_t when _unused_,
                           void *userdata) {
        HttpServer *s = userdata;

        server_begin(s);
        s->timer_usec = USEC_INFINITY;
        http_listeners_resume(s);
        for (HttpPhase p = 0; p < HTTP_PHASE_COUNT_; p++) {
                HttpConnection *c;

                while ((c = list_first(&s->phases[p], HttpConnection, phase_link))) {
                        usec_t deadline = http_server_deadline(s, p, c->since_usec);

                        if (deadline > s->now_usec) {
                                http_server_arm(s, deadline);
                                break;
                        }
                        http_connection_expire(c);
                }
        }
        server_end(s);
        return 0;
}

/* -- life ------------------------------------------------------------------------------------- */

HttpServer *http_server_free(HttpServer *s) {
        if (!s)
                return NULL;

        for (HttpPhase p = 0; p < HTTP_PHASE_COUNT_; p++)
                LIST_FOREACH_SAFE(i, &s->phases[p])
                        http_connection_close(list_item(i, HttpConnection, phase_link));
        LIST_FOREACH_SAFE(i, &s->closed)
                free(list_item(i, HttpConnection, phase_link));
        LIST_FOREACH_SAFE(i, &s->unused)
                free(list_item(i, HttpConnection, phase_link));
        for (size_t i = 0; i < ELEMENTSOF(s->errors); i++)
                http_answer_unref(s->errors[i]);
        LIST_FOREACH_SAFE(i, &s->listeners) {
                HttpListener *l = list_item(i, HttpListener, link);

                fd_close(l->watch.fd);
                free(l);
        }
        sd_event_source_disable_unref(s->set_source);
        sd_event_source_disable_unref(s->timer);
        sd_event_unref(s->event);
        fd_close(s->kick.fd);
        fd_close(s->reserve_fd);
        fd_close(s->epoll_fd);
        free(s->input);
        free(s);
        return NULL;
}

static int server_open_fds(HttpServer *s) {
        struct epoll_event e = { .events = EPOLLIN, .data.ptr = &s->kick };
        int r;

        s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (s->epoll_fd < 0)
                return -errno;
        r = server_fill_reserve(s);
        if (r < 0)
                return r;
        s->kick.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (s->kick.fd < 0)
                return -errno;
        if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, s->kick.fd, &e) < 0)
                return -errno;

        return 0;
}

static int server_add_sources(HttpServer *s) {
        int r;

        r = sd_event_add_io(s->event, &s->set_source, s->epoll_fd, EPOLLIN, server_on_events, s);
        if (r < 0)
                return r;
        r = sd_event_add_time(s->event, &s->timer, CLOCK_MONOTONIC, USEC_INFINITY,
                              10 * USEC_PER_MSEC, server_on_timer, s);
        if (r < 0)
                return r;

        (void) sd_event_source_set_description(s->set_source, "http");
        (void) sd_event_source_set_description(s->timer, "http-deadlines");
        return sd_event_source_set_enabled(s->timer, SD_EVENT_OFF);
}

static void server_init_lists(HttpServer *s) {
        for (HttpPhase p = 0; p < HTTP_PHASE_COUNT_; p++)
                list_init(&s->phases[p]);
        for (size_t i = 0; i < HTTP_ADDRESS_BUCKETS; i++)
                list_init(&s->addresses[i]);
        list_init(&s->listeners);
        list_init(&s->closed);
        list_init(&s->unused);
}

int http_server_new(sd_event *event, const HttpServerLimits *limits, HttpHandler handler,
                    void *userdata, HttpServer **ret) {
        _cleanup_(http_server_freep) HttpServer *s = NULL;
        int r;

        s = malloc(sizeof(HttpServer));
        if (!s)
                return -ENOMEM;

        *s = (HttpServer){
                .event = sd_event_ref(event),
                .epoll_fd = -1,
                .reserve_fd = -1,
                .kick = { .kind = HTTP_WATCH_KICK, .fd = -1 },
                .timer_usec = USEC_INFINITY,
                .limits = *limits,
                .handler = handler,
                .userdata = userdata,
                .address_seed = HASH_INIT,
        };
        server_init_lists(s);

        /* Without entropy the seed stays as it is; the buckets then are merely predictable. */
        (void) !getrandom(&s->address_seed, sizeof(s->address_seed), GRND_NONBLOCK);
        s->input = malloc(limits->parse.head_bytes);
        if (!s->input)
                return -ENOMEM;
        r = server_open_fds(s);
        if (r < 0)
                return r;
        r = server_add_sources(s);
        if (r < 0)
                return r;

        *ret = TAKE(s);
        return 0;
}

void http_server_set_limits(HttpServer *s, const HttpServerLimits *limits) {
        HttpParseLimits parse = s->limits.parse; /* the memory for heads has its size */

        s->limits = *limits;
        s->limits.parse = parse;
}

void http_server_stop(HttpServer *s, HttpStopped stopped, void *userdata) {
        if (s->is_stopping)
                return;

        server_begin(s);
        s->is_stopping = true;
        s->stop_usec = usec_add(s->now_usec, STOP_GRACE_USEC);
        s->stopped = stopped;
        s->stopped_userdata = userdata;
        http_listeners_watch(s, 0);
        http_server_arm(s, s->stop_usec);
        server_end(s);
}

void http_server_broadcast(HttpServer *s, const char *bytes, size_t n) {
        server_begin(s);
        LIST_FOREACH_SAFE(i, &s->phases[HTTP_PHASE_STREAM]) {
                HttpConnection *c = list_item(i, HttpConnection, phase_link);

                if (send(c->watch.fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t) n)
                        http_connection_close(c);
        }
        server_end(s);
}

void http_server_end_streams(HttpServer *s, HttpMayStay may_stay, void *userdata) {
        server_begin(s);
        LIST_FOREACH_SAFE(i, &s->phases[HTTP_PHASE_STREAM]) {
                HttpConnection *c = list_item(i, HttpConnection, phase_link);

                if (!may_stay(userdata, &c->peer))
                        http_connection_close(c);
        }
        server_end(s);
}

unsigned http_server_n_streams(const HttpServer *s) {
        return s->n_streams;
}

void http_server_kick(HttpServer *s) {
        const uint64_t one = 1;

        /* A full counter means that it is readable already. */
        s->is_kicked = true;
        (void) !write(s->kick.fd, &one, sizeof(one));
}

bool http_server_has_progressed(const HttpServer *s) {
        return !s->is_kicked;
}

const HttpCounters *http_server_counters(const HttpServer *s) {
        return &s->counters;
}

unsigned http_server_n_connections(const HttpServer *s) {
        return s->n_connections;
}
