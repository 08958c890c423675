/* SPDX-License-Identifier: MIT */
#include "model/probe.h"

#include "base/text.h"

static const char *const liveness_words[] = {
        [LIVENESS_ALIVE] = "alive",
        [LIVENESS_DEAD] = "dead",
};

static const char *const readiness_words[] = {
        [READINESS_READY] = "ready",
        [READINESS_NOT_READY] = "not_ready",
};

static const char *const startup_words[] = {
        [STARTUP_STARTED] = "started",
        [STARTUP_STARTING] = "starting",
        [STARTUP_FAILED] = "failed",
};

const char *liveness_to_string(Liveness l) {
        return liveness_words[l];
}

const char *readiness_to_string(Readiness r) {
        return readiness_words[r];
}

const char *startup_to_string(Startup s) {
        return startup_words[s];
}

typedef enum Summary {
        SUMMARY_INACTIVE,
        SUMMARY_DEAD,
        SUMMARY_FAILED,
        SUMMARY_DRAINING,
        SUMMARY_READY,
        SUMMARY_DEGRADED,
        SUMMARY_STARTING,
        SUMMARY_NOT_READY,
} Summary;

static const char *const summary_words[] = {
        [SUMMARY_INACTIVE] = "inactive", [SUMMARY_DEAD] = "dead",
        [SUMMARY_FAILED] = "failed",     [SUMMARY_DRAINING] = "draining",
        [SUMMARY_READY] = "ready",       [SUMMARY_DEGRADED] = "degraded",
        [SUMMARY_STARTING] = "starting", [SUMMARY_NOT_READY] = "not_ready",
};

static Summary summarize(const Verdict *v) {
        if (v->is_inactive)
                return SUMMARY_INACTIVE;
        if (v->live == LIVENESS_DEAD)
                return SUMMARY_DEAD;
        if (v->started == STARTUP_FAILED)
                return SUMMARY_FAILED;
        if (v->reason == REASON_DRAINED)
                return SUMMARY_DRAINING;
        if (v->ready == READINESS_READY)
                return v->is_degraded ? SUMMARY_DEGRADED : SUMMARY_READY;
        return v->started == STARTUP_STARTING && v->reason == REASON_NONE ? SUMMARY_STARTING
                                                                          : SUMMARY_NOT_READY;
}

const char *verdict_summary(const Verdict *v) {
        return summary_words[summarize(v)];
}

const char *verdict_summary_find(const char *word) {
        for (size_t i = 0; i < ELEMENTSOF(summary_words); i++)
                if (str_equal(summary_words[i], word))
                        return summary_words[i];
        return NULL;
}

bool service_has_startup_checks(const ServiceConfig *service, CheckConfig *const checks[]) {
        for (size_t i = 0; i < service->n_checks; i++)
                if (check_config_counts(checks[i], PROBE_STARTUP))
                        return true;
        return false;
}

static bool check_is_needed(const CheckState *c, Time now) {
        return c->config->is_critical && !check_state_is_joining(c, now);
}

bool probe_check_blocks(const CheckState *c, Probe p, bool has_startup_checks, Time now) {
        switch (p) {
        case PROBE_READINESS:
                return check_config_counts(c->config, PROBE_READINESS) &&
                       !health_is_good(c->state) && check_is_needed(c, now);
        case PROBE_LIVENESS:
                return check_config_counts(c->config, PROBE_LIVENESS) && check_state_is_dead(c);
        case PROBE_STARTUP:
                if (has_startup_checks)
                        return check_config_counts(c->config, PROBE_STARTUP) && !c->has_been_good;
                return check_config_counts(c->config, PROBE_READINESS) && !c->has_result;
        case PROBE_COUNT_:
                break;
        }
        assert(false);
        return false;
}

static bool check_is_measured_dead(const CheckState *c) {
        return check_config_counts(c->config, PROBE_LIVENESS) && c->is_dead;
}

bool probe_check_degrades(const CheckState *c, Time now) {
        if (!check_config_counts(c->config, PROBE_READINESS))
                return false;
        if (c->state == HEALTH_DEGRADED)
                return true;
        if (health_is_good(c->state) || check_is_needed(c, now))
                return false;
        return c->state != HEALTH_PENDING || c->has_result;
}

