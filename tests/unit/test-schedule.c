/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "fixture.h"
#include "model/schedule.h"

#define MS USEC_PER_MSEC

static CheckConfig *make(const FixtureCheck *f) {
        return fixture_check_config("orders", f);
}

static void test_first(void **state _unused_) {
        static const struct {
                usec_t delay_usec, now, due;
        } table[] = {
                { 0, 1234567, 1234567 },
                { 5 * SEC, 1000000, 6 * SEC },
                { 5 * SEC, 1000001, 6 * SEC + 10 * MS },
                { USEC_INFINITY, 1000001, USEC_INFINITY },
                { 5 * SEC, USEC_INFINITY - SEC, USEC_INFINITY },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(check_config_unrefp) CheckConfig *c =
                        make(&(FixtureCheck){ "db", .initial_delay_usec = table[i].delay_usec });

                assert_int_equal(schedule_first(c, table[i].now), table[i].due);
        }
}

static void test_next_is_aligned(void **state _unused_) {
        _cleanup_(check_config_unrefp) CheckConfig *c = make(&(FixtureCheck){ "db" });
        usec_t first = schedule_next(c, false, 0, 0), due = first;

        assert_true(first <= 10 * SEC);
        assert_int_equal(first % SCHEDULE_GRID_USEC, 0);
        for (usec_t i = 1; i < 1000; i++) {
                due = schedule_next(c, false, 0, due + i % 7);
                assert_int_equal(due, first + i * 10 * SEC);
        }
}

/* However long the machine stood still, the next time is one interval away at most and in the same
 * phase: nothing is made up for. */
static void test_next_after_a_gap(void **state _unused_) {
        _cleanup_(check_config_unrefp) CheckConfig *c = make(&(FixtureCheck){ "db" });
        usec_t first = schedule_next(c, false, 0, 0);

        for (usec_t now = 0; now < 100000 * SEC; now += 98765432) {
                usec_t due = schedule_next(c, false, 0, now);

                assert_true(due > now);
                assert_true(due <= now + 10 * SEC + SCHEDULE_GRID_USEC);
                assert_int_equal((due + 100 * SEC - first) % (10 * SEC), 0);
        }
}

static void test_phases_differ(void **state _unused_) {
        unsigned per_second[10] = {};

        for (unsigned i = 0; i < 1000; i++) {
                _cleanup_(check_config_unrefp) CheckConfig *c = NULL;
                char name[32];

                snprintf(name, sizeof(name), "check-%u", i);
                c = make(&(FixtureCheck){ name });
                per_second[(schedule_next(c, false, 0, 0) - 1) / SEC % 10]++;
        }
        for (size_t i = 0; i < ELEMENTSOF(per_second); i++) {
                assert_true(per_second[i] > 50);
                assert_true(per_second[i] < 200);
        }
}

static void test_undecided(void **state _unused_) {
        _cleanup_(check_config_unrefp) CheckConfig *c =
                make(&(FixtureCheck){ "db", .retry_interval_usec = 500 * MS });
        usec_t aligned = schedule_next(c, false, 0, 100 * SEC);

        /* Sooner than the interval, but no later than its next time. */
        assert_int_equal(schedule_next(c, true, 0, aligned), aligned + 500 * MS);
        assert_int_equal(schedule_next(c, true, 0, aligned + 1), aligned + 510 * MS);
        assert_int_equal(schedule_next(c, true, 0, aligned - 200 * MS), aligned);
}

static void test_retry_after(void **state _unused_) {
        _cleanup_(check_config_unrefp) CheckConfig *c =
                make(&(FixtureCheck){ "llm", .retry_interval_usec = 500 * MS });
        usec_t aligned = schedule_next(c, false, 0, 100 * SEC);

        assert_int_equal(schedule_next(c, true, 3 * SEC, aligned), aligned + 3 * SEC);
        assert_int_equal(schedule_next(c, false, 3 * SEC, aligned), aligned + 10 * SEC);
        assert_int_equal(schedule_next(c, false, 25 * SEC, aligned), aligned + 25 * SEC);
        assert_int_equal(schedule_next(c, false, USEC_INFINITY, aligned),
                         aligned + SCHEDULE_RETRY_AFTER_MAX_USEC);
}

static void test_far_ends(void **state _unused_) {
        static const usec_t intervals[] = { 1, 3, 9999, 10001, SEC, USEC_INFINITY };
        static const usec_t times[] = { 0, 1, SEC, USEC_INFINITY / 2, USEC_INFINITY - 1 };

        for (size_t i = 0; i < ELEMENTSOF(intervals); i++)
                for (size_t j = 0; j < ELEMENTSOF(times); j++) {
                        _cleanup_(check_config_unrefp) CheckConfig *c =
                                make(&(FixtureCheck){ "db", .interval_usec = intervals[i] });
                        usec_t due = schedule_next(c, false, 0, times[j]);

                        assert_true(due > times[j]);
                        assert_true(due == USEC_INFINITY || due % SCHEDULE_GRID_USEC == 0);
                }
}

/* Intervals of 10s, runs of 1s, retries after 2s up to FailureThreshold=. */
static void test_worst_case(void **state _unused_) {
        static const struct {
                uint64_t failure_threshold, n_failures;
                usec_t seconds;
        } rows[] = { { 1, 1, 11 }, { 2, 2, 14 }, { 3, 3, 17 }, { 2, 3, 25 }, { 2, 1, 11 } };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                _cleanup_(check_config_unrefp) CheckConfig *c = make(
                        &(FixtureCheck){ "db", .failure_threshold = rows[i].failure_threshold });

                assert_int_equal(schedule_worst_case(c, rows[i].n_failures), rows[i].seconds * SEC);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_first),
                cmocka_unit_test(test_next_is_aligned),
                cmocka_unit_test(test_next_after_a_gap),
                cmocka_unit_test(test_phases_differ),
                cmocka_unit_test(test_undecided),
                cmocka_unit_test(test_retry_after),
                cmocka_unit_test(test_far_ends),
                cmocka_unit_test(test_worst_case),
        };

        return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
