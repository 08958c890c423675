/* SPDX-License-Identifier: MIT */
#include "model/schedule.h"

#include "base/text.h"

static usec_t grid_round_up(usec_t t) {
        return usec_add(t, SCHEDULE_GRID_USEC - 1) == USEC_INFINITY
                       ? USEC_INFINITY
                       : (t + SCHEDULE_GRID_USEC - 1) / SCHEDULE_GRID_USEC * SCHEDULE_GRID_USEC;
}

/* The first time after now of the form phase + n * interval. */
static usec_t schedule_aligned(const CheckConfig *c, usec_t now) {
        usec_t phase;

        assert(c->interval_usec > 0);
        phase = hash_bytes(HASH_INIT, c->id, strlen(c->id)) % c->interval_usec;
        if (now < phase)
                return phase;
        return usec_add(phase, usec_mul(c->interval_usec, (now - phase) / c->interval_usec + 1));
}

usec_t schedule_first(const CheckConfig *c, usec_t now) {
        if (c->initial_delay_usec == 0)
                return now;
        return grid_round_up(usec_add(now, c->initial_delay_usec));
}

usec_t schedule_next(const CheckConfig *c, bool is_undecided, usec_t retry_after_usec, usec_t now) {
        usec_t due, pause = MIN(retry_after_usec, SCHEDULE_RETRY_AFTER_MAX_USEC);

        due = schedule_aligned(c, now);
        if (is_undecided)
                due = MIN(due, usec_add(now, MAX(c->retry_interval_usec, (usec_t) 1)));
        due = MAX(due, usec_add(now, pause));
        return grid_round_up(due);
}

usec_t schedule_worst_case(const CheckConfig *c, uint64_t n_failures) {
        /* The streak is undecided, and runs are RetryInterval= apart, up to FailureThreshold=. */
        uint64_t n_retries = MIN(n_failures, c->failure_threshold) - 1;
        uint64_t n_regular = n_failures - n_retries;

        assert(n_failures > 0);
        return usec_add(usec_mul(c->timeout_usec, n_failures),
                        usec_add(usec_mul(c->interval_usec, n_regular),
                                 usec_mul(c->retry_interval_usec, n_retries)));
}
