/* SPDX-License-Identifier: MIT */
/* Checks whose states hang on others: After= and combined ones. */

#include "unit.h"

#include <errno.h>

#include "fixture.h"
#include "model/probe.h"
#include "model/snapshot.h"

#define PASS OUTCOME_PASS
#define FAIL OUTCOME_FAIL

static void result(State *s, size_t check, Outcome outcome, usec_t usec) {
        assert_int_equal(fixture_apply_result(s, check, outcome, fixture_time(usec)), 0);
}

static bool is_ready(const State *s, usec_t usec) {
        return probe_evaluate(s->config->services, s->services[0], s->checks, NULL,
                              fixture_time(usec))
                       .ready == READINESS_READY;
}

/* db, app after db, page after app. */
static const FixtureService chain = {
        "orders", .checks = { { "db", .failure_threshold = 1, .is_uncritical = true },
                              { "app", .after = 1 << 0, .probes = READINESS | LIVENESS,
                                .failure_threshold = 1, .liveness_failure_threshold = 1 },
                              { "page", .after = 1 << 1, .is_uncritical = true } }
};

static void test_one_cause_one_alarm(void **state _unused_) {
        _cleanup_(state_freep) State *s = fixture_state(&chain);
        _cleanup_(snapshot_unrefp) Snapshot *snapshot = NULL;
        const char *message;

        for (size_t i = 0; i < 3; i++)
                result(s, i, PASS, SEC);
        assert_true(is_ready(s, SEC));
        snapshot = fixture_need(snapshot_new(s, NULL, fixture_time(SEC)));

        result(s, 0, FAIL, 2 * SEC);
        assert_int_equal(s->checks[1]->state, HEALTH_SKIPPED);
        assert_int_equal(s->checks[2]->state, HEALTH_SKIPPED);
        assert_int_equal(check_state_reason(s->checks[1], NULL, &message), REASON_SKIPPED);
        assert_string_equal(message, "Waits for db");
        assert_false(is_ready(s, 2 * SEC));
        assert_false(check_state_is_dead(s->checks[1]));
        /* a snapshot never changes */
        assert_int_equal(snapshot->checks[1]->state, HEALTH_HEALTHY);

        /* a run that was under way says nothing, and nothing ages */
        result(s, 1, FAIL, 3 * SEC);
        assert_int_equal(s->checks[1]->state, HEALTH_SKIPPED);
        assert_false(check_state_is_dead(s->checks[1]));
        assert_int_equal(s->checks[1]->n_runs, 2);
        assert_int_equal(check_state_expires(s->checks[1]), USEC_INFINITY);
        result(s, 0, FAIL, 30 * SEC);
        assert_int_equal(fixture_apply_tick(s, fixture_time(35 * SEC)), 0);
        assert_int_equal(s->checks[1]->state, HEALTH_SKIPPED);

        result(s, 0, PASS, 40 * SEC);
        assert_int_equal(s->checks[1]->state, HEALTH_PENDING);
        assert_int_equal(s->checks[2]->state, HEALTH_PENDING);
        result(s, 1, PASS, 41 * SEC);
        assert_true(is_ready(s, 41 * SEC));
}

static void test_overrides_change_what_is_shown_and_not_what_waits(void **state _unused_) {
        _cleanup_(state_freep) State *s = fixture_state(&chain);

        for (size_t i = 0; i < 3; i++)
                result(s, i, PASS, SEC);
        fixture_apply_override(s, 0, HEALTH_UNHEALTHY, USEC_INFINITY, fixture_time(2 * SEC));
        assert_int_equal(s->checks[1]->state, HEALTH_HEALTHY);
        fixture_apply_override(s, 0, HEALTH_HEALTHY, USEC_INFINITY, fixture_time(2 * SEC));
        result(s, 0, FAIL, 3 * SEC);
        assert_int_equal(s->checks[1]->state, HEALTH_SKIPPED);
}

