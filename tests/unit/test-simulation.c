/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <inttypes.h>

#include "base/parse.h"
#include "reference.h"
#include "world.h"

/* Many random worlds, each from a seed, and what must hold after everything that happens in them.
 * VITALD_SIMULATION_SEEDS and _EVENTS make it run longer; VITALD_SIMULATION_SEED runs one again. */

#define SEEDS_DEFAULT  2000
#define EVENTS_DEFAULT 500
#define HELD_MAX       8

typedef struct Held {
        Snapshot *snapshot; /* owned reference, may be NULL: an old one */
        uint64_t hash;      /* of what it held */
} Held;

/* What a difference reported. */
typedef struct Flips {
        size_t n;
        bool checks[WORLD_CHECKS];
        bool services[WORLD_SERVICES][PROBE_COUNT_];
        bool host[PROBE_COUNT_];
} Flips;

typedef struct Totals {
        uint64_t n_events[EVENT_CONFIG + 1];
        uint64_t n_check_flips, n_service_flips[PROBE_COUNT_], n_host_flips, n_joined, n_stale;
        usec_t boottime_usec;
} Totals;

typedef struct Simulation {
        uint64_t seed, n_event;
        World world;
        State *state;       /* owned */
        Snapshot *snapshot; /* owned reference */
        Reference reference;
        Held held[HELD_MAX];
        Totals *totals; /* borrowed */
} Simulation;

/* -- immutability ------------------------------------------------------------------------------ */

static uint64_t hash_of(const Snapshot *s) {
        uint64_t h = hash_bytes(HASH_INIT, &s->sequence,
                                offsetof(Snapshot, checks) - offsetof(Snapshot, sequence));

        for (size_t i = 0; i < s->config->n_checks; i++)
                h = hash_bytes(h, &s->checks[i]->config,
                               sizeof(CheckState) - offsetof(CheckState, config));
        for (size_t i = 0; i < s->config->n_services; i++) {
                h = hash_bytes(h, s->services + i, sizeof(ServiceView));
                h = hash_bytes(h, &s->services[i].state->is_started,
                               sizeof(ServiceState) - offsetof(ServiceState, is_started));
        }
        return hash_bytes(h, &s->host, sizeof(Snapshot) - offsetof(Snapshot, host));
}

/* A snapshot says the same as when it was made, and its verdicts follow from itself alone. */
static void held_release(Simulation *sim, Held *h) {
        const Snapshot *s = h->snapshot;

        if (!s)
                return;
        MUST(sim, hash_of(s) == h->hash);
        for (size_t i = 0; i < s->config->n_services; i++) {
                Verdict v = probe_evaluate(s->config->services + i, s->services[i].state,
                                           snapshot_checks_of(s, i), &s->drain, s->time);

                MUST(sim, verdict_equal(&v, &s->services[i].verdict));
        }
        h->snapshot = snapshot_unref(h->snapshot);
}

static void hold_sometimes(Simulation *sim) {
        uint64_t dice = world_random(&sim->world, 32 * HELD_MAX);
        Held *h;

        if (dice >= HELD_MAX)
                return;
        h = sim->held + dice;
        held_release(sim, h);
        h->snapshot = snapshot_ref(sim->snapshot);
        h->hash = hash_of(h->snapshot);
}

/* -- what holds of every snapshot -------------------------------------------------------------- */

static void verify_check(const Simulation *sim, const CheckState *c) {
        Health shown = check_config_is_combined(c->config) ? c->combined : c->measured;
        usec_t now = sim->snapshot->time.boottime;
        uint64_t n_outcomes = 0;

        /* Green never goes stale. */
        if (health_is_good(c->measured) && !check_config_is_combined(c->config)) {
                MUST(sim, c->fresh_boottime > 0);
                MUST(sim, now < c->fresh_boottime + c->config->max_age_usec + c->pause_usec);
        }
        if (!check_state_override(c)->is_active)
                MUST(sim, c->state == shown);
        else
                MUST(sim, now < check_state_override(c)->until_boottime);
        MUST(sim, c->joins_until_boottime == 0 || c->joins_until_boottime > now);

        if (shown == HEALTH_HEALTHY)
                MUST(sim, c->reason == REASON_NONE && c->message[0] == 0);
        if (shown == HEALTH_UNHEALTHY || shown == HEALTH_UNKNOWN || shown == HEALTH_SKIPPED)
                MUST(sim, c->reason != REASON_NONE && c->message[0]);
        if (c->failures_in_row > 0)
                MUST(sim, c->first_failure_realtime > 0 && c->successes_in_row == 0);
        else if (health_is_good(shown))
                MUST(sim, c->first_failure_realtime == 0);
        for (Outcome o = OUTCOME_PASS; o <= OUTCOME_ERROR; o++)
                n_outcomes += c->n_by_outcome[o];
        MUST(sim, n_outcomes == c->n_runs);
}

