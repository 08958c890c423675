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

static CheckConfig *config_with(const char *warn, const char *fail) {
        CheckConfig *c = fixture_check_config("orders", &(FixtureCheck){ "queue" });
        char why[OPTION_WHY_MAX];

        if (warn)
                assert_int_equal(option_limits.parse(NULL, warn, &c->warn, why), 0);
        if (fail)
                assert_int_equal(option_limits.parse(NULL, fail, &c->fail, why), 0);
        return c;
}

static void test_values(void **state _unused_) {
        static const struct {
                const char *warn, *fail;
                Outcome before, after;
                const char *message, *detail;
        } table[] = {
                { "depth:1200", NULL, OUTCOME_PASS, OUTCOME_PASS, "fine", "" },
                { "depth:1199", NULL, OUTCOME_PASS, OUTCOME_WARN, "depth is 1200, limit 1199",
                  "depth" },
                /* The first value, where no name is said. */
                { "1000", NULL, OUTCOME_PASS, OUTCOME_WARN, "depth is 1200, limit 1000", "depth" },
                { NULL, "consumers:1:", OUTCOME_PASS, OUTCOME_FAIL,
                  "consumers is 0, limit 1:", "consumers" },
                { NULL, "free:4G:", OUTCOME_PASS, OUTCOME_FAIL, "free is 3.0G, limit 4G:", "free" },
                { "age:1min", NULL, OUTCOME_PASS, OUTCOME_WARN, "age is 61.5 seconds, limit 1min",
                  "age" },
                /* The worse of the two; a warning keeps its own words, unless it fails. */
                { "depth:10", "depth:1000", OUTCOME_PASS, OUTCOME_FAIL, "depth is 1200, limit 1000",
                  "depth" },
                { "depth:10", "depth:2000", OUTCOME_PASS, OUTCOME_WARN, "depth is 1200, limit 10",
                  "depth" },
                { "depth:10", NULL, OUTCOME_WARN, OUTCOME_WARN, "tight", "" },
                { NULL, "depth:10", OUTCOME_WARN, OUTCOME_FAIL, "depth is 1200, limit 10",
                  "depth" },
                { NULL, "depth:10", OUTCOME_FAIL, OUTCOME_FAIL, "Connection refused", "" },
                { NULL, "depth:10", OUTCOME_ERROR, OUTCOME_ERROR, "Too many open files", "" },
                /* A limit that nothing is held against is no success without a word. */
                { NULL, "lag:5", OUTCOME_PASS, OUTCOME_WARN,
                  "Limit 5 is for the value lag, which was not measured", "unknown-value" },
                { "lag:5", "depth:10", OUTCOME_PASS, OUTCOME_FAIL, "depth is 1200, limit 10",
                  "depth" },
                { "depth:10", "lag:5", OUTCOME_PASS, OUTCOME_WARN, "depth is 1200, limit 10",
                  "depth" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(check_config_unrefp) CheckConfig *c =
                        config_with(table[i].warn, table[i].fail);
                Result r = fixture_result(table[i].before);

                result_add_value(&r, "depth", 1200, "");
                result_add_value(&r, "consumers", 0, "");
                result_add_value(&r, "free", 3221225472, "bytes");
                result_add_value(&r, "age", 61.5, "seconds");
                result_grade(c, &r);
                assert_int_equal(r.outcome, table[i].after);
                assert_string_equal(r.message, table[i].message);
                assert_string_equal(r.detail, table[i].detail);
                if (table[i].after != table[i].before)
                        assert_int_equal(r.reason, REASON_THRESHOLD);
                assert_int_equal(r.n_values, 4);
        }
}

static void test_no_values_at_all(void **state _unused_) {
        _cleanup_(check_config_unrefp) CheckConfig *c = config_with("5", NULL);
        Result r = fixture_result(OUTCOME_PASS);

        result_grade(c, &r);
        assert_int_equal(r.outcome, OUTCOME_WARN);
        assert_string_equal(r.detail, "unknown-value");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_grade),
                cmocka_unit_test(test_values),
                cmocka_unit_test(test_no_values_at_all),
        };

        return cmocka_run_group_tests_name("grade", tests, NULL, NULL);
}
