/* SPDX-License-Identifier: MIT */
#include "io/dns.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/list.h"
#include "io/dns-wait.h"

#define RESOLV_CONF "/etc/resolv.conf"

/* c-ares asks each server once within a round and doubles the wait after each round: silence of a
 * single server is a timeout after 3.5 s. The caller's deadline is shorter as a rule. */
#define ROUND_TIMEOUT_MSEC 500
#define ROUNDS             3

typedef struct Socket {
        ListLink link;
        int fd;                  /* of c-ares */
        sd_event_source *source; /* owned */
} Socket;

typedef struct Lookup {
        Dns *dns;         /* borrowed */
        ListLink link;    /* in orphans, else unlinked: c-ares has it */
        const char *host; /* borrowed */
        DnsHandler handler;
        void *userdata;
        usec_t began_usec; /* CLOCK_MONOTONIC */
} Lookup;

typedef struct Query {
        Dns *dns; /* borrowed */
        DnsMessageHandler handler;
        void *userdata;
        usec_t began_usec; /* CLOCK_MONOTONIC */
} Query;

struct Dns {
        sd_event *event;        /* owned reference */
        sd_event_source *timer; /* owned: the next timeout of c-ares */
        char *resolv_conf;      /* owned */
        char *server;           /* owned; NULL: those of resolv.conf */
        uint16_t port;
        struct stat conf_seen;
        ares_channel channel; /* owned */
        bool has_library, is_closing;
        /* CLOCK_MONOTONIC: the last answer, the last ICMP error, the last socket not watched. */
        usec_t heard_usec, refused_usec, lacked_usec;
        List sockets;
        List orphans; /* lookups whose channel was closed: the next one is asked instead */
};

static ResolveStatus status_from_ares(int status) {
        switch (status) {
        case ARES_SUCCESS:
                return RESOLVE_OK;
        case ARES_ENOTFOUND:
        case ARES_EBADNAME:
                return RESOLVE_NOT_FOUND;
        case ARES_ENODATA:
                return RESOLVE_NO_ADDRESS;
        case ARES_ETIMEOUT:
                return RESOLVE_TIMEOUT;
        case ARES_ECONNREFUSED:
                return RESOLVE_UNREACHABLE;
        case ARES_ENOMEM:
        case ARES_EFILE:
                return RESOLVE_RESOURCE;
        default: /* ESERVFAIL, EREFUSED, EFORMERR, ENOTIMP, EBADRESP and the like */
                return RESOLVE_SERVER_FAILED;
        }
}

/* -- the loop ---------------------------------------------------------------------------------- */

static void dns_arm_timer(Dns *d) {
        usec_t wait = dns_wait_usec(d->channel);

        if (wait == USEC_INFINITY) {
                sd_event_source_set_enabled(d->timer, SD_EVENT_OFF);
                return;
        }
        sd_event_source_set_time_relative(d->timer, wait);
        sd_event_source_set_enabled(d->timer, SD_EVENT_ONESHOT);
}

