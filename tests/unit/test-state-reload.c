/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "fixture.h"
#include "model/probe.h"

static State *make_unit_service(void) {
        State *s = fixture_state(&(FixtureService){
                "orders",
                .unit = "orders.service",
                .startup_timeout_usec = 60 * SEC,
                .checks = { { "app", .probes = STARTUP | READINESS | LIVENESS }, { "db" } },
        });

        assert_int_equal(fixture_apply_unit(s, 0, UNIT_ACTIVE, "aa", fixture_time(1)), 0);
        fixture_apply_result(s, 0, OUTCOME_PASS, fixture_time(2));
        fixture_apply_result(s, 1, OUTCOME_PASS, fixture_time(3));
        assert_true(s->services[0]->is_started);
        return s;
}

static void reload(State *s, const FixtureService *services, size_t n, usec_t at) {
        _cleanup_(config_unrefp) Config *c = fixture_config(services, n);

        assert_int_equal(fixture_apply_config(s, c, fixture_time(at)), 0);
}

static Readiness readiness(const State *s, size_t service, usec_t at) {
        const ServiceConfig *c = s->config->services + service;

        return probe_evaluate(c, s->services[service], s->checks + c->first_check, &s->drain,
                              fixture_time(at))
                .ready;
}

static void test_reload_refused(void **state _unused_) {
        _cleanup_(state_freep) State *s = make_unit_service();
        Event e = { .type = EVENT_CONFIG, .reload_error = "orders.conf:3: Unknown key" };
        const Config *before = s->config;

        assert_int_equal(state_apply(s, &e, fixture_time(SEC)), 0);
        assert_string_equal(s->reload_error, "orders.conf:3: Unknown key");
        assert_int_equal(s->reload_realtime, fixture_time(SEC).realtime);
        assert_ptr_equal(s->config, before);
        reload(s, &(FixtureService){ "orders" }, 1, 2 * SEC);
        assert_null(s->reload_error);
        assert_int_equal(s->reload_realtime, fixture_time(2 * SEC).realtime);
}

static void test_reload_carries_over(void **state _unused_) {
        static const FixtureService before[] = {
                { "billing", .checks = { { "api" } } },
                { "orders", .unit = "orders.service", .checks = { { "db" }, { "cache" } } },
        };
        /* "orders" has moved to the front, its checks have changed places. */
        static const FixtureService after[] = {
                { "orders", .unit = "orders.service",
                  .checks = { { "cache", .interval_usec = 5 * SEC },
                              { "db", .canonical = "new" } } },
                { "search" },
        };
        _cleanup_(config_unrefp) Config *c = fixture_config(before, 2);
        _cleanup_(state_freep) State *s = fixture_need(state_new(c, fixture_time(0)));

        fixture_apply_unit(s, 1, UNIT_ACTIVE, "aa", fixture_time(1));
        fixture_apply_result(s, 1, OUTCOME_PASS, fixture_time(SEC));
        fixture_apply_result(s, 2, OUTCOME_PASS, fixture_time(SEC));
        fixture_apply_result(s, 2, OUTCOME_FAIL, fixture_time(2 * SEC));
        fixture_apply_override(s, 1, HEALTH_DEGRADED, USEC_INFINITY, fixture_time(3 * SEC));
        fixture_apply_drain(s, INDEX_NONE, USEC_INFINITY, false, fixture_time(3 * SEC));
        fixture_apply_drain(s, 1, USEC_INFINITY, false, fixture_time(3 * SEC));
        s->shutdown = s->drain;
        reload(s, after, 2, 4 * SEC);

        assert_int_equal(s->config->n_services, 2);
        assert_true(s->services[0]->is_started);
        assert_true(s->services[0]->drain.is_active);
        assert_true(s->drain.is_active && s->shutdown.is_active);
        assert_string_equal(s->services[0]->invocation_id, "aa");
        assert_int_equal(s->services[0]->unit, UNIT_ACTIVE);
        assert_int_equal(s->services[0]->startup_boottime, fixture_time(0).boottime);

        /* cache tests the same thing: all is kept but its settings. */
        assert_ptr_equal(s->checks[0]->config, s->config->checks[0]);
        assert_int_equal(s->checks[0]->config->interval_usec, 5 * SEC);
        assert_int_equal(s->checks[0]->state, HEALTH_HEALTHY);
        assert_int_equal(s->checks[0]->failures_in_row, 1);
        assert_int_equal(s->checks[0]->n_runs, 2);
        assert_int_equal(s->checks[0]->fresh_boottime, fixture_time(2 * SEC).boottime);

        /* db does not: it begins anew, its override went with it. */
        assert_int_equal(s->checks[1]->measured, HEALTH_PENDING);
        assert_int_equal(s->checks[1]->state, HEALTH_PENDING);
        assert_int_equal(s->checks[1]->n_runs, 0);
}

