/* SPDX-License-Identifier: MIT */
#include "io/resolver.h"

#include <errno.h>
#include <string.h>

#include "base/list.h"
#include "base/text.h"
#include "io/dns.h"

#define BUCKETS 256

typedef enum NameState {
        NAME_IDLE,
        NAME_QUEUED, /* wants a lookup and waits for a free place */
        NAME_FLYING, /* the DNS side holds a pointer to it */
} NameState;

typedef struct Name {
        Resolver *resolver; /* borrowed */
        NameState state;
        ListLink by_state; /* in the resolver's list for the state */
        ListLink by_hash;
        List waiting;              /* queries for the lookup under way */
        unsigned n_queries;        /* waiting or ready */
        sd_event_source *patience; /* owned; NULL until needed first */

        ResolveStatus status;               /* of the last lookup; a failure before the first */
        usec_t good_usec, fresh_until_usec; /* BOOTTIME; of the addresses */
        IpAddress *addresses;               /* owned; the last good ones */
        size_t n_addresses;
        char host[];
} Name;

struct ResolverQuery {
        Resolver *resolver; /* borrowed */
        Name *name;         /* borrowed; NULL for what needs no lookup */
        ListLink link;      /* in the name's waiting or in the resolver's ready list */
        ResolverHandler handler;
        void *userdata;
        ResolveStatus status; /* set when ready */
        size_t n_literals;
        IpAddress literals[2]; /* the answer when there is no name */
};

struct Resolver {
        sd_event *event;           /* owned reference */
        sd_event_source *turn;     /* owned: queries are ready or a place is free */
        Dns *dns;                  /* owned */
        List idle, queued, flying; /* names by their state; idle ones longest unused first */
        List ready;                /* queries to be answered in the next turn */
        List buckets[BUCKETS];
        unsigned n_names, n_flying, n_queries;
};

const char *resolve_status_text(ResolveStatus status) {
        static const char *const texts[] = {
                [RESOLVE_OK] = "resolved",
                [RESOLVE_NOT_FOUND] = "host name not found (NXDOMAIN)",
                [RESOLVE_NO_ADDRESS] = "host name has no address",
                [RESOLVE_SERVER_FAILED] = "name server failed (SERVFAIL)",
                [RESOLVE_TIMEOUT] = "no answer from any name server",
                [RESOLVE_UNREACHABLE] = "no name server reachable",
                [RESOLVE_RESOURCE] = "out of resources while resolving",
        };

        return texts[status];
}

/* As opposed to what the name servers know for sure. */
static bool status_is_failure(ResolveStatus s) {
        return s != RESOLVE_OK && s != RESOLVE_NOT_FOUND && s != RESOLVE_NO_ADDRESS;
}

/* -- names ------------------------------------------------------------------------------------- */

static Name *name_free(Name *n) {
        list_unlink(&n->by_state);
        list_unlink(&n->by_hash);
        sd_event_source_disable_unref(n->patience);
        free(n->addresses);
        n->resolver->n_names--;
        free(n);
        return NULL;
}

static void name_set_state(Name *n, NameState state) {
        Resolver *r = n->resolver;
        List *const lists[] = {
                [NAME_IDLE] = &r->idle,
                [NAME_QUEUED] = &r->queued,
                [NAME_FLYING] = &r->flying,
        };

        r->n_flying += (unsigned) (state == NAME_FLYING) - (unsigned) (n->state == NAME_FLYING);
        list_unlink(&n->by_state);
        list_append(lists[state], &n->by_state);
        n->state = state;
}

static bool name_is_fresh(const Name *n) {
        return n->status == RESOLVE_OK && clock_usec(CLOCK_BOOTTIME) < n->fresh_until_usec;
}

static bool name_has_stale(const Name *n) {
        return n->n_addresses > 0 &&
               clock_usec(CLOCK_BOOTTIME) <= usec_add(n->good_usec, RESOLVER_STALE_MAX_USEC);
}

/* Makes room for one name more by forgetting the idle one that was used longest ago. */
static bool resolver_make_room(Resolver *r) {
        if (r->n_names < RESOLVER_NAMES_MAX)
                return true;
        LIST_FOREACH(l, &r->idle) {
                Name *n = list_item(l, Name, by_state);

                if (n->n_queries == 0) {
                        name_free(n);
                        return true;
                }
        }
        return false;
}

