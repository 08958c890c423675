/* SPDX-License-Identifier: MIT */
#pragma once

/* When a check runs next. Pure: the clock is an argument, all times are CLOCK_MONOTONIC. */

#include "model/config.h"

/* Wake-ups are what costs, so due times lie on a grid of this width. */
#define SCHEDULE_GRID_USEC (10 * USEC_PER_MSEC)

/* A peer may ask to be left alone for no longer than this. */
#define SCHEDULE_RETRY_AFTER_MAX_USEC USEC_PER_HOUR

/* The first run of a check that is new at now: after InitialDelay=. */
usec_t schedule_first(const CheckConfig *c, usec_t now);

/* The first due time after now: aligned to the check's own phase (hashed from its id) within
 * Interval=, so that nothing drifts and a missed time is not made up for. While the streak is
 * undecided at most RetryInterval= from now; never before the peer's retry-after (0: none). Rounded
 * up to the grid. */
usec_t schedule_next(const CheckConfig *c, bool is_undecided, usec_t retry_after_usec, usec_t now);

/* The longest that a thing can be broken until so many runs in a row have failed: it breaks just
 * after a run, and each of the runs takes its whole timeout. 0 for checks without runs. */
usec_t schedule_worst_case(const CheckConfig *c, uint64_t n_failures);
