/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "fixture.h"
#include "model/grade.h"

#define MS USEC_PER_MSEC

static void test_grade(void **state _unused_) {
        static const struct {
                usec_t warn_usec, max_usec, latency_usec;
                Outcome before, after;
                const char *message;
        } table[] = {
                /* No limits, no latency: as it was. */
                { 0, 0, 9 * SEC, OUTCOME_PASS, OUTCOME_PASS, "fine" },
                { 1, 1, USEC_INFINITY, OUTCOME_PASS, OUTCOME_PASS, "fine" },
                /* Up to the limit is good, beyond it is not. */
                { 300 * MS, 0, 300 * MS, OUTCOME_PASS, OUTCOME_PASS, "fine" },
                { 300 * MS, 0, 350 * MS, OUTCOME_PASS, OUTCOME_WARN, "Took 350.0ms, limit 300ms" },
                { 0, 300 * MS, 300 * MS, OUTCOME_PASS, OUTCOME_PASS, "fine" },
                { 0, 300 * MS, 301500, OUTCOME_PASS, OUTCOME_FAIL, "Took 301.5ms, limit 300ms" },
                { 100 * MS, SEC, 1100 * MS, OUTCOME_PASS, OUTCOME_FAIL, "Took 1100.0ms, limit 1s" },
                { 100 * MS, SEC, 200 * MS, OUTCOME_PASS, OUTCOME_WARN,
                  "Took 200.0ms, limit 100ms" },
                /* A warning keeps its own words, unless it becomes a failure. */
                { 100 * MS, SEC, 200 * MS, OUTCOME_WARN, OUTCOME_WARN, "tight" },
                { 100 * MS, SEC, 2 * SEC, OUTCOME_WARN, OUTCOME_FAIL, "Took 2000.0ms, limit 1s" },
                /* What failed already stays. */
                { 100 * MS, SEC, 2 * SEC, OUTCOME_FAIL, OUTCOME_FAIL, "Connection refused" },
                { 100 * MS, SEC, 2 * SEC, OUTCOME_ERROR, OUTCOME_ERROR, "Too many open files" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(check_config_unrefp) CheckConfig *c = fixture_check_config(
                        "orders", &(FixtureCheck){ "db", .warn_latency_usec = table[i].warn_usec,
                                                   .max_latency_usec = table[i].max_usec });
                Result r = fixture_result(table[i].before);

                r.latency_usec = table[i].latency_usec;
                result_add_value(&r, "rows", 1, "");
                result_grade(c, &r);
                assert_int_equal(r.outcome, table[i].after);
                assert_string_equal(r.message, table[i].message);
                if (table[i].after != table[i].before) {
                        assert_int_equal(r.reason, REASON_THRESHOLD);
                        assert_string_equal(r.detail, "latency");
                }
                assert_int_equal(r.latency_usec, table[i].latency_usec);
                assert_int_equal(r.n_values, 1);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_grade),
        };

        return cmocka_run_group_tests_name("grade", tests, NULL, NULL);
}
