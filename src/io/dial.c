/* SPDX-License-Identifier: MIT */
#include "io/dial.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/fd.h"

/* A unix socket whose queue is full refuses with EAGAIN instead of letting us wait. */
#define UNIX_RETRY_USEC (20 * USEC_PER_MSEC)

/* How soon the loss of an idle peer is noticed: 15 s of silence, then 3 probes. */
#define KEEPALIVE_IDLE_SEC     15
#define KEEPALIVE_INTERVAL_SEC 5
#define KEEPALIVE_PROBES       3
#define USER_TIMEOUT_MSEC      30000

typedef struct Attempt {
        Dial *dial; /* borrowed */
        int fd;     /* owned; -1: none */
        SockAddr target;
        sd_event_source *source; /* owned */
} Attempt;

struct Dial {
        sd_event *event; /* borrowed: the Stream holds it */
        Address address;
        ResolverQuery *query;   /* owned; while resolving */
        sd_event_source *timer; /* owned: the next attempt or the failure is due */
        DialResolvedHandler resolved;
        DialHandler handler;
        void *userdata;
        DialProgress progress;
        bool is_failed; /* to be told when the timer fires */
        int error;
        IpAddress addresses[RESOLVER_ADDRESSES_MAX]; /* of a name */
        size_t n_targets, next;
        unsigned n_pending;
        Attempt attempts[RESOLVER_ADDRESSES_MAX];
};

const DialProgress *dial_progress(const Dial *d) {
        return &d->progress;
}

static void attempt_close(Attempt *a) {
        a->source = sd_event_source_disable_unref(a->source);
        if (a->fd < 0)
                return;
        a->fd = fd_close(a->fd);
        a->dial->n_pending--;
}

Dial *dial_free(Dial *d) {
        if (!d)
                return NULL;
        resolver_query_free(d->query);
        sd_event_source_disable_unref(d->timer);
        for (size_t i = 0; i < ELEMENTSOF(d->attempts); i++)
                attempt_close(&d->attempts[i]);
        free(d);
        return NULL;
}

/* The first error speaks for all, unless it only says that we lack that kind of address. */
static void dial_note_error(Dial *d, int error) {
        if (d->error == 0 || d->error == ENETUNREACH || d->error == EHOSTUNREACH ||
            d->error == EAFNOSUPPORT)
                d->error = error;
}

/* Best effort throughout: a socket without them works, only less well. */
static void socket_set_options(int fd, int family) {
        static const struct {
                int level, name, value;
        } options[] = {
                { IPPROTO_TCP, TCP_NODELAY, 1 },
                { SOL_SOCKET, SO_KEEPALIVE, 1 },
                { IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_SEC },
                { IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_SEC },
                { IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES },
                { IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MSEC },
        };

        if (family == AF_UNIX)
                return;
        for (size_t i = 0; i < ELEMENTSOF(options); i++)
                (void) setsockopt(fd, options[i].level, options[i].name, &options[i].value,
                                  sizeof(options[i].value));
}

/* A connect to a free port of this host's ephemeral range can meet itself. */
static bool is_connected_to_itself(int fd, const SockAddr *target) {
        SockAddr own = {};
        socklen_t length = sizeof(own);

        if (target->sa.sa_family == AF_UNIX || getsockname(fd, &own.sa, &length) < 0)
                return false;
        if (target->sa.sa_family == AF_INET)
                return own.in4.sin_port == target->in4.sin_port &&
                       own.in4.sin_addr.s_addr == target->in4.sin_addr.s_addr;
        return own.in6.sin6_port == target->in6.sin6_port &&
               memcmp(&own.in6.sin6_addr, &target->in6.sin6_addr, sizeof(struct in6_addr)) == 0;
}

/* EADDRNOTAVAIL has two meanings: all local ports are taken, or this host has no address of that
 * kind at all. In the latter case a datagram socket cannot be connected either. */
