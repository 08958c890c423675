/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <inttypes.h>

#include "base/parse.h"
#include "output/state-file.h"
#include "world.h"

/* Random worlds in which vitald is away now and then: what was known is written to a text, the
 * text is read again, and from then on all must be as with a twin that has never been away.
 * VITALD_SIMULATION_SEEDS and _EVENTS make it run longer; VITALD_SIMULATION_SEED runs one again. */

#define SEEDS_DEFAULT  1000
#define EVENTS_DEFAULT 300
#define BOOT           "0123456789abcdef0123456789abcdef"

typedef struct Totals {
        uint64_t n_restarts, n_stale, n_first_flips, n_absences;
} Totals;

typedef struct Simulation {
        uint64_t seed, n_event;
        World world;
        State *state, *twin;       /* owned */
        Snapshot *seen, *expected; /* owned references: of the one and the other */
        char *kept;                /* owned: the text, while away */
        unsigned n_left;           /* events until it comes back */
        Totals *totals;            /* borrowed */
} Simulation;

static void publish(State *s, Snapshot **current, Time now) {
        _cleanup_(snapshot_unrefp) Snapshot *old = *current;

        *current = fixture_need(snapshot_new(s, old, now));
}

static char *text_of(const Snapshot *s) {
        _cleanup_strbuf_ StrBuf b = {};
        char *text;

        state_file_format(&b, s, BOOT, true);
        assert_int_equal(strbuf_finish(&b, &text), 0);
        return text;
}

/* All that is kept, which is all that is known. */
static void compare(const Simulation *sim) {
        _cleanup_free_ char *seen = text_of(sim->seen), *expected = text_of(sim->expected);

        size_t at = 0;

        if (str_equal(seen, expected))
                return;
        while (seen[at] == expected[at])
                at++;
        at = usec_sub(at, 200);
        fprintf(stderr, "%.500s\n%.500s\n", seen + at, expected + at);
        MUST(sim, str_equal(seen, expected));
}

static void verify_fresh(const Simulation *sim) {
        const Snapshot *s = sim->seen;

        for (size_t i = 0; i < s->config->n_checks; i++) {
                const CheckState *c = s->checks[i];

                if (!health_is_good(c->measured) || check_config_is_combined(c->config))
                        continue;
                MUST(sim, c->fresh_boottime > 0);
                MUST(sim, s->time.boottime <
                                  c->fresh_boottime + c->config->max_age_usec + c->pause_usec);
        }
}

static void on_flip(void *userdata, const Flip *f _unused_, const Snapshot *old _unused_,
                    const Snapshot *new _unused_) {
        size_t *n = userdata;

        ++*n;
}

static size_t count_flips(const Snapshot *a, const Snapshot *b) {
        size_t n = 0;

        snapshot_diff(a, b, on_flip, &n);
        return n;
}

/* The twin has seen verdicts change, and perhaps change back, at their time; the other sees one
 * that is another one as of now. */
static void align_since(ProbeSince seen[PROBE_COUNT_], const ProbeSince expected[PROBE_COUNT_],
                        usec_t away_boottime) {
        for (Probe p = 0; p < PROBE_COUNT_; p++)
                if (expected[p].boottime > away_boottime)
                        seen[p] = expected[p];
}

