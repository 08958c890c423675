/* SPDX-License-Identifier: MIT */
#pragma once

/* The engine runs the checks of a configuration: when they are due, at most so many at a time, each
 * with a deadline, never two runs of one check at once. It knows no states and no verdicts: each
 * result goes to the handler, which says whether to look again soon. Called by daemon.c alone;
 * drivers see driver.h. */

#include "check/driver.h"

/* Results of one loop turn arrive one after the other, then turn() once. All are called from the
 * event loop, never from within a function of the engine. */
typedef struct EngineHandler {
        /* A run has ended, or a state was reported (serial 0). The result is not graded yet.
         * Returns whether the check's streak is undecided, so that it runs again after
         * RetryInterval=. */
        bool (*result)(void *userdata, size_t check, uint64_t serial, const Result *result);

        /* What was reported says nothing any more. */
        void (*forgotten)(void *userdata, size_t check);

        /* A run that a stall of the host made worthless; it is started again at once. A success
         * keeps its worth, and is as old as its run, unless that is too old. */
        void (*voided)(void *userdata, size_t check);

        /* After the last result of this loop turn. */
        void (*turn)(void *userdata);

        /* The machine stood still (suspend, migration, SIGSTOP) for so long. */
        void (*stalled)(void *userdata, usec_t stall_usec);

        /* The engine's timer fired so much later than it should have. NULL: nobody asks. */
        void (*woken)(void *userdata, usec_t late_usec);

        /* What a run is doing from now on, in words that are borrowed for the call; also from
         * within functions of the engine. NULL: nobody asks. */
        void (*phase)(void *userdata, size_t check, const char *phase);
} EngineHandler;

/* The table of drivers.def. */
const CheckTypes *check_types(void);

/* No checks yet. event is referenced, handler and userdata are borrowed. */
int engine_new(sd_event *event, const EngineHandler *handler, void *userdata, Engine **ret);

/* By which bus checks reach systemd; borrowed, outlives the engine. Before the first configuration.
 * Without it they are told that there is none. */
void engine_set_systemd(Engine *e, SystemdLink *systemd);

/* Where drivers may have sockets and keep things; NULL: nowhere. Borrowed. */
void engine_set_directories(Engine *e, const char *runtime, const char *state);

/* Stops all runs and closes all checks. Never waits for a dependency. */
Engine *engine_free(Engine *e);
DEFINE_CLEANUP(Engine *, engine_free);

/* Takes a configuration: checks that test the same thing as before go on undisturbed, with their
 * connections and schedule; others are stopped and closed, new ones opened and started. Check
 * indices are those of this config from now on. 0, or -ENOMEM with the old one still in force. */
int engine_configure(Engine *e, Config *config);

/* The same in two steps, between which others may refuse: the first makes what takes memory, the
 * second cannot fail and uses up what the first has made. The lineup is of this config. */
typedef struct Lineup Lineup;
int engine_prepare(Engine *e, Config *config, Lineup **ret);
void engine_take(Engine *e, Config *config, Lineup *lineup);
Lineup *lineup_free(Lineup *l);
DEFINE_CLEANUP(Lineup *, lineup_free);

/* Starts a run now, or right after the present one. ret_serial: the run that answers (its result's
 * serial, or a later one). -EOPNOTSUPP for checks without runs, -EAGAIN for those held. */
int engine_run(Engine *e, size_t check, uint64_t *ret_serial);

/* A check that waits for another is held: it is not run, and once it is let go, at once. Returns
 * whether that is news. */
bool engine_hold(Engine *e, size_t check, bool is_held);

/* A pushed state. -EOPNOTSUPP unless the check's type takes reports, -EACCES if not from this
 * sender. */
int engine_report(Engine *e, size_t check, const Result *result, const Sender *sender);

/* The unit of the check's service was started. */
void engine_renew(Engine *e, size_t check);

/* When the check runs next, CLOCK_MONOTONIC; 0 while it runs, USEC_INFINITY: not scheduled. */
usec_t engine_next_run_usec(const Engine *e, size_t check);

/* The watchdog's question. engine_kick() asks for a sign of life, which both the timer and the
 * deferred source of the engine must pass on; engine_has_progressed() tells whether they did since.
 * engine_overdue() names a check whose run or start is late beyond its deadline and a grace; NULL
 * if none is. */
void engine_kick(Engine *e);
bool engine_has_progressed(const Engine *e);
const char *engine_overdue(const Engine *e);
