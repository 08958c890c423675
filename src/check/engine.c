/* SPDX-License-Identifier: MIT */
#include "check/engine.h"

#include <errno.h>

#include "base/log.h"
#include "base/text.h"
#include "check/engine-internal.h"
#include "model/schedule.h"

/* How far behind its deadline a run or a start may be before the watchdog is told. */
#define OVERDUE_GRACE_USEC (5 * USEC_PER_SEC)

#define TIMER_ACCURACY_USEC USEC_PER_MSEC

/* Written-off threads are bounded, so that dead mounts cannot eat the machine. */
#define WORKERS_MAX      8
#define WORKERS_LOST_MAX 64

usec_t engine_now(const Engine *e) {
        return e->clock(e, CLOCK_MONOTONIC);
}

void engine_arm(Engine *e, usec_t usec) {
        if (usec >= e->armed_usec)
                return;
        e->armed_usec = usec;
        sd_event_source_set_time(e->timer, usec);
}

/* -- the engine -------------------------------------------------------------------------------- */

static int on_deferred(sd_event_source *s _unused_, void *userdata) {
        Engine *e = userdata;

        if (e->is_kicked) {
                e->is_kicked = false;
                e->has_progressed = true;
        }
        engine_drain(e);
        return 0;
}

/* Whether nobody wants the check's runs at present. */
static bool check_is_held(const Check *c) {
        const Engine *e = c->engine;

        CONFIG_FOREACH_SERVED(i, e->config, c->index)
                if (!e->checks[i]->is_held)
                        return false;
        return true;
}

/* Something is due for the check: its run is looked at or ends, or one begins. */
static void check_wake(Check *c) {
        usec_t *due = &c->engine->due_usec[c->index], was_due = *due;

        *due = USEC_INFINITY;
        if (!check_has_runs(c)) {
                check_open(c);
                return;
        }
        if (c->run) {
                if (!check_run_look(c->run, was_due, due))
                        check_run_expire(c->run);
                return;
        }
        c->planned_usec = was_due;
        if (!check_is_held(c))
                check_begin(c);
}

/* How long the timer kept everything waiting. */
static void engine_note_lateness(Engine *e, usec_t now) {
        if (e->handler->woken && e->armed_usec > 0 && now > e->armed_usec)
                e->handler->woken(e->userdata, now - e->armed_usec);
}

void engine_tick(Engine *e) {
        usec_t now = engine_now(e), next = usec_add(now, ENGINE_HEARTBEAT_USEC);

        engine_note_lateness(e, now);
        engine_notice_stall(e);
        e->armed_usec = next; /* meanwhile engine_arm() may make it earlier */
        for (size_t i = 0; i < e->n_checks; i++) {
                if (e->due_usec[i] <= now)
                        check_wake(e->checks[i]);
                next = MIN(next, e->due_usec[i]);
        }
        if (e->is_kicked)
                sd_event_source_set_enabled(e->deferred, SD_EVENT_ONESHOT);
        e->armed_usec = MIN(next, e->armed_usec);
        sd_event_source_set_time(e->timer, e->armed_usec);
}

static int on_timer(sd_event_source *s _unused_, usec_t usec _unused_, void *userdata) {
        engine_tick(userdata);
        return 0;
}

/* The time at which the present turn of the loop began. */
static usec_t loop_clock(const Engine *e, clockid_t id) {
        usec_t now = 0;

        sd_event_now(e->event, id, &now);
        return now;
}

Engine *engine_free(Engine *e) {
        if (!e)
                return NULL;
        engine_close_checks(e);
        free(e->checks);
        free(e->due_usec);
        config_unref(e->config);
        sd_event_source_disable_unref(e->timer);
        sd_event_source_disable_unref(e->deferred);
        poll_set_free(e->poll_set);
        workers_free(e->workers);
        resolver_free(e->resolver);
        sd_event_unref(e->event);
        free(e);
        return NULL;
}

