/* SPDX-License-Identifier: MIT */
/* The life of one run, and what driver.h promises to drivers. */

#include "base/log.h"
#include "check/engine-internal.h"
#include "model/schedule.h"

#define TRIGGER_PAUSE_MIN_USEC (10 * USEC_PER_MSEC)

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/* When a run is tried again that there was no memory for. */
#define NO_MEMORY_PAUSE_USEC (100 * USEC_PER_MSEC)

static bool engine_has_room(const Engine *e) {
        return e->n_running < e->config->daemon.max_concurrent_checks;
}

/* What to do instead of asking the driver, when the check cannot be run as it stands. */
static bool check_run_refuse(CheckRun *run) {
        const Check *c = run->check;
        Result result;

        if (c->config->defect_reason != REASON_NONE)
                result_fail(&result, c->config->defect_reason, "%s", c->config->defect);
        else if (!c->is_open) {
                result_errno(&result, c->open_error, "Cannot set up the check");
                result.outcome = OUTCOME_ERROR;
        } else
                return false;
        check_run_finish(run, &result);
        return true;
}

static void check_run_start(CheckRun *run) {
        Result result;
        int r;

        if (check_run_refuse(run))
                return;
        r = run->check->driver->start(run);
        if (r >= 0 || run->is_finished)
                return;
        result_errno(&result, r, "Cannot start the check");
        result.outcome = OUTCOME_ERROR;
        check_run_finish(run, &result);
}

void check_begin(Check *c) {
        Engine *e = c->engine;
        CheckRun *run;

        if (c->run)
                return;
        if (!engine_has_room(e)) {
                if (!list_is_linked(&c->waiting))
                        list_append(&e->waiting, &c->waiting);
                return;
        }
        if (!c->is_open)
                check_open(c);
        run = calloc(1, sizeof(CheckRun) + c->driver->run_size);
        if (!run) {
                e->due_usec[c->index] = usec_add(engine_now(e), NO_MEMORY_PAUSE_USEC);
                engine_arm(e, e->due_usec[c->index]);
                return;
        }
        c->run = run;
        run->check = c;
        run->serial = ++c->serial;
        run->started_usec = engine_now(e);
        run->started_boottime = e->clock(e, CLOCK_BOOTTIME);
        run->deadline_usec = usec_add(run->started_usec, c->config->timeout_usec);
        c->is_wanted_again = false;
        e->n_running++;
        e->due_usec[c->index] = check_run_next_look_usec(run, run->started_usec);
        engine_arm(e, e->due_usec[c->index]);
        check_run_start(run);
}

/* Gives the run's place back and lets the driver let go of it; the caller frees it. */
static void check_run_end(CheckRun *run) {
        Check *c = run->check;

        list_unlink(&run->ready);
        c->run = NULL;
        c->engine->n_running--;
        if (c->is_open)
                c->driver->stop(run);
}

void check_cancel(Check *c) {
        _cleanup_free_ CheckRun *run = c->run;

        list_unlink(&c->waiting);
        if (run)
                check_run_end(run);
}

/* It is vitald, and not what it checks, that was not there in time. */
static void check_run_judge_late(const CheckRun *run, Result *ret) {
        char lost[TIMESPAN_MAX];

        result_error(ret, REASON_LATE,
                     "No result within %" PRIu64 "ms, but vitald itself was late by %s%s%s",
                     run->check->config->timeout_usec / USEC_PER_MSEC,
                     timespan_format(lost, run->lost_usec), run->phase ? ", " : "",
                     run->phase ? run->phase : "");
}

static void check_run_judge(CheckRun *run, Result *ret) {
        uint64_t msec = run->check->config->timeout_usec / USEC_PER_MSEC;

        if (check_run_is_late(run))
                check_run_judge_late(run, ret);
        else if (run->check->driver->expire && run->check->is_open)
                run->check->driver->expire(run, ret);
        else
                result_fail(ret, REASON_TIMEOUT, "Timeout after %" PRIu64 "ms%s%s", msec,
                            run->phase ? ", " : "", run->phase ? run->phase : "");
}

void check_run_expire(CheckRun *run) {
        Result result;

        if (run->is_finished)
                return;
        check_run_judge(run, &result);
        check_run_finish(run, &result);
        run->is_expired = true;
}

