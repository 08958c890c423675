/* SPDX-License-Identifier: MIT */
#pragma once

/* How often a unit was restarted within a window that slides: from systemd's counter of all
 * restarts since the last start by hand. Pure. */

#include "base/clock.h"

#define RESTART_SLOTS 32 /* how finely the window slides */

/* All zero at first. */
typedef struct RestartLog {
        bool has_count;
        uint32_t count; /* the counter as last seen */
        uint64_t slot; /* the present one, in windows / RESTART_SLOTS since the clock's beginning */
        uint32_t by_slot[RESTART_SLOTS];
} RestartLog;

/* The counter as it is now. What it counted before it was first seen lies in no window. */
void restart_log_note(RestartLog *l, uint32_t count, usec_t window_usec, usec_t now);

/* Restarts in the window that ends now. */
uint64_t restart_log_sum(RestartLog *l, usec_t window_usec, usec_t now);
