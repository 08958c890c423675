/* SPDX-License-Identifier: MIT */
#pragma once

/* Times in microseconds, and their texts. All arithmetic saturates: USEC_INFINITY means "never". */

#include <sys/types.h>
#include <time.h>

#include "base/macro.h"

typedef uint64_t usec_t;

#define USEC_INFINITY   UINT64_MAX
#define USEC_PER_MSEC   ((usec_t) 1000)
#define USEC_PER_SEC    ((usec_t) 1000000)
#define USEC_PER_MINUTE (60 * USEC_PER_SEC)
#define USEC_PER_HOUR   (60 * USEC_PER_MINUTE)
#define USEC_PER_DAY    (24 * USEC_PER_HOUR)

/* One reading of the three clocks. monotonic stands still while the machine is suspended, boottime
 * does not, realtime may jump. Schedules use monotonic, ages boottime, texts realtime. */
typedef struct Time {
        usec_t monotonic, boottime, realtime;
} Time;

/* Reads one clock, in microseconds. */
usec_t clock_usec(clockid_t id);

/* Reads all three clocks. */
Time time_now(void);

static inline usec_t usec_add(usec_t a, usec_t b) {
        return a > USEC_INFINITY - b ? USEC_INFINITY : a + b;
}

/* a - b, or 0. Infinity minus anything stays infinity. */
static inline usec_t usec_sub(usec_t a, usec_t b) {
        if (a == USEC_INFINITY)
                return USEC_INFINITY;
        return a > b ? a - b : 0;
}

static inline usec_t usec_mul(usec_t a, uint64_t n) {
        usec_t r;

        return __builtin_mul_overflow(a, n, &r) ? USEC_INFINITY : r;
}

#define TIMESPAN_MAX  64
#define TIMESTAMP_MAX 40

/* "2min 14s", "1.5s", "250ms", "never" for USEC_INFINITY; at most two units. Returns buf. */
const char *timespan_format(char buf[static TIMESPAN_MAX], usec_t t);

/* Parses systemd.time(7) spans: "5", "5s", "1min 30s", "1.5h", "infinity"; a bare number counts in
 * default_unit. -EINVAL for a bad text (also negative), -ERANGE for an overflow. */
int timespan_parse(const char *s, usec_t default_unit, usec_t *ret);

/* RFC 3339 in UTC with milliseconds, e.g. "2026-11-20T08:00:00.000Z". Returns buf. */
const char *timestamp_format_utc(char buf[static TIMESTAMP_MAX], usec_t realtime);

/* Local time of day, "03:12:44", with the date in front if it is not today's as seen at now. */
const char *timestamp_format_short(char buf[static TIMESTAMP_MAX], usec_t realtime, usec_t now);
