/* SPDX-License-Identifier: MIT */
#pragma once

/* The states of a check, in words that all outputs share. */

#include "base/macro.h"

typedef enum Health {
        HEALTH_PENDING, /* no decision yet */
        HEALTH_HEALTHY,
        HEALTH_DEGRADED, /* healthy with a warning */
        HEALTH_UNHEALTHY,
        HEALTH_UNKNOWN, /* the last real result is too old, or there were only errors */
        HEALTH_SKIPPED, /* waits for another check */
        HEALTH_COUNT_,
} Health;

const char *health_to_string(Health h); /* "pending" */
int health_from_string(const char *s, Health *ret);

static inline bool health_is_good(Health h) {
        return h == HEALTH_HEALTHY || h == HEALTH_DEGRADED;
}
