/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "fixture.h"
#include "model/probe.h"

/* -- services ---------------------------------------------------------------------------------- */

static void test_startup(void **state _unused_) {
        _cleanup_(state_freep) State *s = fixture_state(&(FixtureService){
                "orders",
                .startup_timeout_usec = 60 * SEC,
                .checks = { { "app", .probes = STARTUP },
                            { "db", .probes = STARTUP | READINESS },
                            { "cache" } },
        });

        fixture_apply_result(s, 0, OUTCOME_WARN, fixture_time(SEC));
        fixture_apply_result(s, 2, OUTCOME_PASS, fixture_time(SEC));
        assert_false(s->services[0]->is_started);
        fixture_apply_result(s, 1, OUTCOME_FAIL, fixture_time(59 * SEC));

        fixture_apply_tick(s, fixture_time(60 * SEC - 1));
        assert_false(s->services[0]->has_startup_failed);
        fixture_apply_tick(s, fixture_time(60 * SEC));
        assert_true(s->services[0]->has_startup_failed);
        assert_int_equal(service_state_expires(s->services[0], s->config->services), USEC_INFINITY);

        /* Not final. That "app" was good once is enough. */
        fixture_apply_result(s, 1, OUTCOME_PASS, fixture_time(100 * SEC));
        assert_true(s->services[0]->is_started);
        assert_false(s->services[0]->has_startup_failed);
        assert_int_equal(s->checks[0]->state, HEALTH_UNKNOWN);

        /* And latched. */
        fixture_apply_result(s, 1, OUTCOME_FAIL, fixture_time(101 * SEC));
        fixture_apply_result(s, 1, OUTCOME_FAIL, fixture_time(102 * SEC));
        fixture_apply_tick(s, fixture_time(10000 * SEC));
        assert_true(s->services[0]->is_started);
        assert_false(s->services[0]->has_startup_failed);
}

static void test_startup_without_startup_checks(void **state _unused_) {
        static const struct {
                FixtureService service;
                const char *results; /* one letter a check; '-': none */
                bool is_started;
        } table[] = {
                { { "orders" }, "", true },
                { { "orders", .defect = "orders.conf:3: Bad" }, "", false },
                { { "orders", .checks = { { "db" } } }, "-", false },
                { { "orders", .checks = { { "db" } } }, "f", true },
                { { "orders", .checks = { { "db" } } }, "e", true },
                { { "orders", .checks = { { "db" }, { "cache" } } }, "p-", false },
                { { "orders", .checks = { { "db" }, { "cache", .is_uncritical = true } } },
                  "p-",
                  false },
                { { "orders", .checks = { { "db" }, { "app", .probes = LIVENESS } } }, "p-", true },
                { { "orders", .checks = { { "app", .probes = LIVENESS } } }, "-", true },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(state_freep) State *s = fixture_state(&table[i].service);
                usec_t at = 0;

                for (size_t j = 0; table[i].results[j]; j++)
                        if (table[i].results[j] == 'p')
                                fixture_apply_result(s, j, OUTCOME_PASS, fixture_time(at += SEC));
                        else if (table[i].results[j] != '-')
                                fixture_apply_result(s, j,
                                                     table[i].results[j] == 'f' ? OUTCOME_FAIL
                                                                                : OUTCOME_ERROR,
                                                     fixture_time(at += SEC));
                assert_int_equal(s->services[0]->is_started, table[i].is_started);
                fixture_apply_tick(s, fixture_time(600 * SEC));
                assert_int_equal(s->services[0]->has_startup_failed,
                                 !table[i].is_started && !table[i].service.defect);
        }
}

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

static void test_unit_first_sight(void **state _unused_) {
        _cleanup_(state_freep) State *s = fixture_state(
                &(FixtureService){ "orders", .unit = "orders.service", .checks = { { "db" } } });

        /* Results that came before the unit was seen are those of this start. */
        fixture_apply_result(s, 0, OUTCOME_PASS, fixture_time(1));
        fixture_apply_unit(s, 0, UNIT_ACTIVE, "aa", fixture_time(2));
        assert_true(s->services[0]->is_started);
        assert_int_equal(s->checks[0]->state, HEALTH_HEALTHY);
        assert_string_equal(s->services[0]->invocation_id, "aa");
}

