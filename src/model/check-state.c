/* SPDX-License-Identifier: MIT */
#include "model/state-internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/text.h"
#include "model/schedule.h"

/* How much later than it came a report may have been taken, at each of two times. */
#define REPEAT_LAG_USEC USEC_PER_SEC

#define STALE_ERROR_MAX 150 /* bytes of the last error beside "No result for 32s" */

const usec_t latency_bounds_usec[LATENCY_BUCKETS] = {
        250,   500,   1000,   2500,   5000,         10000,
        25000, 50000, 100000, 250000, USEC_PER_SEC, 5 * USEC_PER_SEC,
};

static const char *const health_words[HEALTH_COUNT_] = {
        [HEALTH_PENDING] = "pending",   [HEALTH_HEALTHY] = "healthy",
        [HEALTH_DEGRADED] = "degraded", [HEALTH_UNHEALTHY] = "unhealthy",
        [HEALTH_UNKNOWN] = "unknown",   [HEALTH_SKIPPED] = "skipped",
};

const char *health_to_string(Health h) {
        assert(h < HEALTH_COUNT_);
        return health_words[h];
}

int health_from_string(const char *s, Health *ret) {
        for (Health h = 0; h < HEALTH_COUNT_; h++)
                if (str_equal(health_words[h], s)) {
                        *ret = h;
                        return 0;
                }
        return -EINVAL;
}

Reason check_state_reason(const CheckState *s, const char **ret_detail, const char **ret_message) {
        const Override *o = check_state_override(s);

        if (ret_detail)
                *ret_detail = o->is_active ? "" : s->detail;
        if (ret_message)
                *ret_message = o->is_active ? o->note : s->message;
        return o->is_active ? REASON_OVERRIDDEN : s->reason;
}

bool check_state_is_joining(const CheckState *s, Time now) {
        return now.boottime < s->joins_until_boottime;
}

bool check_state_is_dead(const CheckState *s) {
        const Override *o = check_state_override(s);

        if (o->is_active)
                return o->state == HEALTH_UNHEALTHY;
        return s->is_dead && (!check_config_is_combined(s->config) || s->state == HEALTH_UNHEALTHY);
}

bool check_state_is_undecided(const CheckState *s) {
        if (s->failures_in_row > 0)
                return s->measured != HEALTH_UNHEALTHY;
        return s->successes_in_row > 0 && (s->is_dead || !health_is_good(s->measured));
}

bool check_state_is_steady(const CheckState *s) {
        return s->state == HEALTH_HEALTHY && s->measured == HEALTH_HEALTHY &&
               s->successes_in_row > 0 && !s->is_dead && s->joins_until_boottime == 0 &&
               !s->is_restored;
}

/* When the last real result becomes too old; never, if nothing is left that rests on it. */
static usec_t check_state_stale_at(const CheckState *s) {
        if (s->fresh_boottime == 0)
                return USEC_INFINITY;
        if (s->measured == HEALTH_UNKNOWN && s->failures_in_row == 0 && s->successes_in_row == 0)
                return USEC_INFINITY;
        return usec_add(s->fresh_boottime, usec_add(s->config->max_age_usec, s->pause_usec));
}

usec_t check_state_expires(const CheckState *s) {
        const Override *o = check_state_override(s);
        usec_t at = check_state_stale_at(s);

        if (o->is_active)
                at = MIN(at, o->until_boottime);
        if (s->joins_until_boottime > 0)
                at = MIN(at, s->joins_until_boottime);
        return at;
}

/* -- changes ----------------------------------------------------------------------------------- */

/* Makes the published state follow from the measured one and the override. */
static void check_state_publish(CheckState *s, Time now) {
        const Override *o = check_state_override(s);
        Health state = o->is_active                          ? o->state
                       : check_config_is_combined(s->config) ? s->combined
                                                             : s->measured;

        if (state == s->state)
                return;
        s->state = state;
        s->since_realtime = now.realtime;
        s->since_boottime = now.boottime;
}

static void check_state_set_reason(CheckState *s, const Result *r) {
        s->reason = r->reason;
        memcpy(s->detail, r->detail, sizeof(s->detail));
        (void) text_keep(&s->message, r->message);
}

static void check_state_clear_reason(CheckState *s) {
        s->reason = REASON_NONE;
        s->detail[0] = 0;
        text_drop(&s->message);
}

static void check_state_clear_first_failure(CheckState *s) {
        text_drop(&s->first_failure_message);
        s->first_failure_realtime = 0;
}

static void check_state_count(CheckState *s, const Result *r) {
        size_t bucket = 0;

        s->n_runs++;
        s->n_by_outcome[r->outcome]++;
        if (r->latency_usec == USEC_INFINITY)
                return;
        while (bucket < LATENCY_BUCKETS && r->latency_usec > latency_bounds_usec[bucket])
                bucket++;
        s->latency_counts[bucket]++;
        s->latency_sum_usec = usec_add(s->latency_sum_usec, r->latency_usec);
}

