/* SPDX-License-Identifier: MIT */
/* When a unit is restarted and when not: stories of one service, second by second. */

#include "unit.h"

#include <stdlib.h>

#include "fixture.h"
#include "model/actions.h"
#include "model/restart-rule.h"

#define APP 0 /* feeds liveness; and startup in some stories */
#define DB  1 /* feeds readiness alone */

typedef struct Story {
        Config *config;     /* owned reference */
        State *state;       /* owned */
        Snapshot *snapshot; /* owned reference */
        Actions *actions;   /* owned */
        usec_t usec;        /* since the beginning */
        usec_t look_usec;   /* CLOCK_BOOTTIME: when it wants to look again */
        unsigned n_invocations;
        bool has_systemd;
        RestartCounts kept; /* what would be known after a restart */
        StrBuf told;
} Story;

static Config *story_config(unsigned probes, OnLivenessFailure liveness, OnStartupFailure startup) {
        const FixtureService service = {
                "s",
                .unit = "s.service",
                .startup_timeout_usec = 60 * SEC,
                .checks = { { "app", .probes = probes }, { "db" } },
        };
        Config *c = fixture_config(&service, 1);

        c->services[0].on_liveness_failure = liveness;
        c->services[0].on_startup_failure = startup;
        c->services[0].restart_backoff_usec = 10 * SEC;
        c->services[0].restart_backoff_max_usec = 40 * SEC;
        c->services[0].restart_reset_after_usec = 60 * SEC;
        c->services[0].restart_limit = 4;
        c->daemon.restart_budget_burst = 5;
        c->daemon.restart_budget_interval_usec = 600 * SEC;
        return c;
}

static Time story_now(const Story *s) {
        return fixture_time(s->usec);
}

/* Nothing that outlives vitald changes without a word. */
static void story_keep(Story *s) {
        const RestartCounts *counts = &s->actions->restarts[0].counts;

        if (memcmp(counts, &s->kept, sizeof(s->kept)) != 0)
                assert_true(s->actions->is_dirty);
        s->actions->is_dirty = false;
        s->kept = *counts;
}

static void story_look(Story *s) {
        static const char letters[] = {
                [ACTION_RESTART] = 'R',   [ACTION_TELL_DELAY] = 'd',  [ACTION_TELL_BUDGET] = 'b',
                [ACTION_TELL_HELD] = 'h', [ACTION_TELL_STATIC] = 'S', [ACTION_TELL_CURED] = 'C',
        };
        Snapshot *old = s->snapshot;

        s->snapshot = fixture_need(snapshot_new(s->state, old, story_now(s)));
        snapshot_unref(old);
        s->look_usec = actions_decide(s->actions, s->snapshot, s->has_systemd, story_now(s));
        for (size_t i = 0; i < s->actions->n_out; i++)
                strbuf_printf(&s->told, "%s%c%u", s->told.length > 0 ? " " : "",
                              letters[s->actions->out[i].type], (unsigned) (s->usec / SEC));
        story_keep(s);
}

/* Looks when it was asked to, and at no other time. */
static void story_wait(Story *s, unsigned seconds) {
        usec_t until = s->usec + seconds * SEC, base = fixture_time(0).boottime;

        while (s->look_usec < base + until) {
                assert_true(s->look_usec > base + s->usec);
                s->usec = s->look_usec - base;
                story_look(s);
        }
        s->usec = until;
        fixture_apply_tick(s->state, story_now(s));
}

static void story_unit(Story *s, UnitState unit, bool is_new) {
        char id[INVOCATION_ID_MAX];

        s->n_invocations += is_new;
        snprintf(id, sizeof(id), "%032u", s->n_invocations);
        fixture_apply_unit(s->state, 0, unit, id, story_now(s));
}

static void story_result(Story *s, size_t check, Outcome outcome) {
        s->usec += SEC;
        fixture_apply_result(s->state, check, outcome, story_now(s));
}

/* systemd has stopped the unit and started it. */
static void story_done(Story *s) {
        story_unit(s, UNIT_DEACTIVATING, false);
        story_look(s);
        story_unit(s, UNIT_ACTIVE, true);
        fixture_apply_result(s->state, DB, OUTCOME_PASS, story_now(s));
        actions_ended(s->actions, 0, story_now(s));
}

