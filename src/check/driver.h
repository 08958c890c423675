/* SPDX-License-Identifier: MIT */
#pragma once

/* The driver contract: how a check type is run. A driver is one file `driver-NAME.c` that defines
 * `const CheckDriver NAME_driver`, and one line in drivers.def. It reports results; it never
 * decides up or down, counts retries, or logs transitions.
 *
 * Life of a check: open(), then any number of runs, then close(). Life of a run: start(), one
 * check_run_finish(), stop(). The engine owns the deadline: when it passes first, the engine itself
 * finishes the run (fail, timeout) and calls stop(). After finish, deadline, reload or shutdown
 * stop() is called exactly once, from the engine and never from within check_run_finish(); no
 * callback for the run may fire after it returns. All memory is zeroed before open() and start().
 * All calls come from the one event loop; none may block. */

#include <systemd/sd-event.h>

#include "io/poll-set.h"
#include "io/resolver.h"
#include "io/systemd-link.h"
#include "io/workers.h"
#include "model/check-type.h"
#include "model/config.h"
#include "model/result.h"
#include "model/sender.h"

typedef struct Check Check;
typedef struct CheckRun CheckRun;
typedef struct Engine Engine;

typedef struct CheckDriver {
        CheckType type;

        /* Once per type in use, before the first open() and after the last close(): what all checks
         * of the type share. NULL: nothing. */
        size_t shared_size;
        int (*attach)(Engine *engine, void *shared);
        void (*detach)(void *shared);

        /* Per check: a held connection, watches. May call check_trigger() at any time between.
         * NULL: nothing. open() < 0: the check cannot be had; its runs are errors, and each
         * of them calls open() again, with all memory zeroed again. */
        size_t instance_size;
        int (*open)(Check *check);
        void (*close)(Check *check);

        /* Per run. start() may finish the run at once or later. Negative errno: could not start;
         * the engine finishes it as an error of reason `resource` or `internal`, and calls stop().
         */
        size_t run_size;
        int (*start)(CheckRun *run);
        void (*stop)(CheckRun *run);

        /* What it means that the deadline has passed; NULL: it is a fail of reason `timeout`. */
        void (*expire)(CheckRun *run, Result *ret);

        /* Push checks only, which have no runs: takes a reported result and hands it on as the
         * check's own, by check_report(). -EACCES: not from this sender. */
        int (*report)(Check *check, const Result *result, const Sender *sender);

        /* Push checks only: the service's unit was started, which made the check begin anew. What
         * was reported meanwhile, and the first state, are reported once more. NULL: nothing. */
        void (*renew)(Check *check);
} CheckDriver;

/* -- what a check offers to its driver --------------------------------------------------------- */

const CheckConfig *check_config(const Check *check); /* may change on reload to an equal one */
const void *check_settings(const Check *check);      /* the type's settings struct */
void *check_instance(Check *check);                  /* instance_size bytes */
void *check_shared(Check *check);                    /* shared_size bytes */
Engine *check_engine(Check *check);

/* "Look now": a held connection closed, a process ended, a file changed. The first starts a run at
 * once; while they go on, the pause between the runs doubles from 10 ms up to RetryInterval, until
 * the check has failed and then passed by itself. During a run it asks for one more. A pause that
 * the peer asked for (Result.retry_after_usec) is kept. It never sets a state. */
void check_trigger(Check *check);

/* The unit that its service stands for, or NULL. Checks that several services share have none.
 * Borrowed until the next reload. */
const char *check_unit(const Check *check);

/* Whether a held connection, made at dialed_usec (CLOCK_MONOTONIC), is to be made anew: it is older
 * than ConnectionMaxAge=, or silent. Silent: this host stood still since, so that the peer may have
 * given it up without our seeing it; nothing is to be said on it any more. */
bool check_connection_is_old(const Check *check, usec_t dialed_usec);
bool check_connection_is_silent(const Check *check, usec_t dialed_usec);

/* A result without a run (push). Not from within open(). */
void check_report(Check *check, const Result *result);

/* What was reported says nothing any more (push): the check is pending as at the start. */
void check_forget(Check *check);

/* -- what a run offers ------------------------------------------------------------------------- */

Check *check_run_check(CheckRun *run);
const void *check_run_settings(CheckRun *run);
void *check_run_instance(CheckRun *run); /* the check's */
void *check_run_data(CheckRun *run);     /* run_size bytes */

/* CLOCK_MONOTONIC: when the run began, and when the engine ends it. */
usec_t check_run_started_usec(const CheckRun *run);
usec_t check_run_deadline_usec(const CheckRun *run);

/* What the run is doing at present, for the message of a timeout: "connecting to 10.0.0.7:6379". A
 * string that lives as long as the run, or NULL. */
void check_run_set_phase(CheckRun *run, const char *phase);

/* Stores and queues the result, nothing more; the engine calls stop() later. Once per run: a second
 * finish is an assert, but what comes between the deadline and stop() is too late and let go. If
 * the result carries no latency (USEC_INFINITY) and is a success, the time since the start is put
 * in. */
void check_run_finish(CheckRun *run, const Result *result);

bool check_run_is_finished(const CheckRun *run);

/* -- what the engine offers to attach() and to all --------------------------------------------- */

sd_event *engine_event(Engine *engine);    /* borrowed */
PollSet *engine_poll_set(Engine *engine);  /* borrowed */
Resolver *engine_resolver(Engine *engine); /* borrowed */
Workers *engine_workers(Engine *engine);   /* borrowed */

/* The way to systemd, borrowed; NULL: vitald is to be on no bus. */
SystemdLink *engine_systemd(Engine *engine);

/* CLOCK_MONOTONIC: when the latest stall of this host (suspend, migration, SIGSTOP) ended; 0: there
 * was none. */
usec_t engine_stalled_usec(const Engine *engine);

/* Notices a stall since the loop was last seen: what was running is void, and what would have been
 * due begins soon, once. For whoever acts in turns of the loop in which the engine may not have
 * looked yet. */
void engine_notice_stall(Engine *engine);

/* Where sockets and what is kept may lie; NULL: nowhere. Borrowed. */
const char *engine_runtime_directory(const Engine *engine);
const char *engine_state_directory(const Engine *engine);

/* The check whose runs or reports are those of this one ("orders/batch", or "batch" alone for
 * service "default"), if it is open; or NULL. */
Check *engine_find_check(Engine *engine, const char *id);
