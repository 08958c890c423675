/* SPDX-License-Identifier: MIT */
/* Type=push: the state of what only the application itself can know, reported by it over D-Bus,
 * with vitalctl, or by a datagram to the socket `notify` in the runtime directory.
 *
 * A report stands until the next one, until TTL= has passed without one, or until the unit is
 * started anew. Reports are kept over restarts of vitald, with Persistent= over boots as well. */

#include <errno.h>
#include <stdio.h>

#include "base/list.h"
#include "base/log.h"
#include "base/text.h"
#include "check/driver.h"
#include "check/push-door.h"
#include "check/push-senders.h"
#include "check/push-store.h"

#define STORE_NAME "push"

/* An application that reports with every request does no harm: beyond so many at once, and one
 * every so often, only the latest is looked at. */
#define REPORTS_AT_ONCE     100
#define REPORTS_EVERY_USEC  (100 * USEC_PER_MSEC)
#define TIMER_ACCURACY_USEC (10 * USEC_PER_MSEC)

typedef struct PushSettings {
        usec_t ttl_usec;  /* 0: none */
        unsigned initial; /* of initial_words */
        bool is_persistent;
        char **users, **units; /* owned */
} PushSettings;

typedef struct PushShared {
        Engine *engine; /* borrowed */
        PushDoor door;
        PushStore *passing, *lasting; /* owned, or NULL: for this boot, and for others */
        InvocationWatch starts;
        List instances;
        sd_event_source *settle; /* owned: gives those that were opened their first state */
} PushShared;

typedef struct PushInstance {
        Check *check; /* borrowed */
        PushShared *shared;
        ListLink link;
        PushSenders senders;
        bool is_settled, has_report;
        PushReport report;                    /* that stands */
        usec_t known_boottime, age_usec;      /* since when it is known, and how old it was then */
        char invocation[INVOCATION_TEXT_MAX]; /* the unit's, as last seen */
        usec_t armed_usec, ends_boottime;     /* TTL=: since CLOCK_MONOTONIC, until */
        sd_event_source *end;                 /* owned */
        usec_t budget_usec;       /* CLOCK_MONOTONIC: when all room for reports at once is back */
        bool is_held;             /* the report has not been handed on yet */
        sd_event_source *release; /* owned */
} PushInstance;

static const char *const initial_words[] = { "pending", "pass", "warn", "fail", NULL };

/* -- a report's way ---------------------------------------------------------------------------- */

static void push_arm(PushInstance *i, usec_t age_usec) {
        const PushSettings *s = check_settings(i->check);

        if (s->ttl_usec == 0)
                return;
        i->armed_usec = clock_usec(CLOCK_MONOTONIC);
        i->ends_boottime = usec_add(clock_usec(CLOCK_BOOTTIME), usec_sub(s->ttl_usec, age_usec));
        sd_event_source_set_time(i->end, i->ends_boottime);
        sd_event_source_set_enabled(i->end, SD_EVENT_ONESHOT);
}

/* Hands the report on, or later, if there have been too many. */
static void push_deliver(PushInstance *i) {
        usec_t now = clock_usec(CLOCK_MONOTONIC), used = MAX(i->budget_usec, now);

        if (used - now >= REPORTS_AT_ONCE * REPORTS_EVERY_USEC) {
                if (!i->is_held) {
                        sd_event_source_set_time(i->release,
                                                 used - (REPORTS_AT_ONCE - 1) * REPORTS_EVERY_USEC);
                        sd_event_source_set_enabled(i->release, SD_EVENT_ONESHOT);
                }
                i->is_held = true;
                return;
        }
        i->budget_usec = used + REPORTS_EVERY_USEC;
        check_report(i->check, &i->report.result);
}

static int on_release(_unused_ sd_event_source *s, _unused_ usec_t usec, void *userdata) {
        PushInstance *i = userdata;

        if (!i->is_held)
                return 0;
        i->is_held = false;
        push_deliver(i);
        return 0;
}

static PushStore *push_store(const PushInstance *i, bool is_lasting) {
        return is_lasting ? i->shared->lasting : i->shared->passing;
}

static void push_keep(const PushInstance *i) {
        const PushSettings *s = check_settings(i->check);
        PushStore *store = push_store(i, s->is_persistent);
        PushStore *other = push_store(i, !s->is_persistent);

        if (store)
                push_store_put(store, &i->report);
        if (other)
                push_store_drop(other, i->report.check);
}

