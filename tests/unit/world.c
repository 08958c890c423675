/* SPDX-License-Identifier: MIT */
#include "world.h"

static const char *const service_names[WORLD_SERVICES] = { "billing", "host", "orders", "search" };
static const char *const check_names[FIXTURE_CHECKS_MAX] = { "api",  "app",  "cache", "db",
                                                             "disk", "mail", "queue", "s3" };

#define BUILTIN_SERVICE 1

uint64_t world_random(World *w, uint64_t n) {
        uint64_t z = w->random += 0x9e3779b97f4a7c15ULL;

        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
        return (z ^ (z >> 31)) % n;
}

static bool chance(World *w, unsigned percent) {
        return world_random(w, 100) < percent;
}

/* -- the configuration ------------------------------------------------------------------------- */

static unsigned random_probes(World *w) {
        static const unsigned probes[] = {
                READINESS, READINESS, READINESS,           READINESS | LIVENESS,
                LIVENESS,  STARTUP,   STARTUP | READINESS, STARTUP | READINESS | LIVENESS
        };

        return probes[world_random(w, ELEMENTSOF(probes))];
}

/* What no check has tested yet. */
static const char *new_canonical(World *w) {
        char text[32];

        snprintf(text, sizeof(text), "thing %zu", strv_length(w->canonicals));
        if (strv_append(&w->canonicals, text) < 0)
                abort();
        return w->canonicals[strv_length(w->canonicals) - 1];
}

static void random_thresholds(World *w, FixtureCheck *c) {
        c->failure_threshold = 1 + world_random(w, 3);
        c->success_threshold = 1 + world_random(w, 3) / 2 * world_random(w, 3);
        c->liveness_failure_threshold = 1 + world_random(w, 4);
}

static void random_times(World *w, FixtureCheck *c) {
        c->interval_usec = w->scale_usec * (1 + world_random(w, 4));
        c->retry_interval_usec = MAX(c->interval_usec / 5, 250 * USEC_PER_MSEC);
        c->max_age_usec = (2 + world_random(w, 3)) * c->interval_usec + SEC;
}

static void random_check(World *w, FixtureCheck *c, const char *name, bool is_builtin) {
        *c = (FixtureCheck){
                .name = name,
                .canonical = new_canonical(w),
                .probes = random_probes(w),
                .is_uncritical = is_builtin || chance(w, 25),
                .is_shadow = chance(w, 10),
                .initial_delay_usec = chance(w, 10) ? world_random(w, w->scale_usec) : 0,
        };
        random_times(w, c);
        random_thresholds(w, c);
}

/* Lets the check hang on some of those before it, so that there is no cycle. */
static void random_needs(World *w, FixtureCheck *c, size_t n_before) {
        unsigned some = n_before == 0 ? 0 : (unsigned) world_random(w, 1U << n_before);

        c->after = c->of = 0;
        c->minimum = 0;
        if (chance(w, 30))
                c->after = some;
        else if (some && chance(w, 30)) {
                c->of = some;
                c->minimum = world_random(w, (uint64_t) __builtin_popcount(some) + 1);
        }
}

static void random_service(World *w, size_t i) {
        FixtureService *s = w->plan + i;

        *s = (FixtureService){
                .name = service_names[i],
                .is_builtin = i == BUILTIN_SERVICE,
                .unit = chance(w, 40) ? "some.service" : NULL,
                .is_left_out = chance(w, 15),
                .startup_timeout_usec = w->scale_usec * (1 + world_random(w, 20)),
        };
        for (size_t j = 0, n = world_random(w, 4); j < n; j++) {
                random_check(w, s->checks + j, check_names[j * 2 + world_random(w, 2)],
                             s->is_builtin);
                random_needs(w, s->checks + j, j);
        }
        if (!s->is_builtin && chance(w, 5)) {
                s->defect = "a.conf:1: Unknown key";
                s->checks[0].name = NULL;
        }
}

static size_t count_checks(const FixtureService *s) {
        size_t n = 0;

        while (n < FIXTURE_CHECKS_MAX && s->checks[n].name)
                n++;
        return n;
}

static Config *make_config(const World *w) {
        FixtureService services[WORLD_SERVICES];
        size_t n = 0;

        for (size_t i = 0; i < WORLD_SERVICES; i++)
                if (w->is_present[i])
                        services[n++] = w->plan[i];
        return fixture_config(services, n);
}

