/* SPDX-License-Identifier: MIT */
#pragma once

/* Ranges of numbers in the notation of the monitoring plug-ins, and limits, which are ranges for
 * the values that a check measures: the fields of Warn= and Fail=. Pure.
 *
 *     80      bad below 0 and above 80
 *     10:     bad below 10
 *     ~:5     bad above 5
 *     10:20   bad below 10 and above 20
 *     @1:3    bad from 1 to 3
 *
 * Numbers may have a suffix: of a size (K M G T P E, to the base 1024), of a time span (us ms s min
 * h d w), or %. */

#include "model/option.h"

typedef struct Range {
        double low, high; /* -INFINITY and INFINITY: without an end */
        bool is_inside;   /* bad inside, ends included; else bad outside */
} Range;

#define RANGE_TEXT_MAX 64
#define LIMIT_NAME_MAX 24 /* as Value.name */
#define LIMITS_MAX     32 /* of one check, in one list */

/* ret_unit: what the suffixes say that the number counts: "bytes", "seconds", "percent", or "" if
 * there are none. 0, -EINVAL, also for different kinds of suffixes, or -ERANGE if the end comes
 * before the start. */
int range_parse(const char *s, Range *ret, const char **ret_unit);

bool range_is_bad(const Range *r, double number);

typedef struct Limit {
        char name[LIMIT_NAME_MAX]; /* of the value; "": the first */
        char text[RANGE_TEXT_MAX]; /* the range as it was written */
        const char *unit;          /* constant: as range_parse() */
        Range range;
} Limit;

typedef struct Limits {
        Limit *items; /* owned */
        size_t n;
} Limits;

extern const OptionType option_limits; /* Limits: "RANGE" or "VALUE:RANGE", a list */