static void return_again(Simulation *sim, Time now) {
        _cleanup_(kept_freep) Kept *k = NULL;
        _cleanup_(snapshot_unrefp) Snapshot *before = NULL;
        usec_t away_boottime = sim->seen->time.boottime;
        char why[STATE_FILE_WHY_MAX];
        Config *config = sim->expected->config;

        if (state_file_parse(sim->kept, strlen(sim->kept), BOOT, config, now, &k, why) < 0)
                fail_msg("seed %" PRIu64 ": %s: %s", sim->seed, why, sim->kept);
        before = fixture_need(kept_snapshot(k));
        MUST(sim, count_flips(sim->seen, before) == 0);
        state_free(sim->state);
        sim->state = fixture_need(state_new(config, now));
        assert_int_equal(state_apply(sim->state, &(Event){ .type = EVENT_RESTORE, .kept = k }, now),
                         0);
        /* That of a shutdown is not kept: whoever knows of one says so again. */
        assert_int_equal(
                state_apply(sim->state,
                            &(Event){ .type = EVENT_SHUTDOWN, .drain = &sim->twin->shutdown }, now),
                0);
        snapshot_unref(sim->seen);
        sim->seen = snapshot_ref(before);
        publish(sim->state, &sim->seen, now);
        MUST(sim, sim->seen->sequence == 1);
        sim->totals->n_first_flips += count_flips(before, sim->seen);

        for (size_t i = 0; i < config->n_services; i++)
                align_since(sim->seen->services[i].since, sim->expected->services[i].since,
                            away_boottime);
        align_since(sim->seen->host_since, sim->expected->host_since, away_boottime);
        for (size_t i = 0; i < config->n_checks; i++)
                sim->totals->n_stale += sim->seen->checks[i]->reason == REASON_STALE;
        sim->totals->n_restarts++;
        free(sim->kept);
        sim->kept = NULL;
}

/* The twin stays, and nothing happens to it but that time passes. */
static void let_pass(Simulation *sim, Time now) {
        while (sim->twin->expires_boottime <= now.boottime) {
                usec_t ago = now.boottime - sim->twin->expires_boottime;
                Time at = { now.monotonic - MIN(ago, now.monotonic), now.boottime - ago,
                            now.realtime - ago };

                assert_int_equal(state_apply(sim->twin, &(Event){ .type = EVENT_TICK }, at), 0);
                publish(sim->twin, &sim->expected, at);
        }
        publish(sim->twin, &sim->expected, now);
        sim->world.expires_boottime = sim->expected->expires_boottime;
}

static void apply_both(Simulation *sim, const Event *e, Time now) {
        assert_int_equal(state_apply(sim->state, e, now), 0);
        assert_int_equal(state_apply(sim->twin, e, now), 0);
        publish(sim->state, &sim->seen, now);
        publish(sim->twin, &sim->expected, now);
        sim->world.expires_boottime = sim->expected->expires_boottime;
        verify_fresh(sim);
        compare(sim);
}

/* What peers and people say may be empty, long, and cut in the midst of a letter. */
static void make_odd(World *w, Result *r) {
        size_t n = world_random(w, 20) * 20, at = 0;

        for (r->message[0] = 0; at + 4 <= n && at + 4 < sizeof(r->message); at += 2)
                memcpy(r->message + at, "\u00fc", 3);
        if (n > 0 && world_random(w, 2) == 0)
                r->message[at > 0 ? at - 1 : 0] = 0;
        for (n = world_random(w, RESULT_VALUES_MAX); n > 0; n--)
                result_add_value(
                        r,
                        "\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fcx\u00fc",
                        world_random(w, 2) ? -1.5e300 : 4.9e-324, "\u00b5\u00b5\u00b5\u00b5");
}

static void on_event(void *userdata, const Event *e, bool is_same_config _unused_) {
        Simulation *sim = userdata;
        Time now = sim->world.now;
        Event changed = *e;
        Result odd;

        sim->n_event++;
        if (sim->kept) {
                let_pass(sim, now);
                if (e->type != EVENT_CONFIG && sim->n_left-- > 0)
                        return;
                return_again(sim, now);
                verify_fresh(sim);
                compare(sim);
        }
        if (e->type == EVENT_RESULT && world_random(&sim->world, 3) == 0) {
                odd = *e->result;
                make_odd(&sim->world, &odd);
                changed.result = &odd;
        }
        apply_both(sim, &changed, now);
        if (world_random(&sim->world, 20) > 0)
                return;
        sim->kept = text_of(sim->seen);
        sim->n_left = (unsigned) world_random(&sim->world, 2) * 10;
        if (sim->n_left > 0)
                sim->totals->n_absences++;
        else
                return_again(sim, now);
        if (!sim->kept)
                compare(sim);
}

