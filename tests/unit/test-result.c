/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

#include "base/text.h"
#include "model/result.h"

static void test_words(void **state _unused_) {
        assert_string_equal(outcome_to_string(OUTCOME_PASS), "pass");
        assert_string_equal(outcome_to_string(OUTCOME_WARN), "warn");
        assert_string_equal(outcome_to_string(OUTCOME_FAIL), "fail");
        assert_string_equal(outcome_to_string(OUTCOME_ERROR), "error");
        assert_string_equal(reason_to_string(REASON_NONE), "");
        assert_string_equal(reason_to_string(REASON_EXIT_CODE), "exit-code");
        assert_string_equal(reason_to_string(REASON_INTERNAL), "internal");
}

static void test_reason_round_trip(void **state _unused_) {
        static const char *const bad[] = { "", "Timeout", "tls/expired", "none", "timeout " };
        Reason back = REASON_COUNT_;

        for (Reason r = REASON_TIMEOUT; r < REASON_COUNT_; r++) {
                assert_true(strlen(reason_to_string(r)) > 0);
                assert_int_equal(reason_from_string(reason_to_string(r), &back), 0);
                assert_int_equal(back, r);
        }
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_int_equal(reason_from_string(bad[i], &back), -EINVAL);
}

static void test_reason_format(void **state _unused_) {
        static const struct {
                Reason reason;
                const char *detail, *text;
        } table[] = {
                { REASON_NONE, "", "" },
                { REASON_NONE, "ignored", "" },
                { REASON_TIMEOUT, "", "timeout" },
                { REASON_TLS, "expired", "tls/expired" },
                { REASON_CONFIGURATION, "12345678901234567890123",
                  "configuration/12345678901234567890123" },
        };
        char buf[REASON_WORD_MAX];

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                assert_string_equal(reason_format(buf, table[i].reason, table[i].detail),
                                    table[i].text);
}

static void test_each_begins_anew(void **state _unused_) {
        Result r;

        memset(&r, 0xff, sizeof(r));
        result_fail(&r, REASON_TIMEOUT, "Timeout after %dms", 1000);
        assert_int_equal(r.outcome, OUTCOME_FAIL);
        assert_int_equal(r.reason, REASON_TIMEOUT);
        assert_string_equal(r.message, "Timeout after 1000ms");
        assert_string_equal(r.detail, "");
        assert_true(r.latency_usec == USEC_INFINITY);
        assert_int_equal(r.retry_after_usec, 0);
        assert_int_equal(r.n_values, 0);

        result_set_detail(&r, "connect");
        result_add_value(&r, "rows", 1, "");
        result_pass(&r, "%s", "");
        assert_int_equal(r.outcome, OUTCOME_PASS);
        assert_int_equal(r.reason, REASON_NONE);
        assert_string_equal(r.message, "");
        assert_string_equal(r.detail, "");
        assert_int_equal(r.n_values, 0);

        result_warn(&r, REASON_THRESHOLD, "slow");
        assert_int_equal(r.outcome, OUTCOME_WARN);
        assert_int_equal(r.reason, REASON_THRESHOLD);
        result_error(&r, REASON_RESOURCE, "no fd");
        assert_int_equal(r.outcome, OUTCOME_ERROR);
        assert_int_equal(r.reason, REASON_RESOURCE);
}

static void test_message_is_fit_to_show(void **state _unused_) {
        char longer[4000];
        Result r;

        result_fail(&r, REASON_PROTOCOL, "a\r\nb\033[1mc\xff%s", "\xc3\xa9");
        assert_string_equal(r.message, "a b [1mc?\xc3\xa9");

        for (size_t i = 0; i + 1 < sizeof(longer); i += 2)
                memcpy(longer + i, "\xc3\xa9", 2);
        longer[sizeof(longer) - 1] = 0;
        result_fail(&r, REASON_PROTOCOL, "%s", longer);
        assert_true(strlen(r.message) < RESULT_MESSAGE_MAX);
        assert_true(strlen(r.message) > RESULT_MESSAGE_MAX - 8);
        assert_string_equal(r.message + strlen(r.message) - 3, "...");
        assert_true(utf8_is_valid(r.message, strlen(r.message)));
}

