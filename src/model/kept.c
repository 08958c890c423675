/* SPDX-License-Identifier: MIT */
#include "model/kept.h"

#include <errno.h>

#include "base/text.h"
#include "model/schedule.h"
#include "model/state-internal.h"

Kept *kept_new(Config *config, Time time) {
        _cleanup_(kept_freep) Kept *k = calloc(1, sizeof(Kept));

        if (!k)
                return NULL;
        k->config = config_ref(config);
        k->time = time;
        k->checks = calloc(MAX(config->n_checks, (size_t) 1), sizeof(CheckState *));
        k->services = calloc(MAX(config->n_services, (size_t) 1), sizeof(KeptService));
        return k->checks && k->services ? TAKE(k) : NULL;
}

Kept *kept_free(Kept *k) {
        if (!k)
                return NULL;
        for (size_t i = 0; k->checks && i < k->config->n_checks; i++)
                check_state_unref(k->checks[i]);
        for (size_t i = 0; k->services && i < k->config->n_services; i++)
                service_state_unref(k->services[i].state);
        free(k->checks);
        free(k->services);
        config_unref(k->config);
        free(k);
        return NULL;
}

CheckState *kept_check(Kept *k, size_t check) {
        if (!k->checks[check])
                k->checks[check] = check_state_new(k->config->checks[check], k->time);
        return k->checks[check];
}

ServiceState *kept_service(Kept *k, size_t service) {
        if (!k->services[service].state)
                k->services[service].state = service_state_new(k->time);
        return k->services[service].state;
}

/* -- what can be ------------------------------------------------------------------------------- */

/* Promises hang on these: without a time, green would never become stale. */
static const char *check_find_nonsense(const CheckState *c, Time now) {
        bool has_measured = c->measured == HEALTH_HEALTHY || c->measured == HEALTH_DEGRADED ||
                            c->measured == HEALTH_UNHEALTHY;

        if (MAX(c->fresh_boottime, MAX(c->last_boottime, c->since_boottime)) > now.boottime)
                return "a check has a time that is yet to come";
        if (check_config_is_combined(c->config))
                return NULL;
        if ((has_measured || c->failures_in_row > 0 || c->successes_in_row > 0) &&
            (c->fresh_boottime == 0 || !c->has_result))
                return "a check has a state without a result";
        if (c->failures_in_row > 0 && (c->successes_in_row > 0 || c->first_failure_realtime == 0))
                return "a check has a streak that cannot be";
        if (c->measured != HEALTH_HEALTHY && c->measured != HEALTH_DEGRADED &&
            c->measured != HEALTH_PENDING && c->reason == REASON_NONE)
                return "a check has a state without a reason";
        return NULL;
}

static const char *service_find_nonsense(const ServiceState *s, Time now) {
        if (s->startup_boottime != USEC_INFINITY && s->startup_boottime > now.boottime)
                return "a service has a time that is yet to come";
        if (s->is_started && s->has_startup_failed)
                return "a service has started and has not";
        return NULL;
}

static const char *since_find_nonsense(const ProbeSince since[PROBE_COUNT_], Time now) {
        for (Probe p = 0; p < PROBE_COUNT_; p++)
                if (since[p].boottime > now.boottime)
                        return "a verdict has a time that is yet to come";
        return NULL;
}

static const char *kept_find_nonsense(const Kept *k, Time now) {
        const char *why = since_find_nonsense(k->host_since, now);

        if (k->time.boottime > now.boottime)
                why = "it comes from the future";
        for (size_t i = 0; !why && i < k->config->n_services; i++)
                if (k->services[i].state) {
                        why = service_find_nonsense(k->services[i].state, now);
                        if (!why)
                                why = since_find_nonsense(k->services[i].since, now);
                }
        for (size_t i = 0; !why && i < k->config->n_checks; i++)
                if (k->checks[i])
                        why = check_find_nonsense(k->checks[i], now);
        return why;
}

/* -- what follows ------------------------------------------------------------------------------ */

/* Clocks are set; nothing shown lies in the future. */
static void since_clamp(ProbeSince since[PROBE_COUNT_], Time now) {
        for (Probe p = 0; p < PROBE_COUNT_; p++)
                since[p].realtime = MIN(since[p].realtime, now.realtime);
}

static void check_conclude(CheckState *c, Time now) {
        const CheckConfig *config = c->config;

        c->is_restored = c->has_result && check_type_has_runs(config->type);
        if (!check_config_counts(config, PROBE_LIVENESS))
                c->is_dead = false;
        c->has_been_good |= health_is_good(c->measured);
        if (c->measured == HEALTH_HEALTHY && !check_config_is_combined(config)) {
                c->reason = REASON_NONE;
                c->detail[0] = 0;
                text_drop(&c->message);
        }
        c->pause_usec = MIN(c->pause_usec, SCHEDULE_RETRY_AFTER_MAX_USEC);
        if (c->joins_until_boottime > 0)
                c->joins_until_boottime =
                        MIN(c->joins_until_boottime, usec_add(now.boottime, config->max_age_usec));
        c->n_runs = 0;
        for (Outcome o = OUTCOME_PASS; o <= OUTCOME_ERROR; o++)
                c->n_runs += c->n_by_outcome[o];
        c->last_realtime = MIN(c->last_realtime, now.realtime);
        c->since_realtime = MIN(c->since_realtime, now.realtime);
        c->first_failure_realtime = MIN(c->first_failure_realtime, MAX(now.realtime, (usec_t) 1));
        if (check_config_is_combined(config))
                c->state = c->combined;
        else
                c->state = c->combined = c->measured;
        if (check_state_override(c)->is_active)
                c->state = check_state_override(c)->state;
}