/* Changes one check; which of its settings decides whether it still tests the same thing. */
static void mutate_check(World *w, FixtureService *s, FixtureCheck *c) {
        switch (world_random(w, 8)) {
        case 7:
                if (!c->of)
                        c->after = c->after ? 0 : 1U << 0 & ~(1U << (c - s->checks));
                break;
        case 0:
                c->canonical = new_canonical(w);
                random_needs(w, c, (size_t) (c - s->checks));
                random_thresholds(w, c);
                break;
        case 1:
                c->is_uncritical = s->is_builtin || !c->is_uncritical;
                break;
        case 2:
                c->probes ^= READINESS;
                break;
        case 3:
                c->probes ^= STARTUP;
                break;
        case 4:
                random_times(w, c);
                break;
        case 5:
                if (w->is_wild || !(c->probes & LIVENESS))
                        c->is_shadow = !c->is_shadow;
                break;
        case 6:
                if (!w->is_wild)
                        break;
                random_thresholds(w, c);
                c->probes ^= LIVENESS;
                break;
        }
        if (c->probes == 0)
                c->probes = READINESS;
}

static void mutate_plan(World *w) {
        size_t i = world_random(w, WORLD_SERVICES), n;
        FixtureService *s = w->plan + i;

        if (!w->is_present[i] || chance(w, 15)) {
                w->is_present[i] = !w->is_present[i];
                return;
        }
        n = count_checks(s);
        if (n == 0 || chance(w, 20)) {
                if (n < 4) {
                        random_check(w, s->checks + n, check_names[n * 2], s->is_builtin);
                        random_needs(w, s->checks + n, n);
                }
        } else if (chance(w, 20))
                s->checks[n - 1] = (FixtureCheck){};
        else if (chance(w, 10))
                s->is_left_out = !s->is_left_out;
        else if (chance(w, 10))
                s->unit = s->unit ? NULL : "other.service";
        else
                mutate_check(w, s, s->checks + world_random(w, n));
}

/* -- the engine's stand-in --------------------------------------------------------------------- */

static void apply(World *w, const Event *e) {
        w->apply(w->userdata, e, false);
}

static size_t service_of(const World *w, size_t check) {
        return config_find_service(w->config, w->config->checks[check]->service);
}

static bool is_followed_up(const World *w, size_t check) {
        return unit_state_is_up(w->units[service_of(w, check)]);
}

static void schedule_again(World *w, size_t check, usec_t retry_after) {
        const CheckConfig *c = w->config->checks[check];
        bool is_undecided = check_state_is_undecided(w->state->checks[check]);
        usec_t due = schedule_next(c, is_undecided, retry_after, w->now.monotonic);

        assert(due > w->now.monotonic);
        assert(due <= w->now.monotonic + MAX(c->interval_usec, retry_after) + SCHEDULE_GRID_USEC);
        w->runs[check].due = due;
        w->runs[check].ends = USEC_INFINITY;
}

static void start_due_runs(World *w) {
        for (size_t i = 0; i < w->config->n_checks; i++) {
                WorldRun *run = w->runs + i;

                if (check_config_is_combined(w->config->checks[i]))
                        continue;
                if (w->state->checks[i]->measured == HEALTH_SKIPPED) {
                        run->due = USEC_INFINITY;
                        continue;
                }
                if ((run->due & run->ends) == USEC_INFINITY && is_followed_up(w, i))
                        run->due = w->now.monotonic;
                if (run->due > w->now.monotonic || run->ends != USEC_INFINITY)
                        continue;
                run->began = w->now.monotonic;
                run->ends = w->now.monotonic + world_random(w, SEC);
                run->due = USEC_INFINITY;
        }
}

static const unsigned modes[][4] = {
        /* pass, warn, fail, error in percent */
        { 100, 0, 0, 0 }, { 98, 1, 1, 0 },   { 0, 100, 0, 0 },   { 0, 0, 100, 0 },
        { 0, 0, 0, 100 }, { 50, 10, 40, 0 }, { 30, 10, 30, 30 }, { 0, 0, 60, 40 },
};

static Outcome random_outcome(World *w, size_t check) {
        const CheckConfig *c = w->config->checks[check];
        uint64_t dice = world_random(w, 100);
        unsigned mode = 0;

        for (size_t i = 0; i < WORLD_SERVICES; i++)
                for (size_t j = 0; j < FIXTURE_CHECKS_MAX && w->plan[i].checks[j].name; j++)
                        if (str_equal(w->plan[i].name, c->service) &&
                            str_equal(w->plan[i].checks[j].name, c->name))
                                mode = w->mode[i][j];
        for (Outcome o = OUTCOME_PASS; o < OUTCOME_ERROR; o++) {
                if (dice < modes[mode][o])
                        return o;
                dice -= modes[mode][o];
        }
        return OUTCOME_ERROR;
}