static void test_errno(void **state _unused_) {
        static const struct {
                int error;
                Outcome outcome;
                Reason reason;
                const char *message;
        } table[] = {
                { ECONNREFUSED, OUTCOME_FAIL, REASON_REFUSED, "connect: Connection refused" },
                { -ECONNREFUSED, OUTCOME_FAIL, REASON_REFUSED, "connect: Connection refused" },
                { ECONNRESET, OUTCOME_FAIL, REASON_RESET, "connect: Connection reset by peer" },
                { EPIPE, OUTCOME_FAIL, REASON_RESET, "connect: Broken pipe" },
                { EHOSTUNREACH, OUTCOME_FAIL, REASON_UNREACHABLE, "connect: No route to host" },
                { ENETUNREACH, OUTCOME_FAIL, REASON_UNREACHABLE,
                  "connect: Network is unreachable" },
                { ENETDOWN, OUTCOME_FAIL, REASON_UNREACHABLE, "connect: Network is down" },
                { ETIMEDOUT, OUTCOME_FAIL, REASON_TIMEOUT, "connect: Connection timed out" },
                { ENOENT, OUTCOME_FAIL, REASON_MISSING, "connect: No such file or directory" },
                { EMFILE, OUTCOME_ERROR, REASON_RESOURCE, "connect: Too many open files" },
                { -ENFILE, OUTCOME_ERROR, REASON_RESOURCE,
                  "connect: Too many open files in system" },
                { ENOMEM, OUTCOME_ERROR, REASON_RESOURCE, "connect: Cannot allocate memory" },
                { ENOBUFS, OUTCOME_ERROR, REASON_RESOURCE, "connect: No buffer space available" },
                { EADDRNOTAVAIL, OUTCOME_ERROR, REASON_RESOURCE,
                  "connect: Cannot assign requested address" },
                { EAGAIN, OUTCOME_ERROR, REASON_RESOURCE,
                  "connect: Resource temporarily unavailable" },
                { EXDEV, OUTCOME_FAIL, REASON_INTERNAL, "connect: Invalid cross-device link" },
                { 99999, OUTCOME_FAIL, REASON_INTERNAL, "connect: unknown error" },
        };
        Result r;

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                result_errno(&r, table[i].error, "%s", "connect");
                assert_int_equal(r.outcome, table[i].outcome);
                assert_int_equal(r.reason, table[i].reason);
                assert_string_equal(r.message, table[i].message);
        }
}

static void test_detail(void **state _unused_) {
        static const struct {
                const char *text, *detail;
        } table[] = {
                { "expired", "expired" },
                { "a b/c\n\xff", "a-b-c--" },
                { "A_z.0-9", "A_z.0-9" },
                { "12345678901234567890123456789", "12345678901234567890123" },
        };
        Result r;

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                result_fail(&r, REASON_TLS, "x");
                result_set_detail(&r, table[i].text);
                assert_string_equal(r.detail, table[i].detail);
        }
}

static void test_values(void **state _unused_) {
        Result r;

        result_pass(&r, "ok");
        result_add_value(&r, "nan", (double) NAN, "");
        result_add_value(&r, "inf", (double) INFINITY, "");
        assert_int_equal(r.n_values, 0);
        result_add_value(&r, "a-name-that-is-too-long-for-a-value", 1.5, "much-too-long");
        assert_int_equal(r.n_values, 1);
        assert_int_equal(strlen(r.values[0].name), sizeof(r.values[0].name) - 1);
        assert_int_equal(strlen(r.values[0].unit), sizeof(r.values[0].unit) - 1);
        for (size_t i = 0; i < RESULT_VALUES_MAX + 5; i++)
                result_add_value(&r, "free", (double) i, "bytes");
        assert_int_equal(r.n_values, RESULT_VALUES_MAX);
        assert_true(r.values[RESULT_VALUES_MAX - 1].number > 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_words),
                cmocka_unit_test(test_reason_round_trip),
                cmocka_unit_test(test_reason_format),
                cmocka_unit_test(test_each_begins_anew),
                cmocka_unit_test(test_message_is_fit_to_show),
                cmocka_unit_test(test_errno),
                cmocka_unit_test(test_detail),
                cmocka_unit_test(test_values),
        };

        return cmocka_run_group_tests_name("result", tests, NULL, NULL);
}