static bool drain_is_active(const Drain *d) {
        return d && d->is_active;
}

static Startup startup_evaluate(const ServiceConfig *service, const ServiceState *state) {
        if (service->defect)
                return STARTUP_STARTING;
        if (state->is_started)
                return STARTUP_STARTED;
        return state->has_startup_failed ? STARTUP_FAILED : STARTUP_STARTING;
}

/* What withdraws readiness whatever the checks say. */
static Reason readiness_obstacle(const ServiceConfig *service, const ServiceState *state,
                                 const Drain *host_drain) {
        if (service->defect)
                return REASON_CONFIGURATION;
        if (!unit_state_is_up(state->unit) && state->unit != UNIT_DEACTIVATING)
                return REASON_INACTIVE;
        if (drain_is_active(&state->drain) || drain_is_active(host_drain))
                return REASON_DRAINED;
        return unit_state_is_up(state->unit) ? REASON_NONE : REASON_INACTIVE;
}

Verdict probe_evaluate(const ServiceConfig *service, const ServiceState *state,
                       CheckState *const checks[], const Drain *host_drain, Time now) {
        Verdict v = {
                .started = startup_evaluate(service, state),
                .is_inactive = state->unit == UNIT_INACTIVE,
                .is_joining = now.boottime < state->joins_until_boottime,
                .reason = readiness_obstacle(service, state, host_drain),
        };
        bool may_die = v.started == STARTUP_STARTED && !v.is_inactive;

        if (v.started != STARTUP_STARTED || v.reason != REASON_NONE)
                v.ready = READINESS_NOT_READY;
        for (size_t i = 0; i < service->n_checks; i++) {
                const CheckState *c = checks[i];

                if (probe_check_blocks(c, PROBE_READINESS, false, now))
                        v.ready = READINESS_NOT_READY;
                if (probe_check_degrades(c, now))
                        v.is_degraded = true;
                if (may_die && probe_check_blocks(c, PROBE_LIVENESS, false, now))
                        v.live = LIVENESS_DEAD;
                if (may_die && check_is_measured_dead(c))
                        v.is_measured_dead = true;
        }
        return v;
}

/* -- the host ---------------------------------------------------------------------------------- */

/* Adds a service to what the host is so far. */
static void verdict_worsen(Verdict *host, const Verdict *v) {
        bool is_first = host->ready == READINESS_READY;

        host->live = MAX(host->live, v->live);
        host->ready = MAX(host->ready, v->ready);
        host->started = MAX(host->started, v->started);
        host->is_degraded |= v->is_degraded;
        host->is_inactive &= v->is_inactive;
        host->is_measured_dead |= v->is_measured_dead;

        /* The reason is the host's own only if it is that of all. */
        if (v->ready == READINESS_NOT_READY)
                host->reason = is_first || host->reason == v->reason ? v->reason : REASON_NONE;
}

/* The worst of the services that count. Returns how many those were. */
static size_t verdict_gather(const Config *config, const Verdict services[], bool with_all,
                             Verdict *ret) {
        Verdict host = { .is_inactive = true };
        size_t n = 0;

        for (size_t i = 0; i < config->n_services; i++) {
                const Verdict *v = services + i;

                if (!config->services[i].counts_for_host)
                        continue;
                if (!with_all && (v->is_inactive || v->is_joining))
                        continue;
                verdict_worsen(&host, v);
                n++;
        }
        *ret = host;
        return n;
}

static Verdict verdict_not_ready(Reason reason) {
        return (Verdict){
                .ready = READINESS_NOT_READY,
                .started = STARTUP_STARTING,
                .reason = reason,
        };
}

Verdict probe_evaluate_host(const Config *config, const Verdict services[],
                            const Drain *host_drain) {
        Verdict host;

        if (config->defect)
                return verdict_not_ready(REASON_CONFIGURATION);
        if (!config_has_services(config))
                return verdict_not_ready(REASON_UNCONFIGURED);
        if (verdict_gather(config, services, false, &host) == 0 &&
            verdict_gather(config, services, true, &host) == 0)
                return verdict_not_ready(REASON_UNCONFIGURED);
        if (drain_is_active(host_drain)) {
                host.ready = READINESS_NOT_READY;
                host.reason = REASON_DRAINED;
        }
        return host;
}