/* vitald is another process, which has read what was kept. */
static void story_vitald(Story *s) {
        Actions *new = fixture_need(actions_new(story_now(s)));
        RestartCounts counts = s->actions->restarts[0].counts;
        RestartBudget budget = s->actions->budget;

        assert_int_equal(actions_configure(new, s->config), 0);
        restart_budget_restore(&new->budget, budget.back_usec, budget.n_spent,
                               story_now(s).boottime);
        actions_restore(new, "s", &counts, story_now(s));
        actions_restore(new, "other", &counts, story_now(s));
        actions_free(s->actions);
        s->actions = new;
}

static void story_other_config(Story *s) {
        Config *c = story_config(LIVENESS | READINESS, ON_LIVENESS_FAILURE_RESTART,
                                 ON_STARTUP_FAILURE_NONE);

        assert_int_equal(actions_configure(s->actions, c), 0);
        fixture_apply_config(s->state, c, story_now(s));
        config_unref(s->config);
        s->config = c;
}

static void story_word(Story *s, const char *word) {
        const usec_t for_ever = USEC_INFINITY;

        if (*word == '+')
                story_wait(s, (unsigned) atoi(word + 1));
        else if (*word == '=') {
                if (!str_equal(restart_state_to_string(s->actions->restarts[0].state), word + 1))
                        fail_msg("%us: not %s", (unsigned) (s->usec / SEC), word + 1);
        } else if (str_equal(word, "f"))
                story_result(s, APP, OUTCOME_FAIL);
        else if (str_starts_with(word, "f:"))
                for (int i = 0; i < atoi(word + 2); i++) {
                        story_result(s, APP, OUTCOME_FAIL);
                        story_look(s);
                }
        else if (str_equal(word, "p"))
                story_result(s, APP, OUTCOME_PASS);
        else if (str_equal(word, "F"))
                story_result(s, DB, OUTCOME_FAIL);
        else if (str_equal(word, "P"))
                story_result(s, DB, OUTCOME_PASS);
        else if (str_equal(word, "done"))
                story_done(s);
        else if (str_equal(word, "refused") || str_equal(word, "conflict"))
                actions_refused(s->actions, 0, str_equal(word, "conflict"), story_now(s));
        else if (str_equal(word, "ended"))
                actions_ended(s->actions, 0, story_now(s));
        else if (str_equal(word, "stop"))
                story_unit(s, UNIT_INACTIVE, false);
        else if (str_equal(word, "stopping"))
                story_unit(s, UNIT_DEACTIVATING, false);
        else if (str_equal(word, "start"))
                story_unit(s, UNIT_ACTIVE, true);
        else if (str_equal(word, "activating"))
                story_unit(s, UNIT_ACTIVATING, true);
        else if (str_equal(word, "reloading"))
                story_unit(s, UNIT_RELOADING, false);
        else if (str_equal(word, "active"))
                story_unit(s, UNIT_ACTIVE, false);
        else if (str_equal(word, "drain"))
                fixture_apply_drain(s->state, 0, for_ever, false, story_now(s));
        else if (str_equal(word, "drain-host"))
                fixture_apply_drain(s->state, INDEX_NONE, for_ever, false, story_now(s));
        else if (str_equal(word, "undrain")) {
                fixture_apply_drain(s->state, 0, 0, false, story_now(s));
                fixture_apply_drain(s->state, INDEX_NONE, 0, false, story_now(s));
        } else if (str_equal(word, "reset"))
                actions_reset(s->actions, 0);
        else if (str_equal(word, "say-good"))
                fixture_apply_override(s->state, APP, HEALTH_HEALTHY, for_ever, story_now(s));
        else if (str_equal(word, "say-bad"))
                fixture_apply_override(s->state, APP, HEALTH_UNHEALTHY, for_ever, story_now(s));
        else if (str_equal(word, "stall"))
                actions_stalled(s->actions, story_now(s));
        else if (str_equal(word, "no-bus"))
                s->has_systemd = false;
        else if (str_equal(word, "bus")) {
                s->has_systemd = true;
                actions_connected(s->actions, story_now(s));
        } else if (str_equal(word, "vitald"))
                story_vitald(s);
        else if (str_equal(word, "reload"))
                story_other_config(s);
        else
                fail_msg("what is %s", word);
        story_look(s);
}

static char *story_tell(Config *config, const char *words) {
        Story s = { .config = config, .has_systemd = true };
        _cleanup_free_ char *copy = fixture_need(strdup(words));
        char *told, *next = NULL;

        s.state = fixture_need(state_new(config, story_now(&s)));
        s.actions = fixture_need(actions_new(story_now(&s)));
        assert_int_equal(actions_configure(s.actions, config), 0);
        story_unit(&s, UNIT_ACTIVE, true);
        story_look(&s);
        for (char *word = strtok_r(copy, " ", &next); word; word = strtok_r(NULL, " ", &next))
                story_word(&s, word);
        snapshot_unref(s.snapshot);
        state_free(s.state);
        actions_free(s.actions);
        config_unref(s.config);
        assert_int_equal(strbuf_finish(&s.told, &told), 0);
        return told;
}

