/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "fixture.h"
#include "model/snapshot.h"

static const FixtureService two_services[] = {
        { "billing", .checks = { { "api", .probes = READINESS | LIVENESS } } },
        { "orders", .checks = { { "db" }, { "cache", .is_uncritical = true } } },
};

static State *make_two(void) {
        _cleanup_(config_unrefp) Config *c = fixture_config(two_services, 2);

        return fixture_need(state_new(c, fixture_time(0)));
}

/* Everything good, one second after the beginning. */
static State *make_ready(void) {
        State *s = make_two();

        for (size_t i = 0; i < 3; i++)
                fixture_apply_result(s, i, OUTCOME_PASS, fixture_time(SEC));
        return s;
}

static Snapshot *take(const State *s, const Snapshot *old, usec_t at) {
        return fixture_need(snapshot_new(s, old, fixture_time(at)));
}

static void test_picture(void **state _unused_) {
        _cleanup_(state_freep) State *s = make_two();
        _cleanup_(snapshot_unrefp) Snapshot *a = take(s, NULL, 0), *b = NULL;

        assert_int_equal(a->sequence, 1);
        assert_ptr_equal(a->config, s->config);
        assert_int_equal(a->time.boottime, fixture_time(0).boottime);
        assert_int_equal(a->n_never_run, 3);
        assert_int_equal(a->host.ready, READINESS_NOT_READY);
        assert_int_equal(a->host.started, STARTUP_STARTING);
        assert_int_equal(a->services[1].verdict.started, STARTUP_STARTING);
        assert_false(a->services[1].has_startup_checks);
        assert_ptr_equal(snapshot_checks_of(a, 1)[1], s->checks[2]);

        fixture_apply_result(s, 1, OUTCOME_PASS, fixture_time(SEC));
        b = take(s, a, SEC);
        assert_int_equal(b->sequence, 2);
        assert_int_equal(b->n_never_run, 2);
        assert_ptr_equal(b->checks[0], a->checks[0]);
        assert_ptr_not_equal(b->checks[1], a->checks[1]);
        assert_ptr_equal(b->services[0].state, a->services[0].state);
        assert_int_equal(a->checks[1]->state, HEALTH_PENDING);
        assert_int_equal(b->checks[1]->state, HEALTH_HEALTHY);
}

/* A snapshot outlives the state and the configuration that it was made from. */
static void test_outlives(void **state _unused_) {
        _cleanup_(snapshot_unrefp) Snapshot *a = NULL;
        _cleanup_(snapshot_unrefp) Snapshot *again = NULL;
        State *s = make_ready();

        a = take(s, NULL, SEC);
        state_free(s);
        again = snapshot_ref(a);
        assert_string_equal(again->config->checks[1]->id, "orders/db");
        assert_int_equal(again->host.ready, READINESS_READY);
}

static void test_since(void **state _unused_) {
        _cleanup_(state_freep) State *s = make_ready();
        _cleanup_(snapshot_unrefp) Snapshot *a = take(s, NULL, SEC), *b = NULL, *c = NULL,
                                            *d = NULL;
        _cleanup_(config_unrefp) Config *config = NULL;

        fixture_apply_result(s, 0, OUTCOME_WARN, fixture_time(2 * SEC));
        b = take(s, a, 2 * SEC);
        assert_int_equal(b->services[0].since[PROBE_READINESS].boottime,
                         fixture_time(SEC).boottime);
        fixture_apply_result(s, 0, OUTCOME_FAIL, fixture_time(3 * SEC));
        fixture_apply_result(s, 0, OUTCOME_FAIL, fixture_time(4 * SEC));
        c = take(s, b, 4 * SEC);
        assert_int_equal(c->services[0].verdict.ready, READINESS_NOT_READY);
        assert_int_equal(c->services[0].since[PROBE_READINESS].boottime,
                         fixture_time(4 * SEC).boottime);
        assert_int_equal(c->services[0].since[PROBE_READINESS].realtime,
                         fixture_time(4 * SEC).realtime);
        assert_int_equal(c->services[0].since[PROBE_LIVENESS].boottime, fixture_time(SEC).boottime);
        assert_int_equal(c->services[1].since[PROBE_READINESS].boottime,
                         fixture_time(SEC).boottime);
        assert_int_equal(c->host_since[PROBE_READINESS].boottime, fixture_time(4 * SEC).boottime);
        assert_int_equal(c->host_since[PROBE_STARTUP].boottime, fixture_time(SEC).boottime);

        /* Across a reload services are known by their names. */
        config = fixture_config(two_services + 1, 1);
        fixture_apply_config(s, config, fixture_time(5 * SEC));
        d = take(s, c, 5 * SEC);
        assert_int_equal(d->services[0].since[PROBE_READINESS].boottime,
                         fixture_time(SEC).boottime);
        assert_int_equal(d->host_since[PROBE_READINESS].boottime, fixture_time(5 * SEC).boottime);
}

