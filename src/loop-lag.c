/* SPDX-License-Identifier: MIT */
#include "loop-lag.h"

#include "base/log.h"

/* A turn this long delays probes and is worth a line. */
#define LAG_LOGGED_USEC (250 * USEC_PER_MSEC)

static void lag_note(LoopLag *lag, usec_t ended, usec_t waited) {
        if (ended >= usec_add(lag->window_began_usec, LOOP_LAG_WINDOW_USEC)) {
                lag->before_max_usec = lag->window_max_usec;
                lag->window_max_usec = 0;
                lag->window_began_usec = ended;
        }
        lag->window_max_usec = MAX(lag->window_max_usec, waited);
        lag->max_usec = MAX(lag->max_usec, waited);
}

void loop_lag_note(LoopLag *lag, usec_t waited_usec) {
        lag_note(lag, clock_usec(CLOCK_MONOTONIC), waited_usec);
}

static void lag_note_turn(LoopLag *lag, usec_t began, usec_t ended) {
        usec_t turn = usec_sub(ended, began);

        lag_note(lag, ended, turn);
        if (turn >= LAG_LOGGED_USEC)
                log_notice("One turn of the event loop took %llums",
                           (unsigned long long) (turn / USEC_PER_MSEC));
}

int loop_run(sd_event *event, LoopLag *lag) {
        int r, code = 0;

        while (sd_event_get_state(event) != SD_EVENT_FINISHED) {
                usec_t began;

                r = sd_event_prepare(event);
                if (r == 0)
                        r = sd_event_wait(event, UINT64_MAX);
                if (r == 0)
                        continue;
                /* Not sd_event_now(), which is old behind a wait that SIGCONT has ended. */
                began = clock_usec(CLOCK_MONOTONIC);
                if (r > 0)
                        r = sd_event_dispatch(event);
                if (r < 0)
                        return log_errno(LOG_ERR, r, "Cannot go on: the event loop fails");
                lag_note_turn(lag, began, clock_usec(CLOCK_MONOTONIC));
                log_tell_lost();
        }
        sd_event_get_exit_code(event, &code);
        return code;
}

usec_t loop_lag_recent_usec(const LoopLag *lag) {
        return MAX(lag->window_max_usec, lag->before_max_usec);
}
