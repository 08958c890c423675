/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <errno.h>

#include "fixture.h"

static State *make_check(const FixtureCheck *f) {
        return fixture_state(&(FixtureService){ .name = "orders", .checks = { *f } });
}

static void test_words(void **state _unused_) {
        Health back = HEALTH_COUNT_;

        for (Health h = 0; h < HEALTH_COUNT_; h++) {
                assert_int_equal(health_from_string(health_to_string(h), &back), 0);
                assert_int_equal(back, h);
        }
        assert_int_equal(health_from_string("Healthy", &back), -EINVAL);
        assert_int_equal(health_from_string("", &back), -EINVAL);
}

/* -- the state of one check -------------------------------------------------------------------- */

/* p, w, f, e: a result; v: a run void; ~: nothing for the maximum age, and a tick. */
static void apply_letter(State *s, char letter, usec_t *at) {
        static const Outcome outcomes[] = {
                ['p'] = OUTCOME_PASS,
                ['w'] = OUTCOME_WARN,
                ['f'] = OUTCOME_FAIL,
                ['e'] = OUTCOME_ERROR,
        };
        Event v = { .type = EVENT_VOID };
        int r;

        if (letter == '~') {
                *at += s->checks[0]->config->max_age_usec;
                r = fixture_apply_tick(s, fixture_time(*at));
        } else if (letter == 'v')
                r = state_apply(s, &v, fixture_time(*at += SEC));
        else
                r = fixture_apply_result(s, 0, outcomes[(size_t) letter], fixture_time(*at += SEC));
        assert_int_equal(r, 0);
}