/* Whatever a reload adds to a ready service, results decide when it counts. */
static void test_reload_joins(void **state _unused_) {
        static const struct {
                const char *results;
                Readiness after[4];
        } table[] = {
                { "p", { READINESS_READY } },
                { "f", { READINESS_READY } },
                { "ff", { READINESS_READY, READINESS_NOT_READY } },
                { "e", { READINESS_READY } },
                { "efp", { READINESS_READY, READINESS_READY, READINESS_READY } },
                { "pff", { READINESS_READY, READINESS_READY, READINESS_NOT_READY } },
        };
        static const FixtureService before = { "orders", .checks = { { "db" } } };
        static const FixtureService after = { "orders", .checks = { { "db" }, { "new" } } };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(state_freep) State *s = fixture_state(&before);

                fixture_apply_result(s, 0, OUTCOME_PASS, fixture_time(0));
                reload(s, &after, 1, SEC);
                assert_int_equal(s->checks[1]->state, HEALTH_PENDING);
                assert_int_equal(readiness(s, 0, SEC), READINESS_READY);
                for (size_t j = 0; table[i].results[j]; j++) {
                        char letter = table[i].results[j];

                        fixture_apply_result(s, 1,
                                             letter == 'p'   ? OUTCOME_PASS
                                             : letter == 'f' ? OUTCOME_FAIL
                                                             : OUTCOME_ERROR,
                                             fixture_time((2 + j) * SEC));
                        assert_int_equal(readiness(s, 0, (2 + j) * SEC), table[i].after[j]);
                }
        }
}

static void test_reload_joins_until(void **state _unused_) {
        static const FixtureService before = { "orders", .checks = { { "db" } } };
        static const FixtureService after = { "orders", .checks = { { "db" }, { "new" } } };
        _cleanup_(state_freep) State *s = fixture_state(&before);

        fixture_apply_result(s, 0, OUTCOME_PASS, fixture_time(0));
        reload(s, &after, 1, SEC);
        reload(s, &after, 1, 2 * SEC); /* once more does not prolong it */
        assert_int_equal(check_state_expires(s->checks[1]), fixture_time(32 * SEC).boottime);
        fixture_apply_result(s, 0, OUTCOME_PASS, fixture_time(20 * SEC));
        fixture_apply_tick(s, fixture_time(32 * SEC - 1));
        assert_int_equal(readiness(s, 0, 32 * SEC - 1), READINESS_READY);
        fixture_apply_tick(s, fixture_time(32 * SEC));
        assert_int_equal(readiness(s, 0, 32 * SEC), READINESS_NOT_READY);
}