/* Ready means that each critical check is good and fresh, or said to be good by a person, or about
 * to join. Not ready means that something stands in the way. */
static void verify_readiness(const Simulation *sim, size_t service) {
        const Snapshot *s = sim->snapshot;
        const ServiceView *v = s->services + service;
        size_t first = s->config->services[service].first_check, n_causes = 0;

        for (size_t i = first; i < first + s->config->services[service].n_checks; i++) {
                const CheckState *c = s->checks[i];
                bool is_joining = c->joins_until_boottime > 0;

                if (!check_config_counts(c->config, PROBE_READINESS) || !c->config->is_critical)
                        continue;
                if (v->verdict.ready == READINESS_READY)
                        MUST(sim, health_is_good(c->state) || is_joining);
                n_causes += !health_is_good(c->state);
        }
        if (v->verdict.ready == READINESS_READY) {
                MUST(sim,
                     v->state->is_started && !v->state->drain.is_active && !s->drain.is_active);
                MUST(sim, unit_state_is_up(v->state->unit));
        } else
                MUST(sim, n_causes > 0 || v->verdict.reason != REASON_NONE ||
                                  v->verdict.started != STARTUP_STARTED);
}

static void verify_snapshot(const Simulation *sim) {
        const Snapshot *s = sim->snapshot;

        MUST(sim, s->expires_boottime > s->time.boottime);
        MUST(sim, sim->state->expires_boottime <= s->expires_boottime);
        for (size_t i = 0; i < s->config->n_checks; i++)
                verify_check(sim, s->checks[i]);
        for (size_t i = 0; i < s->config->n_services; i++)
                verify_readiness(sim, i);
}

static void verify_reference(const Simulation *sim) {
        const Reference *r = &sim->reference;
        const Snapshot *s = sim->snapshot;
        Verdict host;

        for (size_t i = 0; i < s->config->n_checks; i++) {
                MUST(sim, reference_letter(s->checks[i]->measured) == reference_measured(r, i));
                MUST(sim, reference_letter(s->checks[i]->state) == reference_published(r, i));
                MUST(sim, s->checks[i]->is_dead == reference_is_dead(r, i));
                MUST(sim, s->checks[i]->has_been_good == r->checks[i].was_good);
        }
        for (size_t i = 0; i < s->config->n_services; i++) {
                Verdict v = reference_service(r, i, s);

                MUST(sim, verdict_equal(&v, &s->services[i].verdict));
        }
        host = reference_host(r, s);
        MUST(sim, host.ready == s->host.ready && host.live == s->host.live);
        MUST(sim, host.started == s->host.started);
}

/* -- what holds of every change ---------------------------------------------------------------- */

static void note_flip(void *userdata, const Flip *f, const Snapshot *old _unused_,
                      const Snapshot *new _unused_) {
        Flips *flips = userdata;

        flips->n++;
        switch (f->type) {
        case FLIP_CHECK:
                flips->checks[f->index] = true;
                break;
        case FLIP_SERVICE:
                flips->services[f->index][f->probe] = true;
                break;
        case FLIP_HOST:
                flips->host[f->probe] = true;
                break;
        }
}

/* No flip but of this check (INDEX_NONE: none), and of this service (INDEX_NONE: any). */
static void verify_reach(const Simulation *sim, const Flips *f, size_t check, size_t service) {
        for (size_t i = 0; i < WORLD_CHECKS; i++)
                MUST(sim, !f->checks[i] || i == check || world_hangs_on(&sim->world, i, service));
        for (size_t i = 0; i < WORLD_SERVICES; i++)
                for (Probe p = 0; p < PROBE_COUNT_; p++)
                        MUST(sim, !f->services[i][p] || i == service || service == INDEX_NONE);
}

