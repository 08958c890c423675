/* SPDX-License-Identifier: MIT */
#pragma once

/* Host names to addresses, on the event loop, by c-ares: no call here ever waits, and a query can
 * be dropped at any moment. /etc/hosts goes before the name servers of /etc/resolv.conf, which is
 * looked at again before each lookup. Queries for one name share one lookup; lookups in flight,
 * names known and queries waiting are bounded.
 *
 * Answers are kept for their time to live, at most RESOLVER_FRESH_MAX_USEC. When the name servers
 * fail or stay silent for RESOLVER_PATIENCE_USEC, the last good addresses of the name are given out
 * instead, flagged stale, for up to RESOLVER_STALE_MAX_USEC. That a name does not exist is an
 * answer, not a failure, and is never papered over. */

#include <systemd/sd-event.h>

#include "base/address.h"
#include "base/clock.h"

#define RESOLVER_ADDRESSES_MAX  16  /* per name; what a server sends beyond is dropped */
#define RESOLVER_LOOKUPS_MAX    256 /* in flight at once; further names wait for their turn */
#define RESOLVER_NAMES_MAX      1024
#define RESOLVER_QUERIES_MAX    16384
#define RESOLVER_FRESH_MAX_USEC (10 * USEC_PER_SEC)
#define RESOLVER_PATIENCE_USEC  (300 * USEC_PER_MSEC)
#define RESOLVER_STALE_MAX_USEC USEC_PER_HOUR

typedef struct Resolver Resolver;
typedef struct ResolverQuery ResolverQuery;

typedef enum ResolveStatus {
        RESOLVE_OK,
        RESOLVE_NOT_FOUND,     /* NXDOMAIN */
        RESOLVE_NO_ADDRESS,    /* the name exists and has neither A nor AAAA */
        RESOLVE_SERVER_FAILED, /* SERVFAIL, REFUSED, or an answer that makes no sense */
        RESOLVE_TIMEOUT,       /* no name server answered */
        RESOLVE_UNREACHABLE,   /* none could be reached, or none is configured */
        RESOLVE_RESOURCE,      /* our own lack: memory, file descriptors, a bound of above */
} ResolveStatus;

/* "host name not found (NXDOMAIN)"; a constant text without the name. */
const char *resolve_status_text(ResolveStatus status);

/* Valid during the callback only. With addresses the name counts as resolved, whatever the status:
 * a status other than RESOLVE_OK then says why the addresses are stale. */
typedef struct ResolverAnswer {
        ResolveStatus status;
        bool is_stale;
        const IpAddress *addresses; /* in the order of preference */
        size_t n_addresses;
} ResolverAnswer;

/* Called once, from the event loop, never from within resolver_query(). The query is over by then
 * and frees itself; the callee forgets it. */
typedef void (*ResolverHandler)(void *userdata, const ResolverAnswer *answer);

typedef struct ResolverOptions {
        const char *resolv_conf; /* borrowed; NULL: /etc/resolv.conf */
        const char *server; /* borrowed; ADDRESS:PORT instead of those of resolv.conf, or NULL */
        uint16_t port;      /* of all name servers; 0: 53 */
} ResolverOptions;

/* options may be NULL. */
int resolver_new(sd_event *event, const ResolverOptions *options, Resolver **ret);

/* All queries must be over or dropped. */
Resolver *resolver_free(Resolver *r);
DEFINE_CLEANUP(Resolver *, resolver_free);

/* The time limit is the caller's: it drops the query when it has waited long enough. A numeric
 * address answers itself. -ENOMEM, or -EAGAIN beyond RESOLVER_QUERIES_MAX. */
int resolver_query(Resolver *r, const char *host, ResolverHandler handler, void *userdata,
                   ResolverQuery **ret);

/* Drops a query whose handler has not been called: at once, and the handler stays silent. */
ResolverQuery *resolver_query_free(ResolverQuery *q);
DEFINE_CLEANUP(ResolverQuery *, resolver_query_free);