/* Nor does a changed role, or a shorter age, decide by itself. */
static void test_reload_changed_role(void **state _unused_) {
        static const FixtureService before = { "orders",
                                               .checks = { { "app", .probes = LIVENESS },
                                                           { "cache", .is_uncritical = true },
                                                           { "db" } } };
        static const FixtureService after = { "orders",
                                              .checks = { { "app", .probes = LIVENESS | READINESS },
                                                          { "cache" },
                                                          { "db", .max_age_usec = 2 * SEC } } };
        _cleanup_(state_freep) State *s = fixture_state(&before);

        fixture_apply_result(s, 2, OUTCOME_PASS, fixture_time(0));
        for (usec_t i = 1; i <= 2; i++) {
                fixture_apply_result(s, 0, OUTCOME_FAIL, fixture_time(i * SEC));
                fixture_apply_result(s, 1, OUTCOME_FAIL, fixture_time(i * SEC));
        }
        assert_int_equal(readiness(s, 0, 2 * SEC), READINESS_READY);
        reload(s, &after, 1, 3 * SEC);
        assert_int_equal(s->checks[0]->state, HEALTH_UNHEALTHY);
        assert_int_equal(s->checks[2]->state, HEALTH_UNKNOWN);
        assert_int_equal(readiness(s, 0, 3 * SEC), READINESS_READY);
        fixture_apply_result(s, 0, OUTCOME_PASS, fixture_time(4 * SEC));
        fixture_apply_result(s, 2, OUTCOME_PASS, fixture_time(4 * SEC));
        assert_int_equal(readiness(s, 0, 4 * SEC), READINESS_READY);
        fixture_apply_result(s, 1, OUTCOME_FAIL, fixture_time(4 * SEC));
        assert_int_equal(readiness(s, 0, 4 * SEC), READINESS_NOT_READY);
}

static void test_reload_is_not_dead(void **state _unused_) {
        static const FixtureService live = { "orders",
                                             .checks = { { "app", .probes = LIVENESS } } };
        static const FixtureService quiet = { "orders", .checks = { { "app" } } };
        _cleanup_(state_freep) State *s = fixture_state(&live);

        for (usec_t i = 1; i <= 3; i++)
                fixture_apply_result(s, 0, OUTCOME_FAIL, fixture_time(i * SEC));
        assert_true(s->checks[0]->is_dead);
        reload(s, &quiet, 1, 4 * SEC);
        reload(s, &live, 1, 5 * SEC);
        assert_false(s->checks[0]->is_dead);
        fixture_apply_result(s, 0, OUTCOME_FAIL, fixture_time(6 * SEC));
        assert_true(s->checks[0]->is_dead);
}

static void test_reload_mends_defect(void **state _unused_) {
        static const FixtureService bad = { "orders", .defect = "orders.conf:3: Unknown key",
                                            .startup_timeout_usec = 60 * SEC };
        static const FixtureService good = { "orders", .checks = { { "db" } },
                                             .startup_timeout_usec = 60 * SEC };
        _cleanup_(state_freep) State *s = fixture_state(&bad);

        fixture_apply_drain(s, 0, USEC_INFINITY, false, fixture_time(SEC));
        fixture_apply_tick(s, fixture_time(600 * SEC));
        assert_false(s->services[0]->has_startup_failed);
        reload(s, &good, 1, 601 * SEC);
        assert_int_equal(s->services[0]->startup_boottime, fixture_time(601 * SEC).boottime);
        assert_false(s->services[0]->is_started);
        assert_true(s->services[0]->drain.is_active);
}

static void test_reload_new_unit(void **state _unused_) {
        _cleanup_(state_freep) State *s = make_unit_service();
        static const FixtureService other = {
                "orders", .unit = "other.service",
                .checks = { { "app", .probes = STARTUP | READINESS | LIVENESS }, { "db" } }
        };

        reload(s, &other, 1, SEC);
        assert_int_equal(s->services[0]->unit, UNIT_UNFOLLOWED);
        assert_int_equal(readiness(s, 0, SEC), READINESS_READY);
        fixture_apply_unit(s, 0, UNIT_ACTIVE, "zz", fixture_time(2 * SEC));
        assert_int_equal(readiness(s, 0, 2 * SEC), READINESS_READY);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_reload_refused),
                cmocka_unit_test(test_reload_carries_over),
                cmocka_unit_test(test_reload_joins),
                cmocka_unit_test(test_reload_joins_until),
                cmocka_unit_test(test_reload_changed_role),
                cmocka_unit_test(test_reload_is_not_dead),
                cmocka_unit_test(test_reload_mends_defect),
                cmocka_unit_test(test_reload_new_unit),
        };

        return cmocka_run_group_tests_name("state-reload", tests, NULL, NULL);
}