static void finish_runs(World *w) {
        for (size_t i = 0; i < w->config->n_checks; i++) {
                Result r;

                if (w->runs[i].ends > w->now.monotonic)
                        continue;
                r = fixture_result(random_outcome(w, i));
                if (outcome_is_success(r.outcome))
                        r.latency_usec = w->now.monotonic - w->runs[i].began;
                if (chance(w, 5))
                        r.retry_after_usec = world_random(w, 2 * w->scale_usec);
                apply(w, &(Event){ .type = EVENT_RESULT, .check = i, .result = &r });
                schedule_again(w, i, r.retry_after_usec);
        }
}

/* The host stood still: what was running says nothing, and is run again at once. */
static void void_runs(World *w) {
        for (size_t i = 0; i < w->config->n_checks; i++) {
                if (w->runs[i].ends == USEC_INFINITY)
                        continue;
                apply(w, &(Event){ .type = EVENT_VOID, .check = i });
                w->runs[i].ends = USEC_INFINITY;
                w->runs[i].due = w->now.monotonic;
        }
}

/* -- what happens ------------------------------------------------------------------------------ */

static void pass(World *w, usec_t usec) {
        w->now.monotonic += usec;
        w->now.boottime += usec;
        w->now.realtime += usec;
}

static usec_t random_pause(World *w) {
        return chance(w, 50) ? world_random(w, w->scale_usec) : world_random(w, 20 * w->scale_usec);
}

static void act_mode(World *w) {
        size_t i = world_random(w, WORLD_SERVICES), j = world_random(w, FIXTURE_CHECKS_MAX);

        for (size_t k = 0; k < (chance(w, 30) ? FIXTURE_CHECKS_MAX : 1); k++)
                w->mode[i][(j + k) % FIXTURE_CHECKS_MAX] =
                        chance(w, 50) ? 0 : (unsigned) world_random(w, ELEMENTSOF(modes));
}

static void act_stall(World *w) {
        pass(w, random_pause(w));
        void_runs(w);
}

static void act_suspend(World *w) {
        usec_t usec = random_pause(w);

        w->now.boottime += usec;
        w->now.realtime += usec;
        void_runs(w);
}

static void act_clock_jump(World *w) {
        usec_t usec = (chance(w, 50) ? USEC_PER_HOUR : 365 * USEC_PER_DAY) * !w->has_steady_clock;

        w->now.realtime = chance(w, 50) ? w->now.realtime + usec : usec_sub(w->now.realtime, usec);
}

static usec_t random_until(World *w) {
        return chance(w, 30) ? USEC_INFINITY : w->now.boottime + random_pause(w);
}

static void act_drain(World *w) {
        Drain d = {
                .is_active = chance(w, 60),
                .ends_with_invocation = chance(w, 30),
                .since_realtime = w->now.realtime,
                .until_boottime = random_until(w),
        };
        size_t n = world_random(w, w->config->n_services + 1);

        /* It may come again, and be cancelled when there was none. */
        apply(w, &(Event){ .type = n == w->config->n_services && chance(w, 50) ? EVENT_SHUTDOWN
                                                                               : EVENT_DRAIN,
                           .service = n < w->config->n_services ? n : INDEX_NONE,
                           .drain = &d });
}

static void act_override(World *w) {
        Override o = {
                .is_active = chance(w, 60),
                .state = (Health) world_random(w, HEALTH_COUNT_),
                .since_realtime = w->now.realtime,
                .until_boottime = random_until(w),
        };

        if (w->config->n_checks > 0)
                apply(w, &(Event){ .type = EVENT_OVERRIDE,
                                   .check = world_random(w, w->config->n_checks),
                                   .override = &o });
}

/* What was known of one that is not made of others says nothing any more. */
static void act_forget(World *w) {
        size_t i = world_random(w, MAX(w->config->n_checks, (size_t) 1));

        if (w->config->n_checks > 0 && !check_config_is_combined(w->config->checks[i]))
                apply(w, &(Event){ .type = EVENT_FORGET, .check = i });
}

static void run_begin(World *w, size_t check) {
        w->runs[check] = (WorldRun){
                .due = schedule_first(w->config->checks[check], w->now.monotonic),
                .ends = USEC_INFINITY,
        };
        if (!is_followed_up(w, check) || check_config_is_combined(w->config->checks[check]))
                w->runs[check].due = USEC_INFINITY;
}

static void act_unit(World *w) {
        size_t service = world_random(w, MAX(w->config->n_services, (size_t) 1));
        char id[INVOCATION_ID_MAX] = "";
        UnitState unit;

        if (w->config->n_services == 0 || !w->config->services[service].unit)
                return;
        unit = UNIT_ACTIVATING + (UnitState) world_random(w, UNIT_FAILED - UNIT_ACTIVATING + 1);
        if (unit_state_is_up(unit) && !unit_state_is_up(w->units[service]))
                w->n_invocations++;
        if (chance(w, 90))
                snprintf(id, sizeof(id), "%zu-%u", service, w->n_invocations);
        w->units[service] = unit;
        apply(w,
              &(Event){
                      .type = EVENT_UNIT, .service = service, .unit = unit, .invocation_id = id });
        for (size_t i = 0; i < w->config->n_checks; i++) {
                if (service_of(w, i) != service)
                        continue;
                run_begin(w, i);
                if (w->runs[i].due != USEC_INFINITY)
                        w->runs[i].due = w->now.monotonic;
        }
}

