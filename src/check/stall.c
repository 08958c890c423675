/* SPDX-License-Identifier: MIT */
/* What becomes of checks and runs when this process or its host stood still, or was short of
 * processor time: what was not looked at in time says nothing about the thing checked. */

#include "base/text.h"
#include "check/engine-internal.h"
#include "model/schedule.h"

/* A gap of more than this on top of the heartbeat is a stall. */
#define STALL_USEC USEC_PER_SEC

/* What is overdue behind a stall is begun within so long, and not all at once: many hosts may have
 * stood still together. */
#define CATCH_UP_USEC (500 * USEC_PER_MSEC)

/* An active run is looked at so often within its Timeout=, to see whether we are in time. */
#define LOOKS_PER_RUN 4

/* So late is every timer now and then. */
#define LATE_TOLERATED_USEC (20 * USEC_PER_MSEC)

/* A run that lost this part of its time to our own lateness, and at least so much, tells nothing by
 * not being done. */
#define LOST_PART     4
#define LOST_MIN_USEC (100 * USEC_PER_MSEC)

/* What has come in while we were late is read within this time. */
#define GRACE_USEC (100 * USEC_PER_MSEC)

/* -- stalls ------------------------------------------------------------------------------------ */

/* When a check that was due during the stall is begun; another time on each host. */
static usec_t check_catch_up_usec(const Check *c, usec_t now) {
        uint64_t h = hash_bytes(hash_bytes(HASH_INIT, c->config->id, strlen(c->config->id)), &now,
                                sizeof(now));

        return usec_add(now, h % (MIN(CATCH_UP_USEC, c->config->interval_usec) + 1));
}

/* In a suspend the schedule's clock stands still, and what was found grows old all the same. */
static void check_take_stall(Check *c, usec_t now, usec_t suspended_usec) {
        usec_t *due = &c->engine->due_usec[c->index];

        if (c->run) {
                c->run->is_void = true;
                return;
        }
        *due = usec_sub(*due, suspended_usec);
        if (*due <= now)
                *due = check_catch_up_usec(c, now);
}

void engine_see_loop(Engine *e) {
        e->seen_monotonic = engine_now(e);
        e->seen_boottime = e->clock(e, CLOCK_BOOTTIME);
}

void engine_notice_stall(Engine *e) {
        usec_t before_monotonic = e->seen_monotonic, before_boottime = e->seen_boottime, turn, gap;

        if (!e->config)
                return;
        engine_see_loop(e);
        turn = usec_sub(e->seen_monotonic, before_monotonic);
        gap = MAX(turn, usec_sub(e->seen_boottime, before_boottime));
        if (gap <= ENGINE_HEARTBEAT_USEC + STALL_USEC)
                return;
        for (size_t i = 0; i < e->n_checks; i++)
                check_take_stall(e->checks[i], e->seen_monotonic, gap - turn);
        e->stalled_usec = e->seen_monotonic;
        engine_arm(e, e->seen_monotonic);
        e->handler->stalled(e->userdata, gap);
}

bool check_connection_is_silent(const Check *check, usec_t dialed_usec) {
        return dialed_usec < check->engine->stalled_usec;
}

bool check_connection_is_old(const Check *check, usec_t dialed_usec) {
        usec_t age = usec_sub(clock_usec(CLOCK_MONOTONIC), dialed_usec);

        return age >= check->config->connection_max_age_usec ||
               check_connection_is_silent(check, dialed_usec);
}

/* -- lateness ---------------------------------------------------------------------------------- */

usec_t check_run_next_look_usec(const CheckRun *run, usec_t now) {
        usec_t pause = MAX(run->check->config->timeout_usec / LOOKS_PER_RUN, (usec_t) 1);
        usec_t n = usec_sub(now, run->started_usec) / pause + 1;

        return MIN(run->deadline_usec, usec_add(run->started_usec, usec_mul(pause, n)));
}

bool check_run_look(CheckRun *run, usec_t due, usec_t *ret_next) {
        usec_t now = engine_now(run->check->engine), late = usec_sub(now, due);

        if (late > LATE_TOLERATED_USEC && !run->has_grace)
                run->lost_usec = usec_add(run->lost_usec, late);
        if (now < run->deadline_usec)
                *ret_next = check_run_next_look_usec(run, now);
        else if (late > LATE_TOLERATED_USEC && !run->has_grace) {
                run->has_grace = true;
                *ret_next = usec_add(now, GRACE_USEC);
        } else
                return false;
        return true;
}

bool check_run_is_late(const CheckRun *run) {
        return run->lost_usec >= MAX(run->check->config->timeout_usec / LOST_PART, LOST_MIN_USEC);
}