static void push_begin(PushInstance *i) {
        const PushSettings *s = check_settings(i->check);
        Result result;

        i->has_report = i->is_held = false;
        check_forget(i->check); /* also what another vitald knew */
        push_arm(i, 0);
        if (s->initial > 0 &&
            push_result(&result, initial_words[s->initial], "Nothing has been reported yet") >= 0)
                check_report(i->check, &result);
}

/* A new start of the unit: what the one before has said says nothing about this one. Returns
 * whether there was one. */
static bool push_follow_unit(PushInstance *i) {
        const PushSettings *s = check_settings(i->check);
        const char *unit = check_unit(i->check);
        char now[INVOCATION_TEXT_MAX];

        if (!unit || !*unit_invocation_read(now, unit) || str_equal(now, i->invocation))
                return false;
        memcpy(i->invocation, now, sizeof(now));
        if (s->is_persistent)
                return false;
        if (push_store(i, false))
                push_store_drop(push_store(i, false), i->report.check);
        push_begin(i);
        return true;
}

static void push_note_report(PushInstance *i, usec_t age_usec) {
        i->has_report = true;
        i->known_boottime = clock_usec(CLOCK_BOOTTIME);
        i->age_usec = age_usec;
}

static void push_take(PushInstance *i, const Result *result) {
        (void) push_follow_unit(i);
        i->report.result = *result;
        i->report.realtime = clock_usec(CLOCK_REALTIME);
        i->report.boottime = clock_usec(CLOCK_BOOTTIME);
        memcpy(i->report.invocation, i->invocation, sizeof(i->invocation));
        push_note_report(i, 0);
        push_keep(i);
        push_arm(i, 0);
        push_deliver(i);
}

/* The users of AllowUser=; the processes of AllowUnit= or, without it, of the service's own unit.
 */
static int push_report(Check *check, const Result *result, const Sender *sender) {
        const PushSettings *s = check_settings(check);
        PushInstance *i = check_instance(check);

        if (!push_senders_have(&i->senders, s->units, check_unit(check), sender))
                return -EACCES;
        log_debug("%s: reported %s by uid %u, pid %d", check_config(check)->id,
                  outcome_to_string(result->outcome), sender->uid, (int) sender->pid);
        push_take(i, result);
        return 0;
}

/* -- no news ----------------------------------------------------------------------------------- */

static usec_t push_age(const PushInstance *i) {
        return usec_sub(clock_usec(CLOCK_BOOTTIME), i->known_boottime) + i->age_usec;
}

static void push_report_silence(PushInstance *i) {
        const PushSettings *s = check_settings(i->check);
        usec_t age_usec = push_age(i);
        char span[TIMESPAN_MAX];
        Result result;

        i->is_held = false;
        if (i->has_report)
                result_fail(&result, REASON_STALE, "No report for %s",
                            timespan_format(span, age_usec));
        else
                result_fail(&result, REASON_MISSING, "No report within %s",
                            timespan_format(span, s->ttl_usec));
        check_report(i->check, &result);
        push_arm(i, 0);
}

/* What waits in the socket was said in time; who stood still meanwhile had less than his time. */
static int on_end(_unused_ sd_event_source *source, _unused_ usec_t usec, void *userdata) {
        PushInstance *i = userdata;
        Engine *engine = check_engine(i->check);

        push_door_drain(&i->shared->door);
        if (clock_usec(CLOCK_BOOTTIME) < i->ends_boottime)
                return 0;
        engine_notice_stall(engine);
        if (engine_stalled_usec(engine) <= i->armed_usec)
                push_report_silence(i);
        else {
                i->is_held = false;
                check_forget(i->check);
                push_arm(i, 0);
        }
        return 0;
}

/* -- the first state --------------------------------------------------------------------------- */

/* The report that stands, as old as it is. */
static void push_repeat(PushInstance *i) {
        const PushSettings *s = check_settings(i->check);
        usec_t age_usec = push_age(i);

        if (s->ttl_usec > 0 && age_usec >= s->ttl_usec) {
                push_report_silence(i);
                return;
        }
        i->report.result.age_usec = age_usec;
        check_report(i->check, &i->report.result);
        i->report.result.age_usec = 0;
        push_arm(i, age_usec);
}

