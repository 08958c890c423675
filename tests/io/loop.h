/* SPDX-License-Identifier: MIT */
#pragma once

/* Running a real event loop until something has happened, with a deadline that makes a test fail
 * instead of hang, and watching how long the loop was held up meanwhile. */

#include <errno.h>
#include <stdio.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "../unit/unit.h"
#include "base/clock.h"

#define LOOP_DEADLINE_USEC (20 * USEC_PER_SEC)

/* Runs until *done is not 0. */
static inline void loop_until(sd_event *e, const unsigned *done, unsigned count) {
        usec_t end = clock_usec(CLOCK_MONOTONIC) + LOOP_DEADLINE_USEC;

        while (*done < count) {
                assert_true(sd_event_run(e, 100 * USEC_PER_MSEC) >= 0);
                if (clock_usec(CLOCK_MONOTONIC) > end)
                        fail_msg("waited in vain: %u of %u", *done, count);
        }
}

static inline void loop_for(sd_event *e, usec_t span) {
        usec_t end = clock_usec(CLOCK_MONOTONIC) + span, now;

        while ((now = clock_usec(CLOCK_MONOTONIC)) < end)
                assert_true(sd_event_run(e, end - now) >= 0);
}

/* How long the loop did not turn, at most: a timer each 5 ms looks at the clock. */
typedef struct Lag {
        sd_event_source *timer;
        usec_t last_usec, worst_usec;
} Lag;

static inline int lag_tick(sd_event_source *s, uint64_t usec _unused_, void *userdata) {
        Lag *lag = userdata;
        usec_t now = clock_usec(CLOCK_MONOTONIC);

        lag->worst_usec = MAX(lag->worst_usec, now - lag->last_usec);
        lag->last_usec = now;
        sd_event_source_set_time_relative(s, 5 * USEC_PER_MSEC);
        sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
        return 0;
}

static inline void lag_watch(Lag *lag, sd_event *e) {
        *lag = (Lag){ .last_usec = clock_usec(CLOCK_MONOTONIC) };
        assert_int_equal(
                sd_event_add_time_relative(e, &lag->timer, CLOCK_MONOTONIC, 0, 1, lag_tick, lag),
                0);
}

static inline usec_t lag_stop(Lag *lag) {
        lag->timer = sd_event_source_disable_unref(lag->timer);
        return MAX(lag->worst_usec, clock_usec(CLOCK_MONOTONIC) - lag->last_usec);
}

static inline unsigned open_fds(void) {
        unsigned n = 0;

        for (int fd = 0; fd < 1024; fd++)
                n += lseek(fd, 0, SEEK_CUR) >= 0 || errno != EBADF;
        return n;
}
