/* SPDX-License-Identifier: MIT */
#include "model/perfdata.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "base/text.h"

#define NUMBER_MAX 64

#define KIB 1024.0
#define MIB (1024.0 * KIB)
#define GIB (1024.0 * MIB)
#define TIB (1024.0 * GIB)

static const struct Unit {
        const char *word, *unit;
        double factor;
} units[] = {
        { "%", "percent", 1 },     { "s", "seconds", 1 },   { "ms", "seconds", 1e-3 },
        { "us", "seconds", 1e-6 }, { "B", "bytes", 1 },     { "KB", "bytes", KIB },
        { "kB", "bytes", KIB },    { "MB", "bytes", MIB },  { "GB", "bytes", GIB },
        { "TB", "bytes", TIB },    { "KiB", "bytes", KIB }, { "MiB", "bytes", MIB },
        { "GiB", "bytes", GIB },   { "TiB", "bytes", TIB }, { "c", "", 1 },
};

static bool is_blank(char c) {
        return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_name(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '.' || c == '/' || c == '-';
}

/* A label, quoted ('' is a quote in it) or not, up to the '='. NULL if there is none. */
static const char *label_read(const char *p, const char *end, char *name, size_t size) {
        bool is_quoted = p < end && *p == '\'';
        size_t n = 0;

        for (p += is_quoted; p < end; p++) {
                if (is_quoted && *p == '\'') {
                        if (p + 1 == end || p[1] != '\'')
                                break;
                        p++;
                } else if (!is_quoted && (*p == '=' || *p == '\'' || is_blank(*p)))
                        break;
                if (n + 1 < size)
                        name[n++] = *p;
                if (!is_name(*p))
                        name[n - 1] = '_';
        }
        name[n] = 0;
        if (is_quoted && p < end)
                p++;
        return n > 0 && p < end && *p == '=' ? p + 1 : NULL;
}

static bool has_value(const Result *r, const char *name) {
        for (size_t i = 0; i < r->n_values; i++)
                if (str_equal(r->values[i].name, name))
                        return true;
        return false;
}

/* How many characters of "12.5ms", "-3" or "1e-05" are its number. */
static size_t number_length(const char *p, size_t n) {
        static const char digits[] = "+-0123456789.,";
        size_t k = 0, e;

        while (k < n && p[k] && strchr(digits, p[k]))
                k++;
        e = k + 1;
        if (k == 0 || e >= n || (p[k] != 'e' && p[k] != 'E'))
                return k;
        e += p[e] == '-' || p[e] == '+';
        if (e >= n || p[e] < '0' || p[e] > '9')
                return k;
        while (e < n && p[e] >= '0' && p[e] <= '9')
                e++;
        return e;
}

/* Some languages have a decimal comma. */
static bool number_read(const char *p, size_t n, double *ret) {
        char text[NUMBER_MAX], *comma;

        if (n >= sizeof(text))
                return false;
        memcpy(text, p, n);
        text[n] = 0;
        comma = strchr(text, ',');
        if (comma)
                *comma = '.';
        return parse_double(text, ret) >= 0;
}

static bool value_read(const char *p, size_t n, double *ret, char unit[static 8]) {
        size_t length = number_length(p, n);

        if (!number_read(p, length, ret))
                return false;
        p += length;
        n -= length;
        for (size_t i = 0; i < ELEMENTSOF(units); i++)
                if (strlen(units[i].word) == n && memcmp(units[i].word, p, n) == 0) {
                        *ret *= units[i].factor;
                        snprintf(unit, 8, "%s", units[i].unit);
                        return true;
                }
        text_sanitize(unit, 8, p, n);
        return true;
}

void perfdata_parse(const char *bytes, size_t n, Result *result) {
        const char *p = bytes, *end = bytes + n;

        while (p < end) {
                char name[sizeof(result->values[0].name)], unit[sizeof(result->values[0].unit)];
                const char *value, *stop;
                double number;

                if (is_blank(*p)) {
                        p++;
                        continue;
                }
                value = label_read(p, end, name, sizeof(name));
                p = stop = value ? value : p;
                while (p < end && !is_blank(*p))
                        p++;
                while (value && stop < p && *stop != ';')
                        stop++;
                if (value && !has_value(result, name) &&
                    value_read(value, (size_t) (stop - value), &number, unit))
                        result_add_value(result, name, number, unit);
        }
}

static bool has_control(const char *p, size_t n) {
        for (size_t i = 0; i < n; i++)
                if ((unsigned char) p[i] < ' ' || p[i] == 0x7f)
                        return true;
        return false;
}

/* Nothing that a number could go on with, nor the next value. */
static bool is_unit(const char *s) {
        return strcspn(s, "0123456789+-., ") == strlen(s);
}

int perfdata_parse_strict(const char *bytes, size_t n, Result *result) {
        const char *p = bytes, *end = bytes + n;

        while (p < end) {
                size_t length = 0, n_before = result->n_values;

                if (is_blank(*p)) {
                        p++;
                        continue;
                }
                while (p + length < end && !is_blank(p[length]))
                        length++;
                if (has_control(p, length))
                        return -EINVAL;
                perfdata_parse(p, length, result);
                if (result->n_values != n_before + 1 || !is_unit(result->values[n_before].unit))
                        return -EINVAL;
                p += length;
        }
        return 0;
}
