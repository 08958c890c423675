/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "base/text.h"

static void test_timespan_parse(void **state _unused_) {
        static const struct {
                const char *text;
                int r;
                usec_t usec;
        } table[] = {
                { "5", 0, 5 * USEC_PER_SEC },
                { "250ms", 0, 250 * USEC_PER_MSEC },
                { "1min 30s", 0, 90 * USEC_PER_SEC },
                { "1min30s", 0, 90 * USEC_PER_SEC },
                { "1.5h", 0, 90 * USEC_PER_MINUTE },
                { "0.25s", 0, 250 * USEC_PER_MSEC },
                { "2w", 0, 14 * USEC_PER_DAY },
                { " 7 s ", 0, 7 * USEC_PER_SEC },
                { "0", 0, 0 },
                { "infinity", 0, USEC_INFINITY },
                { "", -EINVAL, 0 },
                { "s", -EINVAL, 0 },
                { "-5s", -EINVAL, 0 },
                { "5 parsecs", -EINVAL, 0 },
                { "5.", -EINVAL, 0 },
                { "1e3", -EINVAL, 0 },
                { "99999999999999999999", -ERANGE, 0 },
                { "9999999999999w", -ERANGE, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                usec_t usec = 0;

                assert_int_equal(timespan_parse(table[i].text, USEC_PER_SEC, &usec), table[i].r);
                assert_int_equal(usec, table[i].usec);
        }
}

static void test_timespan_format(void **state _unused_) {
        static const struct {
                usec_t usec;
                const char *text;
        } table[] = {
                { 0, "0ms" },
                { 1500, "1ms" },
                { 1500 * USEC_PER_MSEC, "1.5s" },
                { 2 * USEC_PER_SEC, "2s" },
                { 134 * USEC_PER_SEC, "2min 14s" },
                { 3 * USEC_PER_HOUR, "3h" },
                { 49 * USEC_PER_HOUR, "2d 1h" },
                { USEC_INFINITY, "never" },
        };
        char buf[TIMESPAN_MAX];

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                assert_string_equal(timespan_format(buf, table[i].usec), table[i].text);
}

static void test_timestamp(void **state _unused_) {
        char buf[TIMESTAMP_MAX];

        assert_string_equal(timestamp_format_utc(buf, 1700000000123456ULL),
                            "2023-11-14T22:13:20.123Z");
        assert_string_equal(timestamp_format_utc(buf, 0), "1970-01-01T00:00:00.000Z");
}

static void test_saturation(void **state _unused_) {
        assert_int_equal(usec_add(USEC_INFINITY - 1, 5), USEC_INFINITY);
        assert_int_equal(usec_sub(3, 5), 0);
        assert_int_equal(usec_sub(USEC_INFINITY, 5), USEC_INFINITY);
        assert_int_equal(usec_mul(USEC_INFINITY / 2, 3), USEC_INFINITY);
}

static void test_parse_numbers(void **state _unused_) {
        uint64_t u = 0;
        uint32_t millionths = 0;
        uint16_t port = 0;
        double d = 0;
        bool b = false;

        assert_int_equal(parse_uint64("18446744073709551615", &u), 0);
        assert_int_equal(u, UINT64_MAX);
        assert_int_equal(parse_uint64("18446744073709551616", &u), -ERANGE);
        assert_int_equal(parse_uint64("+5", &u), -EINVAL);
        assert_int_equal(parse_uint64("0x5", &u), -EINVAL);
        assert_int_equal(parse_uint64("", &u), -EINVAL);

        assert_int_equal(parse_size("1.5K", &u), 0);
        assert_int_equal(u, 1536);
        assert_int_equal(parse_size("2GB", &u), 0);
        assert_int_equal(u, 2ULL << 30);
        assert_int_equal(parse_size("2GG", &u), -EINVAL);
        assert_int_equal(parse_size("99E", &u), -ERANGE);
        assert_int_equal(parse_size("1.2.3", &u), -EINVAL);

        assert_int_equal(parse_percent("12.5%", &millionths), 0);
        assert_int_equal(millionths, 125000);
        assert_int_equal(parse_percent("101%", &millionths), -ERANGE);
        assert_int_equal(parse_percent("12", &millionths), -EINVAL);

        assert_int_equal(parse_port("65535", &port), 0);
        assert_int_equal(port, 65535);
        assert_int_equal(parse_port("0", &port), -ERANGE);
        assert_int_equal(parse_port("65536", &port), -ERANGE);

        assert_int_equal(parse_double("-1.5e3", &d), 0);
        assert_true(d < -1499 && d > -1501);
        assert_int_equal(parse_double("nan", &d), -EINVAL);
        assert_int_equal(parse_double("0x10", &d), -EINVAL);
        assert_int_equal(parse_double("1e400", &d), -ERANGE);
        assert_int_equal(parse_double("12abc", &d), -EINVAL);

        assert_int_equal(parse_bool("Yes", &b), 0);
        assert_true(b);
        assert_int_equal(parse_bool("off", &b), 0);
        assert_false(b);
        assert_int_equal(parse_bool("maybe", &b), -EINVAL);
}

static void test_sanitize(void **state _unused_) {
        static const struct {
                const char *in;
                size_t n;
                const char *out;
        } table[] = {
                { "plain", 5, "plain" },
                { "  two\r\n lines \n", 15, "two lines" },
                { "esc\x1b[31m", 8, "esc [31m" },
                { "nul\0nul", 7, "nul nul" },
                { "bad \xff\xc0\x80 utf", 11, "bad ??? utf" },
                { "gr\xc3\xbc\xc3\x9f", 6, "gr\xc3\xbc\xc3\x9f" },
                { "c1 \xc2\x9b x", 7, "c1 x" },
                { "0123456789abcdefXYZ", 19, "0123456789ab..." },
                { "0123456789\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc", 18, "0123456789\xc3\xbc..." },
        };
        char buf[16];

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                assert_string_equal(text_sanitize(buf, sizeof(buf), table[i].in, table[i].n),
                                    table[i].out);
}

static void test_text_keep(void **state _unused_) {
        const char *text = "";

        assert_int_equal(text_keep(&text, "one"), 0);
        assert_string_equal(text, "one");
        assert_int_equal(text_keep(&text, text), 0);
        assert_int_equal(text_keep(&text, text + 2), 0);
        assert_string_equal(text, "e");
        assert_int_equal(text_keep(&text, ""), 0);
        assert_string_equal(text, "");
        assert_int_equal(text_keep(&text, "two"), 0);
        text_drop(&text);
        assert_string_equal(text, "");
        text_drop(&text);
}

static void test_bytes_format(void **state _unused_) {
        char buf[BYTES_TEXT_MAX];

        assert_string_equal(bytes_format(buf, 0), "0B");
        assert_string_equal(bytes_format(buf, 1023), "1023B");
        assert_string_equal(bytes_format(buf, 1536), "1.5K");
        assert_string_equal(bytes_format(buf, 24ULL << 30), "24G");
        assert_string_equal(bytes_format(buf, UINT64_MAX), "16E");
}

static void test_edit_distance(void **state _unused_) {
        assert_int_equal(edit_distance("Intervall", "Interval", 3), 1);
        assert_int_equal(edit_distance("Timeout", "Timeout", 3), 0);
        assert_int_equal(edit_distance("Foo", "Interval", 3), 4);
        assert_int_equal(edit_distance("Tpye", "Type", 3), 1);
        assert_int_equal(edit_distance("", "abc", 3), 3);
}

static void test_strbuf(void **state _unused_) {
        _cleanup_strbuf_ StrBuf b = {};
        _cleanup_free_ char *text = NULL;

        for (int i = 0; i < 100; i++)
                strbuf_printf(&b, "%d,", i);
        strbuf_append(&b, "end");
        assert_int_equal(strbuf_finish(&b, &text), 0);
        assert_int_equal(strlen(text), 10 * 2 + 90 * 3 + 3);
        assert_null(b.text);
}

static void test_list(void **state _unused_) {
        struct Item {
                int n;
                ListLink link;
        } a = { 1 }, b = { 2 };
        List l = LIST_INIT(l);
        int sum = 0;

        assert_null(list_first(&l, struct Item, link));
        list_append(&l, &a.link);
        list_append(&l, &b.link);
        assert_ptr_equal(list_first(&l, struct Item, link), &a);
        LIST_FOREACH_SAFE(i, &l) {
                sum += list_item(i, struct Item, link)->n;
                list_unlink(i);
        }
        assert_int_equal(sum, 3);
        assert_true(list_is_empty(&l));
        list_unlink(&a.link);
}

static void test_parse_escaped(void **state _unused_) {
        static const struct {
                const char *text, *bytes;
                int n; /* or negative errno */
        } table[] = {
                { "", "", 0 },
                { "PING\\r\\n", "PING\r\n", 6 },
                { "\\a\\b\\f\\t\\v\\\\\\\"\\'", "\a\b\f\t\v\\\"'", 8 },
                { "\\x00\\xFf\\x0a0", "\0\377\n0", 4 },
                { "\\0\\08\\101\\1011\\377",
                  "\0\0"
                  "8AA1\377",
                  7 },
                { "\\", "", -EINVAL },
                { "\\x", "", -EINVAL },
                { "\\x1", "", -EINVAL },
                { "\\xg0", "", -EINVAL },
                { "\\400", "", -EINVAL },
                { "\\8", "", -EINVAL },
                { "\\q", "", -EINVAL },
                { "\\N", "", -EINVAL },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_free_ char *bytes = NULL;
                size_t n = 0;
                int r = parse_escaped(table[i].text, &bytes, &n);

                if (table[i].n < 0) {
                        assert_int_equal(r, table[i].n);
                        continue;
                }
                assert_int_equal(r, 0);
                assert_int_equal(n, table[i].n);
                assert_memory_equal(bytes, table[i].bytes, n + 1);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_timespan_parse), cmocka_unit_test(test_timespan_format),
                cmocka_unit_test(test_timestamp),      cmocka_unit_test(test_saturation),
                cmocka_unit_test(test_parse_numbers),  cmocka_unit_test(test_sanitize),
                cmocka_unit_test(test_edit_distance),  cmocka_unit_test(test_strbuf),
                cmocka_unit_test(test_list),           cmocka_unit_test(test_parse_escaped),
                cmocka_unit_test(test_bytes_format),   cmocka_unit_test(test_text_keep),
        };

        return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