/* What stood when vitald or the host went down, unless the unit was started anew since. */
static const PushReport *push_recall(const PushInstance *i, usec_t *ret_age_usec) {
        const PushSettings *s = check_settings(i->check);
        const char *id = check_config(i->check)->id;
        const PushReport *r = NULL;

        if (s->is_persistent && i->shared->lasting)
                r = push_store_find(i->shared->lasting, id, ret_age_usec);
        if (!r && i->shared->passing)
                r = push_store_find(i->shared->passing, id, ret_age_usec);
        if (r && !s->is_persistent && *i->invocation && !str_equal(r->invocation, i->invocation))
                return NULL;
        return r;
}

static void push_settle(PushInstance *i) {
        const PushReport *r;
        usec_t age_usec;

        i->is_settled = true;
        r = push_recall(i, &age_usec);
        if (!r) {
                push_begin(i);
                return;
        }
        i->report = *r;
        push_note_report(i, age_usec);
        push_repeat(i);
}

static void push_renew(Check *check) {
        const PushSettings *s = check_settings(check);
        PushInstance *i = check_instance(check);

        if (!i->is_settled || s->is_persistent || push_follow_unit(i))
                return;
        if (i->has_report)
                push_repeat(i);
        else
                push_begin(i);
}

static bool is_wanted(void *userdata, const char *check) {
        PushShared *shared = userdata;

        LIST_FOREACH(link, &shared->instances)
                if (str_equal(check_config(list_item(link, PushInstance, link)->check)->id, check))
                        return true;
        return false;
}

static int on_settle(_unused_ sd_event_source *source, void *userdata) {
        PushShared *shared = userdata;

        if (shared->passing)
                push_store_prune(shared->passing, is_wanted, shared);
        if (shared->lasting)
                push_store_prune(shared->lasting, is_wanted, shared);
        LIST_FOREACH(link, &shared->instances) {
                PushInstance *i = list_item(link, PushInstance, link);

                if (!i->is_settled)
                        push_settle(i);
        }
        return 0;
}

static void on_unit_start(void *userdata) {
        PushShared *shared = userdata;

        LIST_FOREACH(link, &shared->instances)
                (void) push_follow_unit(list_item(link, PushInstance, link));
}

/* -- the socket -------------------------------------------------------------------------------- */

static PushInstance *push_find(PushShared *shared, const char *id) {
        Check *check = engine_find_check(shared->engine, id);

        LIST_FOREACH(link, &shared->instances) {
                PushInstance *i = list_item(link, PushInstance, link);

                if (i->check == check)
                        return i;
        }
        return NULL;
}

static int on_report(void *userdata, const PushReport *report, const Sender *sender) {
        PushInstance *i = push_find(userdata, report->check);

        return i ? push_report(i->check, &report->result, sender) : -ENOENT;
}

/* -- life -------------------------------------------------------------------------------------- */

static int push_attach_store(PushShared *shared, const char *directory, bool is_lasting,
                             PushStore **ret) {
        _cleanup_strbuf_ StrBuf path = {};

        strbuf_printf(&path, "%s/" STORE_NAME, directory);
        if (path.failed)
                return -ENOMEM;
        return push_store_new(engine_event(shared->engine), engine_workers(shared->engine),
                              path.text, is_lasting, ret);
}

static void push_detach(void *data) {
        PushShared *shared = data;

        invocation_watch_end(&shared->starts);
        push_door_close(&shared->door);
        shared->passing = push_store_free(shared->passing);
        shared->lasting = push_store_free(shared->lasting);
        shared->settle = sd_event_source_disable_unref(shared->settle);
}

/* Without a socket there is D-Bus still, so that is no reason to go without the checks. */
static int push_attach(Engine *engine, void *data) {
        const char *runtime = engine_runtime_directory(engine);
        const char *state = engine_state_directory(engine);
        PushShared *shared = data;
        int r;

        shared->engine = engine;
        list_init(&shared->instances);
        r = sd_event_add_defer(engine_event(engine), &shared->settle, on_settle, shared);
        if (r >= 0) /* before anybody is answered */
                r = sd_event_source_set_priority(shared->settle, SD_EVENT_PRIORITY_IMPORTANT);
        if (r >= 0 && runtime)
                r = push_attach_store(shared, runtime, false, &shared->passing);
        if (r >= 0 && state)
                r = push_attach_store(shared, state, true, &shared->lasting);
        if (r < 0) {
                push_detach(shared);
                return r;
        }
        r = runtime ? push_door_open(&shared->door, engine_event(engine), runtime, on_report,
                                     shared)
                    : 0;
        if (r < 0)
                log_errno(LOG_WARNING, r, "No socket for reports in %s", runtime);
        (void) invocation_watch_begin(&shared->starts, engine_event(engine), on_unit_start, shared);
        return 0;
}

