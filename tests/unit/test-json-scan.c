/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "io/json-tree.h"

/* Text with its length, for what holds a NUL. */
#define T(s) \
        { s, sizeof(s) - 1 }

typedef struct Text {
        const char *text;
        size_t n;
} Text;

static void test_good(void **state _unused_) {
        static const Text table[] = {
                T("null"),
                T(" \t\r\n true \n"),
                T("0"),
                T("-0"),
                T("-0.5e-10"),
                T("1E+2"),
                T("1e-400"),
                T("9223372036854775807"),
                T("-9223372036854775808"),
                T("18446744073709551615"),
                T("1e308"),
                T("\"\""),
                T("\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\""),
                T("\"\\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u00e4 \\uD83D\\ude00 \\u0000\""),
                T("[]"),
                T("[[],{}, [ ] , { } ]"),
                T("{\"a\":1,\"A\":2,\"\":3}"),
                T("{\"a\":{\"a\":{\"a\":[{\"a\":1},{\"a\":1}]}},\"b\":0}"),
                T("{\"a/b\":[1,\"two\",{\"three\":null}]}"),
                T("\"\x7f\""),
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                JsonFault fault = {};
                json_object *o = NULL;

                assert_int_equal(json_scan(table[i].text, table[i].n, &fault), 0);
                assert_null(fault.text);
                assert_int_equal(json_tree_parse(table[i].text, table[i].n, &o, &fault), 0);
                json_object_put(o);
        }
}