static void test_expiry(void **state _unused_) {
        _cleanup_(state_freep) State *s = make_two();
        _cleanup_(snapshot_unrefp) Snapshot *a = take(s, NULL, 0), *b = NULL, *c = NULL, *d = NULL;

        /* At first only the start can take too long. */
        assert_int_equal(a->expires_boottime, fixture_time(300 * SEC).boottime);
        fixture_apply_result(s, 0, OUTCOME_PASS, fixture_time(SEC));
        fixture_apply_result(s, 1, OUTCOME_PASS, fixture_time(3 * SEC));
        fixture_apply_result(s, 2, OUTCOME_PASS, fixture_time(5 * SEC));
        b = take(s, a, 5 * SEC);
        assert_int_equal(b->expires_boottime, fixture_time(32 * SEC).boottime);
        fixture_apply_result(s, 0, OUTCOME_PASS, fixture_time(10 * SEC));
        c = take(s, b, 10 * SEC);
        assert_int_equal(c->expires_boottime, fixture_time(34 * SEC).boottime);
        fixture_apply_drain(s, 1, fixture_time(15 * SEC).boottime, false, fixture_time(11 * SEC));
        fixture_apply_drain(s, INDEX_NONE, fixture_time(14 * SEC).boottime, false,
                            fixture_time(11 * SEC));
        d = take(s, c, 11 * SEC);
        assert_int_equal(d->expires_boottime, fixture_time(14 * SEC).boottime);
}

static void test_never_run(void **state _unused_) {
        static const FixtureService services[] = {
                { "a", .unit = "a.service", .checks = { { "x" }, { "y" } } },
                { "b", .checks = { { "pushed", .type_flags = CHECK_TYPE_PUSH }, { "z" } } },
        };
        _cleanup_(config_unrefp) Config *c = fixture_config(services, 2);
        _cleanup_(state_freep) State *s = fixture_need(state_new(c, fixture_time(0)));
        _cleanup_(snapshot_unrefp) Snapshot *first = take(s, NULL, 0), *second = NULL,
                                            *third = NULL;

        assert_int_equal(first->n_never_run, 3);
        fixture_apply_unit(s, 0, UNIT_INACTIVE, "", fixture_time(1));
        second = take(s, first, 1);
        assert_int_equal(second->n_never_run, 1);
        fixture_apply_result(s, 3, OUTCOME_ERROR, fixture_time(2));
        third = take(s, second, 2);
        assert_int_equal(third->n_never_run, 0);
}

static void test_reload_error(void **state _unused_) {
        _cleanup_(state_freep) State *s = make_ready();
        Event e = { .type = EVENT_CONFIG, .reload_error = "orders.conf:3: Unknown key" };
        _cleanup_(snapshot_unrefp) Snapshot *a = NULL, *b = NULL;
        _cleanup_(config_unrefp) Config *c = fixture_config(two_services, 2);

        state_apply(s, &e, fixture_time(2 * SEC));
        a = take(s, NULL, 2 * SEC);
        fixture_apply_config(s, c, fixture_time(3 * SEC));
        b = take(s, a, 3 * SEC);
        assert_string_equal(a->reload_error, "orders.conf:3: Unknown key");
        assert_int_equal(a->reload_realtime, fixture_time(2 * SEC).realtime);
        assert_null(b->reload_error);
        assert_int_equal(b->reload_realtime, fixture_time(3 * SEC).realtime);
}