static void test_unknown_and_pending_are_not_waited_for(void **state _unused_) {
        _cleanup_(state_freep) State *s = fixture_state(&chain);

        assert_int_equal(s->checks[1]->state, HEALTH_PENDING);
        result(s, 0, OUTCOME_ERROR, SEC);
        assert_int_equal(s->checks[0]->state, HEALTH_UNKNOWN);
        assert_int_equal(s->checks[1]->state, HEALTH_PENDING);
}

static void test_combined(void **state _unused_) {
        static const struct {
                size_t minimum;
                Health a, b, c, expected;
        } table[] = {
                { 3, HEALTH_HEALTHY, HEALTH_HEALTHY, HEALTH_HEALTHY, HEALTH_HEALTHY },
                { 3, HEALTH_HEALTHY, HEALTH_DEGRADED, HEALTH_HEALTHY, HEALTH_DEGRADED },
                { 3, HEALTH_HEALTHY, HEALTH_UNHEALTHY, HEALTH_PENDING, HEALTH_UNHEALTHY },
                { 3, HEALTH_HEALTHY, HEALTH_UNKNOWN, HEALTH_PENDING, HEALTH_PENDING },
                { 3, HEALTH_HEALTHY, HEALTH_UNKNOWN, HEALTH_SKIPPED, HEALTH_UNKNOWN },
                { 3, HEALTH_HEALTHY, HEALTH_SKIPPED, HEALTH_HEALTHY, HEALTH_SKIPPED },
                { 1, HEALTH_UNHEALTHY, HEALTH_UNHEALTHY, HEALTH_HEALTHY, HEALTH_DEGRADED },
                { 1, HEALTH_UNHEALTHY, HEALTH_UNHEALTHY, HEALTH_PENDING, HEALTH_PENDING },
                { 1, HEALTH_UNHEALTHY, HEALTH_UNHEALTHY, HEALTH_UNHEALTHY, HEALTH_UNHEALTHY },
                { 2, HEALTH_HEALTHY, HEALTH_UNHEALTHY, HEALTH_HEALTHY, HEALTH_DEGRADED },
                { 2, HEALTH_HEALTHY, HEALTH_UNHEALTHY, HEALTH_UNHEALTHY, HEALTH_UNHEALTHY },
                { 2, HEALTH_HEALTHY, HEALTH_UNHEALTHY, HEALTH_UNKNOWN, HEALTH_UNKNOWN },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(state_freep) State *s = fixture_state(
                        &(FixtureService){ "orders", .checks = { { "a" }, { "b" }, { "c" } } });
                static const size_t needs[] = { 0, 1, 2 };
                Result why;

                s->checks[0]->measured = table[i].a;
                s->checks[1]->measured = table[i].b;
                s->checks[2]->measured = table[i].c;
                assert_int_equal(combine(table[i].minimum, s->checks, needs, 3, true, &why),
                                 table[i].expected);
                assert_int_equal(combine(table[i].minimum, s->checks, needs, 3, false, &why),
                                 HEALTH_PENDING);
        }
}

static void test_a_combined_check_tells_the_cause(void **state _unused_) {
        _cleanup_(state_freep) State *s = fixture_state(&(FixtureService){
                "orders",
                .checks = { { "both", .of = 1 << 1 | 1 << 2, .minimum = 2 },
                            { "db", .is_uncritical = true, .failure_threshold = 1 },
                            { "cache", .is_uncritical = true, .failure_threshold = 1 } } });
        const CheckState *both = s->checks[0];

        result(s, 1, PASS, SEC);
        assert_false(is_ready(s, SEC));
        result(s, 2, PASS, SEC);
        assert_true(is_ready(s, SEC));
        assert_true(both->has_result && both->has_been_good);
        result(s, 2, FAIL, 2 * SEC);
        assert_false(is_ready(s, 2 * SEC));
        assert_int_equal(both->reason, REASON_REFUSED);
        assert_string_equal(both->message, "cache: Connection refused; 1 of 2 good, 2 needed");
        assert_true(both->first_failure_realtime > 0);

        /* what is overridden counts as it is shown, and the measured state knows better */
        fixture_apply_override(s, 2, HEALTH_HEALTHY, USEC_INFINITY, fixture_time(3 * SEC));
        assert_true(is_ready(s, 3 * SEC));
        assert_int_equal(both->measured, HEALTH_UNHEALTHY);
        assert_int_equal(both->reason, REASON_NONE);

        /* it decays with what it is made of */
        assert_int_equal(fixture_apply_tick(s, fixture_time(40 * SEC)), 0);
        assert_int_equal(s->checks[1]->state, HEALTH_UNKNOWN);
        assert_int_equal(both->state, HEALTH_UNKNOWN);
}

