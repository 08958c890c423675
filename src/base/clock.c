/* SPDX-License-Identifier: MIT */
#include "base/clock.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"

usec_t clock_usec(clockid_t id) {
        struct timespec ts;

        if (clock_gettime(id, &ts) < 0)
                return 0; /* cannot happen for the clocks that we name */
        return (usec_t) ts.tv_sec * USEC_PER_SEC + (usec_t) ts.tv_nsec / 1000;
}

Time time_now(void) {
        return (Time){
                .monotonic = clock_usec(CLOCK_MONOTONIC),
                .boottime = clock_usec(CLOCK_BOOTTIME),
                .realtime = clock_usec(CLOCK_REALTIME),
        };
}

static const struct Unit {
        const char *name;
        usec_t usec;
} units[] = {
        { "us", 1 },
        { "usec", 1 },
        { "µs", 1 },
        { "ms", USEC_PER_MSEC },
        { "msec", USEC_PER_MSEC },
        { "s", USEC_PER_SEC },
        { "sec", USEC_PER_SEC },
        { "second", USEC_PER_SEC },
        { "seconds", USEC_PER_SEC },
        { "m", USEC_PER_MINUTE },
        { "min", USEC_PER_MINUTE },
        { "minute", USEC_PER_MINUTE },
        { "minutes", USEC_PER_MINUTE },
        { "h", USEC_PER_HOUR },
        { "hr", USEC_PER_HOUR },
        { "hour", USEC_PER_HOUR },
        { "hours", USEC_PER_HOUR },
        { "d", USEC_PER_DAY },
        { "day", USEC_PER_DAY },
        { "days", USEC_PER_DAY },
        { "w", 7 * USEC_PER_DAY },
        { "week", 7 * USEC_PER_DAY },
        { "weeks", 7 * USEC_PER_DAY },
};

const char *timespan_format(char buf[static TIMESPAN_MAX], usec_t t) {
        static const struct Unit shown[] = {
                { "d", USEC_PER_DAY },
                { "h", USEC_PER_HOUR },
                { "min", USEC_PER_MINUTE },
                { "s", USEC_PER_SEC },
        };

        if (t == USEC_INFINITY)
                return strcpy(buf, "never");
        if (t < USEC_PER_SEC) {
                snprintf(buf, TIMESPAN_MAX, "%" PRIu64 "ms", t / USEC_PER_MSEC);
                return buf;
        }
        if (t < 10 * USEC_PER_SEC && t % USEC_PER_SEC >= 100 * USEC_PER_MSEC) {
                snprintf(buf, TIMESPAN_MAX, "%" PRIu64 ".%" PRIu64 "s", t / USEC_PER_SEC,
                         t % USEC_PER_SEC / (100 * USEC_PER_MSEC));
                return buf;
        }

        for (size_t i = 0; i < ELEMENTSOF(shown); i++) {
                uint64_t first = t / shown[i].usec, second;

                if (first == 0)
                        continue;
                second = i + 1 < ELEMENTSOF(shown) ? t % shown[i].usec / shown[i + 1].usec : 0;
                if (second > 0)
                        snprintf(buf, TIMESPAN_MAX, "%" PRIu64 "%s %" PRIu64 "%s", first,
                                 shown[i].name, second, shown[i + 1].name);
                else
                        snprintf(buf, TIMESPAN_MAX, "%" PRIu64 "%s", first, shown[i].name);
                break;
        }
        return buf;
}

/* Reads the unit name at *s. No name gives default_unit. */
static int unit_parse(const char **s, usec_t default_unit, usec_t *ret) {
        size_t n = strcspn(*s, " \t0123456789.");

        if (n == 0) {
                *ret = default_unit;
                return 0;
        }
        for (size_t i = 0; i < ELEMENTSOF(units); i++)
                if (strlen(units[i].name) == n && strncmp(units[i].name, *s, n) == 0) {
                        *s += n;
                        *ret = units[i].usec;
                        return 0;
                }
        return -EINVAL;
}

/* Reads "12" or "12.345" at *s; the fraction as millionths. */
static int number_parse(const char **s, uint64_t *ret_whole, uint64_t *ret_millionths) {
        uint64_t whole = 0, millionths = 0, scale = 100000;
        const char *p = *s;

        if (!isdigit((unsigned char) *p))
                return -EINVAL;
        for (; isdigit((unsigned char) *p); p++)
                if (__builtin_mul_overflow(whole, 10, &whole) ||
                    __builtin_add_overflow(whole, (uint64_t) (*p - '0'), &whole))
                        return -ERANGE;
        if (*p == '.') {
                p++;
                if (!isdigit((unsigned char) *p))
                        return -EINVAL;
                for (; isdigit((unsigned char) *p); p++, scale /= 10)
                        millionths += (uint64_t) (*p - '0') * scale;
        }
        *s = p;
        *ret_whole = whole;
        *ret_millionths = millionths;
        return 0;
}

int timespan_parse(const char *s, usec_t default_unit, usec_t *ret) {
        usec_t sum = 0;
        bool any = false;
        int r;

        s += strspn(s, " \t");
        if (strcmp(s, "infinity") == 0) {
                *ret = USEC_INFINITY;
                return 0;
        }

        while (*s) {
                uint64_t whole, millionths;
                usec_t unit, part;

                r = number_parse(&s, &whole, &millionths);
                if (r < 0)
                        return r;
                s += strspn(s, " \t");
                r = unit_parse(&s, default_unit, &unit);
                if (r < 0)
                        return r;
                part = usec_add(usec_mul(whole, unit), millionths * (unit / 1000) / 1000);
                sum = usec_add(sum, part);
                if (sum == USEC_INFINITY)
                        return -ERANGE;
                any = true;
                s += strspn(s, " \t");
        }
        if (!any)
                return -EINVAL;
        *ret = sum;
        return 0;
}

const char *timestamp_format_utc(char buf[static TIMESTAMP_MAX], usec_t realtime) {
        time_t t = (time_t) (realtime / USEC_PER_SEC);
        struct tm tm;
        size_t n;

        gmtime_r(&t, &tm);
        n = strftime(buf, TIMESTAMP_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
        snprintf(buf + n, TIMESTAMP_MAX - n, ".%03uZ",
                 (unsigned) (realtime % USEC_PER_SEC / USEC_PER_MSEC));
        return buf;
}

const char *timestamp_format_short(char buf[static TIMESTAMP_MAX], usec_t realtime, usec_t now) {
        time_t t = (time_t) (realtime / USEC_PER_SEC), n = (time_t) (now / USEC_PER_SEC);
        struct tm tm, today;

        localtime_r(&t, &tm);
        localtime_r(&n, &today);
        strftime(buf, TIMESTAMP_MAX,
                 tm.tm_year == today.tm_year && tm.tm_yday == today.tm_yday ? "%H:%M:%S"
                                                                            : "%Y-%m-%d %H:%M:%S",
                 &tm);
        return buf;
}