/* Only a bad verdict has causes. */
static void test_check_blocks(void **state _unused_) {
        static const FixtureService service = {
                "orders",
                .checks = { { "boot", .probes = STARTUP },
                            { "app", .probes = LIVENESS },
                            { "db" },
                            { "cache", .is_uncritical = true } },
        };
        _cleanup_(state_freep) State *s = fixture_state(&service);
        _cleanup_(snapshot_unrefp) Snapshot *starting = NULL, *started = NULL, *drained = NULL;

        for (usec_t i = 1; i <= 3; i++)
                for (size_t j = 1; j <= 3; j++)
                        fixture_apply_result(s, j, j == 2 ? OUTCOME_PASS : OUTCOME_FAIL,
                                             fixture_time(i * SEC));
        starting = take(s, NULL, 3 * SEC);
        assert_true(snapshot_check_blocks(starting, 0, PROBE_STARTUP));
        assert_true(snapshot_check_blocks(starting, 0, PROBE_READINESS));
        assert_false(snapshot_check_blocks(starting, 1, PROBE_LIVENESS)); /* alive as yet */
        assert_false(snapshot_check_blocks(starting, 2, PROBE_READINESS));
        assert_false(snapshot_check_blocks(starting, 3, PROBE_READINESS));

        fixture_apply_result(s, 0, OUTCOME_PASS, fixture_time(4 * SEC));
        fixture_apply_result(s, 2, OUTCOME_FAIL, fixture_time(4 * SEC));
        fixture_apply_result(s, 2, OUTCOME_FAIL, fixture_time(5 * SEC));
        started = take(s, starting, 5 * SEC);
        assert_false(snapshot_check_blocks(started, 0, PROBE_STARTUP));
        assert_false(snapshot_check_blocks(started, 0, PROBE_READINESS));
        assert_true(snapshot_check_blocks(started, 1, PROBE_LIVENESS));
        assert_true(snapshot_check_blocks(started, 2, PROBE_READINESS));
        assert_false(snapshot_check_blocks(started, 3, PROBE_READINESS));

        fixture_apply_result(s, 2, OUTCOME_PASS, fixture_time(6 * SEC));
        fixture_apply_drain(s, 0, USEC_INFINITY, false, fixture_time(6 * SEC));
        drained = take(s, started, 6 * SEC);
        for (size_t i = 0; i < 4; i++)
                assert_false(snapshot_check_blocks(drained, i, PROBE_READINESS));
}

/* -- differences ------------------------------------------------------------------------------- */

/* "check orders/db; service orders readiness; host readiness; " */
static void note_flip(void *userdata, const Flip *f, const Snapshot *old, const Snapshot *new) {
        char *text = userdata;
        size_t n = strlen(text);

        assert_int_equal(
                f->old_index == INDEX_NONE,
                !old ||
                        (f->type == FLIP_SERVICE && old->config->n_services == 1 &&
                         f->index == 0) ||
                        (f->type == FLIP_CHECK && old->config->n_services == 1 && f->index == 0));
        switch (f->type) {
        case FLIP_CHECK:
                snprintf(text + n, 1024 - n, "check %s; ", new->config->checks[f->index]->id);
                break;
        case FLIP_SERVICE:
                snprintf(text + n, 1024 - n, "service %s %s; ",
                         new->config->services[f->index].name, probe_to_string(f->probe));
                break;
        case FLIP_HOST:
                snprintf(text + n, 1024 - n, "host %s; ", probe_to_string(f->probe));
                break;
        }
}

static void assert_diff(const Snapshot *old, const Snapshot *new, const char *expected) {
        char text[1024] = "";

        snapshot_diff(old, new, note_flip, text);
        assert_string_equal(text, expected);
}