/* What a result may and may not do. */
static void verify_result(const Simulation *sim, const Snapshot *old, const Event *e,
                          const Flips *f) {
        const Snapshot *new = sim->snapshot;
        const CheckState *a = old->checks[e->check], *b = new->checks[e->check];
        size_t service = config_find_service(new->config, b->config->service);
        const Verdict *was = &old->services[service].verdict;
        const Verdict *is = &new->services[service].verdict;
        Outcome outcome = e->result->outcome;

        MUST(sim, service == config_service_of(new->config, e->check));
        verify_reach(sim, f, e->check, service);
        if (outcome == OUTCOME_ERROR) {
                MUST(sim, b->measured != HEALTH_UNHEALTHY || a->measured == HEALTH_UNHEALTHY);
                MUST(sim, !b->is_dead || a->is_dead);
                MUST(sim, b->fresh_boottime == a->fresh_boottime);
        }
        if (outcome != OUTCOME_FAIL)
                MUST(sim, !b->is_dead || a->is_dead);
        if (outcome == OUTCOME_FAIL)
                MUST(sim, !health_is_good(b->measured) || health_is_good(a->measured));
        if (outcome_is_success(outcome)) {
                MUST(sim, b->measured != HEALTH_UNHEALTHY || a->measured == HEALTH_UNHEALTHY);
                MUST(sim, is->ready <= was->ready);
                MUST(sim, new->host.ready <= old->host.ready || was->is_joining);
                MUST(sim, is->live <= was->live || was->started != STARTUP_STARTED);
        }
        MUST(sim, is->started == was->started || is->started == STARTUP_STARTED);
}

static void verify_unit(const Simulation *sim, const Event *e, const Flips *f) {
        const Config *c = sim->snapshot->config;

        for (size_t i = 0; i < c->n_checks; i++)
                MUST(sim,
                     !f->checks[i] || config_find_service(c, c->checks[i]->service) == e->service);
        for (size_t i = 0; i < WORLD_SERVICES; i++)
                for (Probe p = 0; p < PROBE_COUNT_; p++)
                        MUST(sim, !f->services[i][p] || i == e->service);
}

static void verify_drain(const Simulation *sim, const Event *e, const Flips *f) {
        verify_reach(sim, f, INDEX_NONE, e->service);
        for (size_t i = 0; i < WORLD_SERVICES; i++)
                MUST(sim, !f->services[i][PROBE_LIVENESS] && !f->services[i][PROBE_STARTUP]);
}

/* Whether some service speaks for the host as before; *ret_added: and one that did not before. */
static bool is_host_continued(const Snapshot *old, const Snapshot *new, bool *ret_added) {
        bool is_continued = false;

        *ret_added = false;
        for (size_t i = 0; i < new->config->n_services; i++) {
                const Verdict *v = &new->services[i].verdict;
                size_t j = config_find_service(old->config, new->config->services[i].name);

                if (!new->config->services[i].counts_for_host || v->is_inactive || v->is_joining)
                        continue;
                if (j == INDEX_NONE || !old->config->services[j].counts_for_host)
                        *ret_added = true;
                else
                        is_continued = true;
        }
        return is_continued;
}

static bool is_overridden(const Snapshot *s, size_t service) {
        for (size_t i = 0; i < s->config->services[service].n_checks; i++)
                if (check_state_override(snapshot_checks_of(s, service)[i])->is_active)
                        return true;
        return false;
}

