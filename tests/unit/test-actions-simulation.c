/* SPDX-License-Identifier: MIT */
/* Twenty services, many of them sick, on hosts where everything else goes wrong too: whatever
 * happens, the budget, the delays, the limit and the order hold. */

#include "unit.h"

#include <stdlib.h>

#include "fixture.h"
#include "model/actions.h"

#define N_SERVICES    20
#define N_SEEDS       40
#define SECONDS       3600
#define N_DONE_MAX    100000
#define BURST         5
#define INTERVAL_USEC (600 * SEC)
#define BACKOFF_USEC  (10 * SEC)
#define BACKOFF_MAX   (80 * SEC)
#define RESET_USEC    (120 * SEC)
#define LIMIT         4

typedef enum Sickness {
        SOUND,   /* never fails */
        CURABLE, /* until restarted a few times */
        LEAKY,   /* well for a while after each restart */
        HOPELESS,
} Sickness;

typedef struct Patient {
        Sickness sickness;
        unsigned n_needed; /* restarts until it is well */
        usec_t well_until; /* CLOCK_BOOTTIME */
        usec_t done_at;    /* when the restart under way ends; 0: none is */
        unsigned n_restarts, n_in_row;
        usec_t last_boottime, good_since;
        bool is_drained, is_stopped, is_given_up;
} Patient;

typedef struct Ward {
        uint64_t random, seed;
        Config *config;     /* owned reference */
        State *state;       /* owned */
        Snapshot *snapshot; /* owned reference */
        Actions *actions;   /* owned */
        Time now;
        Patient patients[N_SERVICES];
        unsigned n_invocations;
        bool has_systemd;
        usec_t evidence_boottime;
        usec_t done[N_DONE_MAX]; /* CLOCK_BOOTTIME of every restart that was not refused */
        size_t n_done;
} Ward;

