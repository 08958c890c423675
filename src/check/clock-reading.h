/* SPDX-License-Identifier: MIT */
#pragma once

/* Whether the wall clock is synchronised, by the kernel's word or, where the sandbox refuses the
 * question, by the file that systemd-timesyncd touches at each synchronisation. */

#include "base/clock.h"

typedef struct ClockReading {
        bool is_synchronized;
        bool has_offset;     /* only the kernel knows it */
        int64_t offset_usec; /* left to correct */
        usec_t error_usec;   /* bound of the error */
} ClockReading;

/* -EPERM: neither the kernel nor, or not allowed to stand in, systemd-timesyncd tells. */
int clock_read(bool may_stand_in, ClockReading *ret);