static int resolver_get_name(Resolver *r, const char *host, Name **ret) {
        size_t length = strlen(host);
        List *bucket = &r->buckets[hash_bytes(HASH_INIT, host, length) % BUCKETS];
        Name *n;

        LIST_FOREACH(l, bucket) {
                n = list_item(l, Name, by_hash);
                if (str_equal(n->host, host)) {
                        *ret = n;
                        return 0;
                }
        }
        if (!resolver_make_room(r))
                return -EAGAIN;
        n = malloc(sizeof(*n) + length + 1);
        if (!n)
                return -ENOMEM;
        *n = (Name){ .resolver = r, .status = RESOLVE_TIMEOUT };
        memcpy(n->host, host, length + 1);
        list_init(&n->waiting);
        list_append(&r->idle, &n->by_state);
        list_append(bucket, &n->by_hash);
        r->n_names++;
        *ret = n;
        return 0;
}

/* -- queries ----------------------------------------------------------------------------------- */

static void resolver_want_turn(Resolver *r) {
        sd_event_source_set_enabled(r->turn, SD_EVENT_ONESHOT);
}

static void query_make_ready(ResolverQuery *q, ResolveStatus status) {
        list_unlink(&q->link);
        q->status = status;
        list_append(&q->resolver->ready, &q->link);
        resolver_want_turn(q->resolver);
}

static void name_make_ready(Name *n, ResolveStatus status) {
        LIST_FOREACH_SAFE(l, &n->waiting) {
                query_make_ready(list_item(l, ResolverQuery, link), status);
        }
}

ResolverQuery *resolver_query_free(ResolverQuery *q) {
        if (!q)
                return NULL;
        list_unlink(&q->link);
        q->resolver->n_queries--;
        if (q->name)
                q->name->n_queries--;
        free(q);
        return NULL;
}

static void query_answer(ResolverQuery *q) {
        ResolverAnswer a = { .status = q->status };
        ResolverHandler handler = q->handler;
        void *userdata = q->userdata;
        IpAddress addresses[RESOLVER_ADDRESSES_MAX];
        Name *n = q->name;

        if (!n) {
                a.n_addresses = q->n_literals;
                memcpy(addresses, q->literals, sizeof(q->literals));
        } else if (a.status == RESOLVE_OK || (status_is_failure(a.status) && name_has_stale(n))) {
                a.is_stale = a.status != RESOLVE_OK;
                a.n_addresses = n->n_addresses;
                memcpy(addresses, n->addresses, n->n_addresses * sizeof(addresses[0]));
        }
        a.addresses = addresses;
        resolver_query_free(q);
        handler(userdata, &a);
}

/* -- lookups ----------------------------------------------------------------------------------- */

static int name_store(Name *n, const DnsAnswer *a) {
        IpAddress *list = malloc(a->n_addresses * sizeof(*list));

        if (!list)
                return -ENOMEM;
        memcpy(list, a->addresses, a->n_addresses * sizeof(*list));
        free(n->addresses);
        n->addresses = list;
        n->n_addresses = a->n_addresses;
        n->good_usec = clock_usec(CLOCK_BOOTTIME);
        n->fresh_until_usec = usec_add(n->good_usec, MIN(a->ttl_usec, RESOLVER_FRESH_MAX_USEC));
        return 0;
}

static void on_lookup(void *userdata, const DnsAnswer *a) {
        Name *n = userdata;

        n->status = a->status;
        if (a->status == RESOLVE_OK && name_store(n, a) < 0)
                n->status = RESOLVE_RESOURCE;
        if (!status_is_failure(a->status) && a->status != RESOLVE_OK)
                n->n_addresses = 0;
        if (n->patience)
                sd_event_source_set_enabled(n->patience, SD_EVENT_OFF);
        name_set_state(n, NAME_IDLE);
        name_make_ready(n, n->status);
        resolver_want_turn(n->resolver);
}

static int on_patience(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        Name *n = userdata;

        /* As long as the lookup goes on, later queries need not wait either. */
        n->status = RESOLVE_TIMEOUT;
        name_make_ready(n, RESOLVE_TIMEOUT);
        return 0;
}

static void name_arm_patience(Name *n) {
        int r;

        if (!n->patience) {
                r = sd_event_add_time_relative(n->resolver->event, &n->patience, CLOCK_MONOTONIC,
                                               RESOLVER_PATIENCE_USEC, USEC_PER_MSEC, on_patience,
                                               n);
                if (r < 0)
                        n->patience = NULL;
                return;
        }
        sd_event_source_set_time_relative(n->patience, RESOLVER_PATIENCE_USEC);
        sd_event_source_set_enabled(n->patience, SD_EVENT_ONESHOT);
}