/* Plans a run that was asked for: at once, but asking again and again doubles the pause between
 * such runs, up to RetryInterval=. So what is dying is looked at until it is dead, and a server
 * that closes each connection is left in peace. */
static void check_plan_trigger(Check *c) {
        Engine *e = c->engine;
        usec_t now = engine_now(e), retry = c->config->retry_interval_usec, pause = 0, at;

        if (c->trigger_usec > 0 && now < usec_add(c->trigger_usec, retry))
                pause = MIN(retry, MAX(TRIGGER_PAUSE_MIN_USEC, 2 * c->trigger_pause_usec));
        at = MAX(MAX(now, c->peace_until_usec), usec_add(c->trigger_usec, pause));
        if (e->due_usec[c->index] <= at)
                return;
        c->trigger_usec = at;
        c->trigger_pause_usec = pause;
        e->due_usec[c->index] = at;
        engine_arm(e, at);
}

static double msec(usec_t usec) {
        return (double) usec / USEC_PER_MSEC;
}

/* What shows whether the schedule and the deadlines are kept. */
static void check_run_log(const CheckRun *run, usec_t now) {
        const Check *c = run->check;
        char reason[REASON_WORD_MAX];

        reason_format(reason, run->result.reason, run->result.detail);
        log_debug("%s: run %" PRIu64 ": %s%s%s, took %.3fms, began %.3fms late", c->config->id,
                  run->serial, outcome_to_string(run->result.outcome), *reason ? " " : "", reason,
                  msec(usec_sub(now, run->started_usec)),
                  msec(usec_sub(run->started_usec, c->planned_usec)));
}

/* A check that failed, and that passes without having been triggered, is well again: what happens
 * next is seen at once, however soon it is. */
static void check_note_recovery(Check *c, bool is_success) {
        if (!is_success)
                c->has_failed = true;
        else if (c->has_failed && c->planned_usec != c->trigger_usec) {
                c->has_failed = false;
                c->trigger_usec = c->trigger_pause_usec = 0;
        }
}

/* Whether a stall has made the run worthless. A success was one; only, it may be as old as the run,
 * and what is too old is none. */
static bool check_run_is_worthless(CheckRun *run) {
        const Engine *e = run->check->engine;
        usec_t age;

        if (!run->is_void)
                return false;
        age = usec_sub(e->clock(e, CLOCK_BOOTTIME), run->started_boottime);
        if (!outcome_is_success(run->result.outcome) || age >= run->check->config->max_age_usec)
                return true;
        run->result.age_usec = age;
        return false;
}

/* Hands one result on, plans the next run and frees this one. */
static void check_run_deliver(CheckRun *finished) {
        _cleanup_free_ CheckRun *run = finished;
        Check *c = run->check;
        Engine *e = c->engine;
        usec_t now = engine_now(e), next;
        bool is_undecided;

        check_run_end(run);
        if (log_get_level() >= LOG_DEBUG)
                check_run_log(run, now);
        check_note_recovery(c, outcome_is_success(run->result.outcome));
        if (check_run_is_worthless(run)) {
                e->handler->voided(e->userdata, c->index);
                next = now;
        } else {
                is_undecided = e->handler->result(e->userdata, c->index, run->serial, &run->result);
                /* What told nothing is asked again, but gently: there is too little time anyway. */
                is_undecided |= run->result.reason == REASON_LATE;
                next = schedule_next(c->config, is_undecided, run->result.retry_after_usec, now);
                c->peace_until_usec = run->result.retry_after_usec > 0 ? next : 0;
        }
        /* Whoever took the result may have wanted another run already. */
        next = MIN(next, e->due_usec[c->index]);
        e->due_usec[c->index] = next;
        engine_arm(e, next);
        if (c->is_wanted_again)
                check_plan_trigger(c);
}

void engine_drain(Engine *e) {
        CheckRun *run;
        Check *c;

        while ((run = list_first(&e->ready, CheckRun, ready)))
                check_run_deliver(run);
        while (engine_has_room(e) && (c = list_first(&e->waiting, Check, waiting))) {
                list_unlink(&c->waiting);
                check_begin(c);
        }
        e->handler->turn(e->userdata);
}

/* -- driver.h ---------------------------------------------------------------------------------- */