static void check_state_succeed(CheckState *s, const Result *r) {
        bool is_streak;

        s->successes_in_row++;
        s->failures_in_row = 0;
        is_streak = s->successes_in_row >= s->config->success_threshold;
        if (is_streak)
                s->is_dead = false;
        if (!is_streak && !health_is_good(s->measured))
                return;

        s->measured = r->outcome == OUTCOME_WARN ? HEALTH_DEGRADED : HEALTH_HEALTHY;
        s->has_been_good = true;
        check_state_clear_first_failure(s);
        if (r->outcome == OUTCOME_WARN)
                check_state_set_reason(s, r);
        else
                check_state_clear_reason(s);
}

static void check_state_fail(CheckState *s, const Result *r, Time now) {
        const CheckConfig *c = s->config;

        s->failures_in_row++;
        s->successes_in_row = 0;
        if (s->first_failure_realtime == 0) {
                s->first_failure_realtime = MAX(now.realtime, (usec_t) 1);
                (void) text_keep(&s->first_failure_message, r->message);
        }
        if (check_config_counts(c, PROBE_LIVENESS) &&
            s->failures_in_row >= c->liveness_failure_threshold)
                s->is_dead = true;
        if (s->failures_in_row >= c->failure_threshold)
                s->measured = HEALTH_UNHEALTHY;
        if (!health_is_good(s->measured))
                check_state_set_reason(s, r);
}

static void check_state_become_unknown(CheckState *s) {
        s->measured = HEALTH_UNKNOWN;
        s->is_dead = false;
}

/* Whether this result has decided the state, as far as that is measured. */
static bool check_state_is_decided_by(const CheckState *s, const Result *r) {
        if (check_state_override(s)->is_active)
                return false;
        return outcome_is_success(r->outcome) ? health_is_good(s->measured)
               : r->outcome == OUTCOME_FAIL   ? s->measured == HEALTH_UNHEALTHY
                                              : false;
}

Time time_before(Time t, usec_t usec) {
        return (Time){
                .monotonic = usec_sub(t.monotonic, usec),
                .boottime = usec_sub(t.boottime, usec),
                .realtime = usec_sub(t.realtime, usec),
        };
}

/* A report that is kept by itself also, and is told again after a restart: the last one, or one
 * before, if a crash kept the last from being written there too. */
static bool check_state_knows(const CheckState *s, const Result *r, Time when) {
        if (r->age_usec == 0 || !s->has_result)
                return false;
        if (usec_add(when.boottime, REPEAT_LAG_USEC) < s->last_boottime)
                return true;
        return s->last.outcome == r->outcome && s->last.reason == r->reason &&
               when.boottime <= usec_add(s->last_boottime, REPEAT_LAG_USEC);
}

void check_state_take_result(CheckState *s, const Result *r, Time now) {
        now = time_before(now, r->age_usec);
        s->is_restored = false;
        if (check_state_knows(s, r, now))
                return;
        check_state_count(s, r);
        (void) check_state_keep_last(s, r);
        s->has_result = true;
        s->last_realtime = now.realtime;
        s->last_boottime = now.boottime;
        if (s->measured == HEALTH_SKIPPED)
                return;
        if (r->outcome != OUTCOME_ERROR) {
                s->fresh_boottime = MAX(now.boottime, (usec_t) 1);
                s->pause_usec = MIN(r->retry_after_usec, SCHEDULE_RETRY_AFTER_MAX_USEC);
        }

        switch (r->outcome) {
        case OUTCOME_PASS:
        case OUTCOME_WARN:
                check_state_succeed(s, r);
                break;
        case OUTCOME_FAIL:
                check_state_fail(s, r, now);
                break;
        case OUTCOME_ERROR:
                if (s->measured != HEALTH_PENDING && s->measured != HEALTH_UNKNOWN)
                        break;
                check_state_become_unknown(s);
                check_state_set_reason(s, r);
                break;
        }
        if (check_state_is_decided_by(s, r))
                s->joins_until_boottime = 0;
        check_state_publish(s, now);
}

static void check_state_drop_override(CheckState *s) {
        free(s->override);
        s->override = NULL;
}

int check_state_take_override(CheckState *s, const Override *override, Time now) {
        bool was_active = check_state_override(s)->is_active;
        Override cleared = {};
        int r = 0;

        if (override->is_active && now.boottime < override->until_boottime)
                r = check_state_keep_override(s, override);
        else if (was_active && !override->is_active) {
                memcpy(cleared.who, override->who, sizeof(cleared.who));
                r = check_state_keep_override(s, &cleared);
        } else
                check_state_drop_override(s);
        if (r < 0)
                return r;
        if (check_state_override(s)->is_active)
                s->joins_until_boottime = 0;
        check_state_publish(s, now);
        return 0;
}

