/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <string.h>

#include "output/http-query.h"

static HttpSlice slice(const char *text) {
        return (HttpSlice){ text, strlen(text) };
}

static void assert_slice(HttpSlice s, const char *expected) {
        assert_int_equal(s.start != NULL, expected != NULL);
        if (!expected)
                return;
        assert_int_equal(s.length, strlen(expected));
        assert_memory_equal(s.start, expected, s.length);
}

static void test_queries(void **state _unused_) {
        static const struct {
                const char *text, *format;
                bool is_verbose;
                const char *excluded[3];
        } cases[] = {
                { "", NULL, false, {} },
                { "&&=&", NULL, false, {} },
                { "x=y", NULL, false, {} },
                { "format", "", false, {} },
                { "format=", "", false, {} },
                { "format=ietf", "ietf", false, {} },
                { "format=ietf&format=text", "text", false, {} },
                { "Format=ietf", NULL, false, {} },
                { "verbose", NULL, true, {} },
                { "verbose=1&x", NULL, true, {} },
                { "verbosely", NULL, false, {} },
                { "exclude=a", NULL, false, { "a" } },
                { "exclude=a&exclude=b%2Fc&exclude", NULL, false, { "a", "b%2Fc", "" } },
                { "exclude=a=b&format=x", "x", false, { "a=b" } },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                HttpQuery q = {};
                size_t n = 0;

                assert_true(http_query_parse(slice(cases[i].text), &q));
                assert_slice(q.format, cases[i].format);
                assert_int_equal(q.is_verbose, cases[i].is_verbose);
                for (; n < 3 && cases[i].excluded[n]; n++)
                        assert_slice(q.excluded[n], cases[i].excluded[n]);
                assert_int_equal(q.n_excluded, n);
        }
}

static void test_limits(void **state _unused_) {
        HttpQuery q = {};

        assert_true(http_query_parse((HttpSlice){}, &q));
        for (size_t i = 0; i < HTTP_EXCLUDED_MAX; i++)
                assert_true(http_query_parse(slice("exclude=a"), &q));
        assert_int_equal(q.n_excluded, HTTP_EXCLUDED_MAX);
        assert_false(http_query_parse(slice("exclude=a"), &q));
        assert_true(http_query_parse(slice("verbose"), &q));
}

static void test_decode(void **state _unused_) {
        char text[4];

        assert_true(http_slice_decode(slice("a%2Fb"), text, sizeof(text)));
        assert_string_equal(text, "a/b");
        assert_true(http_slice_decode(slice(""), text, sizeof(text)));
        assert_string_equal(text, "");
        assert_true(http_slice_decode(slice("%c3%BC"), text, sizeof(text)));
        assert_string_equal(text, "\xc3\xbc");
        assert_false(http_slice_decode(slice("abcd"), text, sizeof(text)));
        assert_false(http_slice_decode(slice("a%00b"), text, sizeof(text)));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_queries),
                cmocka_unit_test(test_limits),
                cmocka_unit_test(test_decode),
        };

        return cmocka_run_group_tests_name("http-query", tests, NULL, NULL);
}