/* What json-c takes, most of it in its strict mode, too, and a few that it does not. */
static void test_fault_5_bad(void **state _unused_) {
        static const struct {
                Text text;
                size_t column;
                const char *words;
        } table[] = {
                { T(""), 1, "ends" },
                { T(" "), 2, "ends" },
                { T("{\"a\":1,\"a\":2}"), 14, "twice" },
                { T("{\"a\":1,\"b\":0,\"\\u0061\":2}"), 25, "twice" },
                { T("{\"\xc3\xa4\":1,\"\\u00E4\":2}"), 0, "twice" },
                { T("{\"\xf0\x9f\x98\x80\":1,\"\\ud83d\\ude00\":2}"), 0, "twice" },
                { T("{\"/\":1,\"\\/\":2}"), 0, "twice" },
                { T("[{\"x\":{\"a\":1,\"b\":2,\"a\":3}}]"), 0, "twice" },
                { T("{\"a\\u0000b\":1}"), 0, "NUL" },
                { T("NaN"), 1, "not a value" },
                { T("[nan]"), 2, "not a value" },
                { T("Infinity"), 1, "not a value" },
                { T("-Infinity"), 2, "digit" },
                { T("1e400"), 6, "too large" },
                { T("-1.5e309"), 0, "too large" },
                { T("18446744073709551616"), 0, "too large" },
                { T("-9223372036854775809"), 0, "too large" },
                { T("99999999999999999999999999999999"), 0, "too large" },
                { T("{'a':1}"), 2, "double quotes" },
                { T("['a']"), 2, "not a value" },
                { T("{a:1}"), 2, "double quotes" },
                { T("\"a\x01\""), 3, "control" },
                { T("\"a\tb\""), 3, "control" },
                { T("\"a\nb\""), 3, "control" },
                { T("\"a\0b\""), 3, "control" },
                { T("\"a"), 3, "within a string" },
                { T("\"\xff\""), 2, "UTF-8" },
                { T("\"\xc0\x80\""), 2, "UTF-8" },
                { T("\"\xed\xa0\x80\""), 2, "UTF-8" },
                { T("\"\xe2\x82\""), 2, "UTF-8" },
                { T("\"\\ud800\""), 0, "surrogate" },
                { T("\"\\udc00\\ud800\""), 0, "surrogate" },
                { T("\"\\ud800\\u0041\""), 0, "surrogate" },
                { T("\"\\u12g4\""), 0, "hexadecimal" },
                { T("\"\\u123"), 0, "hexadecimal" },
                { T("\"\\x41\""), 0, "escape" },
                { T("\"\\'\""), 0, "escape" },
                { T("\"\\"), 0, "escape" },
                { T("/* c */ 1"), 1, "not a value" },
                { T("1 // c"), 3, "more behind" },
                { T("[1, /**/ 2]"), 5, "not a value" },
                { T("{} {}"), 4, "more behind" },
                { T("1 2"), 3, "more behind" },
                { T("nullx"), 5, "more behind" },
                { T("null\0"), 5, "more behind" },
                { T("\xef\xbb\xbf{}"), 1, "not a value" },
                { T("[1,]"), 4, "not a value" },
                { T("{\"a\":1,}"), 8, "double quotes" },
                { T("[,1]"), 2, "not a value" },
                { T("[1 2]"), 4, "comma" },
                { T("{\"a\" 1}"), 6, "colon" },
                { T("{\"a\"}"), 5, "colon" },
                { T("{1:2}"), 2, "double quotes" },
                { T("[1}"), 3, "comma" },
                { T("{\"a\":1]"), 7, "comma" },
                { T("]"), 1, "not a value" },
                { T("["), 2, "ends" },
                { T("[1"), 3, "too soon" },
                { T("{"), 2, "ends" },
                { T("{\"a\":"), 6, "ends" },
                { T("01"), 2, "begins with 0" },
                { T("-01"), 3, "begins with 0" },
                { T("1."), 3, "digit" },
                { T(".5"), 1, "not a value" },
                { T("+1"), 1, "not a value" },
                { T("1e"), 3, "digit" },
                { T("1e+"), 4, "digit" },
                { T("0x10"), 2, "more behind" },
                { T("-"), 2, "digit" },
                { T("TRUE"), 1, "not a value" },
                { T("tru"), 1, "not a value" },
                { T("undefined"), 1, "not a value" },
                { T("[1]\f"), 4, "more behind" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                JsonFault fault = {};
                json_object *o = NULL;

                if (json_scan(table[i].text.text, table[i].text.n, &fault) != -EINVAL)
                        fail_msg("%s was taken", table[i].text.text);
                if (!strstr(fault.text, table[i].words))
                        fail_msg("%s: %s", table[i].text.text, fault.text);
                assert_int_equal(fault.line, 1);
                if (table[i].column > 0 && fault.column != table[i].column)
                        fail_msg("%s: column %zu", table[i].text.text, fault.column);
                assert_int_equal(json_tree_parse(table[i].text.text, table[i].text.n, &o, &fault),
                                 -EINVAL);
                assert_null(o);
        }
}

static int scan_nested(size_t depth, const char *open, const char *close) {
        _cleanup_strbuf_ StrBuf b = {};
        JsonFault fault;

        for (size_t i = 0; i < depth; i++)
                strbuf_append(&b, open);
        strbuf_append(&b, "1");
        for (size_t i = 0; i < depth; i++)
                strbuf_append(&b, close);
        if (json_scan(b.text, b.length, &fault) == 0) {
                json_object *o;

                assert_int_equal(json_tree_parse(b.text, b.length, &o, &fault), 0);
                json_object_put(o);
                return 0;
        }
        assert_string_equal(fault.text, "nested too deeply");
        return -1;
}

static void test_fault_5_depth(void **state _unused_) {
        assert_int_equal(scan_nested(32, "[", "]"), 0);
        assert_int_equal(scan_nested(33, "[", "]"), -1);
        assert_int_equal(scan_nested(32, "{\"a\":", "}"), 0);
        assert_int_equal(scan_nested(33, "{\"a\":", "}"), -1);
        assert_int_equal(scan_nested(1000000, "[", "]"), -1);
}

static void test_place(void **state _unused_) {
        static const char text[] = "{\n  \"a\": 1,\n  \"b\": ?\n}";
        JsonFault fault;

        assert_int_equal(json_scan(text, strlen(text), &fault), -EINVAL);
        assert_int_equal(fault.line, 3);
        assert_int_equal(fault.column, 8);
}

/* Many names, and a number with many digits. */
static void test_size(void **state _unused_) {
        _cleanup_strbuf_ StrBuf b = {};
        JsonFault fault;

        strbuf_append(&b, "{");
        for (int i = 0; i < 100000; i++)
                strbuf_printf(&b, "\"name%d\":[%d],", i, i);
        strbuf_append(&b, "\"last\":0}");
        assert_int_equal(json_scan(b.text, b.length, &fault), 0);
        b.text[b.length - 1] = ',';
        strbuf_append(&b, "\"name500\":0}");
        assert_int_equal(json_scan(b.text, b.length, &fault), -EINVAL);

        strbuf_reset(&b);
        strbuf_append(&b, "0.");
        for (int i = 0; i < 5000; i++)
                strbuf_append(&b, "1");
        assert_int_equal(json_scan(b.text, b.length, &fault), -EINVAL);
        assert_string_equal(fault.text, "a number is too long");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_good),          cmocka_unit_test(test_fault_5_bad),
                cmocka_unit_test(test_fault_5_depth), cmocka_unit_test(test_place),
                cmocka_unit_test(test_size),
        };

        return cmocka_run_group_tests_name("json-scan", tests, NULL, NULL);
}
