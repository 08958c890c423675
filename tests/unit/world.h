/* SPDX-License-Identifier: MIT */
#pragma once

/* A random world for the model: a configuration that is reloaded, things checked that come and go,
 * clocks that jump, units, operators, and a stand-in for the engine that runs the checks by
 * schedule.c. All from one seed, without a clock. */

#include "unit.h"

#include <inttypes.h>

#include "fixture.h"
#include "model/schedule.h"

#define WORLD_SERVICES 4
#define WORLD_CHECKS   (WORLD_SERVICES * FIXTURE_CHECKS_MAX)

/* sim: a pointer to whatever has a seed and an n_event, which say where it went wrong. */
#define MUST(sim, condition)                                                             \
        do {                                                                             \
                if (!(condition))                                                        \
                        fail_msg("seed %" PRIu64 ", event %" PRIu64                      \
                                 ": not %s; again with VITALD_SIMULATION_SEED=%" PRIu64, \
                                 (sim)->seed, (sim)->n_event, #condition, (sim)->seed);  \
        } while (false)

/* One thing that happens. is_same_config: a reload of what is in force already. */
typedef void (*WorldApply)(void *userdata, const Event *e, bool is_same_config);

typedef struct WorldRun {
        usec_t due, ends; /* CLOCK_MONOTONIC; USEC_INFINITY: not due, not running */
        usec_t began;
} WorldRun;

typedef struct World {
        uint64_t random;
        Time now;
        usec_t scale_usec; /* how long things take in this world */

        FixtureService plan[WORLD_SERVICES];
        bool is_present[WORLD_SERVICES];
        unsigned mode[WORLD_SERVICES][FIXTURE_CHECKS_MAX]; /* what a check finds */
        char **canonicals;                                 /* owned: what there is to test */
        bool is_wild; /* reloads change thresholds too, which the reference does not follow */

        Config *config;          /* owned reference: in force */
        const State *state;      /* borrowed, set by the user */
        usec_t expires_boottime; /* set by the user after each event */
        bool has_steady_clock;   /* CLOCK_REALTIME does not jump; set by the user */
        bool is_tick_late;       /* this time the tick comes after something else */

        WorldRun runs[WORLD_CHECKS];
        UnitState units[WORLD_SERVICES]; /* by index in the configuration */
        unsigned n_invocations;
        usec_t next_action; /* CLOCK_MONOTONIC */

        WorldApply apply;
        void *userdata;
} World;

/* Whether the check may flip because another one of that service does. */
bool world_hangs_on(const World *w, size_t check, size_t service);

void world_init(World *w, uint64_t seed, WorldApply apply, void *userdata);
void world_done(World *w);

/* Lets time pass to the next thing that happens and makes it happen. */
void world_step(World *w);

/* A random number below n. */
uint64_t world_random(World *w, uint64_t n);