static int push_add_timers(PushInstance *i) {
        sd_event *event = engine_event(check_engine(i->check));
        int r;

        r = sd_event_add_time(event, &i->end, CLOCK_BOOTTIME, 0, TIMER_ACCURACY_USEC, on_end, i);
        if (r >= 0)
                r = sd_event_source_set_enabled(i->end, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_time(event, &i->release, CLOCK_MONOTONIC, 0, TIMER_ACCURACY_USEC,
                                      on_release, i);
        return r < 0 ? r : sd_event_source_set_enabled(i->release, SD_EVENT_OFF);
}

static void push_close(Check *check) {
        PushInstance *i = check_instance(check);

        list_unlink(&i->link);
        i->end = sd_event_source_disable_unref(i->end);
        i->release = sd_event_source_disable_unref(i->release);
        push_senders_done(&i->senders);
}

static int push_open(Check *check) {
        const PushSettings *s = check_settings(check);
        const char *id = check_config(check)->id, *missing, *unit = check_unit(check);
        PushInstance *i = check_instance(check);
        int r;

        i->check = check;
        i->shared = check_shared(check);
        snprintf(i->report.check, sizeof(i->report.check), "%s", id);
        r = push_senders_new(&i->senders, s->users, &missing);
        if (r >= 0)
                r = push_add_timers(i);
        if (r < 0) {
                push_close(check);
                return r;
        }
        if (missing)
                log_warning("%s: there is no user %s on this host, as AllowUser= says", id,
                            missing);
        if (unit)
                unit_invocation_read(i->invocation, unit);
        list_append(&i->shared->instances, &i->link);
        return sd_event_source_set_enabled(i->shared->settle, SD_EVENT_ONESHOT);
}

/* -- settings ---------------------------------------------------------------------------------- */

static bool push_is_lasting(const void *settings) {
        const PushSettings *s = settings;

        return s->is_persistent;
}

static void push_describe(const void *settings, CheckTarget *ret) {
        const PushSettings *s = settings;
        char span[TIMESPAN_MAX];

        *ret = (CheckTarget){};
        if (s->ttl_usec > 0)
                snprintf(ret->text, sizeof(ret->text), "reports, at least every %s",
                         timespan_format(span, s->ttl_usec));
        else
                snprintf(ret->text, sizeof(ret->text), "reports");
}

static const Option push_options[] = {
        {
                .key = "TTL",
                .type = &option_timespan,
                .offset = offsetof(PushSettings, ttl_usec),
                .min = 100 * USEC_PER_MSEC,
                .max = 366 * USEC_PER_DAY,
        },
        {
                .key = "Initial",
                .type = &option_word,
                .offset = offsetof(PushSettings, initial),
                .fallback = "pending",
                .words = initial_words,
        },
        {
                .key = "Persistent",
                .type = &option_bool,
                .offset = offsetof(PushSettings, is_persistent),
                .fallback = "no",
        },
        {
                .key = "AllowUser",
                .type = &option_strv,
                .offset = offsetof(PushSettings, users),
        },
        {
                .key = "AllowUnit",
                .type = &option_units,
                .offset = offsetof(PushSettings, units),
        },
};

const CheckDriver push_driver = {
        .type = {
                .name = "push",
                .flags = CHECK_TYPE_PUSH,
                .schema = SCHEMA(push_options),
                .settings_size = sizeof(PushSettings),
                .describe = push_describe,
                .is_lasting = push_is_lasting,
        },
        .shared_size = sizeof(PushShared),
        .attach = push_attach,
        .detach = push_detach,
        .instance_size = sizeof(PushInstance),
        .open = push_open,
        .close = push_close,
        .report = push_report,
        .renew = push_renew,
};
