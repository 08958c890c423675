/* SPDX-License-Identifier: MIT */
#pragma once

/* Who has asked for readiness of late, and what he was told: from this a drain knows when every
 * load balancer has read it. A prober is an address that asks for a path by the name of a program
 * (User-Agent). Pure: the caller knows the time (CLOCK_MONOTONIC) and what is a question for
 * readiness. Bounded, whoever asks: of too many the one that was silent for longest is forgotten.
 */

#include <netinet/in.h>

#include "base/clock.h"
#include "output/http-server.h"

#define HTTP_PROBERS_MAX       64
#define HTTP_PROBER_ROUTE_MAX  256 /* longer than any path that is found */
#define HTTP_PROBER_AGENT_MAX  64
#define HTTP_PROBER_PERIOD_MAX USEC_PER_MINUTE

typedef struct HttpProber {
        bool is_local;           /* by a unix socket: no address */
        struct in6_addr address; /* an IPv4 address as ::ffff:a.b.c.d */
        char route[HTTP_PROBER_ROUTE_MAX], agent[HTTP_PROBER_AGENT_MAX];
        usec_t seen_usec;
        usec_t interval_usec; /* between two questions; 0: there was one alone */
        unsigned status;      /* the last answer's */
        unsigned n_not_ready; /* answers in a row that said so, up to the last one */
} HttpProber;

typedef struct HttpProbers HttpProbers;

/* "10.0.0.7", "2001:db8::7", "local". Returns buf. */
const char *http_prober_address(char buf[static INET6_ADDRSTRLEN], const HttpProber *p);

/* NULL without memory. */
HttpProbers *http_probers_new(void);
HttpProbers *http_probers_free(HttpProbers *p);
DEFINE_CLEANUP(HttpProbers *, http_probers_free);

/* Costs a few nanoseconds for who has asked before. */
void http_probers_note(HttpProbers *p, const HttpRequest *request, const HttpPeer *peer,
                       unsigned status, bool is_ready, usec_t now_usec);

/* One from before a restart: address, route, agent, seen, interval and last status are taken. */
void http_probers_recall(HttpProbers *p, const HttpProber *item);

/* The next prober from *at on that is recent: seen within three of its own intervals, but a minute
 * at most and three seconds at least, or within ten seconds if it has asked but once. Begin with 0;
 * NULL: no more. What is returned is valid until somebody is noted. */
const HttpProber *http_probers_next(const HttpProbers *p, usec_t now_usec, size_t *at);
