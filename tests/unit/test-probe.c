/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "fixture.h"
#include "model/probe.h"

static Verdict evaluate(const State *s, size_t service, usec_t at) {
        const ServiceConfig *c = s->config->services + service;

        return probe_evaluate(c, s->services[service], s->checks + c->first_check, &s->drain,
                              fixture_time(at));
}

static void test_words(void **state _unused_) {
        assert_string_equal(liveness_to_string(LIVENESS_ALIVE), "alive");
        assert_string_equal(liveness_to_string(LIVENESS_DEAD), "dead");
        assert_string_equal(readiness_to_string(READINESS_READY), "ready");
        assert_string_equal(readiness_to_string(READINESS_NOT_READY), "not_ready");
        assert_string_equal(startup_to_string(STARTUP_STARTED), "started");
        assert_string_equal(startup_to_string(STARTUP_STARTING), "starting");
        assert_string_equal(startup_to_string(STARTUP_FAILED), "failed");
}

static void test_summary(void **state _unused_) {
        static const struct {
                Verdict v;
                const char *word;
        } table[] = {
                { {}, "ready" },
                { { .is_degraded = true }, "degraded" },
                { { .ready = READINESS_NOT_READY }, "not_ready" },
                { { .ready = READINESS_NOT_READY, .is_degraded = true }, "not_ready" },
                { { .ready = READINESS_NOT_READY, .started = STARTUP_STARTING }, "starting" },
                { { .ready = READINESS_NOT_READY, .started = STARTUP_FAILED }, "failed" },
                { { .ready = READINESS_NOT_READY, .reason = REASON_DRAINED }, "draining" },
                { { .ready = READINESS_NOT_READY,
                    .started = STARTUP_STARTING,
                    .reason = REASON_CONFIGURATION },
                  "not_ready" },
                { { .ready = READINESS_NOT_READY, .live = LIVENESS_DEAD }, "dead" },
                { { .live = LIVENESS_DEAD }, "dead" },
                { { .ready = READINESS_NOT_READY, .is_inactive = true, .reason = REASON_INACTIVE },
                  "inactive" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                assert_string_equal(verdict_summary(&table[i].v), table[i].word);
}

/* Every state of a check, critical or not, with and without an override of the same. */
static void test_readiness_by_check_state(void **state _unused_) {
        static const struct {
                Health health;
                bool is_good, degrades, degrades_uncritical;
        } table[HEALTH_COUNT_] = {
                { HEALTH_PENDING, false, false, false }, { HEALTH_HEALTHY, true, false, false },
                { HEALTH_DEGRADED, true, true, true },   { HEALTH_UNHEALTHY, false, false, true },
                { HEALTH_UNKNOWN, false, false, true },  { HEALTH_SKIPPED, false, false, true },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                for (int critical = 0; critical < 2; critical++) {
                        _cleanup_(state_freep) State *s = fixture_state(&(FixtureService){
                                "orders",
                                .checks = { { "db" }, { "x", .is_uncritical = !critical } } });
                        Verdict v;

                        fixture_apply_result(s, 0, OUTCOME_PASS, fixture_time(0));
                        s->checks[1]->state = table[i].health;
                        s->services[0]->is_started = true;
                        v = evaluate(s, 0, 0);
                        assert_int_equal(v.ready == READINESS_READY, !critical || table[i].is_good);
                        assert_int_equal(v.is_degraded, critical ? table[i].degrades
                                                                 : table[i].degrades_uncritical);
                        assert_int_equal(probe_check_blocks(s->checks[1], PROBE_READINESS, false,
                                                            fixture_time(0)),
                                         critical && !table[i].is_good);
                        assert_int_equal(v.reason, REASON_NONE);
                }
}

/* Whatever a check in shadow finds, no verdict changes; it is not waited for either. */
static void test_shadow(void **state _unused_) {
        for (Outcome o = OUTCOME_PASS; o <= OUTCOME_ERROR; o++) {
                _cleanup_(state_freep) State *s = fixture_state(&(FixtureService){
                        "orders", .checks = { { "db" },
                                              { "new", .is_shadow = true, .failure_threshold = 1,
                                                .probes = READINESS | LIVENESS | STARTUP,
                                                .liveness_failure_threshold = 1 } } });
                Verdict v;

                fixture_apply_result(s, 0, OUTCOME_PASS, fixture_time(0));
                assert_int_equal(evaluate(s, 0, 0).started, STARTUP_STARTED);
                fixture_apply_result(s, 1, o, fixture_time(0));
                v = evaluate(s, 0, 0);
                assert_string_equal(verdict_summary(&v), "ready");
                assert_false(v.is_measured_dead);
                for (Probe p = 0; p < PROBE_COUNT_; p++)
                        assert_false(probe_check_blocks(s->checks[1], p, false, fixture_time(0)));
                assert_int_equal(s->checks[1]->state == HEALTH_UNHEALTHY, o == OUTCOME_FAIL);
        }
}

static void test_pending_degrades_after_a_result(void **state _unused_) {
        _cleanup_(state_freep) State *s = fixture_state(
                &(FixtureService){ "orders", .checks = { { "cache", .is_uncritical = true } } });

        assert_false(evaluate(s, 0, 0).is_degraded);
        fixture_apply_result(s, 0, OUTCOME_FAIL, fixture_time(SEC));
        assert_int_equal(s->checks[0]->state, HEALTH_PENDING);
        assert_true(evaluate(s, 0, SEC).is_degraded);
        assert_int_equal(evaluate(s, 0, SEC).ready, READINESS_READY);
}

static void test_other_probes_do_not_count(void **state _unused_) {
        _cleanup_(state_freep) State *s = fixture_state(
                &(FixtureService){ "orders", .checks = { { "app", .probes = LIVENESS },
                                                         { "boot", .probes = STARTUP } } });

        fixture_apply_result(s, 1, OUTCOME_PASS, fixture_time(0));
        for (usec_t i = 1; i <= 2; i++) {
                fixture_apply_result(s, 0, OUTCOME_FAIL, fixture_time(i * SEC));
                fixture_apply_result(s, 1, OUTCOME_FAIL, fixture_time(i * SEC));
        }
        assert_int_equal(evaluate(s, 0, 2 * SEC).ready, READINESS_READY);
        assert_int_equal(evaluate(s, 0, 2 * SEC).live, LIVENESS_ALIVE);
        fixture_apply_result(s, 0, OUTCOME_FAIL, fixture_time(3 * SEC));
        assert_int_equal(evaluate(s, 0, 3 * SEC).live, LIVENESS_DEAD);
        assert_true(evaluate(s, 0, 3 * SEC).is_measured_dead);
        assert_int_equal(evaluate(s, 0, 3 * SEC).ready, READINESS_READY);
}

static void test_liveness_is_alive_while_starting(void **state _unused_) {
        _cleanup_(state_freep) State *s = fixture_state(&(FixtureService){
                "orders", .startup_timeout_usec = 60 * SEC,
                .checks = { { "app", .probes = LIVENESS }, { "boot", .probes = STARTUP } } });

        for (usec_t i = 1; i <= 4; i++)
                fixture_apply_result(s, 0, OUTCOME_FAIL, fixture_time(50 * SEC + i * SEC));
        assert_true(s->checks[0]->is_dead);
        assert_int_equal(evaluate(s, 0, 55 * SEC).live, LIVENESS_ALIVE);
        assert_int_equal(evaluate(s, 0, 55 * SEC).started, STARTUP_STARTING);
        assert_int_equal(evaluate(s, 0, 55 * SEC).ready, READINESS_NOT_READY);
        fixture_apply_tick(s, fixture_time(60 * SEC));
        assert_int_equal(evaluate(s, 0, 60 * SEC).started, STARTUP_FAILED);
        assert_int_equal(evaluate(s, 0, 60 * SEC).live, LIVENESS_ALIVE);
        fixture_apply_result(s, 1, OUTCOME_PASS, fixture_time(61 * SEC));
        assert_int_equal(evaluate(s, 0, 61 * SEC).started, STARTUP_STARTED);
        assert_int_equal(evaluate(s, 0, 61 * SEC).live, LIVENESS_DEAD);
}

static void test_override_changes_what_is_published(void **state _unused_) {
        static const struct {
                const char *results;
                Health override;
                Liveness live;
                Readiness ready;
                bool is_measured_dead;
        } table[] = {
                { "p", HEALTH_UNHEALTHY, LIVENESS_DEAD, READINESS_NOT_READY, false },
                { "pfff", HEALTH_HEALTHY, LIVENESS_ALIVE, READINESS_READY, true },
                { "pfff", HEALTH_DEGRADED, LIVENESS_ALIVE, READINESS_READY, true },
                { "pfff", HEALTH_UNKNOWN, LIVENESS_ALIVE, READINESS_NOT_READY, true },
                { "pfff", HEALTH_UNHEALTHY, LIVENESS_DEAD, READINESS_NOT_READY, true },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(state_freep) State *s = fixture_state(&(FixtureService){
                        "orders", .checks = { { "app", .probes = LIVENESS | READINESS } } });
                Verdict v;

                for (size_t j = 0; table[i].results[j]; j++)
                        fixture_apply_result(
                                s, 0, table[i].results[j] == 'p' ? OUTCOME_PASS : OUTCOME_FAIL,
                                fixture_time(j * SEC));
                fixture_apply_override(s, 0, table[i].override, USEC_INFINITY,
                                       fixture_time(5 * SEC));
                v = evaluate(s, 0, 5 * SEC);
                assert_int_equal(v.live, table[i].live);
                assert_int_equal(v.ready, table[i].ready);
                assert_int_equal(v.is_measured_dead, table[i].is_measured_dead);
        }
}

/* What withdraws readiness beside the checks, and which of several is named. */
static void test_obstacles(void **state _unused_) {
        static const struct {
                UnitState unit;
                bool is_drained, is_host_drained, is_defect;
                Reason reason;
                bool is_inactive;
        } table[] = {
                { UNIT_UNFOLLOWED, false, false, false, REASON_NONE, false },
                { UNIT_ACTIVE, false, false, false, REASON_NONE, false },
                { UNIT_RELOADING, false, false, false, REASON_NONE, false },
                { UNIT_ACTIVATING, false, false, false, REASON_NONE, false },
                { UNIT_AUTO_RESTART, false, false, false, REASON_INACTIVE, false },
                { UNIT_DEACTIVATING, false, false, false, REASON_INACTIVE, false },
                { UNIT_INACTIVE, false, false, false, REASON_INACTIVE, true },
                { UNIT_FAILED, false, false, false, REASON_INACTIVE, false },
                { UNIT_ACTIVE, true, false, false, REASON_DRAINED, false },
                { UNIT_ACTIVE, false, true, false, REASON_DRAINED, false },
                { UNIT_DEACTIVATING, true, false, false, REASON_DRAINED, false },
                { UNIT_INACTIVE, true, true, false, REASON_INACTIVE, true },
                { UNIT_ACTIVE, true, true, true, REASON_CONFIGURATION, false },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(state_freep) State *s = fixture_state(
                        &(FixtureService){ "orders", .unit = "orders.service",
                                           .defect = table[i].is_defect ? "a:1: b" : NULL,
                                           .checks = { { "app", .probes = LIVENESS } } });
                Verdict v;

                fixture_apply_unit(s, 0, UNIT_ACTIVE, "aa", fixture_time(0));
                for (usec_t j = 1; j <= 3; j++)
                        fixture_apply_result(s, 0, OUTCOME_FAIL, fixture_time(j * SEC));
                fixture_apply_unit(s, 0, table[i].unit, "aa", fixture_time(4 * SEC));
                if (table[i].is_drained)
                        fixture_apply_drain(s, 0, USEC_INFINITY, false, fixture_time(4 * SEC));
                if (table[i].is_host_drained)
                        fixture_apply_drain(s, INDEX_NONE, USEC_INFINITY, false,
                                            fixture_time(4 * SEC));
                v = evaluate(s, 0, 4 * SEC);
                assert_int_equal(v.reason, table[i].reason);
                assert_int_equal(v.ready == READINESS_READY, v.reason == REASON_NONE);
                assert_int_equal(v.is_inactive, table[i].is_inactive);
                assert_int_equal(v.started,
                                 table[i].is_defect ? STARTUP_STARTING : STARTUP_STARTED);
                assert_int_equal(v.live == LIVENESS_DEAD,
                                 unit_state_is_up(table[i].unit) && !table[i].is_defect);
        }
}

static void test_startup_blocks(void **state _unused_) {
        _cleanup_(state_freep) State *s = fixture_state(&(FixtureService){
                "orders",
                .checks = { { "boot", .probes = STARTUP },
                            { "db" },
                            { "app", .probes = LIVENESS } },
        });
        Time now = fixture_time(SEC);

        assert_true(service_has_startup_checks(s->config->services, s->config->checks));
        assert_true(probe_check_blocks(s->checks[0], PROBE_STARTUP, true, now));
        assert_false(probe_check_blocks(s->checks[1], PROBE_STARTUP, true, now));
        assert_true(probe_check_blocks(s->checks[1], PROBE_STARTUP, false, now));
        assert_false(probe_check_blocks(s->checks[2], PROBE_STARTUP, false, now));
        fixture_apply_result(s, 0, OUTCOME_FAIL, now);
        fixture_apply_result(s, 1, OUTCOME_FAIL, now);
        assert_true(probe_check_blocks(s->checks[0], PROBE_STARTUP, true, now));
        assert_false(probe_check_blocks(s->checks[1], PROBE_STARTUP, false, now));
        fixture_apply_result(s, 0, OUTCOME_PASS, now);
        assert_false(probe_check_blocks(s->checks[0], PROBE_STARTUP, true, now));
}

/* -- the host ---------------------------------------------------------------------------------- */

#define READY \
        { .ready = READINESS_READY }
#define BLOCKED \
        { .ready = READINESS_NOT_READY }
#define STARTING \
        { .ready = READINESS_NOT_READY, .started = STARTUP_STARTING }
#define BAD_START \
        { .ready = READINESS_NOT_READY, .started = STARTUP_FAILED }
#define DEAD \
        { .ready = READINESS_NOT_READY, .live = LIVENESS_DEAD, .is_measured_dead = true }
#define DEGRADED \
        { .ready = READINESS_READY, .is_degraded = true }
#define DRAINED \
        { .ready = READINESS_NOT_READY, .reason = REASON_DRAINED }
#define INACTIVE \
        { .ready = READINESS_NOT_READY, .reason = REASON_INACTIVE, .is_inactive = true }
#define JOINING \
        { .ready = READINESS_NOT_READY, .started = STARTUP_STARTING, .is_joining = true }

static void test_host(void **state _unused_) {
        static const FixtureService plain[] = { { "a" }, { "b" } };
        static const FixtureService b_left_out[] = { { "a" }, { "b", .is_left_out = true } };
        static const FixtureService none_counts[] = { { "a", .is_left_out = true },
                                                      { "b", .is_left_out = true } };
        static const FixtureService builtin[] = { { "a", .is_builtin = true },
                                                  { "b", .is_builtin = true } };
        static const struct {
                const FixtureService *services;
                Verdict verdicts[2], host;
        } table[] = {
                { plain, { READY, READY }, READY },
                { plain, { READY, BLOCKED }, BLOCKED },
                { plain, { BLOCKED, READY }, BLOCKED },
                { plain, { STARTING, READY }, STARTING },
                { plain, { STARTING, BAD_START }, BAD_START },
                { plain, { DEAD, READY }, DEAD },
                { plain, { READY, DEGRADED }, DEGRADED },
                { plain, { DRAINED, READY }, DRAINED },
                { plain, { DRAINED, DRAINED }, DRAINED },
                { plain, { DRAINED, BLOCKED }, BLOCKED },
                { plain, { BLOCKED, DRAINED }, BLOCKED },
                /* Stopped on purpose, or not decided yet: left out while another remains. */
                { plain, { INACTIVE, READY }, READY },
                { plain, { INACTIVE, BLOCKED }, BLOCKED },
                { plain, { INACTIVE, INACTIVE }, INACTIVE },
                { plain, { READY, JOINING }, READY },
                { plain, { JOINING, JOINING }, STARTING },
                { plain, { INACTIVE, JOINING }, STARTING },
                { b_left_out, { READY, DEAD }, READY },
                { b_left_out, { INACTIVE, READY }, INACTIVE },
                { none_counts,
                  { READY, READY },
                  { .ready = READINESS_NOT_READY,
                    .started = STARTUP_STARTING,
                    .reason = REASON_UNCONFIGURED } },
                { builtin,
                  { READY, READY },
                  { .ready = READINESS_NOT_READY,
                    .started = STARTUP_STARTING,
                    .reason = REASON_UNCONFIGURED } },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(config_unrefp) Config *c = fixture_config(table[i].services, 2);
                Verdict v = probe_evaluate_host(c, table[i].verdicts, NULL);

                assert_int_equal(v.live, table[i].host.live);
                assert_int_equal(v.ready, table[i].host.ready);
                assert_int_equal(v.started, table[i].host.started);
                assert_int_equal(v.is_degraded, table[i].host.is_degraded);
                assert_int_equal(v.is_measured_dead, table[i].host.is_measured_dead);
                assert_int_equal(v.is_inactive, table[i].host.is_inactive);
                assert_int_equal(v.reason, table[i].host.reason);
                assert_false(v.is_joining);
        }
}

static void test_host_drain_and_defect(void **state _unused_) {
        _cleanup_(config_unrefp) Config *c = fixture_config(&(FixtureService){ "a" }, 1);
        _cleanup_(config_unrefp) Config *empty = fixture_config(NULL, 0);
        Drain drain = { .is_active = true, .until_boottime = USEC_INFINITY };
        Verdict ready = READY, v;

        v = probe_evaluate_host(c, &ready, &drain);
        assert_int_equal(v.ready, READINESS_NOT_READY);
        assert_int_equal(v.reason, REASON_DRAINED);
        assert_int_equal(v.live, LIVENESS_ALIVE);
        drain.is_active = false;
        assert_int_equal(probe_evaluate_host(c, &ready, &drain).ready, READINESS_READY);

        v = probe_evaluate_host(empty, NULL, NULL);
        assert_int_equal(v.ready, READINESS_NOT_READY);
        assert_int_equal(v.reason, REASON_UNCONFIGURED);
        assert_int_equal(v.live, LIVENESS_ALIVE);
        assert_int_equal(v.started, STARTUP_STARTING);

        c->defect = fixture_need(strdup("vitald.conf:2: Unknown key"));
        v = probe_evaluate_host(c, &ready, NULL);
        assert_int_equal(v.ready, READINESS_NOT_READY);
        assert_int_equal(v.reason, REASON_CONFIGURATION);
        assert_int_equal(v.live, LIVENESS_ALIVE);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_words),
                cmocka_unit_test(test_summary),
                cmocka_unit_test(test_readiness_by_check_state),
                cmocka_unit_test(test_shadow),
                cmocka_unit_test(test_pending_degrades_after_a_result),
                cmocka_unit_test(test_other_probes_do_not_count),
                cmocka_unit_test(test_liveness_is_alive_while_starting),
                cmocka_unit_test(test_override_changes_what_is_published),
                cmocka_unit_test(test_obstacles),
                cmocka_unit_test(test_startup_blocks),
                cmocka_unit_test(test_host),
                cmocka_unit_test(test_host_drain_and_defect),
        };

        return cmocka_run_group_tests_name("probe", tests, NULL, NULL);
}
