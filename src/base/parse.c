/* SPDX-License-Identifier: MIT */
#include "base/parse.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <string.h>
#include <strings.h>

int parse_bool(const char *s, bool *ret) {
        static const char *const yes[] = { "1", "yes", "y", "true", "t", "on" };
        static const char *const no[] = { "0", "no", "n", "false", "f", "off" };

        for (size_t i = 0; i < ELEMENTSOF(yes); i++) {
                if (strcasecmp(s, yes[i]) == 0) {
                        *ret = true;
                        return 0;
                }
                if (strcasecmp(s, no[i]) == 0) {
                        *ret = false;
                        return 0;
                }
        }
        return -EINVAL;
}

int parse_uint64(const char *s, uint64_t *ret) {
        uint64_t v = 0;

        if (!*s)
                return -EINVAL;
        for (; *s; s++) {
                if (!isdigit((unsigned char) *s))
                        return -EINVAL;
                if (__builtin_mul_overflow(v, 10, &v) ||
                    __builtin_add_overflow(v, (uint64_t) (*s - '0'), &v))
                        return -ERANGE;
        }
        *ret = v;
        return 0;
}

/* Splits "12.5rest" into a number and what follows it. */
static int decimal_parse(const char *s, double *ret, const char **ret_rest) {
        size_t n = strspn(s, "0123456789.");
        char *end;
        double v;

        if (n == 0 || !isdigit((unsigned char) s[0]))
                return -EINVAL;
        errno = 0;
        v = strtod(s, &end);
        if (end != s + n)
                return -EINVAL;
        if (errno == ERANGE)
                return -ERANGE;
        *ret = v;
        *ret_rest = end;
        return 0;
}

int parse_size(const char *s, uint64_t *ret) {
        static const char suffixes[] = "KMGTPE";
        const char *rest, *suffix;
        double v;
        int r;

        r = decimal_parse(s, &v, &rest);
        if (r < 0)
                return r;
        if (*rest && *rest != 'B') {
                suffix = strchr(suffixes, *rest);
                if (!suffix)
                        return -EINVAL;
                for (const char *p = suffixes; p <= suffix; p++)
                        v *= 1024;
                rest++;
        }
        if (*rest == 'B')
                rest++;
        if (*rest)
                return -EINVAL;
        if (v >= 18446744073709551615.0)
                return -ERANGE;
        *ret = (uint64_t) v;
        return 0;
}

int parse_percent(const char *s, uint32_t *ret_millionths) {
        const char *rest;
        double v;
        int r;

        r = decimal_parse(s, &v, &rest);
        if (r < 0)
                return r;
        if (strcmp(rest, "%") != 0)
                return -EINVAL;
        if (v > 100)
                return -ERANGE;
        *ret_millionths = (uint32_t) lround(v * 10000);
        return 0;
}

int parse_double(const char *s, double *ret) {
        char *end;
        double v;

        if (!*s || strspn(s, "+-0123456789.eE") != strlen(s))
                return -EINVAL;
        errno = 0;
        v = strtod(s, &end);
        if (end == s || *end)
                return -EINVAL;
        if (!isfinite(v))
                return -ERANGE;
        *ret = v;
        return 0;
}

int parse_port(const char *s, uint16_t *ret) {
        uint64_t v;
        int r;

        r = parse_uint64(s, &v);
        if (r < 0)
                return r;
        if (v < 1 || v > 65535)
                return -ERANGE;
        *ret = (uint16_t) v;
        return 0;
}

/* The digits of a number of one byte; how many were read, or 0. */
static size_t byte_parse(const char *s, unsigned base, size_t digits_max, unsigned *ret) {
        static const char digits[] = "0123456789abcdef";
        unsigned v = 0;
        size_t n;

        for (n = 0; n < digits_max && s[n]; n++) {
                const char *d = strchr(digits, tolower((unsigned char) s[n]));

                if (!d || (unsigned) (d - digits) >= base)
                        break;
                v = v * base + (unsigned) (d - digits);
        }
        *ret = v;
        return v > UINT8_MAX ? 0 : n;
}

/* What follows a backslash; how many characters that is, or 0. */
static size_t escape_parse(const char *s, char *ret) {
        static const char names[] = "abfnrtv\\\"'", values[] = "\a\b\f\n\r\t\v\\\"'";
        const char *name = *s ? strchr(names, *s) : NULL;
        unsigned v = 0;
        size_t n = 1;

        if (name)
                v = (unsigned char) values[name - names];
        else if (*s == 'x')
                n = byte_parse(s + 1, 16, 2, &v) == 2 ? 3 : 0;
        else
                n = byte_parse(s, 8, 3, &v);
        *ret = (char) v;
        return n;
}

int parse_escaped(const char *s, char **ret, size_t *ret_n) {
        _cleanup_free_ char *bytes = malloc(strlen(s) + 1);
        size_t n = 0, used;

        if (!bytes)
                return -ENOMEM;
        while (*s) {
                if (*s != '\\') {
                        bytes[n++] = *s++;
                        continue;
                }
                used = escape_parse(s + 1, &bytes[n++]);
                if (used == 0)
                        return -EINVAL;
                s += 1 + used;
        }
        bytes[n] = 0;
        *ret = TAKE(bytes);
        *ret_n = n;
        return 0;
}