static void test_diff(void **state _unused_) {
        _cleanup_(state_freep) State *s = make_ready();
        _cleanup_(snapshot_unrefp) Snapshot *a = take(s, NULL, SEC), *b = NULL, *c = NULL,
                                            *d = NULL, *e = NULL;

        assert_diff(NULL, a,
                    "check billing/api; check orders/db; check orders/cache; "
                    "service billing readiness; service billing liveness; service billing startup; "
                    "service orders readiness; service orders liveness; service orders startup; "
                    "host readiness; host liveness; host startup; ");
        assert_diff(a, a, "");

        fixture_apply_result(s, 1, OUTCOME_FAIL, fixture_time(2 * SEC));
        b = take(s, a, 2 * SEC);
        assert_diff(a, b, "");

        fixture_apply_result(s, 1, OUTCOME_FAIL, fixture_time(3 * SEC));
        fixture_apply_result(s, 2, OUTCOME_WARN, fixture_time(3 * SEC));
        c = take(s, b, 3 * SEC);
        assert_diff(b, c,
                    "check orders/db; check orders/cache; service orders readiness; "
                    "host readiness; ");

        for (usec_t i = 4; i <= 6; i++)
                fixture_apply_result(s, 0, OUTCOME_FAIL, fixture_time(i * SEC));
        d = take(s, c, 6 * SEC);
        assert_diff(c, d,
                    "check billing/api; service billing readiness; service billing liveness; "
                    "host liveness; ");

        /* Drained while not ready: the answer is the same, its reason is not. */
        fixture_apply_drain(s, 1, USEC_INFINITY, false, fixture_time(7 * SEC));
        e = take(s, d, 7 * SEC);
        assert_diff(d, e, "service orders readiness; ");
}

static void test_diff_across_reload(void **state _unused_) {
        _cleanup_(config_unrefp) Config *one = fixture_config(two_services + 1, 1);
        _cleanup_(config_unrefp) Config *two = fixture_config(two_services, 2);
        _cleanup_(config_unrefp) Config *same = fixture_config(two_services, 2);
        _cleanup_(state_freep) State *s = fixture_need(state_new(one, fixture_time(0)));
        _cleanup_(snapshot_unrefp) Snapshot *a = NULL, *b = NULL, *c = NULL, *d = NULL;

        fixture_apply_result(s, 0, OUTCOME_PASS, fixture_time(SEC));
        fixture_apply_result(s, 1, OUTCOME_PASS, fixture_time(SEC));
        a = take(s, NULL, SEC);

        /* What is new counts, what moved does not, and the host stays ready. */
        fixture_apply_config(s, two, fixture_time(2 * SEC));
        b = take(s, a, 2 * SEC);
        assert_diff(a, b,
                    "check billing/api; service billing readiness; service billing liveness; "
                    "service billing startup; ");
        fixture_apply_config(s, same, fixture_time(3 * SEC));
        c = take(s, b, 3 * SEC);
        assert_diff(b, c, "");
        fixture_apply_config(s, one, fixture_time(4 * SEC));
        d = take(s, c, 4 * SEC);
        assert_diff(c, d, "");
}

/* -- a host that gains a service --------------------------------------------------------------- */

static void test_new_service_joins_the_host(void **state _unused_) {
        static const struct {
                const char *results; /* of the new service's check */
                Readiness host;
        } table[] = {
                { "", READINESS_READY },    { "p", READINESS_READY },
                { "f", READINESS_READY },   { "ff", READINESS_NOT_READY },
                { "fp", READINESS_READY },  { "pff", READINESS_NOT_READY },
                { "eee", READINESS_READY },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(config_unrefp) Config *one = fixture_config(two_services + 1, 1);
                _cleanup_(config_unrefp) Config *two = fixture_config(two_services, 2);
                _cleanup_(state_freep) State *s = fixture_need(state_new(one, fixture_time(0)));
                _cleanup_(snapshot_unrefp) Snapshot *a = NULL;
                usec_t at = SEC;

                fixture_apply_result(s, 0, OUTCOME_PASS, fixture_time(SEC));
                fixture_apply_result(s, 1, OUTCOME_PASS, fixture_time(SEC));
                fixture_apply_config(s, two, fixture_time(SEC));
                for (const char *p = table[i].results; *p; p++)
                        fixture_apply_result(s, 0,
                                             *p == 'p'   ? OUTCOME_PASS
                                             : *p == 'f' ? OUTCOME_FAIL
                                                         : OUTCOME_ERROR,
                                             fixture_time(at += SEC));
                a = take(s, NULL, at);
                assert_int_equal(a->host.ready, table[i].host);
                assert_int_equal(a->services[0].verdict.ready,
                                 str_equal(table[i].results, "p") ||
                                                 str_equal(table[i].results, "fp")
                                         ? READINESS_READY
                                         : READINESS_NOT_READY);
        }
}