static void test_unit_new_start(void **state _unused_) {
        _cleanup_(state_freep) State *s = make_unit_service();
        const CheckState *c;

        /* The same start: nothing begins anew. */
        fixture_apply_unit(s, 0, UNIT_RELOADING, "aa", fixture_time(4));
        fixture_apply_unit(s, 0, UNIT_ACTIVE, "", fixture_time(5));
        assert_true(s->services[0]->is_started);
        assert_int_equal(s->checks[0]->state, HEALTH_HEALTHY);

        for (usec_t i = 1; i <= 4; i++)
                fixture_apply_result(s, 0, OUTCOME_FAIL, fixture_time(i * SEC));
        assert_true(s->checks[0]->is_dead);
        fixture_apply_unit(s, 0, UNIT_ACTIVATING, "bb", fixture_time(5 * SEC));
        assert_false(s->services[0]->is_started);
        assert_int_equal(s->services[0]->startup_boottime, fixture_time(5 * SEC).boottime);
        assert_string_equal(s->services[0]->invocation_id, "bb");
        for (size_t i = 0; i < 2; i++) {
                c = s->checks[i];
                assert_int_equal(c->state, HEALTH_PENDING);
                assert_int_equal(c->since_boottime, fixture_time(5 * SEC).boottime);
                assert_int_equal(c->failures_in_row, 0);
                assert_false(c->is_dead);
                assert_false(c->has_been_good);
                assert_false(c->has_result);
                assert_int_equal(c->reason, REASON_NONE);
                assert_int_equal(check_state_expires(c), USEC_INFINITY);
        }
        assert_int_equal(s->checks[0]->n_runs, 5);
}

/* Nothing is measured of a unit that is down, and nothing ages. */
static void test_unit_down_rests(void **state _unused_) {
        static const UnitState down[] = { UNIT_DEACTIVATING, UNIT_INACTIVE, UNIT_FAILED,
                                          UNIT_AUTO_RESTART };

        for (size_t i = 0; i < ELEMENTSOF(down); i++) {
                _cleanup_(state_freep) State *s = make_unit_service();

                fixture_apply_result(s, 0, OUTCOME_FAIL, fixture_time(SEC));
                fixture_apply_unit(s, 0, down[i], "aa", fixture_time(2 * SEC));
                for (size_t j = 0; j < 2; j++) {
                        assert_int_equal(s->checks[j]->state, HEALTH_SKIPPED);
                        assert_int_equal(s->checks[j]->reason, REASON_INACTIVE);
                        assert_string_equal(s->checks[j]->message, "orders.service is not running");
                        assert_int_equal(check_state_expires(s->checks[j]), USEC_INFINITY);
                }
                /* What was under way when it went. */
                fixture_apply_result(s, 0, OUTCOME_FAIL, fixture_time(3 * SEC));
                assert_int_equal(s->checks[0]->state, HEALTH_SKIPPED);
                assert_int_equal(s->checks[0]->failures_in_row, 0);
                fixture_apply_unit(s, 0, UNIT_ACTIVE, "", fixture_time(9000 * SEC));
                for (size_t j = 0; j < 2; j++) {
                        assert_int_equal(s->checks[j]->state, HEALTH_PENDING);
                        assert_int_equal(s->checks[j]->reason, REASON_NONE);
                }
                fixture_apply_result(s, 0, OUTCOME_PASS, fixture_time(9001 * SEC));
                assert_int_equal(s->checks[0]->state, HEALTH_HEALTHY);
        }
}