/* A reload by itself takes nothing away, and one that changes nothing flips nothing. */
static void verify_reload(const Simulation *sim, const Snapshot *old, bool is_same,
                          const Flips *f) {
        const Snapshot *new = sim->snapshot;
        bool is_continued, has_added, may_die = false;

        if (is_same)
                MUST(sim, f->n == 0);
        for (size_t i = 0; i < new->config->n_services; i++) {
                size_t j = config_find_service(old->config, new->config->services[i].name);

                if (j == INDEX_NONE)
                        continue;
                MUST(sim, new->services[i].verdict.ready <= old->services[j].verdict.ready);
                if (old->services[j].verdict.started != STARTUP_STARTED || is_overridden(new, i))
                        may_die = true;
                else
                        MUST(sim, new->services[i].verdict.live <= old->services[j].verdict.live);
        }
        is_continued = is_host_continued(old, new, &has_added);
        if (is_continued)
                MUST(sim, new->host.ready <= old->host.ready);
        if (is_continued && !has_added && !may_die)
                MUST(sim, new->host.live <= old->host.live);
}

/* Every flip is explained by what happened. */
static void verify_event(const Simulation *sim, const Snapshot *old, const Event *e, bool is_same,
                         const Flips *f) {
        switch (e->type) {
        case EVENT_RESULT:
                verify_result(sim, old, e, f);
                break;
        case EVENT_UNIT:
                verify_unit(sim, e, f);
                break;
        case EVENT_DRAIN:
        case EVENT_SHUTDOWN:
                verify_drain(sim, e, f);
                break;
        case EVENT_OVERRIDE:
        case EVENT_FORGET:
                verify_reach(sim, f, e->check,
                             config_find_service(sim->snapshot->config,
                                                 sim->snapshot->config->checks[e->check]->service));
                MUST(sim, e->type == EVENT_FORGET || sim->snapshot->checks[e->check]->measured ==
                                                             old->checks[e->check]->measured);
                break;
        case EVENT_CONFIG:
                if (e->config)
                        verify_reload(sim, old, is_same, f);
                else
                        MUST(sim, f->n == 0);
                break;
        case EVENT_VOID:
        case EVENT_VERSION:
        case EVENT_TICK:
        case EVENT_RESTORE:
                MUST(sim, f->n == 0);
                break;
        }
}

/* A difference is reported if and only if there is one. */
static void verify_diff(const Simulation *sim, const Snapshot *old, const Flips *f) {
        const Snapshot *new = sim->snapshot;
        bool differs = false;

        if (old->config != new->config)
                return;
        for (size_t i = 0; i < new->config->n_checks; i++)
                differs |= old->checks[i]->state != new->checks[i]->state;
        for (size_t i = 0; i < new->config->n_services; i++) {
                Verdict a = old->services[i].verdict, b = new->services[i].verdict;

                a.is_joining = b.is_joining = a.is_measured_dead = b.is_measured_dead = false;
                differs |= !verdict_equal(&a, &b);
        }
        differs |= old->host.live != new->host.live || old->host.ready != new->host.ready ||
                   old->host.started != new->host.started || old->host.reason != new->host.reason ||
                   old->host.is_inactive != new->host.is_inactive ||
                   old->host.is_degraded != new->host.is_degraded;
        MUST(sim, differs == (f->n > 0));
}

static void verify_since(const Simulation *sim, const Snapshot *old) {
        const Snapshot *new = sim->snapshot;
        usec_t since = new->host_since[PROBE_READINESS].boottime;

        if (new->host.ready != old->host.ready)
                MUST(sim, since == new->time.boottime);
        else
                MUST(sim, since == old->host_since[PROBE_READINESS].boottime);
}

/* -- running ----------------------------------------------------------------------------------- */

static void count(Simulation *sim, const Event *e, const Snapshot *old, const Flips *f) {
        const Snapshot *new = sim->snapshot;
        Totals *t = sim->totals;

        t->n_events[e->type]++;
        for (size_t i = 0; i < WORLD_CHECKS; i++)
                t->n_check_flips += f->checks[i];
        for (Probe p = 0; p < PROBE_COUNT_; p++) {
                t->n_host_flips += f->host[p];
                for (size_t i = 0; i < WORLD_SERVICES; i++)
                        t->n_service_flips[p] += f->services[i][p];
        }
        for (size_t i = 0; i < new->config->n_checks; i++) {
                t->n_joined += e->type == EVENT_CONFIG && new->checks[i]->joins_until_boottime > 0;
                t->n_stale += f->checks[i] && new->checks[i]->reason == REASON_STALE;
        }
        t->boottime_usec += new->time.boottime - old->time.boottime;
}