static int connect_error(int error, const SockAddr *target, socklen_t length) {
        _cleanup_fd_ int fd = -1;

        if (error != EADDRNOTAVAIL)
                return error;
        fd = socket(target->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        return fd >= 0 && connect(fd, &target->sa, length) < 0 ? ENETUNREACH : error;
}

static void dial_arm(Dial *d, usec_t delay_usec) {
        sd_event_source_set_time_relative(d->timer, delay_usec);
        sd_event_source_set_enabled(d->timer, SD_EVENT_ONESHOT);
}

/* -- attempts ---------------------------------------------------------------------------------- */

static int on_attempt(sd_event_source *s _unused_, int fd, uint32_t revents _unused_,
                      void *userdata) {
        Attempt *a = userdata;
        Dial *d = a->dial;
        int error = 0;
        socklen_t length = sizeof(error);

        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
                error = errno;
        if (error == 0 && is_connected_to_itself(fd, &a->target))
                error = ECONNREFUSED;
        if (error != 0) {
                dial_note_error(d, error);
                attempt_close(a);
                dial_arm(d, 0);
                return 0;
        }
        d->progress.times.connected_usec = clock_usec(CLOCK_MONOTONIC);
        if (d->address.kind == ADDRESS_NAME)
                d->progress.peer = d->addresses[a - d->attempts];
        a->source = sd_event_source_disable_unref(a->source);
        d->n_pending--;
        d->handler(d->userdata, TAKE_FD(a->fd), 0);
        return 0;
}

/* Negative errno when the attempt has failed already. */
static int attempt_start(Dial *d, Attempt *a) {
        _cleanup_fd_ int fd = -1;
        socklen_t length;
        int r;

        if (d->address.kind == ADDRESS_NAME) {
                const IpAddress *ip = &d->addresses[a - d->attempts];

                length = ip_sockaddr(ip, d->address.port, &a->target);
                d->progress.peer = *ip;
        } else {
                r = address_sockaddr(&d->address, &a->target, &length);
                if (r < 0)
                        return r;
        }
        fd = socket(a->target.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        socket_set_options(fd, a->target.sa.sa_family);
        if (connect(fd, &a->target.sa, length) < 0 && errno != EINPROGRESS)
                return -connect_error(errno, &a->target, length);
        r = sd_event_add_io(d->event, &a->source, fd, EPOLLOUT, on_attempt, a);
        if (r < 0)
                return r;
        a->fd = TAKE_FD(fd);
        d->n_pending++;
        return 0;
}

/* Starts the next attempt that does not fail at once. Without any left or under way it is over,
 * which is told by the timer. */
static void dial_advance(Dial *d) {
        int r;

        while (d->next < d->n_targets) {
                r = attempt_start(d, &d->attempts[d->next]);
                if (r == -EAGAIN && d->address.kind == ADDRESS_UNIX) {
                        dial_arm(d, UNIX_RETRY_USEC);
                        return;
                }
                d->next++;
                if (r >= 0) {
                        if (d->next < d->n_targets)
                                dial_arm(d, STREAM_STAGGER_USEC);
                        return;
                }
                dial_note_error(d, -r);
        }
        if (d->n_pending == 0) {
                d->is_failed = true;
                dial_arm(d, 0);
        }
}

static int on_timer(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        Dial *d = userdata;

        if (!d->is_failed)
                dial_advance(d);
        if (d->is_failed)
                d->handler(d->userdata, -1, d->error);
        return 0;
}

/* -- life -------------------------------------------------------------------------------------- */

static void dial_set_resolved(Dial *d, size_t n_targets) {
        d->progress.times.resolved_usec = clock_usec(CLOCK_MONOTONIC);
        d->n_targets = n_targets;
        dial_advance(d);
}

static void on_resolved(void *userdata, const ResolverAnswer *answer) {
        Dial *d = userdata;

        d->query = NULL;
        d->progress.resolve = answer->status;
        d->progress.is_stale = answer->is_stale;
        if (answer->n_addresses == 0) {
                d->handler(d->userdata, -1, EDESTADDRREQ);
                return;
        }
        memcpy(d->addresses, answer->addresses, answer->n_addresses * sizeof(d->addresses[0]));
        dial_set_resolved(d, answer->n_addresses);
        d->resolved(d->userdata);
}

int dial_new(sd_event *event, Resolver *resolver, const Address *address,
             DialResolvedHandler resolved, DialHandler handler, void *userdata, Dial **ret) {
        _cleanup_(dial_freep) Dial *d = calloc(1, sizeof(*d));
        int r;

        if (!d)
                return -ENOMEM;
        d->event = event;
        d->address = *address;
        d->progress.port = address->port;
        if (address->kind == ADDRESS_IP)
                d->progress.peer = address->ip;
        d->resolved = resolved;
        d->handler = handler;
        d->userdata = userdata;
        d->progress.times.dialled_usec = clock_usec(CLOCK_MONOTONIC);
        for (size_t i = 0; i < ELEMENTSOF(d->attempts); i++)
                d->attempts[i] = (Attempt){ .dial = d, .fd = -1 };
        r = sd_event_add_time(event, &d->timer, CLOCK_MONOTONIC, USEC_INFINITY, 1, on_timer, d);
        if (r < 0)
                return r;
        if (address->kind == ADDRESS_NAME) {
                r = resolver_query(resolver, address->name, on_resolved, d, &d->query);
                if (r < 0)
                        return r;
        } else
                dial_set_resolved(d, 1);
        *ret = TAKE(d);
        return 0;
}
