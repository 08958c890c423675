/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "check/restart-log.h"

#define WINDOW (32 * USEC_PER_SEC)
#define AT(s)  ((s) *USEC_PER_SEC)

static void test_what_was_before_does_not_count(void **state _unused_) {
        RestartLog l = {};

        assert_int_equal(restart_log_sum(&l, WINDOW, AT(1000)), 0);
        restart_log_note(&l, 7, WINDOW, AT(1000));
        assert_int_equal(restart_log_sum(&l, WINDOW, AT(1000)), 0);
        restart_log_note(&l, 9, WINDOW, AT(1001));
        assert_int_equal(restart_log_sum(&l, WINDOW, AT(1001)), 2);
}

static void test_the_window_slides(void **state _unused_) {
        RestartLog l = {};

        restart_log_note(&l, 0, WINDOW, AT(1000));
        for (uint32_t i = 1; i <= 100; i++) {
                restart_log_note(&l, i, WINDOW, AT(1000 + i));
                assert_int_equal(restart_log_sum(&l, WINDOW, AT(1000 + i)), MIN(i, 32U));
        }
        assert_int_equal(restart_log_sum(&l, WINDOW, AT(1116)), 16);
        assert_int_equal(restart_log_sum(&l, WINDOW, AT(1132)), 0);
        assert_int_equal(restart_log_sum(&l, WINDOW, AT(900000)), 0);
        restart_log_note(&l, 101, WINDOW, AT(900000));
        assert_int_equal(restart_log_sum(&l, WINDOW, AT(900000)), 1);
}

static void test_a_start_by_hand_sets_the_counter_back(void **state _unused_) {
        RestartLog l = {};

        restart_log_note(&l, 5, WINDOW, AT(1000));
        restart_log_note(&l, 8, WINDOW, AT(1001));
        restart_log_note(&l, 0, WINDOW, AT(1002));
        assert_int_equal(restart_log_sum(&l, WINDOW, AT(1002)), 3);
        restart_log_note(&l, 2, WINDOW, AT(1003));
        assert_int_equal(restart_log_sum(&l, WINDOW, AT(1003)), 5);
        restart_log_note(&l, 1, WINDOW, AT(1004));
        assert_int_equal(restart_log_sum(&l, WINDOW, AT(1004)), 6);
}

static void test_odd_times(void **state _unused_) {
        RestartLog l = {};

        restart_log_note(&l, 0, 1, 0);
        restart_log_note(&l, UINT32_MAX, 1, USEC_INFINITY - 1);
        assert_int_equal(restart_log_sum(&l, 1, USEC_INFINITY - 1), UINT32_MAX);
        /* Time does not go back; if it did, nothing would be lost. */
        assert_int_equal(restart_log_sum(&l, 1, 5), UINT32_MAX);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_was_before_does_not_count),
                cmocka_unit_test(test_the_window_slides),
                cmocka_unit_test(test_a_start_by_hand_sets_the_counter_back),
                cmocka_unit_test(test_odd_times),
        };

        return cmocka_run_group_tests_name("restart-log", tests, NULL, NULL);
}