#define MUST(w, condition)                                                          \
        do {                                                                        \
                if (!(condition))                                                   \
                        fail_msg("seed %u, %us: not %s", (unsigned) (w)->seed,      \
                                 (unsigned) ((w)->now.boottime / SEC), #condition); \
        } while (false)

static uint64_t random_below(Ward *w, uint64_t n) {
        w->random = w->random * 6364136223846793005ULL + 1442695040888963407ULL;
        return (w->random >> 33) % n;
}

static bool one_in(Ward *w, uint64_t n) {
        return random_below(w, n) == 0;
}

static Config *ward_config(void) {
        static const char *const names[N_SERVICES] = {
                "a", "b", "c", "d", "e", "f", "g", "h", "i", "j",
                "k", "l", "m", "n", "o", "p", "q", "r", "s", "t",
        };
        FixtureService services[N_SERVICES] = {};
        Config *c;

        for (size_t i = 0; i < N_SERVICES; i++)
                services[i] = (FixtureService){
                        names[i],
                        .unit = names[i],
                        .checks = { { "app", .probes = LIVENESS | READINESS } },
                };
        c = fixture_config(services, N_SERVICES);
        for (size_t i = 0; i < N_SERVICES; i++) {
                ServiceConfig *s = &c->services[i];

                s->on_liveness_failure = ON_LIVENESS_FAILURE_RESTART;
                s->restart_backoff_usec = BACKOFF_USEC;
                s->restart_backoff_max_usec = BACKOFF_MAX;
                s->restart_reset_after_usec = RESET_USEC;
                s->restart_limit = LIMIT;
        }
        c->daemon.restart_budget_burst = BURST;
        c->daemon.restart_budget_interval_usec = INTERVAL_USEC;
        return c;
}

static void unit_is(Ward *w, size_t i, UnitState unit, bool is_new) {
        char id[INVOCATION_ID_MAX];

        w->n_invocations += is_new;
        snprintf(id, sizeof(id), "%032u", w->n_invocations);
        fixture_apply_unit(w->state, i, unit, is_new ? id : "", w->now);
}

/* -- what happens ------------------------------------------------------------------------------ */

static bool patient_is_well(const Patient *p, usec_t now) {
        switch (p->sickness) {
        case SOUND:
                return true;
        case CURABLE:
                return p->n_restarts >= p->n_needed;
        case LEAKY:
                return now < p->well_until;
        case HOPELESS:
                return false;
        }
        return false;
}

static void patient_is_up(Ward *w, size_t i) {
        Patient *p = &w->patients[i];

        p->done_at = 0;
        p->well_until = w->now.boottime + random_below(w, 90) * SEC;
        unit_is(w, i, UNIT_ACTIVE, true);
}

static void patient_lives(Ward *w, size_t i) {
        Patient *p = &w->patients[i];

        if (p->done_at > 0 && w->now.boottime >= p->done_at) {
                patient_is_up(w, i);
                actions_ended(w->actions, i, w->now);
        }
        if (p->done_at > 0 || p->is_stopped)
                return;
        fixture_apply_result(w->state, i,
                             patient_is_well(p, w->now.boottime) ? OUTCOME_PASS : OUTCOME_FAIL,
                             w->now);
        if (!health_is_good(w->state->checks[i]->measured))
                p->good_since = 0;
        else if (p->good_since == 0)
                p->good_since = w->now.boottime;
}

static void people_and_hosts(Ward *w) {
        size_t i = random_below(w, N_SERVICES);
        Patient *p = &w->patients[i];

        if (one_in(w, 300)) {
                p->is_drained = !p->is_drained;
                fixture_apply_drain(w->state, i, p->is_drained ? USEC_INFINITY : 0, false, w->now);
        }
        if (one_in(w, 300) && p->done_at == 0) {
                p->is_stopped = !p->is_stopped;
                if (p->is_stopped)
                        unit_is(w, i, UNIT_INACTIVE, false);
                else
                        patient_is_up(w, i);
                p->good_since = 0;
        }
        if (one_in(w, 100))
                fixture_apply_override(w->state, i, HEALTH_HEALTHY + (Health) random_below(w, 3),
                                       one_in(w, 2) ? USEC_INFINITY : 0, w->now);
        if (one_in(w, 900)) {
                actions_stalled(w->actions, w->now);
                w->evidence_boottime = w->now.boottime;
        }
        if (one_in(w, 400)) {
                w->has_systemd = !w->has_systemd;
                if (w->has_systemd) {
                        actions_connected(w->actions, w->now);
                        w->evidence_boottime = w->now.boottime;
                }
        }
}

/* vitald crashes, and another one reads what was kept. */
static void vitald_again(Ward *w) {
        Actions *new = fixture_need(actions_new(w->now));

        assert_int_equal(actions_configure(new, w->config), 0);
        restart_budget_restore(&new->budget, w->actions->budget.back_usec,
                               w->actions->budget.n_spent, w->now.boottime);
        for (size_t i = 0; i < N_SERVICES; i++) {
                actions_restore(new, w->actions->restarts[i].name, &w->actions->restarts[i].counts,
                                w->now);
                w->patients[i].good_since = 0;
                if (w->patients[i].done_at > 0)
                        patient_is_up(w, i);
        }
        actions_free(w->actions);
        w->actions = new;
        w->evidence_boottime = w->now.boottime;
}

/* -- what must hold ---------------------------------------------------------------------------- */

static usec_t delay_after(unsigned n) {
        return MIN(BACKOFF_USEC << MIN(n - 1, 10U), BACKOFF_MAX);
}

/* Those who wait for the budget have had as many at least, or have waited no longer. */
static void verify_order(const Ward *w, size_t i) {
        const Restart *r = &w->actions->restarts[i];

        for (size_t k = 0; k < N_SERVICES; k++) {
                const Restart *other = &w->actions->restarts[k];

                if (other->state != RESTART_BUDGET)
                        continue;
                MUST(w, other->counts.n_in_row >= r->counts.n_in_row - 1);
                MUST(w, other->counts.n_in_row > r->counts.n_in_row - 1 ||
                                other->due_boottime >= r->due_boottime);
        }
}

static void verify_restart(Ward *w, size_t i) {
        Patient *p = &w->patients[i];
        usec_t now = w->now.boottime;

        MUST(w, w->has_systemd && !p->is_drained && !p->is_stopped && p->done_at == 0);
        MUST(w, !p->is_given_up && w->state->checks[i]->is_dead);
        MUST(w, now >= w->evidence_boottime + ACTIONS_SETTLE_USEC);
        MUST(w, w->state->checks[i]->last_boottime > w->evidence_boottime);
        if (p->n_in_row > 0)
                MUST(w, now >= p->last_boottime + delay_after(p->n_in_row));
        verify_order(w, i);
}

static void restart(Ward *w, size_t i) {
        Patient *p = &w->patients[i];

        verify_restart(w, i);
        if (one_in(w, 10)) {
                actions_refused(w->actions, i, one_in(w, 2), w->now);
                return;
        }
        p->n_restarts++;
        p->n_in_row++;
        MUST(w, p->n_in_row <= LIMIT);
        p->last_boottime = w->now.boottime;
        p->good_since = 0;
        p->done_at = w->now.boottime + (1 + random_below(w, 5)) * SEC;
        unit_is(w, i, UNIT_DEACTIVATING, false);
        assert_true(w->n_done < N_DONE_MAX);
        w->done[w->n_done++] = w->now.boottime;
        if (w->n_done > BURST)
                MUST(w, w->done[w->n_done - 1] - w->done[w->n_done - 1 - BURST] >= INTERVAL_USEC);
}

static void carry_out(Ward *w) {
        for (size_t i = 0; i < w->actions->n_out; i++) {
                const Action *a = &w->actions->out[i];
                Patient *p = &w->patients[a->service];

                switch (a->type) {
                case ACTION_RESTART:
                        restart(w, a->service);
                        break;
                case ACTION_TELL_STATIC:
                        MUST(w, p->n_in_row == LIMIT && !p->is_given_up);
                        p->is_given_up = true;
                        break;
                case ACTION_TELL_CURED:
                        MUST(w, p->good_since > 0 && w->now.boottime - p->good_since >= RESET_USEC);
                        p->n_in_row = 0;
                        p->is_given_up = false;
                        break;
                case ACTION_TELL_BUDGET:
                case ACTION_TELL_DELAY:
                case ACTION_TELL_HELD:
                        break;
                }
        }
}

static void ward_step(Ward *w) {
        Snapshot *old = w->snapshot;

        w->now.monotonic += SEC;
        w->now.boottime += SEC;
        w->now.realtime += SEC;
        if (one_in(w, 600))
                vitald_again(w);
        people_and_hosts(w);
        for (size_t i = 0; i < N_SERVICES; i++)
                patient_lives(w, i);
        w->snapshot = fixture_need(snapshot_new(w->state, old, w->now));
        snapshot_unref(old);
        (void) actions_decide(w->actions, w->snapshot, w->has_systemd, w->now);
        carry_out(w);
}

static void ward_run(uint64_t seed, unsigned totals[static 3]) {
        _cleanup_free_ Ward *w = fixture_need(calloc(1, sizeof(Ward)));

        w->seed = w->random = seed;
        w->now = fixture_time(0);
        w->config = ward_config();
        w->state = fixture_need(state_new(w->config, w->now));
        w->actions = fixture_need(actions_new(w->now));
        w->evidence_boottime = w->now.boottime;
        w->has_systemd = true;
        assert_int_equal(actions_configure(w->actions, w->config), 0);
        for (size_t i = 0; i < N_SERVICES; i++) {
                w->patients[i].sickness = (Sickness) random_below(w, 4);
                w->patients[i].n_needed = 1 + (unsigned) random_below(w, 3);
                patient_is_up(w, i);
        }
        for (unsigned i = 0; i < SECONDS; i++)
                ward_step(w);
        totals[0] += (unsigned) w->n_done;
        for (size_t i = 0; i < N_SERVICES; i++) {
                totals[1] += w->patients[i].is_given_up;
                totals[2] += w->patients[i].n_restarts > 0 && w->patients[i].n_in_row == 0;
                if (w->patients[i].sickness == SOUND)
                        MUST(w, w->patients[i].n_restarts == 0);
        }
        snapshot_unref(w->snapshot);
        state_free(w->state);
        actions_free(w->actions);
        config_unref(w->config);
}

static void test_wards(void **state _unused_) {
        unsigned totals[3] = {};

        for (uint64_t seed = 1; seed <= N_SEEDS; seed++)
                ward_run(seed, totals);
        /* So that it has been about something: restarts, given up, cured. */
        print_message("%u restarts, %u left running, %u cured\n", totals[0], totals[1], totals[2]);
        assert_true(totals[0] > N_SEEDS * BURST * 3);
        assert_true(totals[1] > N_SEEDS / 2);
        assert_true(totals[2] > N_SEEDS);
}

/* Everybody sick at once, and nothing else happens: the budget is used, and by everybody alike. */
static void test_all_at_once(void **state _unused_) {
        _cleanup_free_ Ward *w = fixture_need(calloc(1, sizeof(Ward)));

        w->now = fixture_time(0);
        w->random = 1;
        w->config = ward_config();
        w->state = fixture_need(state_new(w->config, w->now));
        w->actions = fixture_need(actions_new(w->now));
        assert_int_equal(actions_configure(w->actions, w->config), 0);
        for (size_t i = 0; i < N_SERVICES; i++)
                unit_is(w, i, UNIT_ACTIVE, true);
        for (unsigned second = 0; second < 4 * 600 + 60; second++) {
                Snapshot *old = w->snapshot;

                w->now.boottime += SEC;
                for (size_t i = 0; i < N_SERVICES; i++)
                        fixture_apply_result(w->state, i, OUTCOME_FAIL, w->now);
                w->snapshot = fixture_need(snapshot_new(w->state, old, w->now));
                snapshot_unref(old);
                (void) actions_decide(w->actions, w->snapshot, true, w->now);
                for (size_t i = 0; i < w->actions->n_out; i++) {
                        size_t service = w->actions->out[i].service;

                        if (w->actions->out[i].type != ACTION_RESTART)
                                continue;
                        w->done[w->n_done++] = w->now.boottime;
                        w->patients[service].n_restarts++;
                        unit_is(w, service, UNIT_ACTIVE, true);
                        actions_ended(w->actions, service, w->now);
                }
                if (second == 1900) /* four times five: each has had one */
                        for (size_t i = 0; i < N_SERVICES; i++)
                                assert_int_equal(w->patients[i].n_restarts, 1);
        }
        assert_int_equal(w->n_done, 25);
        for (size_t i = BURST; i < w->n_done; i++)
                assert_true(w->done[i] - w->done[i - BURST] == INTERVAL_USEC);
        snapshot_unref(w->snapshot);
        state_free(w->state);
        actions_free(w->actions);
        config_unref(w->config);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_wards),
                cmocka_unit_test(test_all_at_once),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