const CheckConfig *check_config(const Check *check) {
        return check->config;
}

const void *check_settings(const Check *check) {
        return check->config->settings;
}

void *check_instance(Check *check) {
        return check->instance;
}

void *check_shared(Check *check) {
        return check->shared ? check->shared->memory : NULL;
}

Engine *check_engine(Check *check) {
        return check->engine;
}

void check_trigger(Check *check) {
        if (check->is_closing)
                return;
        if (check->run)
                check->is_wanted_again = true;
        else
                check_plan_trigger(check);
}

const char *check_unit(const Check *check) {
        const Config *config = check->engine->config;

        if (check->config->shared)
                return NULL;
        return config->services[config_service_of(config, check->index)].unit;
}

sd_event *engine_event(Engine *engine) {
        return engine->event;
}

PollSet *engine_poll_set(Engine *engine) {
        return engine->poll_set;
}

Resolver *engine_resolver(Engine *engine) {
        return engine->resolver;
}

Workers *engine_workers(Engine *engine) {
        return engine->workers;
}

SystemdLink *engine_systemd(Engine *engine) {
        return engine->systemd;
}

void engine_set_systemd(Engine *e, SystemdLink *systemd) {
        e->systemd = systemd;
}

const char *engine_runtime_directory(const Engine *engine) {
        return engine->runtime_directory;
}

const char *engine_state_directory(const Engine *engine) {
        return engine->state_directory;
}

Check *engine_find_check(Engine *engine, const char *id) {
        char service[CHECK_ID_MAX] = "default";
        const char *slash = strchr(id, '/');
        size_t i;
        Check *c;

        if (slash)
                snprintf(service, sizeof(service), "%.*s", (int) (slash - id), id);
        i = config_find_check(engine->config, service, slash ? slash + 1 : id);
        if (i == INDEX_NONE)
                return NULL;
        c = engine->checks[config_runs_as(engine->config, i)];
        return c->is_open ? c : NULL;
}

void check_forget(Check *check) {
        Engine *e = check->engine;

        if (check->is_closing)
                return;
        e->handler->forgotten(e->userdata, check->index);
        sd_event_source_set_enabled(e->deferred, SD_EVENT_ONESHOT);
}

void check_report(Check *check, const Result *result) {
        Engine *e = check->engine;

        if (check->is_closing)
                return;
        e->handler->result(e->userdata, check->index, 0, result);
        sd_event_source_set_enabled(e->deferred, SD_EVENT_ONESHOT);
}

Check *check_run_check(CheckRun *run) {
        return run->check;
}

const void *check_run_settings(CheckRun *run) {
        return run->check->config->settings;
}

void *check_run_instance(CheckRun *run) {
        return run->check->instance;
}

void *check_run_data(CheckRun *run) {
        return run->data;
}

usec_t check_run_started_usec(const CheckRun *run) {
        return run->started_usec;
}

usec_t check_run_deadline_usec(const CheckRun *run) {
        return run->deadline_usec;
}

void check_run_set_phase(CheckRun *run, const char *phase) {
        const Engine *e = run->check->engine;

        run->phase = phase;
        if (phase && e->handler->phase)
                e->handler->phase(e->userdata, run->check->index, phase);
}

bool check_run_is_finished(const CheckRun *run) {
        return run->is_finished;
}

void check_run_finish(CheckRun *run, const Result *result) {
        Engine *e = run->check->engine;

        assert(run->check->run == run);
        if (run->is_expired)
                return;
        assert(!run->is_finished);
        engine_notice_stall(e);
        run->is_finished = true;
        e->due_usec[run->check->index] = USEC_INFINITY;
        run->result = *result;
        schema_hide_secrets(&run->check->driver->type.schema, run->check->config->settings,
                            run->result.message);
        if (run->is_void || check_run_is_late(run))
                run->result.latency_usec = USEC_INFINITY;
        else if (run->result.latency_usec == USEC_INFINITY && outcome_is_success(result->outcome))
                run->result.latency_usec = usec_sub(clock_usec(CLOCK_MONOTONIC), run->started_usec);
        list_append(&e->ready, &run->ready);
        sd_event_source_set_enabled(e->deferred, SD_EVENT_ONESHOT);
}