static void test_new_service_joins_until(void **state _unused_) {
        _cleanup_(config_unrefp) Config *one = fixture_config(two_services + 1, 1);
        _cleanup_(config_unrefp) Config *two = fixture_config(two_services, 2);
        _cleanup_(state_freep) State *s = fixture_need(state_new(one, fixture_time(0)));
        _cleanup_(snapshot_unrefp) Snapshot *before = NULL, *at = NULL;

        fixture_apply_result(s, 0, OUTCOME_PASS, fixture_time(SEC));
        fixture_apply_result(s, 1, OUTCOME_PASS, fixture_time(SEC));
        fixture_apply_config(s, two, fixture_time(SEC));
        fixture_apply_result(s, 1, OUTCOME_PASS, fixture_time(300 * SEC));
        fixture_apply_tick(s, fixture_time(301 * SEC - 1));
        before = take(s, NULL, 301 * SEC - 1);
        assert_int_equal(before->host.ready, READINESS_READY);
        assert_int_equal(before->expires_boottime, fixture_time(301 * SEC).boottime);
        fixture_apply_tick(s, fixture_time(301 * SEC));
        at = take(s, before, 301 * SEC);
        assert_int_equal(at->host.ready, READINESS_NOT_READY);
        assert_int_equal(at->host.started, STARTUP_FAILED);
}

static Verdict without(const State *s, size_t service, const size_t checks[], size_t n, usec_t at) {
        _cleanup_(snapshot_unrefp) Snapshot *snapshot = take(s, NULL, at);
        Verdict v;

        assert_int_equal(snapshot_verdict_without(snapshot, service, checks, n, &v), 0);
        return v;
}

/* The verdict that there would be without some checks; what is no check keeps its effect. */
static void test_verdict_without(void **state _unused_) {
        static const size_t api[] = { 0 }, db[] = { 1 }, others[] = { 0, 1, 2 };
        _cleanup_(state_freep) State *s = make_two();

        assert_int_equal(without(s, INDEX_NONE, others, 3, SEC).ready, READINESS_READY);
        fixture_apply_result(s, 0, OUTCOME_PASS, fixture_time(SEC));
        fixture_apply_result(s, 2, OUTCOME_PASS, fixture_time(SEC));
        assert_int_equal(without(s, INDEX_NONE, NULL, 0, SEC).started, STARTUP_STARTING);
        assert_int_equal(without(s, INDEX_NONE, db, 1, SEC).started, STARTUP_STARTED);
        assert_int_equal(without(s, INDEX_NONE, db, 1, SEC).ready, READINESS_READY);
        assert_int_equal(without(s, INDEX_NONE, api, 1, SEC).ready, READINESS_NOT_READY);
        assert_int_equal(without(s, 0, db, 1, SEC).ready, READINESS_READY);
        assert_int_equal(without(s, 1, db, 1, SEC).ready, READINESS_READY);
        assert_int_equal(s->services[1]->is_started, false);

        fixture_apply_result(s, 1, OUTCOME_PASS, fixture_time(SEC));
        for (unsigned i = 0; i < 3; i++)
                fixture_apply_result(s, 0, OUTCOME_FAIL, fixture_time(SEC));
        assert_int_equal(without(s, INDEX_NONE, db, 1, SEC).live, LIVENESS_DEAD);
        assert_int_equal(without(s, INDEX_NONE, api, 1, SEC).live, LIVENESS_ALIVE);
        assert_int_equal(without(s, INDEX_NONE, api, 1, SEC).ready, READINESS_READY);

        fixture_apply_drain(s, 0, USEC_INFINITY, false, fixture_time(SEC));
        assert_int_equal(without(s, 0, api, 1, SEC).reason, REASON_DRAINED);
        assert_int_equal(without(s, INDEX_NONE, others, 3, SEC).ready, READINESS_NOT_READY);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_picture),
                cmocka_unit_test(test_outlives),
                cmocka_unit_test(test_since),
                cmocka_unit_test(test_expiry),
                cmocka_unit_test(test_never_run),
                cmocka_unit_test(test_reload_error),
                cmocka_unit_test(test_check_blocks),
                cmocka_unit_test(test_diff),
                cmocka_unit_test(test_diff_across_reload),
                cmocka_unit_test(test_new_service_joins_the_host),
                cmocka_unit_test(test_new_service_joins_until),
                cmocka_unit_test(test_verdict_without),
        };

        return cmocka_run_group_tests_name("snapshot", tests, NULL, NULL);
}