static void test_unit_startup_clock(void **state _unused_) {
        static const struct {
                UnitState unit;
                bool is_running;
        } table[] = {
                { UNIT_ACTIVATING, true },   { UNIT_AUTO_RESTART, false }, { UNIT_ACTIVE, true },
                { UNIT_RELOADING, true },    { UNIT_INACTIVE, false },     { UNIT_FAILED, false },
                { UNIT_DEACTIVATING, true }, /* it had begun */
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(state_freep) State *s = make_unit_service();

                fixture_apply_unit(s, 0, UNIT_ACTIVATING, "bb", fixture_time(5 * SEC));
                fixture_apply_unit(s, 0, table[i].unit, "bb", fixture_time(6 * SEC));
                fixture_apply_tick(s, fixture_time(65 * SEC));
                assert_int_equal(s->services[0]->has_startup_failed, table[i].is_running);
        }
}

/* A unit that is down does not become started by results that come late. */
static void test_unit_down_does_not_start(void **state _unused_) {
        _cleanup_(state_freep) State *s = make_unit_service();

        fixture_apply_unit(s, 0, UNIT_ACTIVATING, "bb", fixture_time(5 * SEC));
        fixture_apply_unit(s, 0, UNIT_FAILED, "bb", fixture_time(6 * SEC));
        fixture_apply_result(s, 0, OUTCOME_PASS, fixture_time(7 * SEC));
        fixture_apply_result(s, 1, OUTCOME_PASS, fixture_time(7 * SEC));
        assert_false(s->services[0]->is_started);
}

static void test_drain(void **state _unused_) {
        _cleanup_(state_freep) State *s = make_unit_service();
        usec_t until = fixture_time(100 * SEC).boottime;

        fixture_apply_drain(s, 0, until, false, fixture_time(SEC));
        fixture_apply_drain(s, INDEX_NONE, until + SEC, false, fixture_time(SEC));
        assert_true(s->services[0]->drain.is_active);
        assert_true(s->drain.is_active);
        assert_string_equal(s->drain.note, "maintenance");
        fixture_apply_tick(s, fixture_time(100 * SEC - 1));
        assert_true(s->services[0]->drain.is_active);
        fixture_apply_tick(s, fixture_time(100 * SEC));
        assert_false(s->services[0]->drain.is_active);
        assert_true(s->drain.is_active);
        fixture_apply_tick(s, fixture_time(101 * SEC));
        assert_false(s->drain.is_active);

        /* An operator's drain outlives the unit's next start, that of a stop does not. */
        fixture_apply_drain(s, 0, USEC_INFINITY, false, fixture_time(102 * SEC));
        fixture_apply_unit(s, 0, UNIT_ACTIVE, "bb", fixture_time(103 * SEC));
        assert_true(s->services[0]->drain.is_active);
        fixture_apply_drain(s, 0, USEC_INFINITY, true, fixture_time(104 * SEC));
        fixture_apply_unit(s, 0, UNIT_DEACTIVATING, "bb", fixture_time(105 * SEC));
        fixture_apply_unit(s, 0, UNIT_INACTIVE, "bb", fixture_time(106 * SEC));
        assert_true(s->services[0]->drain.is_active);
        fixture_apply_unit(s, 0, UNIT_ACTIVATING, "cc", fixture_time(107 * SEC));
        assert_false(s->services[0]->drain.is_active);

        fixture_apply_drain(s, 0, USEC_INFINITY, false, fixture_time(108 * SEC));
        fixture_apply_drain(s, 0, 0, false, fixture_time(109 * SEC));
        assert_false(s->services[0]->drain.is_active);
}

static Event shutdown_event(const Drain *d) {
        return (Event){ .type = EVENT_SHUTDOWN, .drain = d };
}

