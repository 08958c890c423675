/* SPDX-License-Identifier: MIT */
#include "model/probe.h"
#include "model/state-internal.h"

#include <stdio.h>

#include "base/text.h"

ServiceState *service_state_new(Time now) {
        ServiceState *s = calloc(1, sizeof(ServiceState));

        if (!s)
                return NULL;
        s->n_ref = 1;
        s->startup_boottime = now.boottime;
        return s;
}

ServiceState *service_state_copy(const ServiceState *s) {
        ServiceState *copy = malloc(sizeof(ServiceState));

        if (!copy)
                return NULL;
        *copy = *s;
        copy->n_ref = 1;
        return copy;
}

ServiceState *service_state_ref(ServiceState *s) {
        s->n_ref++;
        return s;
}

ServiceState *service_state_unref(ServiceState *s) {
        if (!s)
                return NULL;
        assert(s->n_ref > 0);
        if (--s->n_ref == 0)
                free(s);
        return NULL;
}

const char *unit_state_to_string(UnitState u) {
        static const char *const words[] = {
                [UNIT_UNFOLLOWED] = "",
                [UNIT_ACTIVATING] = "activating",
                [UNIT_AUTO_RESTART] = "auto-restart",
                [UNIT_ACTIVE] = "active",
                [UNIT_RELOADING] = "reloading",
                [UNIT_DEACTIVATING] = "deactivating",
                [UNIT_INACTIVE] = "inactive",
                [UNIT_FAILED] = "failed",
        };

        return words[u];
}

const char *service_state_version(const ServiceState *s, const ServiceConfig *config) {
        if (config->version_file && *s->version)
                return s->version;
        return config->version ? config->version : "";
}

bool unit_state_is_up(UnitState u) {
        static const bool is_up[] = {
                [UNIT_UNFOLLOWED] = true, [UNIT_ACTIVATING] = true, [UNIT_AUTO_RESTART] = false,
                [UNIT_ACTIVE] = true,     [UNIT_RELOADING] = true,  [UNIT_DEACTIVATING] = false,
                [UNIT_INACTIVE] = false,  [UNIT_FAILED] = false,
        };

        return is_up[u];
}

Drain drain_at(const Drain *drain, Time now) {
        return drain->is_active && now.boottime < drain->until_boottime ? *drain : (Drain){};
}

/* When the start has taken too long; never, if it is over or not under way. */
static usec_t service_state_startup_deadline(const ServiceState *s, const ServiceConfig *config) {
        if (s->is_started || s->has_startup_failed || config->defect)
                return USEC_INFINITY;
        return usec_add(s->startup_boottime, config->startup_timeout_usec);
}

usec_t service_state_expires(const ServiceState *s, const ServiceConfig *config) {
        usec_t at = service_state_startup_deadline(s, config);

        if (s->drain.is_active)
                at = MIN(at, s->drain.until_boottime);
        if (s->joins_until_boottime > 0)
                at = MIN(at, s->joins_until_boottime);
        return at;
}

Drain service_state_lasting_drain(const ServiceState *s) {
        return s->drain.ends_with_invocation ? (Drain){} : s->drain;
}

void service_state_drop_unit(ServiceState *s, Time now) {
        s->unit = UNIT_UNFOLLOWED;
        s->invocation_id[0] = 0;
        s->drain = service_state_lasting_drain(s);
        if (s->startup_boottime == USEC_INFINITY)
                s->startup_boottime = now.boottime;
}

void service_state_expire(ServiceState *s, const ServiceConfig *config, Time now) {
        if (now.boottime >= service_state_startup_deadline(s, config))
                s->has_startup_failed = true;
        s->drain = drain_at(&s->drain, now);
        if (now.boottime >= s->joins_until_boottime)
                s->joins_until_boottime = 0;
}

/* The first sight of a unit only says which start was followed all along. */
static bool is_new_start(const ServiceState *s, const char *invocation_id) {
        if (str_is_empty(invocation_id) || str_equal(invocation_id, s->invocation_id))
                return false;
        return s->unit != UNIT_UNFOLLOWED || s->invocation_id[0];
}

bool service_state_take_unit(ServiceState *s, UnitState unit, const char *invocation_id, Time now) {
        bool is_new = is_new_start(s, invocation_id);

        if (is_new) {
                s->is_started = s->has_startup_failed = false;
                s->startup_boottime = USEC_INFINITY;
                if (s->drain.ends_with_invocation)
                        s->drain = (Drain){};
        }
        if (!str_is_empty(invocation_id))
                snprintf(s->invocation_id, sizeof(s->invocation_id), "%s", invocation_id);

        s->unit = unit;
        if (unit_state_is_up(unit)) {
                if (s->startup_boottime == USEC_INFINITY)
                        s->startup_boottime = now.boottime;
        } else if (unit != UNIT_DEACTIVATING)
                s->startup_boottime = USEC_INFINITY;
        return is_new;
}

bool service_state_is_unsettled(const ServiceState *s) {
        return !s->is_started || s->joins_until_boottime > 0;
}

/* Whether every check that the start waits for has come up. */
static bool is_start_over(const ServiceConfig *config, CheckState *const checks[], Time now) {
        bool has_startup_checks = false;

        for (size_t i = 0; i < config->n_checks; i++)
                if (check_config_counts(checks[i]->config, PROBE_STARTUP))
                        has_startup_checks = true;
        for (size_t i = 0; i < config->n_checks; i++)
                if (probe_check_blocks(checks[i], PROBE_STARTUP, has_startup_checks, now))
                        return false;
        return true;
}

/* A verdict of its own: the host need not do without the service any longer. */
static bool is_decided(const ServiceState *s, const ServiceConfig *config,
                       CheckState *const checks[], Time now) {
        for (size_t i = 0; i < config->n_checks; i++)
                if (checks[i]->state == HEALTH_UNHEALTHY &&
                    probe_check_blocks(checks[i], PROBE_READINESS, false, now))
                        return true;
        return probe_evaluate(config, s, checks, NULL, now).ready == READINESS_READY;
}

void service_state_latch_start(ServiceState *s, const ServiceConfig *config,
                               CheckState *const checks[], Time now) {
        if (s->is_started || config->defect || !unit_state_is_up(s->unit) ||
            !is_start_over(config, checks, now))
                return;
        s->is_started = true;
        s->has_startup_failed = false;
}

void service_state_settle(ServiceState *s, const ServiceConfig *config, CheckState *const checks[],
                          Time now) {
        service_state_latch_start(s, config, checks, now);
        if (s->joins_until_boottime > 0 && is_decided(s, config, checks, now))
                s->joins_until_boottime = 0;
}