static void act_refused_reload(World *w) {
        apply(w, &(Event){ .type = EVENT_CONFIG, .reload_error = "a.conf:1: Unknown key" });
}

static void act_reload(World *w) {
        _cleanup_(config_unrefp) Config *old = w->config;
        WorldRun runs[WORLD_CHECKS];
        bool is_same = chance(w, 50);

        for (size_t i = 0; i < WORLD_SERVICES; i++) {
                is_same = is_same && !w->plan[i].defect;
                w->plan[i].defect = NULL;
        }
        for (size_t n = is_same ? 0 : 1 + world_random(w, 3); n > 0; n--)
                mutate_plan(w);
        w->config = make_config(w);
        w->apply(w->userdata, &(Event){ .type = EVENT_CONFIG, .config = w->config }, is_same);

        for (size_t i = 0; i < w->config->n_services; i++)
                w->units[i] = w->state->services[i]->unit;
        memcpy(runs, w->runs, sizeof(runs));
        for (size_t i = 0; i < w->config->n_checks; i++) {
                const CheckConfig *c = w->config->checks[i];
                size_t j = config_find_check(old, c->service, c->name);

                if (j != INDEX_NONE && check_config_same_target(old->checks[j], c) &&
                    is_followed_up(w, i) && (runs[j].due & runs[j].ends) != USEC_INFINITY)
                        w->runs[i] = runs[j];
                else
                        run_begin(w, i);
        }
}

/* Or something else that no verdict hangs on. */
static void act_tick(World *w) {
        bool is_version = w->config->n_services > 0 && chance(w, 50);

        apply(w, &(Event){ .type = is_version ? EVENT_VERSION : EVENT_TICK, .version = "1.0" });
}

static void act(World *w) {
        static const struct {
                unsigned weight;
                void (*act)(World *w);
        } actions[] = {
                { 30, act_mode },     { 3, act_forget },     { 5, act_stall },
                { 5, act_suspend },   { 5, act_clock_jump }, { 10, act_drain },
                { 10, act_override }, { 15, act_unit },      { 3, act_refused_reload },
                { 10, act_reload },   { 4, act_tick },
        };
        uint64_t dice = world_random(w, 100);
        size_t i = 0;

        while (dice >= actions[i].weight)
                dice -= actions[i++].weight;
        actions[i].act(w);
        w->next_action = w->now.monotonic + world_random(w, 3 * w->scale_usec);
}

/* -- entry points ------------------------------------------------------------------------------ */

bool world_hangs_on(const World *w, size_t check, size_t service) {
        return check_config_is_derived(w->config->checks[check]) &&
               config_service_of(w->config, check) == service;
}

void world_init(World *w, uint64_t seed, WorldApply apply_event, void *userdata) {
        static const usec_t scales[] = { SEC, 10 * SEC, 60 * SEC, 600 * SEC };

        *w = (World){ .random = seed, .apply = apply_event, .userdata = userdata };
        w->now = fixture_time(world_random(w, USEC_PER_DAY));
        w->scale_usec = scales[world_random(w, ELEMENTSOF(scales))];
        w->is_wild = chance(w, 20);
        for (size_t i = 0; i < WORLD_SERVICES; i++) {
                random_service(w, i);
                w->is_present[i] = chance(w, 60);
        }
        w->config = make_config(w);
        for (size_t i = 0; i < w->config->n_checks; i++)
                run_begin(w, i);
        w->next_action = w->now.monotonic + world_random(w, 3 * w->scale_usec);
}

void world_done(World *w) {
        config_unref(w->config);
        strv_free(w->canonicals);
}

void world_step(World *w) {
        usec_t next = w->next_action, until_expiry;

        for (size_t i = 0; i < w->config->n_checks; i++)
                next = MIN(next, MIN(w->runs[i].due, w->runs[i].ends));
        until_expiry = usec_sub(w->expires_boottime, w->now.boottime);
        if (!w->is_tick_late && usec_add(w->now.monotonic, until_expiry) <= next) {
                pass(w, until_expiry);
                act_tick(w);
        } else {
                pass(w, usec_sub(next, w->now.monotonic));
                finish_runs(w);
                if (w->next_action <= w->now.monotonic)
                        act(w);
        }
        w->is_tick_late = chance(w, 20);
        start_due_runs(w);
}
