/* SPDX-License-Identifier: MIT */
#pragma once

/* A bench for the engine: a driver that does what the test says, and a clock that the test moves.
 */

#include "../unit/unit.h"

#include "check/engine-internal.h"

#define CHECKS_MAX 16

/* Ahead of the real clock, whose timer stays silent. */
#define BEGIN_USEC (1000000 * USEC_PER_SEC)

typedef struct FakeInstance {
        bool is_open;
        CheckRun *run; /* borrowed: the active one */
} FakeInstance;

extern const CheckDriver fake_driver, push_driver;

/* What happened to the driver, and what it is to do. */
typedef struct Calls {
        unsigned attach, detach, open, close, start, stop;
        int open_result, start_result;
        bool finishes_at_once;
} Calls;

extern Calls calls;

extern usec_t clock_monotonic, clock_suspended;

typedef struct Bench {
        sd_event *event;
        Engine *engine;
        Config *config;
        unsigned n_results, n_turns, n_void, n_stalls;
        usec_t late_max_usec;
        bool says_undecided;
        struct Seen {
                unsigned n;
                uint64_t serial;
                Result result;
        } seen[CHECKS_MAX];
} Bench;

void bench_new(Bench *b);

/* Asserts that what was begun was ended, once. */
void bench_done(Bench *b);

/* One service with these checks, named by single letters; a version of 0 leaves one out. */
Config *make_config(const CheckDriver *driver, const unsigned versions[], size_t n);

/* Takes over the reference. */
void take_config(Bench *b, Config *c);

/* Lets everything happen that is due at the present time. */
void settle(Bench *b);

/* Time passes as the loop would see it: never a gap of more than the heartbeat. */
void pass(Bench *b, usec_t usec);

FakeInstance *instance(Bench *b, size_t check);

/* Ends the check's active run. */
void finish(Bench *b, size_t check, bool passes);
