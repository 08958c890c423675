/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <errno.h>

#include "fixture.h"
#include "model/snapshot.h"

/* Each allocation of each event fails once: the event is refused and nothing has changed, or the
 * state has changed as it should and a text or values are missing. The linker puts the functions
 * below in the place of libc's. */

/* How many allocations succeed before one fails; SIZE_MAX: all. */
static size_t n_left = SIZE_MAX;

static bool is_out_of_memory(void) {
        if (n_left == SIZE_MAX)
                return false;
        if (n_left > 0) {
                n_left--;
                return false;
        }
        n_left = SIZE_MAX;
        return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
char *__wrap_strdup(const char *s);

void *__wrap_malloc(size_t size) {
        return is_out_of_memory() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size) {
        return is_out_of_memory() ? NULL : __real_calloc(n, size);
}

char *__wrap_strdup(const char *s) {
        return is_out_of_memory() ? NULL : __real_strdup(s);
}

static uint64_t hash_texts(uint64_t h, const CheckState *s) {
        const char *texts[] = { s->message, s->first_failure_message, s->last.message };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                h = hash_bytes(h, texts[i], strlen(texts[i]) + 1);
        for (size_t i = 0; i < s->last.n_values; i++)
                h = hash_bytes(h, s->last.values + i, sizeof(Value));
        return h;
}

/* All that a state says, without the places where it stands. */
static uint64_t hash_of(const State *s) {
        uint64_t h = hash_bytes(HASH_INIT, &s->drain, sizeof(s->drain));

        h = hash_bytes(h, &s->config, sizeof(s->config));
        h = hash_bytes(h, &s->reload_realtime,
                       sizeof(s->reload_realtime) + sizeof(s->expires_boottime));
        if (s->reload_error)
                h = hash_bytes(h, s->reload_error, strlen(s->reload_error));
        for (size_t i = 0; i < s->config->n_checks; i++) {
                CheckState plain;

                memcpy(&plain, s->checks[i], sizeof(plain));
                plain.n_ref = 0;
                plain.message = plain.first_failure_message = plain.last.message = NULL;
                plain.last.values = NULL;
                plain.override = NULL;
                h = hash_bytes(h, &plain, sizeof(plain));
                h = hash_bytes(h, check_state_override(s->checks[i]), sizeof(Override));
                h = hash_texts(h, s->checks[i]);
        }
        for (size_t i = 0; i < s->config->n_services; i++)
                h = hash_bytes(h, &s->services[i]->is_started,
                               sizeof(ServiceState) - offsetof(ServiceState, is_started));
        return h;
}

/* Whether the checks are the same but for texts and values. */
static void assert_same_checks(const State *a, const State *b) {
        for (size_t i = 0; i < a->config->n_checks; i++) {
                const CheckState *c = a->checks[i], *d = b->checks[i];

                assert_int_equal(c->state, d->state);
                assert_int_equal(c->measured, d->measured);
                assert_int_equal(c->reason, d->reason);
                assert_int_equal(c->successes_in_row, d->successes_in_row);
                assert_int_equal(c->failures_in_row, d->failures_in_row);
                assert_int_equal(c->first_failure_realtime, d->first_failure_realtime);
                assert_int_equal(c->n_runs, d->n_runs);
                assert_int_equal(c->last.outcome, d->last.outcome);
                assert_int_equal(c->last.reason, d->last.reason);
                assert_int_equal(c->last_boottime, d->last_boottime);
                assert_int_equal(check_state_override(c)->is_active,
                                 check_state_override(d)->is_active);
        }
}

static bool has_same_texts(const State *a, const State *b) {
        for (size_t i = 0; i < a->config->n_checks; i++)
                if (hash_texts(HASH_INIT, a->checks[i]) != hash_texts(HASH_INIT, b->checks[i]))
                        return false;
        return true;
}

static const FixtureService services[] = {
        { "billing", .unit = "billing.service", .checks = { { "api" }, { "mail" } } },
        { "orders", .checks = { { "cache" }, { "db", .probes = STARTUP | READINESS } } },
};

/* A state that a snapshot shares, so that each change must copy. */
static State *make(Snapshot **ret_snapshot) {
        _cleanup_(config_unrefp) Config *c = fixture_config(services, 2);
        State *s = fixture_need(state_new(c, fixture_time(0)));

        for (size_t i = 0; i < 3; i++)
                fixture_apply_result(s, i, OUTCOME_PASS, fixture_time(SEC));
        fixture_apply_unit(s, 0, UNIT_ACTIVE, "aa", fixture_time(SEC));
        fixture_apply_drain(s, 1, fixture_time(20 * SEC).boottime, false, fixture_time(SEC));
        *ret_snapshot = fixture_need(snapshot_new(s, NULL, fixture_time(SEC)));
        return s;
}

/* How many allocations an event makes, and without how many of them it is refused. */
typedef struct Needs {
        size_t n_all, n_must;
} Needs;

static Needs try_all(const Event *e, usec_t at) {
        _cleanup_(snapshot_unrefp) Snapshot *as_shared = NULL;
        _cleanup_(state_freep) State *as_it_should = make(&as_shared);
        Needs needs = {};

        assert_int_equal(state_apply(as_it_should, e, fixture_time(at)), 0);
        for (;; needs.n_all++) {
                _cleanup_(snapshot_unrefp) Snapshot *shared = NULL;
                _cleanup_(state_freep) State *s = make(&shared);
                uint64_t before = hash_of(s);
                int r;

                n_left = needs.n_all;
                r = state_apply(s, e, fixture_time(at));
                if (n_left != SIZE_MAX) {
                        n_left = SIZE_MAX;
                        assert_int_equal(r, 0);
                        return needs;
                }
                if (r == 0) {
                        assert_same_checks(s, as_it_should);
                        assert_false(has_same_texts(s, as_it_should));
                        continue;
                }
                assert_int_equal(r, -ENOMEM);
                assert_int_equal(hash_of(s), before);
                needs.n_must++;
        }
}

static void test_events(void **state _unused_) {
        _cleanup_(config_unrefp) Config *config = fixture_config(services, 2);
        Override override = { .is_active = true,
                              .state = HEALTH_UNHEALTHY,
                              .until_boottime = USEC_INFINITY };
        Drain drain = { .is_active = true, .until_boottime = USEC_INFINITY };
        Result pass = fixture_result(OUTCOME_PASS), fail = fixture_result(OUTCOME_FAIL);
        const struct {
                Event event;
                size_t n_min;
        } table[] = {
                { { .type = EVENT_RESULT, .check = 3, .result = &pass }, 2 },
                { { .type = EVENT_RESULT, .check = 3, .result = &fail }, 2 },
                { { .type = EVENT_UNIT, .unit = UNIT_ACTIVE, .invocation_id = "bb" }, 3 },
                { { .type = EVENT_DRAIN, .service = 0, .drain = &drain }, 1 },
                { { .type = EVENT_DRAIN, .service = INDEX_NONE, .drain = &drain }, 0 },
                { { .type = EVENT_OVERRIDE, .check = 3, .override = &override }, 2 },
                { { .type = EVENT_FORGET, .check = 3 }, 2 },
                { { .type = EVENT_VOID, .check = 0 }, 1 },
                { { .type = EVENT_CONFIG, .config = config }, 7 },
                { { .type = EVENT_CONFIG, .reload_error = "a:1: b" }, 1 },
        };
        Needs needs;

        result_add_value(&fail, "clients", 12, "");
        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                assert_true(try_all(&table[i].event, 2 * SEC).n_must >= table[i].n_min);

        /* The message as the latest, as the first and as the reason, and the value. */
        needs = try_all(&table[1].event, 2 * SEC);
        assert_int_equal(needs.n_all - needs.n_must, 4);

        /* What expires is copied whole before any of it changes: three checks with the message of
         * their result, and a drain. Then each check gets a reason. */
        needs = try_all(&(Event){ .type = EVENT_TICK }, 60 * SEC);
        assert_int_equal(needs.n_must, 7);
        assert_int_equal(needs.n_all, 10);
}

static void test_new(void **state _unused_) {
        _cleanup_(config_unrefp) Config *config = fixture_config(services, 2);

        for (size_t n = 0; n < 100; n++) {
                _cleanup_(state_freep) State *s = NULL;
                _cleanup_(snapshot_unrefp) Snapshot *snapshot = NULL;

                n_left = n;
                s = state_new(config, fixture_time(0));
                if (s)
                        snapshot = snapshot_new(s, NULL, fixture_time(0));
                if (n_left != SIZE_MAX) {
                        n_left = SIZE_MAX;
                        assert_non_null(snapshot);
                        assert_true(n > 10);
                        return;
                }
                assert_null(snapshot);
        }
        fail_msg("never enough memory");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_events),
                cmocka_unit_test(test_new),
        };

        return cmocka_run_group_tests_name("state-memory", tests, NULL, NULL);
}