#define BEGIN "p P +20 " /* it is 22s, all is well, and vitald has been there for long enough */
#define DIE   "f f f "   /* 3s */

/* Dead again after each restart, three times of four that it may have. */
#define SICK3 DIE "+1 done p " DIE "+6 done p " DIE "+16 done p " DIE
#define SICK4 SICK3 "f:36 done p " DIE

typedef struct StoryRow {
        const char *story, *told;
        unsigned probes; /* of "app", which is about starting; 0: about liveness */
} StoryRow;

static void stories_check(const StoryRow *rows, size_t n) {
        for (size_t i = 0; i < n; i++) {
                _cleanup_free_ char *told = story_tell(
                        story_config(rows[i].probes > 0 ? rows[i].probes : LIVENESS | READINESS,
                                     rows[i].probes > 0 ? ON_LIVENESS_FAILURE_NONE
                                                        : ON_LIVENESS_FAILURE_RESTART,
                                     rows[i].probes > 0 ? ON_STARTUP_FAILURE_RESTART
                                                        : ON_STARTUP_FAILURE_NONE),
                        rows[i].story);

                if (!str_equal(told, rows[i].told))
                        fail_msg("%s: %s, not %s", rows[i].story, told, rows[i].told);
        }
}

/* clang-format off */
static void test_liveness(void **state _unused_) {
        static const StoryRow rows[] = {
                { BEGIN "f f p f f p", "" },
                /* After a grace, once; and then after delays that double, up to a limit. */
                { BEGIN DIE "+30", "R26" },
                { BEGIN DIE "+1 done p +5", "R26" },
                { BEGIN DIE "+1 done p " DIE "+20", "R26 d31 R36" },
                { BEGIN SICK3 "f:40", "R26 d31 R36 d41 R56 d61 R96" },
                /* Who is dead after the last one is left running, and that is told once. */
                { BEGIN SICK4 "f:900 p f:90", "R26 d31 R36 d41 R56 d61 R96 S100" },
                /* Health that is proven for long enough makes all of that forgotten. */
                { BEGIN DIE "+1 done p +29 p +29 p +10 " DIE "+20", "R26 C87 R101" },
                { BEGIN DIE "+1 done p +29 p +20 " DIE "+60", "R26 R81" },
                { BEGIN SICK4 "f:40 p +29 p +29 p +20 " DIE "+9",
                  "R26 d31 R36 d41 R56 d61 R96 S100 C201 R225" },
                /* Who has repaired it has that forgotten at once, also what is under way. */
                { BEGIN SICK4 "f:5 p reset +20 " DIE "+9",
                  "R26 d31 R36 d41 R56 d61 R96 S100 R130" },
                { BEGIN SICK4 "f:5 reset f:9", "R26 d31 R36 d41 R56 d61 R96 S100 R106" },
                { BEGIN DIE "+1 done p reset " DIE "+20", "R26 R31" },
                { BEGIN SICK3 "f:36 reset done p " DIE "+60",
                  "R26 d31 R36 d41 R56 d61 R96 d101 R106" },
                { BEGIN DIE "+1 refused f:3 reset f:5", "R26 R30" },
                { BEGIN DIE "+1 reset refused f:3 reset f:5", "R26 R30" },
                { BEGIN DIE "+1 reset done p +29 p +20 p +15", "R26 C87" },
                { BEGIN "reset " DIE "+30", "R26" },
                /* What nothing but the time changes is seen when it is time. */
                { BEGIN DIE "+1 done p " DIE "+6 done p " DIE "+30", "R26 d31 R36 d41 R56" },
                { BEGIN DIE "+1 done p +29 p +20 p +15", "R26 C87" },
                { BEGIN DIE "+1 refused f:30 +20", "R26 R66" },
                { BEGIN DIE "+1 done p " DIE "+6 refused p +29 p +20 p +15", "R26 d31 R36 C97" },
                { BEGIN DIE "+1 ended f:2 +20", "R26 R37" },
                /* How it is called. */
                { BEGIN "=idle " DIE "=held +1 =restarting done =watched p " DIE
                  "=held f:2 =backoff +4 =restarting", "R26 d31 R36" },
                { BEGIN SICK4 "f:2 =fail-static p =fail-static reset =idle",
                  "R26 d31 R36 d41 R56 d61 R96 S100" },
                { BEGIN "drain " DIE "f:2 =held undrain =restarting", "R27" },
                { BEGIN DIE "+1 refused =refused f:3 =refused p =idle", "R26" },
                /* Being silent is not being healthy. */
                { BEGIN DIE "+1 done p +40 +40", "R26" },
                /* What comes back within the grace is left alone. */
                { BEGIN DIE "p +60", "" },
                /* The unit is as it was seen before, for a moment; for longer it is the same case
                 * again. */
                { BEGIN DIE "+1 ended f:5", "R26" },
                { BEGIN DIE "+1 ended f:20", "R26 R37" },
        };

        stories_check(rows, ELEMENTSOF(rows));
}