/* What was measured so far no longer counts. */
static void check_state_forget(CheckState *s, Health measured) {
        s->measured = s->combined = measured;
        s->is_dead = false;
        s->fresh_boottime = 0;
        s->successes_in_row = s->failures_in_row = 0;
        check_state_clear_reason(s);
        check_state_clear_first_failure(s);
}

void check_state_restart(CheckState *s, Time now) {
        check_state_forget(s, HEALTH_PENDING);
        s->has_been_good = s->has_result = s->is_restored = false;
        s->joins_until_boottime = 0;
        check_state_publish(s, now);
}

_printf_(3, 4) static void check_state_skip(CheckState *s, Reason reason, const char *format, ...) {
        char message[RESULT_MESSAGE_MAX];
        va_list ap;

        if (s->measured != HEALTH_SKIPPED)
                check_state_forget(s, HEALTH_SKIPPED);
        s->reason = reason;
        va_start(ap, format);
        vsnprintf(message, sizeof(message), format, ap);
        va_end(ap);
        (void) text_keep(&s->message, message);
}

void check_state_wait(CheckState *s, const CheckState *obstacle, Time now) {
        if (obstacle)
                check_state_skip(s, REASON_SKIPPED, "Waits for %s", obstacle->config->name);
        else if (s->measured == HEALTH_SKIPPED)
                check_state_forget(s, HEALTH_PENDING);
        check_state_publish(s, now);
}

void check_state_rest(CheckState *s, const char *unit, Time now) {
        if (unit)
                check_state_skip(s, REASON_INACTIVE, "%.200s is not running", unit);
        else if (s->measured == HEALTH_SKIPPED)
                check_state_forget(s, HEALTH_PENDING);
        check_state_publish(s, now);
}

/* The text and the time of the failure that a combined check has now. */
static void check_state_note_failure(CheckState *s, const Result *why, Time now) {
        if (s->combined != HEALTH_UNHEALTHY)
                check_state_clear_first_failure(s);
        else if (s->first_failure_realtime == 0) {
                s->first_failure_realtime = MAX(now.realtime, (usec_t) 1);
                (void) text_keep(&s->first_failure_message, why->message);
        }
}

void check_state_combine(CheckState *s, Health measured, Health published, const Result *why,
                         bool has_failed, Time now) {
        if (s->measured != measured || s->combined != published) {
                s->last_realtime = now.realtime;
                s->last_boottime = now.boottime;
        }
        s->measured = measured;
        s->combined = published;
        (void) check_state_keep_last(s, why);
        s->has_result |= measured != HEALTH_PENDING;
        s->has_been_good |= health_is_good(measured);
        if (measured != HEALTH_UNHEALTHY || !check_config_counts(s->config, PROBE_LIVENESS))
                s->is_dead = false;
        else if (has_failed)
                s->is_dead = true;
        if (!check_state_override(s)->is_active &&
            (health_is_good(published) || (published == HEALTH_UNHEALTHY && has_failed)))
                s->joins_until_boottime = 0;
        check_state_note_failure(s, why, now);
        if (published == HEALTH_HEALTHY || published == HEALTH_PENDING)
                check_state_clear_reason(s);
        else
                check_state_set_reason(s, why);
        check_state_publish(s, now);
}

static void check_state_become_stale(CheckState *s, Time now) {
        bool had_error = s->has_result && s->last.outcome == OUTCOME_ERROR;
        char age[TIMESPAN_MAX], error[STALE_ERROR_MAX] = "", message[RESULT_MESSAGE_MAX];

        if (had_error)
                text_sanitize(error, sizeof(error), s->last.message, strlen(s->last.message));
        timespan_format(age, usec_sub(now.boottime, s->fresh_boottime));
        check_state_become_unknown(s);
        s->successes_in_row = s->failures_in_row = 0;
        check_state_clear_reason(s);
        s->reason = REASON_STALE;
        snprintf(message, sizeof(message), "No result for %s%s%s%s", age,
                 had_error ? ", only errors" : "", *error ? ": " : "", error);
        (void) text_keep(&s->message, message);
        check_state_clear_first_failure(s);
}

void check_state_expire(CheckState *s, Time now) {
        const Override *o = check_state_override(s);

        if (now.boottime >= check_state_stale_at(s))
                check_state_become_stale(s, now);
        if (o->is_active && now.boottime >= o->until_boottime)
                check_state_drop_override(s);
        if (now.boottime >= s->joins_until_boottime)
                s->joins_until_boottime = 0;
        check_state_publish(s, now);
}

void check_state_set_config(CheckState *s, CheckConfig *config) {
        check_config_ref(config);
        check_config_unref(s->config);
        s->config = config;
        if (!check_config_counts(config, PROBE_LIVENESS))
                s->is_dead = false;
}
