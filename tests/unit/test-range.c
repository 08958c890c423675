/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <errno.h>
#include <math.h>

#include "base/text.h"
#include "model/range.h"

/* Also of infinities, which a difference cannot tell. */
static bool same(double a, double b) {
        return !(a < b) && !(a > b);
}

static void test_ranges(void **state _unused_) {
        static const struct {
                const char *text;
                double low, high;
                bool is_inside;
                const char *unit;
        } table[] = {
                { "80", 0, 80, false, "" },
                { "10:", 10, INFINITY, false, "" },
                { "~:5", -INFINITY, 5, false, "" },
                { "10:20", 10, 20, false, "" },
                { "@1:3", 1, 3, true, "" },
                { "@80", 0, 80, true, "" },
                { "@~:5", -INFINITY, 5, true, "" },
                { "~:", -INFINITY, INFINITY, false, "" },
                { "-5:5.5", -5, 5.5, false, "" },
                { "1e3", 0, 1000, false, "" },
                { "7:7", 7, 7, false, "" },
                { "1G:", 1073741824, INFINITY, false, "bytes" },
                { "1.5K", 0, 1536, false, "bytes" },
                { "10MB:1G", 10485760, 1073741824, false, "bytes" },
                { "512B:", 512, INFINITY, false, "bytes" },
                { "10min", 0, 600, false, "seconds" },
                { "21d:", 1814400, INFINITY, false, "seconds" },
                { "-100ms:100ms", -0.1, 0.1, false, "seconds" },
                { "5:1min", 5, 60, false, "seconds" },
                { "5%:", 5, INFINITY, false, "percent" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                const char *unit;
                Range r;

                assert_int_equal(range_parse(table[i].text, &r, &unit), 0);
                assert_true(same(r.low, table[i].low));
                assert_true(same(r.high, table[i].high));
                assert_int_equal(r.is_inside, table[i].is_inside);
                assert_string_equal(unit, table[i].unit);
        }
}

static void test_bad_ranges(void **state _unused_) {
        static const struct {
                const char *text;
                int error;
        } table[] = {
                { "", -EINVAL },
                { "@", -EINVAL },
                { ":", -EINVAL },
                { ":5", -EINVAL },
                { "~", -EINVAL },
                { "5:~", -EINVAL },
                { "1:2:3", -EINVAL },
                { "x", -EINVAL },
                { "5 ", -EINVAL },
                { "@@5", -EINVAL },
                { "0x10", -EINVAL },
                { "inf", -EINVAL },
                { "nan:", -EINVAL },
                { "infinity", -EINVAL },
                { "--5", -EINVAL },
                { "5q", -EINVAL },
                { "%", -EINVAL },
                { "1K:5s", -EINVAL },
                { "20:10", -ERANGE },
                { "-1", -ERANGE },
                { "1K:1000", -ERANGE },
                { "1111111111111111111111111111111111111111111111111111111111111111", -EINVAL },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                const char *unit = "untouched";
                Range r = { .low = 42 };

                assert_int_equal(range_parse(table[i].text, &r, &unit), table[i].error);
                assert_string_equal(unit, "untouched");
                assert_true(same(r.low, 42));
        }
}

/* The examples of the plug-ins' guidelines. */
static void test_what_is_bad(void **state _unused_) {
        static const struct {
                const char *text, *bad, *good; /* some numbers of each */
        } table[] = {
                { "10", "-1 10.5 1e9", "0 5 10" },     { "10:", "-1 9.9", "10 11 1e9" },
                { "~:10", "10.1 11", "-1e9 0 10" },    { "10:20", "9 21", "10 15 20" },
                { "@10:20", "10 15 20", "9 20.5 -1" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                const char *unit;
                char *end;
                Range r;

                assert_int_equal(range_parse(table[i].text, &r, &unit), 0);
                for (const char *p = table[i].bad; *p; p = end)
                        assert_true(range_is_bad(&r, strtod(p, &end)));
                for (const char *p = table[i].good; *p; p = end)
                        assert_false(range_is_bad(&r, strtod(p, &end)));
        }
}

static void test_limits(void **state _unused_) {
        static const struct {
                const char *value, *name, *text; /* no text: a fault, and its words are the name */
        } table[] = {
                { "80", "", "80" },
                { "@1:3", "", "@1:3" },
                { "10:", "", "10:" },
                { "depth:1000", "depth", "1000" },
                { "consumers:1:", "consumers", "1:" },
                { "lag:~:5", "lag", "~:5" },
                { "_a b:@5:6", "_a b", "@5:6" },
                { "5min:", "", "5min:" },
                { "abcdefghijklmnopqrstuvw:1", "abcdefghijklmnopqrstuvw", "1" },
                { "abcdefghijklmnopqrstuvwx:1", "no value has so long a name", NULL },
                { "depth:9:1", "the range ends before it begins", NULL },
                { "depth", "", NULL },
                { "depth:", "", NULL },
                { ":5", "", NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                char why[OPTION_WHY_MAX] = "";
                Limits l = {};
                int r;

                r = option_limits.parse(NULL, table[i].value, &l, why);
                if (table[i].text) {
                        assert_int_equal(r, 0);
                        assert_int_equal(l.n, 1);
                        assert_string_equal(l.items[0].name, table[i].name);
                        assert_string_equal(l.items[0].text, table[i].text);
                } else {
                        assert_true(r == -EINVAL || r == -ERANGE);
                        assert_non_null(strstr(why, table[i].name));
                        assert_int_equal(l.n, 0);
                }
                option_limits.clear(&l);
        }
}

static void test_list(void **state _unused_) {
        _cleanup_strbuf_ StrBuf b = {};
        char why[OPTION_WHY_MAX];
        Limits l = {};

        assert_int_equal(option_limits.parse(NULL, "a:5", &l, why), 0);
        assert_int_equal(option_limits.parse(NULL, "b:6:", &l, why), 0);
        option_limits.canonical(NULL, &l, &b);
        assert_string_equal(b.text, "a:5\nb:6:\n");
        for (size_t i = 2; i < LIMITS_MAX; i++)
                assert_int_equal(option_limits.parse(NULL, "7", &l, why), 0);
        assert_int_equal(option_limits.parse(NULL, "7", &l, why), -ERANGE);
        assert_int_equal(l.n, LIMITS_MAX);
        option_limits.clear(&l);
        assert_null(l.items);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ranges),      cmocka_unit_test(test_bad_ranges),
                cmocka_unit_test(test_what_is_bad), cmocka_unit_test(test_limits),
                cmocka_unit_test(test_list),
        };

        return cmocka_run_group_tests_name("range", tests, NULL, NULL);
}