static void test_thresholds(void **state _unused_) {
        static const char letters[] = {
                [HEALTH_PENDING] = 'P',   [HEALTH_HEALTHY] = 'H', [HEALTH_DEGRADED] = 'D',
                [HEALTH_UNHEALTHY] = 'U', [HEALTH_UNKNOWN] = '?', [HEALTH_SKIPPED] = 'S'
        };
        static const struct {
                uint64_t failures, successes, liveness;
                const char *events, *states, *dead;
        } table[] = {
                /* Up at once, down after two. */
                { 2, 1, 3, "p", "H", "-" },
                { 2, 1, 3, "w", "D", "-" },
                { 2, 1, 3, "pwpw", "HDHD", "----" },
                { 2, 1, 3, "ff", "PU", "--" },
                { 2, 1, 3, "pff", "HHU", "---" },
                { 2, 1, 3, "wff", "DDU", "---" },
                { 2, 1, 3, "pfpfpf", "HHHHHH", "------" },
                { 2, 1, 3, "ffpff", "PUHHU", "-----" },
                { 1, 1, 3, "pfpf", "HUHU", "----" },
                /* A full streak of successes to come back, warnings among them. */
                { 2, 2, 3, "ppp", "PHH", "---" },
                { 2, 2, 3, "pwp", "PDH", "---" },
                { 2, 2, 3, "ffpp", "PUUH", "----" },
                { 2, 2, 3, "ffpfpw", "PUUUUD", "------" },
                { 2, 2, 3, "ppfp", "PHHH", "----" },
                { 2, 2, 3, "ppfwfp", "PHHDDH", "------" },
                { 2, 3, 3, "ppfppp", "PPPPPH", "------" },
                /* Errors are no failures and no successes. */
                { 2, 1, 3, "eeee", "????", "----" },
                { 1, 1, 1, "eeee", "????", "----" },
                { 2, 1, 3, "ep", "?H", "--" },
                { 2, 1, 3, "eff", "??U", "---" },
                { 2, 1, 3, "fef", "P?U", "---" },
                { 2, 1, 3, "peee", "HHHH", "----" },
                { 2, 1, 3, "weff", "DDDU", "----" },
                { 2, 1, 3, "pfef", "HHHU", "----" },
                { 2, 1, 3, "ffeep", "PUUUH", "-----" },
                /* A void run did not happen. */
                { 2, 1, 3, "v", "P", "-" },
                { 2, 1, 3, "pvfvf", "HHHHU", "-----" },
                /* Too old: unknown, and left by a full streak only. */
                { 2, 1, 3, "p~", "H?", "--" },
                { 2, 1, 3, "w~p", "D?H", "---" },
                { 2, 1, 3, "ff~", "PU?", "---" },
                { 2, 1, 3, "p~ff", "H??U", "----" },
                { 2, 1, 3, "pf~ff", "HH??U", "-----" },
                { 2, 2, 3, "pp~pp", "PH??H", "-----" },
                { 2, 2, 3, "p~pp", "P??H", "----" },
                { 2, 1, 3, "f~", "P?", "--" },
                { 2, 1, 3, "f~f~f", "P????", "-----" },
                { 2, 1, 3, "p~~e~", "H????", "-----" },
                { 2, 1, 3, "~", "P", "-" },
                /* Liveness counts by itself, both ways. */
                { 2, 1, 3, "ffff", "PUUU", "--xx" },
                { 2, 1, 3, "ffffp", "PUUUH", "--xx-" },
                { 2, 2, 3, "fffpp", "PUUUH", "--xx-" },
                { 2, 2, 3, "fffpfpp", "PUUUUUH", "--xxxx-" },
                { 3, 1, 1, "pfp", "HHH", "-x-" },
                { 3, 2, 1, "ppfpp", "PHHHH", "--xx-" },
                { 2, 1, 3, "fff~", "PUU?", "--x-" },
                { 2, 1, 3, "fff~fff", "PUU??UU", "--x---x" },
                { 2, 1, 3, "fffe", "PUUU", "--xx" },
                { 2, 1, 1, "fe", "P?", "x-" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(state_freep) State *s = make_check(&(FixtureCheck){
                        "db",
                        .probes = READINESS | LIVENESS,
                        .failure_threshold = table[i].failures,
                        .success_threshold = table[i].successes,
                        .liveness_failure_threshold = table[i].liveness,
                });
                size_t n = strlen(table[i].events);
                char states[16] = {}, dead[16] = {};
                usec_t at = 0;

                for (size_t j = 0; j < n; j++) {
                        apply_letter(s, table[i].events[j], &at);
                        states[j] = letters[s->checks[0]->state];
                        dead[j] = s->checks[0]->is_dead ? 'x' : '-';
                }
                if (!str_equal(states, table[i].states) || !str_equal(dead, table[i].dead))
                        fail_msg("%s: %s %s, not %s %s", table[i].events, states, dead,
                                 table[i].states, table[i].dead);
        }
}

static void test_reasons(void **state _unused_) {
        static const struct {
                const char *events;
                Reason reason;
                const char *message, *first_failure;
        } table[] = {
                { "p", REASON_NONE, "", "" },
                { "w", REASON_THRESHOLD, "tight", "" },
                { "wp", REASON_NONE, "", "" },
                { "f", REASON_REFUSED, "Connection refused", "Connection refused" },
                { "pf", REASON_NONE, "", "Connection refused" },
                { "wf", REASON_THRESHOLD, "tight", "Connection refused" },
                { "pff", REASON_REFUSED, "Connection refused", "Connection refused" },
                { "pffp", REASON_NONE, "", "" },
                { "pfp", REASON_NONE, "", "" },
                { "e", REASON_RESOURCE, "Too many open files", "" },
                { "pe", REASON_NONE, "", "" },
                { "ffe", REASON_REFUSED, "Connection refused", "Connection refused" },
                { "p~", REASON_STALE, "No result for 31s", "" },
                { "pe~", REASON_STALE, "No result for 32s, only errors: Too many open files", "" },
                { "p~e", REASON_RESOURCE, "Too many open files", "" },
                { "p~f", REASON_REFUSED, "Connection refused", "Connection refused" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(state_freep) State *s = make_check(&(FixtureCheck){ "db" });
                const CheckState *c;
                usec_t at = 0;

                for (const char *p = table[i].events; *p; p++)
                        apply_letter(s, *p, &at);
                c = s->checks[0];
                assert_int_equal(c->reason, table[i].reason);
                assert_string_equal(c->message, table[i].message);
                assert_string_equal(c->first_failure_message, table[i].first_failure);
                assert_int_equal(c->first_failure_realtime > 0, table[i].first_failure[0] != 0);
        }
}

/* What is cut short is never cut in the midst of a letter. */
static void test_long_errors(void **state _unused_) {
        for (size_t lead = 0; lead < 3; lead++) {
                _cleanup_(state_freep) State *s = make_check(&(FixtureCheck){ "db" });
                char again[RESULT_MESSAGE_MAX];
                usec_t at = 0;
                Result r;

                apply_letter(s, 'p', &at);
                result_error(&r, REASON_EXEC, "%.*s", (int) lead, "abc");
                for (size_t n = strlen(r.message); n + 4 < sizeof(r.message); n += 3)
                        memcpy(r.message + n, "\u20ac", 4);
                assert_int_equal(state_apply(s, &(Event){ .type = EVENT_RESULT, .result = &r },
                                             fixture_time(at + SEC)),
                                 0);
                at += SEC;
                apply_letter(s, '~', &at);
                assert_int_equal(s->checks[0]->reason, REASON_STALE);
                assert_non_null(strstr(s->checks[0]->message, "only errors: "));
                text_sanitize(again, sizeof(again), s->checks[0]->message,
                              strlen(s->checks[0]->message));
                assert_string_equal(s->checks[0]->message, again);
                assert_null(strchr(again, '?'));
        }
}

/* The first failure of a streak is kept beside the latest one. */
static void test_first_failure(void **state _unused_) {
        _cleanup_(state_freep) State *s = make_check(&(FixtureCheck){ "db" });
        Result r;

        result_fail(&r, REASON_RESET, "Connection reset");
        for (usec_t i = 1; i <= 5; i++) {
                assert_int_equal(state_apply(s, &(Event){ .type = EVENT_RESULT, .result = &r },
                                             fixture_time(i * SEC)),
                                 0);
                result_fail(&r, REASON_REFUSED, "Connection refused");
        }
        assert_string_equal(s->checks[0]->first_failure_message, "Connection reset");
        assert_int_equal(s->checks[0]->first_failure_realtime, fixture_time(SEC).realtime);
        assert_string_equal(s->checks[0]->message, "Connection refused");
        assert_int_equal(s->checks[0]->failures_in_row, 5);
}

static void test_counters(void **state _unused_) {
        _cleanup_(state_freep) State *s = make_check(&(FixtureCheck){ "db" });
        static const usec_t latencies[] = { 0, 250, 251, 5 * SEC, 5 * SEC + 1, USEC_INFINITY };
        const CheckState *c;
        usec_t at = 0;

        for (size_t i = 0; i < ELEMENTSOF(latencies); i++) {
                Result r = fixture_result(OUTCOME_PASS);

                r.latency_usec = latencies[i];
                assert_int_equal(state_apply(s, &(Event){ .type = EVENT_RESULT, .result = &r },
                                             fixture_time(at += SEC)),
                                 0);
        }
        for (const char *p = "wffeeev"; *p; p++)
                apply_letter(s, *p, &at);

        c = s->checks[0];
        assert_int_equal(c->n_runs, 12);
        assert_int_equal(c->n_by_outcome[OUTCOME_PASS], 6);
        assert_int_equal(c->n_by_outcome[OUTCOME_WARN], 1);
        assert_int_equal(c->n_by_outcome[OUTCOME_FAIL], 2);
        assert_int_equal(c->n_by_outcome[OUTCOME_ERROR], 3);
        assert_int_equal(c->n_void, 1);
        assert_int_equal(c->latency_counts[0], 2);
        assert_int_equal(c->latency_counts[1], 1);
        assert_int_equal(c->latency_counts[LATENCY_BUCKETS - 1], 1);
        assert_int_equal(c->latency_counts[LATENCY_BUCKETS], 1);
        assert_int_equal(c->latency_sum_usec, 250 + 251 + 10 * SEC + 1);
        assert_int_equal(c->last.outcome, OUTCOME_ERROR);
        assert_int_equal(c->last_boottime, fixture_time(12 * SEC).boottime);
        assert_int_equal(c->fresh_boottime, fixture_time(9 * SEC).boottime);
}

/* The clock that ages is that of boottime; one microsecond decides. */
static void test_stale_boundary(void **state _unused_) {
        _cleanup_(state_freep) State *s = make_check(&(FixtureCheck){ "db" });
        Time end = { .boottime = fixture_time(32 * SEC).boottime };
        usec_t at = 0;

        assert_int_equal(check_state_expires(s->checks[0]), USEC_INFINITY);
        apply_letter(s, 'p', &at);
        apply_letter(s, 'e', &at);
        assert_int_equal(check_state_expires(s->checks[0]), end.boottime);
        end.boottime--;
        fixture_apply_tick(s, end);
        assert_int_equal(s->checks[0]->state, HEALTH_HEALTHY);
        end.boottime++;
        fixture_apply_tick(s, end);
        assert_int_equal(s->checks[0]->state, HEALTH_UNKNOWN);
        assert_int_equal(s->checks[0]->since_boottime, end.boottime);
        assert_int_equal(check_state_expires(s->checks[0]), USEC_INFINITY);
}

/* What comes with the wish for a pause keeps so much longer, but not for ever. */
static void test_pause(void **state _unused_) {
        static const struct {
                usec_t retry_after, kept;
        } table[] = { { 0, 0 }, { 90 * SEC, 90 * SEC }, { USEC_INFINITY, 3600 * SEC } };
        _cleanup_(state_freep) State *s = make_check(&(FixtureCheck){ "llm" });
        usec_t at = 0;

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Result r = fixture_result(OUTCOME_WARN);
                usec_t end = fixture_time(at + 31 * SEC + table[i].kept).boottime;

                r.retry_after_usec = table[i].retry_after;
                state_apply(s, &(Event){ .type = EVENT_RESULT, .result = &r }, fixture_time(at));
                assert_int_equal(check_state_expires(s->checks[0]), end);
                fixture_apply_tick(s, fixture_time(at + 31 * SEC + table[i].kept - 1));
                assert_int_equal(s->checks[0]->state, HEALTH_DEGRADED);
                fixture_apply_tick(s, fixture_time(at += 31 * SEC + table[i].kept));
                assert_int_equal(s->checks[0]->state, HEALTH_UNKNOWN);
        }
}

/* A result after a long sleep does not make the old streak fresh: it comes after the tick that
 * nobody made, whichever check it belongs to. */
static void test_late_result(void **state _unused_) {
        _cleanup_(state_freep) State *s =
                fixture_state(&(FixtureService){ "orders", .checks = { { "cache" }, { "db" } } });
        Time late = fixture_time(3600 * SEC);

        fixture_apply_result(s, 0, OUTCOME_PASS, fixture_time(0));
        fixture_apply_result(s, 1, OUTCOME_PASS, fixture_time(0));
        assert_int_equal(fixture_apply_result(s, 1, OUTCOME_FAIL, late), 0);
        assert_int_equal(s->checks[0]->state, HEALTH_UNKNOWN);
        assert_int_equal(s->checks[1]->state, HEALTH_UNKNOWN);
        assert_int_equal(s->checks[1]->failures_in_row, 1);
}

static void test_undecided(void **state _unused_) {
        static const struct {
                const char *events;
                bool is_undecided;
        } table[] = {
                { "", false },     { "p", true },     { "pp", false },     { "ppf", true },
                { "ppff", false }, { "ppffp", true }, { "ppffpp", false }, { "e", false },
                { "f", true },     { "fe", true },    { "pp~", false },    { "pp~f", true },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(state_freep) State *s =
                        make_check(&(FixtureCheck){ "db", .success_threshold = 2 });
                usec_t at = 0;

                for (const char *p = table[i].events; *p; p++)
                        apply_letter(s, *p, &at);
                assert_int_equal(check_state_is_undecided(s->checks[0]), table[i].is_undecided);
        }
}

/* -- overrides --------------------------------------------------------------------------------- */

static void test_override(void **state _unused_) {
        _cleanup_(state_freep) State *s =
                make_check(&(FixtureCheck){ "db", .probes = READINESS | LIVENESS });
        const char *message, *detail;
        usec_t at = 0, until = fixture_time(100 * SEC).boottime;

        apply_letter(s, 'p', &at);
        fixture_apply_override(s, 0, HEALTH_UNHEALTHY, until, fixture_time(2 * SEC));
        assert_int_equal(s->checks[0]->state, HEALTH_UNHEALTHY);
        assert_int_equal(s->checks[0]->measured, HEALTH_HEALTHY);
        assert_int_equal(s->checks[0]->since_boottime, fixture_time(2 * SEC).boottime);
        assert_true(check_state_is_dead(s->checks[0]));
        assert_false(s->checks[0]->is_dead);
        assert_int_equal(check_state_reason(s->checks[0], &detail, &message), REASON_OVERRIDDEN);
        assert_string_equal(message, "on purpose");
        assert_string_equal(detail, "");

        /* What is measured goes on beneath, also past its age. */
        at = 2 * SEC;
        for (const char *p = "fff~"; *p; p++)
                apply_letter(s, *p, &at);
        assert_int_equal(s->checks[0]->state, HEALTH_UNHEALTHY);
        assert_int_equal(s->checks[0]->measured, HEALTH_UNKNOWN);
        apply_letter(s, 'p', &at);
        fixture_apply_override(s, 0, HEALTH_HEALTHY, until, fixture_time(at += SEC));
        for (const char *p = "fff"; *p; p++)
                apply_letter(s, *p, &at);
        assert_true(s->checks[0]->is_dead);
        assert_false(check_state_is_dead(s->checks[0]));
        assert_int_equal(s->checks[0]->state, HEALTH_HEALTHY);

        /* It ends by time or by a person. */
        apply_letter(s, '~', &at);
        apply_letter(s, 'f', &at);
        apply_letter(s, 'f', &at);
        assert_true(fixture_time(at).boottime < until);
        assert_true(check_state_expires(s->checks[0]) <= until);
        fixture_apply_tick(s, fixture_time(100 * SEC - 1));
        assert_int_equal(s->checks[0]->state, HEALTH_HEALTHY);
        fixture_apply_tick(s, fixture_time(100 * SEC));
        assert_false(check_state_override(s->checks[0])->is_active);
        assert_int_equal(s->checks[0]->state, s->checks[0]->measured);
        fixture_apply_override(s, 0, HEALTH_HEALTHY, USEC_INFINITY, fixture_time(101 * SEC));
        fixture_apply_tick(s, fixture_time(USEC_PER_DAY));
        assert_int_equal(s->checks[0]->state, HEALTH_HEALTHY);
        fixture_apply_override(s, 0, HEALTH_HEALTHY, 0, fixture_time(USEC_PER_DAY + 1));
        assert_int_equal(s->checks[0]->state, HEALTH_UNKNOWN);
        assert_int_equal(check_state_reason(s->checks[0], NULL, NULL), REASON_STALE);

        /* One that is over already is none. */
        fixture_apply_override(s, 0, HEALTH_HEALTHY, until, fixture_time(USEC_PER_DAY + 2));
        assert_false(check_state_override(s->checks[0])->is_active);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_words),          cmocka_unit_test(test_thresholds),
                cmocka_unit_test(test_reasons),        cmocka_unit_test(test_long_errors),
                cmocka_unit_test(test_first_failure),  cmocka_unit_test(test_counters),
                cmocka_unit_test(test_stale_boundary), cmocka_unit_test(test_late_result),
                cmocka_unit_test(test_undecided),      cmocka_unit_test(test_override),
                cmocka_unit_test(test_pause),
        };

        return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}
