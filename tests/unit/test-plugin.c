/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/text.h"
#include "check/command-line.h"
#include "check/plugin-verdict.h"
#include "model/perfdata.h"

/* -- command lines ----------------------------------------------------------------------------- */

static void test_command_lines(void **state _unused_) {
        static const struct {
                const char *line;
                const char *words[5];
        } cases[] = {
                { "", {} },
                { " \t ", {} },
                { "/bin/a", { "/bin/a" } },
                { "  /bin/a\t-H  b ", { "/bin/a", "-H", "b" } },
                { "a \"b c\" 'd \"e'", { "a", "b c", "d \"e" } },
                { "a \"\" ''", { "a", "", "" } },
                { "a--x=\"b c\"d", { "a--x=b cd" } },
                { "a\\tb \\x41\\102 \\s\\\\", { "a\tb", "AB", " \\" } },
                { "\"a\\\"b\" 'c\\'d'", { "a\"b", "c'd" } },
                { "a $HOME %h * ; | > `x`", { "a", "$HOME", "%h", "*", ";" } },
                { "a\xc3\xa4 b", { "a\xc3\xa4", "b" } },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_strv_ char **words = NULL;
                const char *why;

                assert_int_equal(command_line_split(cases[i].line, &words, &why), 0);
                for (size_t k = 0; k < 5 && (k == 0 || cases[i].words[k - 1]); k++)
                        if (cases[i].words[k])
                                assert_string_equal(words[k], cases[i].words[k]);
                        else
                                assert_true(!words || !words[k]);
        }
}

