/* SPDX-License-Identifier: MIT */
#pragma once

/* c-ares on the event loop: the lower half of the resolver, and questions to name servers as such.
 * Knows no cache, no bounds and no deadlines. */

#include <systemd/sd-event.h>

#include "io/resolver.h"

typedef struct Dns Dns;

/* With RESOLVE_OK there is at least one address. Addresses are valid during the call only. */
typedef struct DnsAnswer {
        ResolveStatus status;
        const IpAddress *addresses;
        size_t n_addresses;
        usec_t ttl_usec; /* 0 for what came from /etc/hosts */
} DnsAnswer;

/* May be called from within dns_lookup(); must not free the Dns. */
typedef void (*DnsHandler)(void *userdata, const DnsAnswer *answer);

/* options may be NULL. */
int dns_new(sd_event *event, const ResolverOptions *options, Dns **ret);

/* Drops all lookups; their handlers stay silent. */
Dns *dns_free(Dns *d);
DEFINE_CLEANUP(Dns *, dns_free);

/* host is borrowed until the handler is called. A lookup cannot be dropped and ends by itself. */
int dns_lookup(Dns *d, const char *host, DnsHandler handler, void *userdata);

/* RESOLVE_OK: the name servers' whole message, valid during the call only, with at least one record
 * as answer. RESOLVE_NO_ADDRESS: there is none. Same rules as DnsHandler. */
typedef void (*DnsMessageHandler)(void *userdata, ResolveStatus status, const void *message,
                                  size_t n);

/* Asks the name servers alone, for records of this type (ns_t_mx of arpa/nameser.h) of the name as
 * it stands. -ENOMEM. */
int dns_query(Dns *d, const char *name, int type, DnsMessageHandler handler, void *userdata);

/* Takes resolv.conf up if it is another one than last time; lookups under way are asked again. */
void dns_check_conf(Dns *d);