static void service_conclude(KeptService *s, const ServiceConfig *config, Time now) {
        ServiceState *state = s->state;

        if (state->joins_until_boottime > 0)
                state->joins_until_boottime =
                        MIN(state->joins_until_boottime,
                            usec_add(now.boottime, config->startup_timeout_usec));
        since_clamp(s->since, now);
        if (!s->has_same_unit && unit_state_is_up(state->unit))
                service_state_drop_unit(state, now);
}

/* As in a reload: one that was at fault had not begun to start, one whose unit was down begins anew
 * with another unit. */
static bool service_is_continued(const KeptService *s, const ServiceConfig *config) {
        return s->had_defect == (config->defect != NULL) &&
               (s->has_same_unit || unit_state_is_up(s->state->unit));
}

static int service_begin_anew(Kept *k, size_t service, Time now) {
        const ServiceConfig *config = k->config->services + service;
        KeptService *s = k->services + service;
        Drain drain = service_state_lasting_drain(s->state);

        for (size_t i = config->first_check; i < config->first_check + config->n_checks; i++)
                k->checks[i] = check_state_unref(k->checks[i]);
        service_state_unref(s->state);
        s->state = service_state_new(now);
        if (!s->state)
                return -ENOMEM;
        s->state->drain = drain;
        return 0;
}

static void kept_count(Kept *k) {
        k->n_checks = k->n_services = 0;
        for (size_t i = 0; i < k->config->n_checks; i++)
                k->n_checks += k->checks[i] != NULL;
        for (size_t i = 0; i < k->config->n_services; i++)
                k->n_services += k->services[i].state != NULL;
}

int kept_settle(Kept *k, Time now, const char **ret_why) {
        *ret_why = kept_find_nonsense(k, now);
        if (*ret_why)
                return -EBADMSG;
        since_clamp(k->host_since, now);
        for (size_t i = 0; i < k->config->n_services; i++) {
                const ServiceConfig *config = k->config->services + i;
                KeptService *s = k->services + i;
                int r = 0;

                if (!s->state)
                        continue;
                if (!service_is_continued(s, config))
                        r = service_begin_anew(k, i, now);
                if (r < 0)
                        return r;
                service_conclude(s, config, now);
        }
        for (size_t i = 0; i < k->config->n_checks; i++)
                if (k->checks[i])
                        check_conclude(k->checks[i], now);
        kept_count(k);
        return 0;
}

int kept_forget_units(Kept *k, Time now) {
        for (size_t i = 0; i < k->config->n_services; i++) {
                KeptService *s = k->services + i;
                int r = 0;

                if (!s->state || s->state->unit == UNIT_UNFOLLOWED)
                        continue;
                if (unit_state_is_up(s->state->unit))
                        service_state_drop_unit(s->state, now);
                else
                        r = service_begin_anew(k, i, now);
                if (r < 0)
                        return r;
        }
        kept_count(k);
        return 0;
}

/* -- the picture ------------------------------------------------------------------------------- */

static int snapshot_fill(Snapshot *s, const Kept *k) {
        for (size_t i = 0; i < k->config->n_checks; i++) {
                s->checks[i] = k->checks[i] ? check_state_ref(k->checks[i])
                                            : check_state_new(k->config->checks[i], k->time);
                if (!s->checks[i])
                        return -ENOMEM;
        }
        for (size_t i = 0; i < k->config->n_services; i++) {
                const KeptService *from = k->services + i;
                ServiceView *v = s->services + i;

                v->is_blank = !from->state;
                v->state =
                        from->state ? service_state_ref(from->state) : service_state_new(k->time);
                if (!v->state)
                        return -ENOMEM;
                v->verdict = from->verdict;
                memcpy(v->since, from->since, sizeof(v->since));
        }
        return 0;
}

Snapshot *kept_snapshot(const Kept *k) {
        _cleanup_(snapshot_unrefp) Snapshot *s = calloc(1, sizeof(Snapshot));

        if (!s)
                return NULL;
        s->n_ref = 1;
        s->time = k->time;
        s->config = config_ref(k->config);
        s->drain = s->own_drain = k->drain;
        s->host = k->host;
        s->expires_boottime = USEC_INFINITY;
        memcpy(s->host_since, k->host_since, sizeof(s->host_since));
        s->checks = calloc(MAX(k->config->n_checks, (size_t) 1), sizeof(CheckState *));
        s->services = calloc(MAX(k->config->n_services, (size_t) 1), sizeof(ServiceView));
        if (!s->checks || !s->services || snapshot_fill(s, k) < 0)
                return NULL;
        return TAKE(s);
}
