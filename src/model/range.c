/* SPDX-License-Identifier: MIT */
#include "model/range.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>

#include "base/parse.h"
#include "base/text.h"
#include "model/result.h"

static_assert(LIMIT_NAME_MAX == sizeof(((Value *) NULL)->name), "names that no value can have");

/* A number of that kind; more than one kind in a range is a mistake. */
static int unit_take(const char **unit, const char *of_number) {
        if (**unit && !str_equal(*unit, of_number))
                return -EINVAL;
        *unit = of_number;
        return 0;
}

static int number_with_suffix(const char *s, double *ret, const char **unit) {
        char digits[RANGE_TEXT_MAX];
        size_t n = strlen(s);
        uint64_t bytes;
        usec_t span;

        if (n > 1 && s[n - 1] == '%') {
                snprintf(digits, sizeof(digits), "%.*s", (int) n - 1, s);
                return parse_double(digits, ret) < 0 ? -EINVAL : unit_take(unit, "percent");
        }
        if (parse_size(s, &bytes) >= 0) {
                *ret = (double) bytes;
                return unit_take(unit, "bytes");
        }
        if (!isalpha((unsigned char) s[0]) && timespan_parse(s, USEC_PER_SEC, &span) >= 0) {
                *ret = (double) span / (double) USEC_PER_SEC;
                return unit_take(unit, "seconds");
        }
        return -EINVAL;
}

static int number_parse(const char *s, double *ret, const char **unit) {
        bool is_negative = s[0] == '-';
        int r;

        if (parse_double(s, ret) >= 0)
                return 0;
        r = number_with_suffix(s + is_negative, ret, unit);
        if (r >= 0 && is_negative)
                *ret = -*ret;
        return r;
}

int range_parse(const char *s, Range *ret, const char **ret_unit) {
        Range range = { .low = 0, .high = INFINITY, .is_inside = s[0] == '@' };
        const char *unit = "", *colon, *high;
        char low[RANGE_TEXT_MAX];
        int r;

        if (strlen(s) >= RANGE_TEXT_MAX || strpbrk(s, " \t"))
                return -EINVAL;
        s += range.is_inside;
        colon = strchr(s, ':');
        high = colon ? colon + 1 : s;
        if (colon) {
                snprintf(low, sizeof(low), "%.*s", (int) (colon - s), s);
                range.low = -INFINITY;
                r = str_equal(low, "~") ? 0 : number_parse(low, &range.low, &unit);
                if (r < 0)
                        return r;
        }
        if (!colon || *high) {
                r = number_parse(high, &range.high, &unit);
                if (r < 0)
                        return r;
        }
        if (range.low > range.high)
                return -ERANGE;
        *ret = range;
        *ret_unit = unit;
        return 0;
}

bool range_is_bad(const Range *r, double number) {
        bool is_within = number >= r->low && number <= r->high;

        return r->is_inside ? is_within : !is_within;
}

/* -- Warn=, Fail= ------------------------------------------------------------------------------ */

/* Where the range begins: behind a name and a colon, if there is a name. Ranges begin with a digit,
 * a sign, a point, "~" or "@". */
static const char *limit_find_range(const char *value, size_t *ret_name) {
        const char *colon = strchr(value, ':');

        *ret_name = 0;
        if (!colon || strchr("0123456789+-.~@:", value[0]))
                return value;
        *ret_name = (size_t) (colon - value);
        return colon + 1;
}

static int limit_parse(const char *value, Limit *ret, char why[static OPTION_WHY_MAX]) {
        char shown[OPTION_VALUE_SHOWN_MAX];
        const char *range;
        size_t n_name;
        int r;

        range = limit_find_range(value, &n_name);
        if (n_name >= sizeof(ret->name)) {
                snprintf(why, OPTION_WHY_MAX, "\"%s\": no value has so long a name",
                         option_show(shown, value));
                return -EINVAL;
        }
        *ret = (Limit){};
        r = range_parse(range, &ret->range, &ret->unit);
        if (r == -ERANGE)
                snprintf(why, OPTION_WHY_MAX, "\"%s\": the range ends before it begins",
                         option_show(shown, value));
        if (r < 0)
                return r;
        memcpy(ret->name, value, n_name);
        snprintf(ret->text, sizeof(ret->text), "%s", range);
        return 0;
}

static int limits_parse(const Option *o _unused_, const char *value, void *field,
                        char why[static OPTION_WHY_MAX]) {
        Limits *l = field;
        Limit limit, *items;
        int r;

        r = limit_parse(value, &limit, why);
        if (r < 0)
                return r;
        if (l->n >= LIMITS_MAX) {
                snprintf(why, OPTION_WHY_MAX, "more than %d ranges", LIMITS_MAX);
                return -ERANGE;
        }
        items = reallocarray(l->items, l->n + 1, sizeof(Limit));
        if (!items)
                return -ENOMEM;
        l->items = items;
        items[l->n++] = limit;
        return 0;
}

static void limits_clear(void *field) {
        Limits *l = field;

        free(l->items);
        *l = (Limits){};
}

static void limits_canonical(const Option *o _unused_, const void *field, StrBuf *out) {
        const Limits *l = field;

        for (size_t i = 0; i < l->n; i++)
                strbuf_printf(out, "%s:%s\n", l->items[i].name, l->items[i].text);
}

const OptionType option_limits = {
        .expected = "a range such as 80, 10:, ~:5 or @1:3, with a value's name and a colon in "
                    "front where there are several values",
        .is_list = true,
        .parse = limits_parse,
        .clear = limits_clear,
        .canonical = limits_canonical,
        .size = sizeof(Limits),
};
