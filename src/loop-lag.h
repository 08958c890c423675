/* SPDX-License-Identifier: MIT */
#pragma once

/* How long one turn of the event loop kept all others waiting. */

#include <systemd/sd-event.h>

#include "base/clock.h"

#define LOOP_LAG_WINDOW_USEC USEC_PER_MINUTE

/* The longest wait in this window and the one before, and since the start. All zero at first. */
typedef struct LoopLag {
        usec_t window_began_usec, window_max_usec, before_max_usec, max_usec;
} LoopLag;

/* Runs the loop until sd_event_exit(), measuring each turn. Returns the exit code or negative
 * errno. */
int loop_run(sd_event *event, LoopLag *lag);

/* For what else kept the loop waiting. */
void loop_lag_note(LoopLag *lag, usec_t waited_usec);

/* The longest wait of the last one to two minutes. */
usec_t loop_lag_recent_usec(const LoopLag *lag);
