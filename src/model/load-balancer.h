/* SPDX-License-Identifier: MIT */
#pragma once

/* What is published about how load balancers probe, by the words of LoadBalancer=: how long they
 * take to see that a host is not ready, and what surprises. For the linter and for drains. */

#include "model/config.h"

typedef struct LoadBalancer {
        const char *name; /* as its maker calls it */
        const char *path; /* what it asks unless it is told; NULL: no such default */
        usec_t interval_usec;
        uint64_t threshold; /* failed probes in a row until it sends nothing more */
        const char *const
                *networks;  /* where its probes come from, ends with NULL; NULL: not fixed */
        const char *caveat; /* of its default probe, for people; NULL: none */
} LoadBalancer;

/* How often in a row a prober has to read that something is not ready, where nothing is known of
 * it.
 */
#define DRAIN_COUNT_DEFAULT 2

/* Who has read the last answer that it needs still has to act on it. */
#define DRAIN_SETTLE_USEC (200 * USEC_PER_MSEC)

/* NULL for LOAD_BALANCER_NONE, and when nothing is known of it but what the keys say. */
const LoadBalancer *load_balancer_of(const HttpConfig *c);

/* How many failed probes in a row it wants, by the keys or by its defaults; 0: not known. */
uint64_t load_balancer_threshold(const HttpConfig *c);

/* The longest that it goes on sending requests to a host that is not ready, by the keys or by its
 * defaults; 0: not known. */
usec_t load_balancer_notice_usec(const HttpConfig *c);
