/* SPDX-License-Identifier: MIT */
/* The way of a result: from the engine through the state to the next snapshot. */

#include <errno.h>

#include "base/log.h"
#include "daemon-internal.h"
#include "model/grade.h"

/* How long latencies and counters may wait for a snapshot when nothing else has changed. With many
 * checks the snapshot costs more than the result. */
#define QUIET_USEC (200 * USEC_PER_MSEC)

void daemon_apply(Daemon *d, const Event *e) {
        int r;

        r = state_apply(d->state, e, time_now());
        if (r < 0) {
                log_errno(LOG_ERR, r, "Cannot go on");
                sd_event_exit(d->event, r);
                return;
        }
        if (e->type == EVENT_CONFIG || e->type == EVENT_UNIT)
                daemon_hold_all(d);
        else
                daemon_hold_derived(d);
}

static void daemon_arm_expiry(Daemon *d, const Snapshot *s) {
        sd_event_source_set_time(d->expiry, s->expires_boottime);
        sd_event_source_set_enabled(
                d->expiry, s->expires_boottime == USEC_INFINITY ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

void daemon_publish(Daemon *d) {
        _cleanup_(snapshot_unrefp) Snapshot *s = NULL;

        s = snapshot_new(d->state, publisher_current(d->publisher), time_now());
        if (!s) {
                log_error("Cannot go on: out of memory");
                sd_event_exit(d->event, -ENOMEM);
                return;
        }
        d->has_numbers = false;
        sd_event_source_set_enabled(d->quiet, SD_EVENT_OFF);
        publisher_publish(d->publisher, s);
        daemon_arm_expiry(d, s);
        daemon_answer_waiters(d);
}

static bool on_result(void *userdata, size_t check, uint64_t serial, const Result *result) {
        Daemon *d = userdata;
        const Config *config = d->state->config;
        bool is_undecided = false;

        CONFIG_FOREACH_SERVED(i, config, check) {
                Result graded = *result;

                result_grade(config->checks[i], &graded);
                daemon_apply(d, &(Event){ .type = EVENT_RESULT, .check = i, .result = &graded });
                daemon_note_run(d, i, serial);
                is_undecided |= check_state_is_undecided(d->state->checks[i]);
        }
        d->has_numbers = true;
        return is_undecided;
}

static void on_forgotten(void *userdata, size_t check) {
        Daemon *d = userdata;

        CONFIG_FOREACH_SERVED(i, d->state->config, check)
                if (d->state->checks[i]->has_result)
                        daemon_apply(d, &(Event){ .type = EVENT_FORGET, .check = i });
}

static void on_voided(void *userdata, size_t check) {
        Daemon *d = userdata;

        CONFIG_FOREACH_SERVED(i, d->state->config, check)
                daemon_apply(d, &(Event){ .type = EVENT_VOID, .check = i });
        d->has_numbers = true;
}

int daemon_on_quiet(sd_event_source *s _unused_, usec_t usec _unused_, void *userdata) {
        daemon_publish(userdata);
        return 0;
}

static void on_turn(void *userdata) {
        Daemon *d = userdata;
        const Snapshot *current = publisher_current(d->publisher);
        int enabled = SD_EVENT_OFF;

        if (d->state->revision != current->revision || !list_is_empty(&d->waiters)) {
                daemon_publish(d);
                return;
        }
        sd_event_source_get_enabled(d->quiet, &enabled);
        if (!d->has_numbers || enabled != SD_EVENT_OFF)
                return;
        sd_event_source_set_time_relative(d->quiet, QUIET_USEC);
        sd_event_source_set_enabled(d->quiet, SD_EVENT_ONESHOT);
}

static void on_stalled(void *userdata, usec_t stall_usec) {
        Daemon *d = userdata;
        char text[TIMESPAN_MAX];

        d->n_stalls++;
        log_notice("This host or vitald stood still for %s; checks that were running are run again "
                   "and do not count as failed",
                   timespan_format(text, stall_usec));
        unit_actions_stalled(d->actions);
}

static void on_woken(void *userdata, usec_t late_usec) {
        Daemon *d = userdata;

        loop_lag_note(&d->lateness, late_usec);
}

int daemon_on_expiry(sd_event_source *s _unused_, usec_t usec _unused_, void *userdata) {
        Daemon *d = userdata;

        daemon_apply(d, &(Event){ .type = EVENT_TICK });
        daemon_publish(d);
        return 0;
}

const EngineHandler daemon_engine_handler = {
        .result = on_result,
        .forgotten = on_forgotten,
        .voided = on_voided,
        .turn = on_turn,
        .stalled = on_stalled,
        .woken = on_woken,
};
