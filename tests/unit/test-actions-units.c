/* SPDX-License-Identifier: MIT */
/* What belongs to a unit, and not to the service that stands for it: two services of one unit, and
 * a service that stands for another unit after a reload. */

#include "unit.h"

#include "fixture.h"
#include "model/actions.h"

typedef struct Pair {
        Config *config;     /* owned reference */
        State *state;       /* owned */
        Snapshot *snapshot; /* owned reference */
        Actions *actions;   /* owned */
        usec_t usec;        /* since the beginning */
        unsigned n_invocations;
} Pair;

static Config *pair_config(const char *unit) {
        const FixtureService services[] = {
                { "a", .unit = unit, .checks = { { "app", .probes = LIVENESS } } },
                { "b", .unit = unit, .checks = { { "app", .probes = LIVENESS } } },
        };
        Config *c = fixture_config(services, ELEMENTSOF(services));

        for (size_t i = 0; i < c->n_services; i++) {
                c->services[i].on_liveness_failure = ON_LIVENESS_FAILURE_RESTART;
                c->services[i].restart_backoff_usec = 20 * SEC;
                c->services[i].restart_backoff_max_usec = 40 * SEC;
                c->services[i].restart_reset_after_usec = 600 * SEC;
                c->services[i].restart_limit = 1;
        }
        c->daemon.restart_budget_burst = 50;
        c->daemon.restart_budget_interval_usec = 600 * SEC;
        return c;
}

static Time pair_now(const Pair *p) {
        return fixture_time(p->usec);
}

/* Another start of the unit, after which all is well for a moment. */
static void pair_start(Pair *p) {
        char id[INVOCATION_ID_MAX];

        snprintf(id, sizeof(id), "%032u", ++p->n_invocations);
        for (size_t i = 0; i < 2; i++) {
                fixture_apply_unit(p->state, i, UNIT_ACTIVE, id, pair_now(p));
                fixture_apply_result(p->state, i, OUTCOME_PASS, pair_now(p));
        }
}

/* Both fail each second, until one of them is restarted, or until then. Returns which. */
static size_t pair_fail(Pair *p, unsigned until_seconds) {
        while (p->usec < until_seconds * SEC) {
                Snapshot *old = p->snapshot;

                p->usec += SEC;
                for (size_t i = 0; i < 2; i++)
                        fixture_apply_result(p->state, i, OUTCOME_FAIL, pair_now(p));
                p->snapshot = fixture_need(snapshot_new(p->state, old, pair_now(p)));
                snapshot_unref(old);
                (void) actions_decide(p->actions, p->snapshot, true, pair_now(p));
                for (size_t i = 0; i < p->actions->n_out; i++)
                        if (p->actions->out[i].type == ACTION_RESTART)
                                return p->actions->out[i].service;
        }
        return INDEX_NONE;
}

static int pair_begin(void **state) {
        Pair *p = fixture_need(calloc(1, sizeof(Pair)));

        p->config = pair_config("s.service");
        p->state = fixture_need(state_new(p->config, pair_now(p)));
        p->actions = fixture_need(actions_new(pair_now(p)));
        *state = p;
        if (actions_configure(p->actions, p->config) < 0)
                return -1;
        pair_start(p);
        return 0;
}

static int pair_end(void **state) {
        Pair *p = *state;

        snapshot_unref(p->snapshot);
        state_free(p->state);
        actions_free(p->actions);
        config_unref(p->config);
        free(p);
        return 0;
}

/* Somebody is at work at the unit, by whichever name. */
static void test_a_drain_of_one_is_for_both(void **state) {
        Pair *p = *state;

        fixture_apply_drain(p->state, 1, USEC_INFINITY, false, pair_now(p));
        assert_int_equal(pair_fail(p, 60), INDEX_NONE);
        fixture_apply_drain(p->state, 1, 0, false, pair_now(p));
        assert_int_not_equal(pair_fail(p, 70), INDEX_NONE);
}

/* It is over, but for a moment the other is still seen as it was. */
static void test_a_restart_is_for_both(void **state) {
        Pair *p = *state;
        size_t first = pair_fail(p, 30), second;
        unsigned at = (unsigned) (p->usec / SEC);

        assert_true(first < 2);
        assert_int_equal(pair_fail(p, at + 1), INDEX_NONE);
        actions_ended(p->actions, first, pair_now(p));
        assert_int_equal(pair_fail(p, at + 3), INDEX_NONE);
        pair_start(p);
        /* A restart that did not help: the delay is that of the unit, whoever comes next. */
        second = pair_fail(p, at + 60);
        assert_int_equal(second, 1 - first);
        assert_in_range(p->usec / SEC, at + 20, at + 21);
}

/* What did not help one unit says nothing about another. */
static void test_another_unit_begins_anew(void **state) {
        Pair *p = *state;
        size_t first = pair_fail(p, 30);

        assert_true(first < 2);
        actions_ended(p->actions, first, pair_now(p));
        pair_start(p);
        for (size_t i = 0; i < 2; i++) {
                Config *c = pair_config(i == 0 ? "s.service" : "t.service");

                assert_int_equal(actions_configure(p->actions, c), 0);
                assert_int_equal(p->actions->restarts[first].counts.n_in_row, i == 0 ? 1 : 0);
                config_unref(c);
        }
        assert_int_equal(restart_budget_left(&p->actions->budget, pair_now(p).boottime), 49);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_a_drain_of_one_is_for_both, pair_begin,
                                                pair_end),
                cmocka_unit_test_setup_teardown(test_a_restart_is_for_both, pair_begin, pair_end),
                cmocka_unit_test_setup_teardown(test_another_unit_begins_anew, pair_begin,
                                                pair_end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