static void on_event(void *userdata, const Event *e, bool is_same_config) {
        _cleanup_(snapshot_unrefp) Snapshot *old = NULL;
        Simulation *sim = userdata;
        Time now = sim->world.now;
        Flips flips = {};
        bool was_due;

        sim->n_event++;
        assert_int_equal(state_apply(sim->state, e, now), 0);
        reference_apply(&sim->reference, e, now);
        old = sim->snapshot;
        sim->snapshot = fixture_need(snapshot_new(sim->state, old, now));
        sim->world.expires_boottime = sim->snapshot->expires_boottime;
        snapshot_diff(old, sim->snapshot, note_flip, &flips);

        was_due = old->expires_boottime <= now.boottime;
        MUST(sim, sim->snapshot->sequence == old->sequence + 1);
        verify_snapshot(sim);
        if (!sim->world.is_wild)
                verify_reference(sim);
        if (!was_due)
                verify_event(sim, old, e, is_same_config, &flips);
        if (sim->snapshot->revision == old->revision)
                MUST(sim, flips.n == 0);
        verify_diff(sim, old, &flips);
        verify_since(sim, old);
        count(sim, e, old, &flips);
        hold_sometimes(sim);
}

static void simulate(uint64_t seed, uint64_t n_events, Totals *totals) {
        Simulation sim = { .seed = seed, .totals = totals };

        world_init(&sim.world, seed, on_event, &sim);
        sim.state = fixture_need(state_new(sim.world.config, sim.world.now));
        sim.world.state = sim.state;
        reference_init(&sim.reference, sim.world.config, sim.world.now);
        sim.snapshot = fixture_need(snapshot_new(sim.state, NULL, sim.world.now));
        sim.world.expires_boottime = sim.snapshot->expires_boottime;
        while (sim.n_event < n_events)
                world_step(&sim.world);

        for (size_t i = 0; i < HELD_MAX; i++)
                held_release(&sim, sim.held + i);
        snapshot_unref(sim.snapshot);
        reference_done(&sim.reference);
        state_free(sim.state);
        world_done(&sim.world);
}

static uint64_t number_from_environment(const char *name, uint64_t fallback) {
        const char *text = getenv(name);
        uint64_t n;

        return text && parse_uint64(text, &n) >= 0 ? n : fallback;
}

/* The worlds are worth nothing if nothing happens in them. */
static void verify_totals(const Totals *t) {
        for (EventType e = 0; e <= EVENT_CONFIG; e++)
                assert_true(e == EVENT_RESTORE || t->n_events[e] > 100);
        for (Probe p = 0; p < PROBE_COUNT_; p++)
                assert_true(t->n_service_flips[p] > 100);
        assert_true(t->n_check_flips > 1000);
        assert_true(t->n_host_flips > 100);
        assert_true(t->n_joined > 100);
        assert_true(t->n_stale > 100);
        assert_true(t->boottime_usec > 100 * USEC_PER_DAY);
}

static void test_worlds(void **state _unused_) {
        uint64_t n_seeds = number_from_environment("VITALD_SIMULATION_SEEDS", SEEDS_DEFAULT);
        uint64_t n_events = number_from_environment("VITALD_SIMULATION_EVENTS", EVENTS_DEFAULT);
        uint64_t only = number_from_environment("VITALD_SIMULATION_SEED", UINT64_MAX);
        Totals totals = {};

        if (only != UINT64_MAX) {
                simulate(only, n_events, &totals);
                return;
        }
        for (uint64_t seed = 0; seed < n_seeds; seed++)
                simulate(seed, n_events, &totals);
        printf("# %" PRIu64 " worlds, %" PRIu64 " days, %" PRIu64 " results, %" PRIu64
               " reloads, %" PRIu64 " check flips, %" PRIu64 " service flips\n",
               n_seeds, totals.boottime_usec / USEC_PER_DAY, totals.n_events[EVENT_RESULT],
               totals.n_events[EVENT_CONFIG], totals.n_check_flips,
               totals.n_service_flips[PROBE_READINESS]);
        verify_totals(&totals);
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_worlds) };

        return cmocka_run_group_tests_name("simulation", tests, NULL, NULL);
}