static int on_timer(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        Dns *d = userdata;

        ares_process_fd(d->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
        dns_arm_timer(d);
        return 0;
}

static int on_socket(sd_event_source *s _unused_, int fd, uint32_t revents, void *userdata) {
        Dns *d = userdata;

        if (revents & EPOLLIN)
                d->heard_usec = clock_usec(CLOCK_MONOTONIC);
        else if (revents & EPOLLERR)
                d->refused_usec = clock_usec(CLOCK_MONOTONIC);
        ares_process_fd(d->channel, revents & ~(uint32_t) EPOLLOUT ? fd : ARES_SOCKET_BAD,
                        revents & EPOLLOUT ? fd : ARES_SOCKET_BAD);
        dns_arm_timer(d);
        return 0;
}

static void socket_free(Socket *s) {
        list_unlink(&s->link);
        sd_event_source_disable_unref(s->source);
        free(s);
}

/* c-ares opened a socket, wants other events of it, or is about to close it. Without a source the
 * lookup ends in the timeout of c-ares. */
static void on_socket_state(void *userdata, ares_socket_t fd, int readable, int writable) {
        uint32_t events = (uint32_t) (readable ? EPOLLIN : 0) | (writable ? EPOLLOUT : 0);
        Dns *d = userdata;
        Socket *s;

        LIST_FOREACH_SAFE(l, &d->sockets) {
                s = list_item(l, Socket, link);
                if (s->fd != fd)
                        continue;
                if (events)
                        sd_event_source_set_io_events(s->source, events);
                else
                        socket_free(s);
                return;
        }
        if (!events)
                return;
        s = malloc(sizeof(*s));
        if (!s) {
                d->lacked_usec = clock_usec(CLOCK_MONOTONIC);
                return;
        }
        *s = (Socket){ .fd = fd };
        if (sd_event_add_io(d->event, &s->source, fd, events, on_socket, d) < 0) {
                d->lacked_usec = clock_usec(CLOCK_MONOTONIC);
                free(s);
                return;
        }
        list_append(&d->sockets, &s->link);
}

/* c-ares does not say why it has not asked a server: for it one without a socket is unreachable. */
static bool lacks_descriptors(void) {
        _cleanup_fd_ int fd = eventfd(0, EFD_CLOEXEC);

        return fd < 0 && (errno == EMFILE || errno == ENFILE);
}

/* -- lookups ----------------------------------------------------------------------------------- */

/* c-ares says "refused" when all servers answered SERVFAIL, and "timeout" when a refusal was
 * followed by silence. */
static ResolveStatus dns_status(const Dns *d, usec_t began_usec, int ares_status) {
        ResolveStatus s = status_from_ares(ares_status);

        if ((s == RESOLVE_UNREACHABLE && lacks_descriptors()) ||
            (s == RESOLVE_TIMEOUT && d->lacked_usec >= began_usec))
                return RESOLVE_RESOURCE;
        if (s == RESOLVE_UNREACHABLE && d->heard_usec >= began_usec)
                return RESOLVE_SERVER_FAILED;
        if (s == RESOLVE_TIMEOUT && d->heard_usec < began_usec && d->refused_usec >= began_usec)
                return RESOLVE_UNREACHABLE;
        return s;
}

/* The first few addresses of one family, in the server's order. */
typedef struct Family {
        IpAddress addresses[RESOLVER_ADDRESSES_MAX];
        size_t n;
} Family;

static void family_add(Family *f, const IpAddress *ip) {
        if (f->n < ELEMENTSOF(f->addresses))
                f->addresses[f->n++] = *ip;
}

/* Whether this host has an address and a route to talk to such as the first one. */
static bool family_is_usable(const Family *f) {
        _cleanup_fd_ int fd = -1;
        socklen_t length;
        SockAddr target;

        if (f->n == 0)
                return false;
        length = ip_sockaddr(&f->addresses[0], 1, &target);
        fd = socket(target.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        return fd >= 0 && connect(fd, &target.sa, length) >= 0;
}

/* Takes from both families in turn, so that neither hides behind a broken other one (RFC 8305);
 * IPv6 begins where it can be used. c-ares' own sorting asks the kernel about each address, which
 * for a thousand of them holds up the loop. */
static size_t merge(const Family *six, const Family *four, IpAddress *list) {
        const Family *first = family_is_usable(six) ? six : four;
        const Family *second = first == six ? four : six;
        size_t n = 0;

        for (size_t i = 0; i < RESOLVER_ADDRESSES_MAX; i++) {
                if (i < first->n && n < RESOLVER_ADDRESSES_MAX)
                        list[n++] = first->addresses[i];
                if (i < second->n && n < RESOLVER_ADDRESSES_MAX)
                        list[n++] = second->addresses[i];
        }
        return n;
}

static size_t collect(const struct ares_addrinfo *info, IpAddress *list, usec_t *ret_ttl_usec) {
        Family six = {}, four = {};
        int ttl = INT32_MAX;

        for (const struct ares_addrinfo_cname *c = info->cnames; c; c = c->next)
                ttl = MIN(ttl, c->ttl);
        for (const struct ares_addrinfo_node *i = info->nodes; i; i = i->ai_next) {
                const SockAddr *sa = (const SockAddr *) (const void *) i->ai_addr;

                if (i->ai_family == AF_INET)
                        family_add(&four, &(IpAddress){ AF_INET, .in4 = sa->in4.sin_addr });
                else if (i->ai_family == AF_INET6)
                        family_add(&six, &(IpAddress){ AF_INET6, .in6 = sa->in6.sin6_addr });
                ttl = MIN(ttl, i->ai_ttl);
        }
        *ret_ttl_usec = (usec_t) MAX(ttl, 0) * USEC_PER_SEC;
        return merge(&six, &four, list);
}

static void on_lookup(void *userdata, int status, int timeouts _unused_,
                      struct ares_addrinfo *info) {
        IpAddress addresses[RESOLVER_ADDRESSES_MAX];
        Lookup *l = userdata;
        DnsAnswer a = { .status = dns_status(l->dns, l->began_usec, status),
                        .addresses = addresses };

        if (status == ARES_EDESTRUCTION && !l->dns->is_closing) {
                list_append(&l->dns->orphans, &l->link);
                return;
        }
        if (info)
                a.n_addresses = collect(info, addresses, &a.ttl_usec);
        ares_freeaddrinfo(info);
        if (a.status == RESOLVE_OK && a.n_addresses == 0)
                a.status = RESOLVE_NO_ADDRESS;
        if (!l->dns->is_closing)
                l->handler(l->userdata, &a);
        free(l);
}

static void lookup_start(Lookup *l) {
        static const struct ares_addrinfo_hints hints = {
                .ai_family = AF_UNSPEC,
                .ai_socktype = SOCK_STREAM,
                .ai_flags = ARES_AI_NOSORT,
        };

        l->began_usec = clock_usec(CLOCK_MONOTONIC);
        ares_getaddrinfo(l->dns->channel, l->host, NULL, &hints, on_lookup, l);
}

int dns_lookup(Dns *d, const char *host, DnsHandler handler, void *userdata) {
        Lookup *l = malloc(sizeof(*l));

        if (!l)
                return -ENOMEM;
        *l = (Lookup){ .dns = d, .host = host, .handler = handler, .userdata = userdata };
        lookup_start(l);
        dns_arm_timer(d);
        return 0;
}

/* -- queries ----------------------------------------------------------------------------------- */

static void on_query(void *userdata, int status, int timeouts _unused_, unsigned char *message,
                     int n) {
        Query *q = userdata;

        if (!q->dns->is_closing)
                q->handler(q->userdata, dns_status(q->dns, q->began_usec, status), message,
                           (size_t) MAX(n, 0));
        free(q);
}

int dns_query(Dns *d, const char *name, int type, DnsMessageHandler handler, void *userdata) {
        Query *q = malloc(sizeof(*q));

        if (!q)
                return -ENOMEM;
        *q = (Query){ d, handler, userdata, clock_usec(CLOCK_MONOTONIC) };
        ares_query(d->channel, name, ns_c_in, type, on_query, q);
        dns_arm_timer(d);
        return 0;
}

/* -- life -------------------------------------------------------------------------------------- */

static int dns_open_channel(Dns *d, ares_channel *ret) {
        char lookups[] = "fb"; /* the hosts file, then name servers */
        struct ares_options o = {
                .flags = ARES_FLAG_NOALIASES,
                .timeout = ROUND_TIMEOUT_MSEC,
                .tries = ROUNDS,
                .lookups = lookups,
                .udp_port = d->port,
                .tcp_port = d->port,
                .sock_state_cb = on_socket_state,
                .sock_state_cb_data = d,
                .resolvconf_path = d->resolv_conf,
        };
        int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
                   ARES_OPT_SOCK_STATE_CB | ARES_OPT_RESOLVCONF;
        int k;

        if (d->port)
                mask |= ARES_OPT_UDP_PORT | ARES_OPT_TCP_PORT;
        k = ares_init_options(ret, &o, mask);
        if (k == ARES_SUCCESS && d->server) {
                k = ares_set_servers_ports_csv(*ret, d->server);
                if (k != ARES_SUCCESS)
                        ares_destroy(*ret);
        }
        return k == ARES_SUCCESS ? 0 : k == ARES_ENOMEM ? -ENOMEM : -EIO;
}

static bool file_is_same(const struct stat *a, const struct stat *b) {
        return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
               a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

void dns_check_conf(Dns *d) {
        ares_channel old = d->channel, fresh;
        struct stat st;

        /* While the file is being replaced there may be none for a moment. */
        if (stat(d->resolv_conf, &st) < 0 || file_is_same(&st, &d->conf_seen))
                return;
        if (dns_open_channel(d, &fresh) < 0)
                return;
        d->conf_seen = st;
        d->channel = fresh;
        ares_destroy(old);
        LIST_FOREACH_SAFE(l, &d->orphans) {
                list_unlink(l);
                lookup_start(list_item(l, Lookup, link));
        }
        dns_arm_timer(d);
}

int dns_new(sd_event *event, const ResolverOptions *options, Dns **ret) {
        _cleanup_(dns_freep) Dns *d = NULL;
        const char *conf = options ? options->resolv_conf : NULL;
        int r;

        d = calloc(1, sizeof(*d));
        if (!d)
                return -ENOMEM;
        list_init(&d->sockets);
        list_init(&d->orphans);
        d->event = sd_event_ref(event);
        d->port = options ? options->port : 0;
        d->resolv_conf = strdup(conf ? conf : RESOLV_CONF);
        d->server = options && options->server ? strdup(options->server) : NULL;
        if (!d->resolv_conf || (options && options->server && !d->server))
                return -ENOMEM;
        if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
                return -ENOMEM;
        d->has_library = true;
        (void) stat(d->resolv_conf, &d->conf_seen);
        r = dns_open_channel(d, &d->channel);
        if (r < 0)
                return r;
        r = sd_event_add_time(event, &d->timer, CLOCK_MONOTONIC, 0, USEC_PER_MSEC, on_timer, d);
        if (r < 0)
                return r;
        r = sd_event_source_set_enabled(d->timer, SD_EVENT_OFF);
        if (r < 0)
                return r;
        *ret = TAKE(d);
        return 0;
}

Dns *dns_free(Dns *d) {
        if (!d)
                return NULL;
        d->is_closing = true;
        if (d->channel)
                ares_destroy(d->channel);
        LIST_FOREACH_SAFE(l, &d->sockets) {
                socket_free(list_item(l, Socket, link));
        }
        if (d->has_library)
                ares_library_cleanup();
        sd_event_source_disable_unref(d->timer);
        sd_event_unref(d->event);
        free(d->resolv_conf);
        free(d->server);
        free(d);
        return NULL;
}
