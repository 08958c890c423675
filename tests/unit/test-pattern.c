/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "check/pattern.h"

static int search(const char *pattern, const char *text, size_t n) {
        char why[OPTION_WHY_MAX] = "";
        Pattern p = {};
        int r;

        if (pattern_compile(pattern, &p, why) < 0)
                fail_msg("%s: %s", pattern, why);
        r = pattern_search(&p, text, n);
        pattern_done(&p);
        return r;
}

static void test_search(void **state _unused_) {
        static const struct {
                const char *pattern, *text;
                int found;
        } table[] = {
                { "ok", "is ok.", 1 },
                { "OK", "is ok.", 0 },
                { "(?i)OK", "is ok.", 1 },
                { "^ok$", "first\r\nok\r\nlast", 1 },
                { "^ok$", "not ok", 0 },
                { "\\Aok", "first\nok", 0 },
                { "a.c", "a\nc", 0 },
                { "(?s)a.c", "a\nc", 1 },
                { "^.$", "\xc3\xa4", 1 },
                { "(?i)\xc3\x84", "\xc3\xa4", 1 },
                { "ok", "\xff\xfe ok", 1 },
                { ".ok", "\xffok", 0 },
                { "\"status\"\\s*:\\s*\"(UP|OK)\"", "{\"status\" : \"UP\"}", 1 },
                { "(a)\\1", "aa", 1 },
                { "(?<x>a)\\k<x>", "aa", 1 },
                { "x", "", 0 },
                { "", "", 1 },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (search(table[i].pattern, table[i].text, strlen(table[i].text)) !=
                    table[i].found)
                        fail_msg("%s in %s", table[i].pattern, table[i].text);
        assert_int_equal(search("a.b", "a\0b", 3), 1);
}

static void test_bad(void **state _unused_) {
        static const char *const table[] = {
                "(", "[a", "*", "a**b(", "(?<n>", "\\C", "(?<=a+)b", "\\1",
        };
        char why[OPTION_WHY_MAX], longest[PATTERN_TEXT_MAX + 2];
        Pattern p = {};

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                if (pattern_compile(table[i], &p, why) != -EINVAL)
                        fail_msg("%s was taken", table[i]);
                assert_non_null(strstr(why, "not a regular expression: "));
                assert_null(p.code);
        }
        memset(longest, 'a', sizeof(longest));
        longest[sizeof(longest) - 1] = 0;
        assert_int_equal(pattern_compile(longest, &p, why), -EINVAL);
}

/* Expressions that are known to never end, on as much text as MaxReply= lets in by default. */
static void test_bounded(void **state _unused_) {
        static const char *const table[] = {
                "(a+)+$x",
                "(a|a)*b",
                "(a|aa)+$b",
                "(.*a){20}b",
                "a.*a.*a.*b",
                "(a*)*b",
                "^(([a-z])+.)+[A-Z]([a-z])+$",
        };
        size_t n = 65536;
        char *text = malloc(n);
        usec_t longest = 0;

        assert_non_null(text);
        memset(text, 'a', n);
        memcpy(text + n - 4, "\nbxA", 4); /* or it would be seen that there can be no match */
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                usec_t begin = clock_usec(CLOCK_PROCESS_CPUTIME_ID), took;
                int r = search(table[i], text, n);

                took = clock_usec(CLOCK_PROCESS_CPUTIME_ID) - begin;
                print_message("# %s: %d in %u us\n", table[i], r, (unsigned) took);
                longest = MAX(longest, took);
                assert_true(r == 0 || r == -E2BIG);
        }
        assert_int_equal(search("(a+)+$x", text, n), -E2BIG);
        assert_true(longest < 2 * USEC_PER_SEC); /* some milliseconds of the processor */
        free(text);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_search),
                cmocka_unit_test(test_bad),
                cmocka_unit_test(test_bounded),
        };

        return cmocka_run_group_tests_name("pattern", tests, NULL, NULL);
}