static void test_in_doubt_nothing(void **state _unused_) {
        static const StoryRow rows[] = {
                /* A dependency that is away. */
                { BEGIN "F F F F F F F F +300", "" },
                /* A moment after the beginning. */
                { "p P " DIE "f:4", "" },
                { "p P " DIE "f:9", "R10" },
                /* What people say changes no deed, either way. */
                { BEGIN "say-bad +100", "" },
                { BEGIN "say-good " DIE "+5", "R26" },
                /* Somebody is at work there. */
                { BEGIN "drain " DIE "f:60", "" },
                { BEGIN "drain-host " DIE "f:60", "" },
                { BEGIN "drain " DIE "f f undrain f +9", "R27" },
                { BEGIN DIE "stop +60", "" },
                { BEGIN DIE "stopping +60", "" },
                { BEGIN DIE "reloading f:20 active f:5", "R46" },
                { BEGIN DIE "stop +9 start p P +60", "" },
                /* It stood still, and so did they. */
                { BEGIN DIE "stall +60", "" },
                { BEGIN DIE "stall f:20", "R35" },
                { BEGIN "f f stall f +5 p +60", "" },
                /* A bus that is away, and comes back: due, once, on fresh evidence. */
                { BEGIN "no-bus " DIE "f:90", "h25" },
                { BEGIN "no-bus " DIE "f f bus +60", "h25" },
                { BEGIN "no-bus " DIE "f f bus f:15", "h25 R37" },
                { BEGIN "no-bus " DIE "p bus p +60", "h25" },
                /* No right to: nothing has been done, and some day there will be one. */
                { BEGIN DIE "+1 refused f:30", "R26" },
                { BEGIN DIE "+1 refused f:45", "R26 R66" },
                { BEGIN DIE "+1 refused f:40 refused f:40 refused f:40 refused f:40 refused f:40 "
                  "refused f:40", "R26 R66 R106 R146 R186 R226 R266" },
                { BEGIN DIE "+1 conflict f:20", "R26 R36" },
                /* Another process: it knows what was done, and looks for itself. */
                { BEGIN DIE "vitald +60", "" },
                { BEGIN DIE "vitald f:20", "R35" },
                { BEGIN DIE "+1 done vitald p " DIE "f:15", "R26 R36" },
                { BEGIN SICK4 "vitald f:90", "R26 d31 R36 d41 R56 d61 R96 S100" },
                { BEGIN SICK3 "f:36 done vitald p f:90", "R26 d31 R36 d41 R56 d61 R96 S100" },
                { BEGIN DIE "+1 done reload p " DIE "+20", "R26 d31 R36" },
        };

        stories_check(rows, ELEMENTSOF(rows));
}

static void test_startup(void **state _unused_) {
        static const StoryRow rows[] = {
                { "P f:61 +9", "R61", STARTUP },
                { "P p f f f +90", "", STARTUP },
                { "P f:50 p +30", "", STARTUP },
                { "activating P f:70 +9", "R61", STARTUP },
                { "P f:58 stop +90", "", STARTUP },
                { "P f:50 say-good f:19", "R61", STARTUP },
                { "P say-bad +90", "", STARTUP },
                /* A check that was never run says nothing, nor does one of another probe. */
                { "P +90", "", STARTUP },
                { "+90 F F F +90", "", READINESS },
                /* A start that stood still is given its time. */
                { "P f:50 stall f:40", "", STARTUP },
                { "P f:50 stall f:69", "R112", STARTUP },
                { "P f:60 done f:69", "R61 R122", STARTUP },
        };

        stories_check(rows, ELEMENTSOF(rows));
}
/* clang-format on */