static void resolver_start_lookups(Resolver *r) {
        Name *n;

        while (r->n_flying < RESOLVER_LOOKUPS_MAX && (n = list_first(&r->queued, Name, by_state))) {
                name_set_state(n, NAME_FLYING);
                if (dns_lookup(r->dns, n->host, on_lookup, n) < 0)
                        on_lookup(n, &(DnsAnswer){ .status = RESOLVE_RESOURCE });
        }
}

/* A defer source goes before all others of its priority, so what the handlers ask for anew waits
 * for the next turn, and each turn ends. */
static int on_turn(sd_event_source *s _unused_, void *userdata) {
        Resolver *r = userdata;
        ResolverQuery *q;

        resolver_start_lookups(r);
        for (unsigned n = r->n_queries; n > 0; n--) {
                q = list_first(&r->ready, ResolverQuery, link);
                if (!q)
                        return 0;
                query_answer(q);
        }
        if (!list_is_empty(&r->ready))
                resolver_want_turn(r);
        return 0;
}

/* -- entry points ------------------------------------------------------------------------------ */

/* Answers what needs no lookup: literals, and names that mean this host (RFC 6761). */
static bool query_set_literals(ResolverQuery *q, const char *host) {
        if (host_is_localhost(host)) {
                q->literals[0] = (IpAddress){ .family = AF_INET };
                q->literals[0].in4.s_addr = htonl(INADDR_LOOPBACK);
                q->literals[1] = (IpAddress){ .family = AF_INET6, .in6 = IN6ADDR_LOOPBACK_INIT };
                q->n_literals = 2;
        } else if (ip_parse(host, &q->literals[0]) >= 0)
                q->n_literals = 1;
        return q->n_literals > 0;
}

static void query_wait(ResolverQuery *q) {
        Name *n = q->name;
        Resolver *r = q->resolver;

        dns_check_conf(r->dns);
        if (status_is_failure(n->status) && name_has_stale(n))
                query_make_ready(q, n->status);
        else
                list_append(&n->waiting, &q->link);
        if (n->state != NAME_IDLE)
                return;
        name_set_state(n, NAME_QUEUED);
        if (name_has_stale(n))
                name_arm_patience(n);
        resolver_start_lookups(r);
}

int resolver_query(Resolver *r, const char *host, ResolverHandler handler, void *userdata,
                   ResolverQuery **ret) {
        _cleanup_(resolver_query_freep) ResolverQuery *q = NULL;
        int k;

        if (r->n_queries >= RESOLVER_QUERIES_MAX)
                return -EAGAIN;
        q = malloc(sizeof(*q));
        if (!q)
                return -ENOMEM;
        *q = (ResolverQuery){ .resolver = r, .handler = handler, .userdata = userdata };
        r->n_queries++;

        if (query_set_literals(q, host))
                query_make_ready(q, RESOLVE_OK);
        else {
                k = resolver_get_name(r, host, &q->name);
                if (k < 0)
                        return k;
                q->name->n_queries++;
                if (name_is_fresh(q->name))
                        query_make_ready(q, RESOLVE_OK);
                else
                        query_wait(q);
        }
        *ret = TAKE(q);
        return 0;
}

int resolver_new(sd_event *event, const ResolverOptions *options, Resolver **ret) {
        _cleanup_(resolver_freep) Resolver *r = NULL;
        int k;

        r = calloc(1, sizeof(*r));
        if (!r)
                return -ENOMEM;
        r->event = sd_event_ref(event);
        list_init(&r->idle);
        list_init(&r->queued);
        list_init(&r->flying);
        list_init(&r->ready);
        for (size_t i = 0; i < BUCKETS; i++)
                list_init(&r->buckets[i]);
        k = dns_new(event, options, &r->dns);
        if (k < 0)
                return k;
        k = sd_event_add_defer(event, &r->turn, on_turn, r);
        if (k < 0)
                return k;
        k = sd_event_source_set_enabled(r->turn, SD_EVENT_OFF);
        if (k < 0)
                return k;
        *ret = TAKE(r);
        return 0;
}

static void names_free(List *names) {
        LIST_FOREACH_SAFE(l, names) {
                name_free(list_item(l, Name, by_state));
        }
}

Resolver *resolver_free(Resolver *r) {
        if (!r)
                return NULL;
        assert(r->n_queries == 0);
        dns_free(r->dns);
        names_free(&r->idle);
        names_free(&r->queued);
        names_free(&r->flying);
        sd_event_source_disable_unref(r->turn);
        sd_event_unref(r->event);
        free(r);
        return NULL;
}
