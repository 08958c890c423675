/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <math.h>

#include "check/postgresql-replication.h"

#define UNKNOWN (-1.0)

/* A look at a server, and what it must say; times in seconds, UNKNOWN for NaN. */
typedef struct Look {
        usec_t at_sec;
        ServerState state;
        double seconds, bytes;
} Look;

#define PRIMARY \
        { .age_sec = NAN }
#define REPLICA(linked, has, a, b, age)                                                          \
        {                                                                                        \
                .is_replica = true, .is_linked = (linked), .has_positions = (has), .known = (a), \
                .replayed = (b), .age_sec = (age)                                                \
        }

static void follow(const Look *looks, size_t n) {
        ReplicationMemory memory = {};

        for (size_t i = 0; i < n; i++) {
                ReplicationLag lag = replication_measure(&memory, &looks[i].state,
                                                         looks[i].at_sec * USEC_PER_SEC);

                assert_true(looks[i].seconds < 0 ? isnan(lag.seconds)
                                                 : fabs(lag.seconds - looks[i].seconds) < 1e-6);
                assert_true(looks[i].bytes < 0 ? isnan(lag.bytes)
                                               : fabs(lag.bytes - looks[i].bytes) < 1e-6);
        }
}

#define FOLLOW(...)                                   \
        do {                                          \
                const Look looks[] = { __VA_ARGS__ }; \
                follow(looks, ELEMENTSOF(looks));     \
        } while (0)

static void test_primary(void **state _unused_) {
        FOLLOW({ 100, PRIMARY, 0, 0 });
}

/* A primary without anything to do makes no lag. */
static void test_idle(void **state _unused_) {
        FOLLOW({ 100, REPLICA(true, true, 500, 500, 3600), 0, 0 },
               { 110, REPLICA(true, true, 500, 500, 3610), 0, 0 },
               { 120, REPLICA(true, true, 500, 500, NAN), 0, 0 });
}

/* After an idle hour, something that has not been replayed yet is not an hour of lag. */
static void test_after_idleness(void **state _unused_) {
        FOLLOW({ 100, REPLICA(true, true, 500, 500, 3600), 0, 0 },
               { 110, REPLICA(true, true, 600, 500, 3610), 10, 100 },
               { 120, REPLICA(true, true, 700, 500, 3620), 20, 200 },
               { 130, REPLICA(true, true, 700, 700, 0.5), 0, 0 });
}

static void test_behind(void **state _unused_) {
        FOLLOW({ 100, REPLICA(true, true, 600, 500, 42), 42, 100 },
               { 110, REPLICA(true, true, 600, 550, 3), 3, 50 },
               { 120, REPLICA(true, true, 600, 550, -5), 0, 50 },
               { 130, REPLICA(true, true, 600, 550, NAN), UNKNOWN, 50 });
}

/* One long transaction: nothing is committed for an hour, and more keeps coming. */
static void test_never_quite(void **state _unused_) {
        FOLLOW({ 100, REPLICA(true, true, 1000, 900, 3600), 3600, 100 },
               { 110, REPLICA(true, true, 2000, 1900, 3610), 10, 100 },
               { 120, REPLICA(true, true, 3000, 1950, 3620), 20, 1050 },
               { 130, REPLICA(true, true, 4000, 3900, 3630), 20, 100 },
               { 140, REPLICA(true, true, 5000, 4900, 3640), 10, 100 });
}

/* What the primary does meanwhile is not known. */
static void test_cut_off(void **state _unused_) {
        FOLLOW({ 100, REPLICA(true, true, 500, 500, 3600), 0, 0 },
               { 110, REPLICA(false, true, 500, 500, 3610), 10, 0 },
               { 120, REPLICA(false, true, 500, 500, 3620), 20, 0 },
               { 130, REPLICA(true, true, 500, 500, 3630), 0, 0 });
        FOLLOW({ 100, REPLICA(false, true, 500, 500, 3600), 3600, 0 });
        FOLLOW({ 100, REPLICA(false, false, 0, 0, NAN), UNKNOWN, UNKNOWN });
}

static void test_promoted(void **state _unused_) {
        FOLLOW({ 100, REPLICA(true, true, 500, 500, 1), 0, 0 }, { 110, PRIMARY, 0, 0 },
               { 120, REPLICA(true, true, 600, 500, 3600), 3600, 100 });
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_primary),        cmocka_unit_test(test_idle),
                cmocka_unit_test(test_after_idleness), cmocka_unit_test(test_behind),
                cmocka_unit_test(test_never_quite),    cmocka_unit_test(test_cut_off),
                cmocka_unit_test(test_promoted),
        };

        return cmocka_run_group_tests_name("replication", tests, NULL, NULL);
}
