/* SPDX-License-Identifier: MIT */
#pragma once

/* A bucket of tokens, for what may happen so many times at once and then once each period. Begins
 * with left = burst; who takes one subtracts it. Times are of CLOCK_MONOTONIC. */

#include "base/clock.h"

typedef struct Allowance {
        double left;
        usec_t at_usec;
} Allowance;

static inline void allowance_refill(Allowance *a, unsigned burst, usec_t period_usec, usec_t now) {
        a->left += (double) usec_sub(now, a->at_usec) / (double) period_usec;
        a->left = MIN(a->left, (double) burst);
        a->at_usec = now;
}