static void simulate(uint64_t seed, uint64_t n_events, Totals *totals) {
        Simulation sim = { .seed = seed, .totals = totals };

        world_init(&sim.world, seed, on_event, &sim);
        sim.world.has_steady_clock = true;
        sim.state = fixture_need(state_new(sim.world.config, sim.world.now));
        sim.twin = fixture_need(state_new(sim.world.config, sim.world.now));
        sim.world.state = sim.twin;
        publish(sim.state, &sim.seen, sim.world.now);
        publish(sim.twin, &sim.expected, sim.world.now);
        sim.world.expires_boottime = sim.expected->expires_boottime;
        while (sim.n_event < n_events)
                world_step(&sim.world);
        free(sim.kept);
        snapshot_unref(sim.seen);
        snapshot_unref(sim.expected);
        state_free(sim.state);
        state_free(sim.twin);
        world_done(&sim.world);
}

static uint64_t setting(const char *name, uint64_t fallback) {
        const char *text = getenv(name);
        uint64_t n;

        return text && parse_uint64(text, &n) >= 0 ? n : fallback;
}

static void test_as_if_never_away(_unused_ void **context) {
        uint64_t n_events = setting("VITALD_SIMULATION_EVENTS", EVENTS_DEFAULT);
        uint64_t seed = setting("VITALD_SIMULATION_SEED", UINT64_MAX);
        uint64_t n_seeds = setting("VITALD_SIMULATION_SEEDS", SEEDS_DEFAULT);
        Totals t = {};

        if (seed != UINT64_MAX) {
                simulate(seed, n_events, &t);
                return;
        }
        for (seed = 0; seed < n_seeds; seed++)
                simulate(seed, n_events, &t);
        print_message("# %" PRIu64 " restarts, %" PRIu64 " of them after an absence, after which "
                      "%" PRIu64 " checks were stale and %" PRIu64 " things had changed\n",
                      t.n_restarts, t.n_absences, t.n_stale, t.n_first_flips);
        assert_true(t.n_absences > n_seeds && t.n_restarts > 2 * n_seeds);
        assert_true(t.n_stale > n_seeds / 10 && t.n_first_flips > n_seeds / 10);
}

/* The start that would end it cannot be told from others once the unit is not followed. */
static void test_the_drain_of_a_stop_is_of_its_unit(_unused_ void **context) {
        static const struct {
                const char *unit;
                bool is_followed, by_stop, is_kept;
        } table[] = {
                { "a.service", true, true, true },   { "a.service", true, false, true },
                { "b.service", true, true, false },  { "b.service", true, false, true },
                { "a.service", false, true, false }, { "a.service", false, false, true },
        };
        static const UnitState units[] = { UNIT_ACTIVE, UNIT_DEACTIVATING, UNIT_INACTIVE };

        for (size_t i = 0; i < ELEMENTSOF(table) * ELEMENTSOF(units); i++) {
                const FixtureService service = { "orders", .unit = table[i / 3].unit };
                _cleanup_(state_freep) State *s =
                        fixture_state(&(FixtureService){ "orders", .unit = "a.service" });
                _cleanup_(config_unrefp) Config *config = fixture_config(&service, 1);
                _cleanup_(snapshot_unrefp) Snapshot *seen = NULL;
                _cleanup_(kept_freep) Kept *k = NULL;
                _cleanup_free_ char *text = NULL;
                char why[STATE_FILE_WHY_MAX];
                Time now = fixture_time(SEC);

                fixture_apply_unit(s, 0, units[i % 3], "aa", now);
                fixture_apply_drain(s, 0, USEC_INFINITY, table[i / 3].by_stop, now);
                publish(s, &seen, now);
                text = text_of(seen);
                assert_int_equal(state_file_parse(text, strlen(text), BOOT, config, now, &k, why),
                                 0);
                if (!table[i / 3].is_followed)
                        assert_int_equal(kept_forget_units(k, now), 0);
                assert_int_equal(k->services[0].state->drain.is_active, table[i / 3].is_kept);
                if (table[i / 3].is_followed) {
                        assert_int_equal(fixture_apply_config(s, config, now), 0);
                        assert_int_equal(s->services[0]->drain.is_active, table[i / 3].is_kept);
                }
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_as_if_never_away),
                cmocka_unit_test(test_the_drain_of_a_stop_is_of_its_unit),
        };

        return cmocka_run_group_tests_name("restarts", tests, NULL, NULL);
}