static void test_only_who_says_so(void **state _unused_) {
        for (OnLivenessFailure a = ON_LIVENESS_FAILURE_NONE; a < ON_LIVENESS_FAILURE_RESTART; a++) {
                Config *c = story_config(LIVENESS, a, ON_STARTUP_FAILURE_RESTART);
                _cleanup_free_ char *told = story_tell(c, BEGIN DIE "f:60");

                assert_string_equal(told, "");
        }
        for (unsigned i = 0; i < 2; i++) {
                Config *c = story_config(LIVENESS, ON_LIVENESS_FAILURE_RESTART,
                                         ON_STARTUP_FAILURE_NONE);
                _cleanup_free_ char *told = NULL;

                if (i == 0)
                        c->services[0].is_shadow = true;
                else
                        c->daemon.restart_budget_burst = 0;
                told = story_tell(c, BEGIN DIE "f:60");
                assert_string_equal(told, i == 0 ? "" : "b26");
        }
}

/* One that is due when the host may have no more is done when it may have one again. */
static void test_a_budget_that_is_used_up(void **state _unused_) {
        Config *c = story_config(LIVENESS, ON_LIVENESS_FAILURE_RESTART, ON_STARTUP_FAILURE_NONE);
        _cleanup_free_ char *told = NULL;

        c->daemon.restart_budget_burst = 1;
        c->daemon.restart_budget_interval_usec = 15 * SEC;
        told = story_tell(c, BEGIN DIE "+1 done p reset " DIE "+2 =budget +20 =restarting");
        assert_string_equal(told, "R26 b31 R41");
}

/* -- the budget -------------------------------------------------------------------------------- */

static void test_budget(void **state _unused_) {
        RestartBudget b = {};

        restart_budget_set(&b, 2, 100);
        assert_int_equal(restart_budget_left(&b, 1000), 2);
        assert_int_equal(restart_budget_next(&b, 1000), 1000);
        assert_true(restart_budget_take(&b, 1000));
        assert_true(restart_budget_take(&b, 1050));
        assert_false(restart_budget_take(&b, 1099));
        assert_int_equal(restart_budget_next(&b, 1099), 1100);
        assert_true(restart_budget_take(&b, 1100));
        assert_false(restart_budget_take(&b, 1149));
        restart_budget_give_back(&b, 1100);
        assert_true(restart_budget_take(&b, 1149));
        restart_budget_give_back(&b, 7);
        assert_int_equal(restart_budget_left(&b, 1149), 0);

        restart_budget_set(&b, 1, 100); /* fewer than are out */
        assert_int_equal(restart_budget_next(&b, 1149), 1249);
        restart_budget_set(&b, 4, 100);
        assert_int_equal(restart_budget_left(&b, 1149), 2);
        restart_budget_set(&b, 0, 100);
        assert_int_equal(restart_budget_next(&b, 1149), USEC_INFINITY);

        restart_budget_drain(&b, 2000);
        restart_budget_set(&b, 4, 100);
        restart_budget_drain(&b, 2000);
        assert_int_equal(restart_budget_left(&b, 2000), 0);
        assert_int_equal(restart_budget_left(&b, 2025), 1);
        assert_int_equal(restart_budget_left(&b, 2100), 4);

        /* Nothing keeps one for longer than it can. */
        restart_budget_restore(&b, (const usec_t[]){ 2500, USEC_INFINITY, 2450 }, 3, 2420);
        assert_int_equal(restart_budget_left(&b, 2420), 1);
        assert_int_equal(restart_budget_left(&b, 2520), 4);
}

static void test_rule(void **state _unused_) {
        const FixtureService services[] = {
                { "a", .unit = "a.service" },
                { "b", .unit = "a.service" },
                { "c", .unit = "x\\x2dy.mount" },
                { "d", .unit = "d.service" },
                { "e", .unit = "e.service", .is_shadow = true },
        };
        _cleanup_(config_unrefp) Config *c = fixture_config(services, ELEMENTSOF(services));
        _cleanup_strbuf_ StrBuf b = {};

        for (size_t i = 0; i < c->n_services; i++)
                c->services[i].on_liveness_failure =
                        i == 3 ? ON_LIVENESS_FAILURE_WATCHDOG : ON_LIVENESS_FAILURE_RESTART;
        restart_rule_format(&b, c);
        assert_string_equal(b.text, "var vitaldUnits = [\"a.service\", \"x\\\\x2dy.mount\"];");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_liveness),
                cmocka_unit_test(test_in_doubt_nothing),
                cmocka_unit_test(test_startup),
                cmocka_unit_test(test_only_who_says_so),
                cmocka_unit_test(test_a_budget_that_is_used_up),
                cmocka_unit_test(test_budget),
                cmocka_unit_test(test_rule),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