/* That of a shutdown stands before that of a person, beside which it comes and goes. */
static void test_shutdown(void **state _unused_) {
        _cleanup_(state_freep) State *s = make_unit_service();
        const Drain none = {}, going_down = { .is_active = true,
                                              .until_boottime = USEC_INFINITY,
                                              .who = "shutdown" };
        const Event begin = shutdown_event(&going_down), end = shutdown_event(&none);
        uint64_t revision = s->revision;

        assert_false(state_host_drain(s)->is_active);
        assert_int_equal(state_apply(s, &begin, fixture_time(SEC)), 0);
        assert_int_not_equal(s->revision, revision);
        assert_string_equal(state_host_drain(s)->who, "shutdown");
        assert_int_equal(state_apply(s, &end, fixture_time(SEC)), 0);
        assert_false(state_host_drain(s)->is_active);

        fixture_apply_drain(s, INDEX_NONE, USEC_INFINITY, false, fixture_time(2 * SEC));
        state_apply(s, &begin, fixture_time(3 * SEC));
        assert_string_equal(state_host_drain(s)->who, "shutdown");
        state_apply(s, &end, fixture_time(4 * SEC));
        assert_string_equal(state_host_drain(s)->who, "tester");

        state_apply(s, &begin, fixture_time(5 * SEC));
        fixture_apply_drain(s, INDEX_NONE, 0, false, fixture_time(6 * SEC));
        assert_true(state_host_drain(s)->is_active);
        fixture_apply_unit(s, 0, UNIT_ACTIVE, "bb", fixture_time(7 * SEC));
        assert_true(state_host_drain(s)->is_active);
        state_apply(s, &end, fixture_time(8 * SEC));
        assert_false(state_host_drain(s)->is_active);
}

/* -- sharing ----------------------------------------------------------------------------------- */

static void test_copy_on_write(void **state _unused_) {
        _cleanup_(state_freep) State *s = make_unit_service();
        _cleanup_(check_state_unrefp) CheckState *shared = check_state_ref(s->checks[0]);
        _cleanup_(service_state_unrefp) ServiceState *service = service_state_ref(s->services[0]);
        CheckState *own = s->checks[1], before = *shared;
        ServiceState service_before = *service;

        fixture_apply_result(s, 0, OUTCOME_FAIL, fixture_time(SEC));
        fixture_apply_result(s, 1, OUTCOME_FAIL, fixture_time(SEC));
        fixture_apply_unit(s, 0, UNIT_DEACTIVATING, "aa", fixture_time(2 * SEC));
        assert_ptr_not_equal(s->checks[0], shared);
        assert_ptr_equal(s->checks[1], own);
        assert_ptr_not_equal(s->services[0], service);
        assert_int_equal(shared->n_ref, 1);
        before.n_ref = service_before.n_ref = 1;
        assert_memory_equal(shared, &before, sizeof(before));
        assert_memory_equal(service, &service_before, sizeof(service_before));
}

/* The file's word before the configuration's, as long as there is one; it changes no verdict. */
static void test_version(void **state _unused_) {
        static const FixtureService orders = { "orders", .checks = { { "db" } } };
        _cleanup_(state_freep) State *s = fixture_state(&orders);
        _cleanup_(service_state_unrefp) ServiceState *shared = service_state_ref(s->services[0]);
        char version[] = "1", path[] = "/VERSION";
        ServiceConfig config = { .version = version, .version_file = path };
        uint64_t revision = s->revision;

        assert_string_equal(service_state_version(s->services[0], &config), "1");
        state_apply(s, &(Event){ .type = EVENT_VERSION, .version = "2" }, fixture_time(SEC));
        assert_string_equal(service_state_version(s->services[0], &config), "2");
        assert_string_equal(service_state_version(shared, &config), "1");
        assert_int_not_equal(s->revision, revision);
        config.version_file = NULL;
        assert_string_equal(service_state_version(s->services[0], &config), "1");
        config.version = NULL;
        assert_string_equal(service_state_version(s->services[0], &config), "");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_startup),
                cmocka_unit_test(test_startup_without_startup_checks),
                cmocka_unit_test(test_unit_first_sight),
                cmocka_unit_test(test_unit_new_start),
                cmocka_unit_test(test_unit_down_rests),
                cmocka_unit_test(test_unit_startup_clock),
                cmocka_unit_test(test_unit_down_does_not_start),
                cmocka_unit_test(test_drain),
                cmocka_unit_test(test_shutdown),
                cmocka_unit_test(test_copy_on_write),
                cmocka_unit_test(test_version),
        };

        return cmocka_run_group_tests_name("state-service", tests, NULL, NULL);
}