static void test_bad_command_lines(void **state _unused_) {
        static const struct {
                const char *line, *why;
        } cases[] = {
                { "a \"b", "quote" },     { "a 'b\"", "quote" },     { "a \"b\\\"", "quote" },
                { "a \\q", "backslash" }, { "a \\x4", "backslash" }, { "a b\\", "backslash" },
                { "a \\0", "NUL" },       { "a b\\x00c", "NUL" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_strv_ char **words = NULL;
                const char *why = NULL;

                assert_int_equal(command_line_split(cases[i].line, &words, &why), -EINVAL);
                assert_null(words);
                assert_non_null(strstr(why, cases[i].why));
        }
}

/* -- performance data -------------------------------------------------------------------------- */

typedef struct Expected {
        const char *name;
        double number;
        const char *unit;
} Expected;

static void assert_values(const Result *r, const Expected *expected, size_t n_max) {
        size_t n = 0;

        for (; n < n_max && expected[n].name; n++) {
                assert_true(n < r->n_values);
                assert_string_equal(r->values[n].name, expected[n].name);
                assert_string_equal(r->values[n].unit, expected[n].unit);
                assert_true(r->values[n].number >= expected[n].number - 1e-9 &&
                            r->values[n].number <= expected[n].number + 1e-9);
        }
        assert_int_equal(r->n_values, n);
}

static void test_performance_data(void **state _unused_) {
        static const struct {
                const char *text;
                Expected values[5];
        } cases[] = {
                { "", {} },
                { "a=1", { { "a", 1, "" } } },
                { "load1=0.250;5.000;4.000;0; load5=1,5;;;",
                  { { "load1", 0.25, "" }, { "load5", 1.5, "" } } },
                { "time=0.000123s;;;0.000000;10.000000 size=5KB;;;0",
                  { { "time", 0.000123, "seconds" }, { "size", 5120, "bytes" } } },
                { "/=19533922304B;1;2;0;3", { { "/", 19533922304.0, "bytes" } } },
                { "rta=7ms;200;500;0; pl=12%;40;80;0;100",
                  { { "rta", 0.007, "seconds" }, { "pl", 12, "percent" } } },
                { "'C: free space'=2GB 'it''s'=-3c",
                  { { "C__free_space", 2147483648.0, "bytes" }, { "it_s", -3, "" } } },
                { "a=1 a=2 b=3", { { "a", 1, "" }, { "b", 3, "" } } },
                { "a=U b=;1 c= =5 d f=1.2.3 g=--1 h=nan i=2 j=", { { "i", 2, "" } } },
                { "a=1e3 b=2.5E-1s c=1e d=1e-",
                  { { "a", 1000, "" },
                    { "b", 0.25, "seconds" },
                    { "c", 1, "e" },
                    { "d", 1, "e-" } } },
                { "'open=5 b=6", { { "b", 6, "" } } },
                { "a=5furlongs", { { "a", 5, "furl..." } } },
                { "a_label_that_is_far_too_long_for_a_value=1",
                  { { "a_label_that_is_far_too", 1, "" } } },
                { "a=1\nb=2us\r\n", { { "a", 1, "" }, { "b", 2e-6, "seconds" } } },
                { "a\xff\x1b=1", { { "a__", 1, "" } } },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Result r;

                result_pass(&r, "x");
                perfdata_parse(cases[i].text, strlen(cases[i].text), &r);
                assert_values(&r, cases[i].values, ELEMENTSOF(cases[i].values));
        }
}

static void test_more_values_than_fit(void **state _unused_) {
        static const char text[] = "a=1 b=1 c=1 d=1 e=1 f=1 g=1 h=1 i=1 j=1 k=1 l=1 m=1 n=1";
        Result r;

        result_pass(&r, "x");
        perfdata_parse(text, strlen(text), &r);
        assert_int_equal(r.n_values, RESULT_VALUES_MAX);
        assert_string_equal(r.values[RESULT_VALUES_MAX - 1].name, "l");
}

/* -- verdicts ---------------------------------------------------------------------------------- */

static Result judge(bool is_signal, int code, const char *output, const char *errors) {
        Result r;

        plugin_judge(&r, &(ProcessEnd){ .is_signal = is_signal,
                                        .code = code,
                                        .output = output,
                                        .n_output = strlen(output),
                                        .errors = errors,
                                        .n_errors = strlen(errors) });
        return r;
}

static void test_verdicts(void **state _unused_) {
        static const struct {
                bool is_signal;
                int code;
                const char *output, *errors;
                Outcome outcome;
                const char *reason, *message;
        } cases[] = {
                { false, 0, "OK - fine | a=1\n", "", OUTCOME_PASS, "", "OK - fine" },
                { false, 0, "", "noise", OUTCOME_PASS, "", "" },
                { false, 0, "\n \nthird\nfourth\n", "", OUTCOME_PASS, "", "third" },
                { false, 1, "W", "", OUTCOME_WARN, "exit-code/1", "W" },
                { false, 2, "C\n", "", OUTCOME_FAIL, "exit-code/2", "C" },
                { false, 3, "U\n", "", OUTCOME_ERROR, "exit-code/3", "U" },
                { false, 4, "", "", OUTCOME_FAIL, "exit-code/4", "Exit status 4 without a word" },
                { false, 255, "", "why\nmore", OUTCOME_FAIL, "exit-code/255", "why" },
                { false, 126, "", "sh: x: Permission denied", OUTCOME_ERROR, "exec/126",
                  "sh: x: Permission denied" },
                { false, 127, "", "", OUTCOME_ERROR, "exec/127", "Exit status 127 without a word" },
                { true, SIGSEGV, "", "", OUTCOME_FAIL, "signal/SEGV", "Ended by SIGSEGV" },
                { true, SIGABRT, "", "assert", OUTCOME_FAIL, "signal/ABRT",
                  "Ended by SIGABRT: assert" },
                { true, 35, "half", "", OUTCOME_FAIL, "signal/35", "Ended by SIG35: half" },
                { false, 2, "a\x1b[31mb\xff\tc\r\n", "", OUTCOME_FAIL, "exit-code/2",
                  "a [31mb? c" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Result r =
                        judge(cases[i].is_signal, cases[i].code, cases[i].output, cases[i].errors);
                char reason[REASON_WORD_MAX];

                assert_int_equal(r.outcome, cases[i].outcome);
                assert_string_equal(reason_format(reason, r.reason, r.detail), cases[i].reason);
                assert_string_equal(r.message, cases[i].message);
        }
}

static void test_lack_of_rights(void **state _unused_) {
        ProcessEnd end = { .code = 1, .output = "no socket", .n_output = 9, .lacks_rights = true };
        Result r;

        plugin_judge(&r, &end);
        assert_int_equal(r.outcome, OUTCOME_ERROR);
        assert_int_equal(r.reason, REASON_EXEC);
        assert_non_null(strstr(r.message, "exec-icmp.conf"));
        assert_non_null(strstr(r.message, "no socket"));
        end.code = 0;
        plugin_judge(&r, &end);
        assert_int_equal(r.outcome, OUTCOME_PASS);
}

static void test_values_of_several_lines(void **state _unused_) {
        static const Expected expected[] = { { "a", 1, "" }, { "b", 2, "" }, { "c", 3, "" } };
        Result r = judge(false, 0, "DISK OK | a=1\n/ 5\n/home 6 x=7 | b=2\nc=3\n", "");

        assert_string_equal(r.message, "DISK OK");
        assert_values(&r, expected, ELEMENTSOF(expected));
        r = judge(false, 0, "| a=1 \n more | b=2 c=3", "");
        assert_string_equal(r.message, "");
        assert_values(&r, expected, ELEMENTSOF(expected));
}

static void test_failures_to_start(void **state _unused_) {
        static const struct {
                ProcessFailure failure;
                const char *reason, *word;
        } cases[] = {
                { { .error = -EAGAIN }, "resource", "/bin/x" },
                { { .error = -EMFILE }, "resource", "/bin/x" },
                { { .error = -ENOMEM, .is_of_file = true }, "resource", "/bin/x" },
                { { .error = -EAGAIN, .is_of_user = true }, "resource", "/bin/x" },
                { { .error = -EPERM }, "internal", "/bin/x" },
                { { .error = -ENOENT, .is_of_file = true }, "exec", "No such file" },
                { { .error = -ENOENT, .is_of_file = true, .lacks_interpreter = true },
                  "exec",
                  "interpreter" },
                { { .error = -ETXTBSY, .is_of_file = true }, "exec", "busy" },
                { { .error = -E2BIG, .is_of_file = true }, "exec", "too long" },
                { { .error = -EPERM, .is_of_file = true }, "exec", "not permitted" },
                { { .error = -EPERM, .is_of_file = true, .lacks_rights = true },
                  "exec",
                  "exec-icmp.conf" },
                { { .error = -ESRCH, .is_of_user = true }, "exec/user", "no such user" },
                { { .error = -EPERM, .is_of_user = true }, "exec/user", "exec-user.conf" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char reason[REASON_WORD_MAX];
                Result r;

                plugin_judge_failure(&r, "/bin/x", "someone", &cases[i].failure);
                assert_int_equal(r.outcome, OUTCOME_ERROR);
                assert_string_equal(reason_format(reason, r.reason, r.detail), cases[i].reason);
                assert_non_null(strstr(r.message, cases[i].word));
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_command_lines),
                cmocka_unit_test(test_bad_command_lines),
                cmocka_unit_test(test_performance_data),
                cmocka_unit_test(test_more_values_than_fit),
                cmocka_unit_test(test_verdicts),
                cmocka_unit_test(test_lack_of_rights),
                cmocka_unit_test(test_values_of_several_lines),
                cmocka_unit_test(test_failures_to_start),
        };

        return cmocka_run_group_tests_name("plugin", tests, NULL, NULL);
}
