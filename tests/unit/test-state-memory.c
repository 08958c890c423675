/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <errno.h>

#include "fixture.h"
#include "model/snapshot.h"

/* Each allocation of each event fails once: the event is refused and nothing has changed. The
 * linker puts the functions below in the place of libc's. */

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

/* All that a state says, without the places where it stands. */
static uint64_t hash_of(const State *s) {
        uint64_t h = hash_bytes(HASH_INIT, &s->drain, sizeof(s->drain));

        h = hash_bytes(h, &s->config, sizeof(s->config));
        h = hash_bytes(h, &s->reload_realtime,
                       sizeof(s->reload_realtime) + sizeof(s->expires_boottime));
        if (s->reload_error)
                h = hash_bytes(h, s->reload_error, strlen(s->reload_error));
        for (size_t i = 0; i < s->config->n_checks; i++)
                h = hash_bytes(h, &s->checks[i]->config,
                               sizeof(CheckState) - offsetof(CheckState, config));
        for (size_t i = 0; i < s->config->n_services; i++)
                h = hash_bytes(h, &s->services[i]->is_started,
                               sizeof(ServiceState) - offsetof(ServiceState, is_started));
        return h;
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

/* Returns how many allocations the event makes. */
static size_t try_all(const Event *e, usec_t at) {
        size_t n = 0;

        for (;;) {
                _cleanup_(snapshot_unrefp) Snapshot *shared = NULL;
                _cleanup_(state_freep) State *s = make(&shared);
                uint64_t before = hash_of(s);
                int r;

                n_left = n;
                r = state_apply(s, e, fixture_time(at));
                if (n_left != SIZE_MAX) {
                        n_left = SIZE_MAX;
                        assert_int_equal(r, 0);
                        return n;
                }
                assert_int_equal(r, -ENOMEM);
                assert_int_equal(hash_of(s), before);
                n++;
        }
}

static void test_events(void **state _unused_) {
        _cleanup_(config_unrefp) Config *config = fixture_config(services, 2);
        Override override = { .is_active = true,
                              .state = HEALTH_UNHEALTHY,
                              .until_boottime = USEC_INFINITY };
        Drain drain = { .is_active = true, .until_boottime = USEC_INFINITY };
        Result r = fixture_result(OUTCOME_PASS);
        const struct {
                Event event;
                size_t n_min;
        } table[] = {
                { { .type = EVENT_RESULT, .check = 3, .result = &r }, 2 },
                { { .type = EVENT_UNIT, .unit = UNIT_ACTIVE, .invocation_id = "bb" }, 3 },
                { { .type = EVENT_DRAIN, .service = 0, .drain = &drain }, 1 },
                { { .type = EVENT_DRAIN, .service = INDEX_NONE, .drain = &drain }, 0 },
                { { .type = EVENT_OVERRIDE, .check = 3, .override = &override }, 2 },
                { { .type = EVENT_FORGET, .check = 3 }, 2 },
                { { .type = EVENT_VOID, .check = 0 }, 1 },
                { { .type = EVENT_CONFIG, .config = config }, 7 },
                { { .type = EVENT_CONFIG, .reload_error = "a:1: b" }, 1 },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                assert_true(try_all(&table[i].event, 2 * SEC) >= table[i].n_min);

        /* What expires is copied whole before any of it changes: three checks and a drain. */
        assert_int_equal(try_all(&(Event){ .type = EVENT_TICK }, 60 * SEC), 4);
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