int engine_new(sd_event *event, const EngineHandler *handler, void *userdata, Engine **ret) {
        _cleanup_(engine_freep) Engine *e = NULL;
        int r;

        e = calloc(1, sizeof(Engine));
        if (!e)
                return -ENOMEM;
        e->event = sd_event_ref(event);
        e->handler = handler;
        e->userdata = userdata;
        e->clock = loop_clock;
        e->seen_monotonic = clock_usec(CLOCK_MONOTONIC);
        e->seen_boottime = clock_usec(CLOCK_BOOTTIME);
        list_init(&e->shared);
        list_init(&e->ready);
        list_init(&e->waiting);
        r = poll_set_new(event, &e->poll_set);
        if (r < 0)
                return r;
        r = resolver_new(event, NULL, &e->resolver);
        if (r < 0)
                return r;
        r = workers_new(event, WORKERS_MAX, WORKERS_LOST_MAX, &e->workers);
        if (r < 0)
                return r;
        e->armed_usec = USEC_INFINITY;
        r = sd_event_add_time(event, &e->timer, CLOCK_MONOTONIC, e->seen_monotonic,
                              TIMER_ACCURACY_USEC, on_timer, e);
        if (r < 0)
                return r;
        sd_event_source_set_enabled(e->timer, SD_EVENT_ON);
        (void) sd_event_source_set_description(e->timer, "engine");
        r = sd_event_add_defer(event, &e->deferred, on_deferred, e);
        if (r < 0)
                return r;
        r = sd_event_source_set_enabled(e->deferred, SD_EVENT_OFF);
        if (r < 0)
                return r;
        *ret = TAKE(e);
        return 0;
}

void engine_set_directories(Engine *e, const char *runtime, const char *state) {
        e->runtime_directory = runtime;
        e->state_directory = state;
}

/* The check whose runs are this one's. */
static Check *engine_running(const Engine *e, size_t check) {
        return e->checks[config_runs_as(e->config, check)];
}

int engine_run(Engine *e, size_t check, uint64_t *ret_serial) {
        Check *c = engine_running(e, check);

        if (!check_has_runs(c))
                return -EOPNOTSUPP;
        if (check_is_held(c))
                return -EAGAIN;
        *ret_serial = c->serial + 1;
        if (c->run) {
                c->is_wanted_again = true;
                c->trigger_usec = 0;
        } else {
                e->due_usec[c->index] = MIN(e->due_usec[c->index], engine_now(e));
                engine_arm(e, 0);
        }
        return 0;
}

bool engine_hold(Engine *e, size_t check, bool is_held) {
        Check *c;

        if (check >= e->n_checks || e->checks[check]->is_held == is_held)
                return false;
        e->checks[check]->is_held = is_held;
        c = engine_running(e, check);
        if (is_held || !check_has_runs(c))
                return true;
        if (c->run)
                c->is_wanted_again = true;
        else
                e->due_usec[c->index] = engine_now(e);
        engine_arm(e, engine_now(e));
        return true;
}

int engine_report(Engine *e, size_t check, const Result *result, const Sender *sender) {
        Check *c = engine_running(e, check);

        if (!c->driver->report || !c->is_open)
                return -EOPNOTSUPP;
        return c->driver->report(c, result, sender);
}

void engine_renew(Engine *e, size_t check) {
        Check *c = engine_running(e, check);

        if (c->driver->renew && c->is_open)
                c->driver->renew(c);
}

usec_t engine_next_run_usec(const Engine *e, size_t check) {
        const Check *c = engine_running(e, check);

        return c->run ? 0 : check_is_held(c) ? USEC_INFINITY : e->due_usec[c->index];
}

void engine_kick(Engine *e) {
        e->is_kicked = true;
        e->has_progressed = false;
        engine_arm(e, 0);
}

bool engine_has_progressed(const Engine *e) {
        return e->has_progressed;
}

usec_t engine_stalled_usec(const Engine *e) {
        return e->stalled_usec;
}

/* As of when the timer last fired: what has come due while nobody could look is nobody's fault. */
const char *engine_overdue(const Engine *e) {
        usec_t limit = usec_sub(e->seen_monotonic, OVERDUE_GRACE_USEC);

        for (size_t i = 0; i < e->n_checks; i++)
                if (e->due_usec[i] < limit)
                        return e->checks[i]->config->id;
        return NULL;
}