static void test_order_and_cycles(void **state _unused_) {
        static const struct {
                unsigned after[4];
                int r;
                size_t order[4], n;
        } table[] = {
                { { 0, 0, 0, 0 }, 0, {}, 0 },
                { { 1 << 1, 1 << 2, 1 << 3, 0 }, 0, { 2, 1, 0 }, 3 },
                { { 1 << 1 | 1 << 3, 1 << 2, 0, 1 << 1 }, 0, { 1, 3, 0 }, 3 },
                { { 1 << 0, 0, 0, 0 }, -ELOOP, {}, 0 },
                { { 0, 1 << 2, 1 << 3, 1 << 1 }, -ELOOP, {}, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(config_unrefp) Config *c = fixture_config(
                        &(FixtureService){ "orders",
                                           .checks = { { "a" }, { "b" }, { "c" }, { "d" } } },
                        1);
                size_t cyclic = INDEX_NONE;

                for (size_t j = 0; j < 4; j++)
                        for (size_t k = 0; k < 4; k++)
                                if (table[i].after[j] & 1U << k)
                                        c->checks[j]->needs[c->checks[j]->n_needs++] = k;
                assert_int_equal(config_order(c, 0, &cyclic), table[i].r);
                assert_int_equal(cyclic != INDEX_NONE, table[i].r < 0);
                assert_int_equal(c->services[0].n_derived, table[i].n);
                for (size_t j = 0; j < table[i].n; j++)
                        assert_int_equal(c->services[0].derived[j], table[i].order[j]);
        }
}

static void test_reload_without_after(void **state _unused_) {
        FixtureService free_chain = chain;
        _cleanup_(state_freep) State *s = fixture_state(&chain);
        _cleanup_(config_unrefp) Config *c = NULL;

        for (size_t i = 0; i < 3; i++)
                result(s, i, PASS, SEC);
        result(s, 0, FAIL, 2 * SEC);
        free_chain.checks[1].after = 0;
        c = fixture_config(&free_chain, 1);
        assert_int_equal(fixture_apply_config(s, c, fixture_time(3 * SEC)), 0);
        assert_int_equal(s->checks[1]->state, HEALTH_PENDING);
        assert_int_equal(s->checks[2]->state, HEALTH_PENDING);
}

static void test_what_waits_is_not_waited_for(void **state _unused_) {
        _cleanup_(state_freep) State *s = fixture_state(&chain);
        _cleanup_(snapshot_unrefp) Snapshot *a = NULL, *b = NULL;

        a = fixture_need(snapshot_new(s, NULL, fixture_time(0)));
        assert_int_equal(a->n_never_run, 3);
        result(s, 0, FAIL, SEC);
        b = fixture_need(snapshot_new(s, a, fixture_time(SEC)));
        assert_int_equal(b->n_never_run, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_one_cause_one_alarm),
                cmocka_unit_test(test_overrides_change_what_is_shown_and_not_what_waits),
                cmocka_unit_test(test_unknown_and_pending_are_not_waited_for),
                cmocka_unit_test(test_combined),
                cmocka_unit_test(test_a_combined_check_tells_the_cause),
                cmocka_unit_test(test_order_and_cycles),
                cmocka_unit_test(test_reload_without_after),
                cmocka_unit_test(test_what_waits_is_not_waited_for),
        };

        return cmocka_run_group_tests_name("state-derived", tests, NULL, NULL);
}
