/* SPDX-License-Identifier: MIT */
/* Requests from outside, as control.h describes them: each becomes an event like all others. */

#include <errno.h>
#include <stdio.h>

#include "daemon-internal.h"

#define WAITERS_MAX 4096

typedef struct Waiter {
        size_t check;
        uint64_t serial; /* the run that answers, or a later one */
        bool has_run;
        ControlDone done;
        void *userdata; /* borrowed */
        ListLink link;
} Waiter;

static void waiter_answer(Waiter *w, int r, const char *error, const Snapshot *snapshot) {
        list_unlink(&w->link);
        w->done(w->userdata, r, error, snapshot);
        free(w);
}

void daemon_note_run(Daemon *d, size_t check, uint64_t serial) {
        LIST_FOREACH(i, &d->waiters) {
                Waiter *w = list_item(i, Waiter, link);

                if (w->check == check && serial >= w->serial)
                        w->has_run = true;
        }
}

void daemon_answer_waiters(Daemon *d) {
        LIST_FOREACH_SAFE(i, &d->waiters) {
                Waiter *w = list_item(i, Waiter, link);

                if (w->has_run)
                        waiter_answer(w, 0, NULL, publisher_current(d->publisher));
        }
}

void daemon_fail_waiters_of(Daemon *d, size_t check, int error, const char *text) {
        LIST_FOREACH_SAFE(i, &d->waiters) {
                Waiter *w = list_item(i, Waiter, link);

                if (w->check == check && !w->has_run)
                        waiter_answer(w, error, text, NULL);
        }
}

void daemon_fail_waiters(Daemon *d, int error, const char *text) {
        LIST_FOREACH_SAFE(i, &d->waiters)
                waiter_answer(list_item(i, Waiter, link), error, text, NULL);
}

static size_t count_waiters(const Daemon *d) {
        size_t n = 0;

        LIST_FOREACH(i, &d->waiters)
                n++;
        return n;
}

static int control_run(void *daemon, size_t check, ControlDone done, void *userdata) {
        Daemon *d = daemon;
        Waiter *w;
        int r;

        if (count_waiters(d) >= WAITERS_MAX)
                return -EBUSY;
        w = calloc(1, sizeof(Waiter));
        if (!w)
                return -ENOMEM;
        r = engine_run(d->engine, check, &w->serial);
        if (r < 0) {
                free(w);
                return r;
        }
        w->check = check;
        w->done = done;
        w->userdata = userdata;
        list_append(&d->waiters, &w->link);
        return 0;
}

static int control_report(void *daemon, size_t check, const Result *result, const Sender *sender) {
        Daemon *d = daemon;

        return engine_report(d->engine, check, result, sender);
}

/* The end of something that begins now and lasts so long. */
static usec_t end_of(usec_t timeout_usec) {
        return usec_add(clock_usec(CLOCK_BOOTTIME), timeout_usec);
}

static int control_override(void *daemon, size_t check, Health state, usec_t timeout_usec,
                            const char *note, const char *who) {
        Daemon *d = daemon;
        Override o = {
                .is_active = timeout_usec > 0,
                .state = state,
                .since_realtime = clock_usec(CLOCK_REALTIME),
                .until_boottime = end_of(timeout_usec),
        };

        snprintf(o.note, sizeof(o.note), "%s", note);
        snprintf(o.who, sizeof(o.who), "%s", who);
        daemon_apply(d, &(Event){ .type = EVENT_OVERRIDE, .check = check, .override = &o });
        daemon_publish(d);
        return 0;
}

static int apply_drain(Daemon *d, size_t service, Drain drain, const char *note, const char *who) {
        drain.since_realtime = clock_usec(CLOCK_REALTIME);
        snprintf(drain.note, sizeof(drain.note), "%s", note);
        snprintf(drain.who, sizeof(drain.who), "%s", who);
        daemon_apply(d, &(Event){ .type = EVENT_DRAIN, .service = service, .drain = &drain });
        daemon_publish(d);
        return 0;
}

static int control_drain(void *daemon, size_t service, usec_t timeout_usec, const char *note,
                         const char *who) {
        Drain drain = { .is_active = timeout_usec > 0, .until_boottime = end_of(timeout_usec) };

        return apply_drain(daemon, service, drain, note, who);
}

static int control_drain_until_start(void *daemon, size_t service, const char *note,
                                     const char *who) {
        Drain drain = {
                .is_active = true,
                .ends_with_invocation = true,
                .until_boottime = USEC_INFINITY,
        };
        Daemon *d = daemon;

        if (!d->state->config->services[service].unit)
                return -EOPNOTSUPP;
        return apply_drain(d, service, drain, note, who);
}

static int control_reset_restarts(void *daemon, size_t service, const char *who) {
        Daemon *d = daemon;

        if (!service_config_restarts(&d->state->config->services[service]))
                return -EOPNOTSUPP;
        return unit_actions_reset(d->actions, service, who);
}

static int control_reload(void *daemon, ControlDone done, void *userdata) {
        _cleanup_free_ char *error = NULL;
        Daemon *d = daemon;
        int r;

        r = daemon_reload(d, &error);
        done(userdata, r, error, publisher_current(d->publisher));
        return 0;
}

void daemon_control_init(Daemon *d) {
        list_init(&d->waiters);
        d->control = (Control){
                .daemon = d,
                .run = control_run,
                .report = control_report,
                .override = control_override,
                .drain = control_drain,
                .drain_until_start = control_drain_until_start,
                .reset_restarts = control_reset_restarts,
                .reload = control_reload,
        };
}
