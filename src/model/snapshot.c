/* SPDX-License-Identifier: MIT */
#include "model/snapshot.h"

#include <errno.h>
#include <string.h>

Snapshot *snapshot_ref(Snapshot *s) {
        s->n_ref++;
        return s;
}

static Snapshot *snapshot_free(Snapshot *s) {
        for (size_t i = 0; s->checks && i < s->config->n_checks; i++)
                check_state_unref(s->checks[i]);
        for (size_t i = 0; s->services && i < s->config->n_services; i++)
                service_state_unref(s->services[i].state);
        free(s->checks);
        free(s->services);
        free(s->reload_error);
        config_unref(s->config);
        free(s);
        return NULL;
}

Snapshot *snapshot_unref(Snapshot *s) {
        if (!s)
                return NULL;
        assert(s->n_ref > 0);
        return --s->n_ref == 0 ? snapshot_free(s) : NULL;
}

/* Since when each answer is the present one: as before while it is the same, else from now on. */
static void since_carry(ProbeSince since[PROBE_COUNT_], const Verdict *v, const ProbeSince *old,
                        const Verdict *old_verdict, Time now) {
        bool is_same[PROBE_COUNT_] = {};

        if (old_verdict) {
                is_same[PROBE_LIVENESS] = v->live == old_verdict->live;
                is_same[PROBE_READINESS] = v->ready == old_verdict->ready;
                is_same[PROBE_STARTUP] = v->started == old_verdict->started;
        }
        for (Probe p = 0; p < PROBE_COUNT_; p++)
                since[p] = is_same[p] ? old[p]
                                      : (ProbeSince){
                                                .realtime = now.realtime,
                                                .boottime = now.boottime,
                                        };
}

/* The same service in the snapshot before, or NULL. */
static const ServiceView *view_before(const Snapshot *s, const Snapshot *old, size_t service) {
        if (!old)
                return NULL;
        if (old->config != s->config) {
                service = config_find_service(old->config, s->config->services[service].name);
                if (service == INDEX_NONE)
                        return NULL;
        }
        return old->services[service].is_blank ? NULL : old->services + service;
}

static void view_fill(Snapshot *s, size_t service, ServiceState *state, const Snapshot *old) {
        const ServiceConfig *config = s->config->services + service;
        const ServiceView *before = view_before(s, old, service);
        ServiceView *v = s->services + service;

        v->state = service_state_ref(state);
        v->verdict =
                probe_evaluate(config, state, snapshot_checks_of(s, service), &s->drain, s->time);
        v->has_startup_checks =
                service_has_startup_checks(config, s->config->checks + config->first_check);
        since_carry(v->since, &v->verdict, before ? before->since : NULL,
                    before ? &before->verdict : NULL, s->time);
        s->expires_boottime = MIN(s->expires_boottime, service_state_expires(state, config));
}

/* Checks that nobody runs are not waited for. */
static size_t view_count_never_run(const Snapshot *s, size_t service) {
        const ServiceConfig *config = s->config->services + service;
        size_t n = 0;

        if (config->is_shadow || !unit_state_is_up(s->services[service].state->unit))
                return 0;
        for (size_t i = config->first_check; i < config->first_check + config->n_checks; i++)
                if ((!s->checks[i]->has_result || s->checks[i]->is_restored) &&
                    !s->config->checks[i]->is_shadow && s->checks[i]->measured != HEALTH_SKIPPED &&
                    check_type_has_runs(s->config->checks[i]->type))
                        n++;
        return n;
}

static int host_fill(Snapshot *s, const Snapshot *old) {
        _cleanup_free_ Verdict *verdicts = NULL;

        verdicts = calloc(MAX(s->config->n_services, (size_t) 1), sizeof(Verdict));
        if (!verdicts)
                return -ENOMEM;
        for (size_t i = 0; i < s->config->n_services; i++)
                verdicts[i] = s->services[i].verdict;
        s->host = probe_evaluate_host(s->config, verdicts, &s->drain);
        since_carry(s->host_since, &s->host, old ? old->host_since : NULL, old ? &old->host : NULL,
                    s->time);
        return 0;
}

Snapshot *snapshot_new(const State *state, const Snapshot *old, Time now) {
        _cleanup_(snapshot_unrefp) Snapshot *s = calloc(1, sizeof(Snapshot));

        if (!s)
                return NULL;
        s->n_ref = 1;
        s->sequence = old ? old->sequence + 1 : 1;
        s->revision = state->revision;
        s->time = now;
        s->config = config_ref(state->config);
        s->drain = *state_host_drain(state);
        s->own_drain = state->drain;
        s->reload_realtime = state->reload_realtime;
        s->expires_boottime = state->drain.is_active ? state->drain.until_boottime : USEC_INFINITY;
        s->checks = calloc(MAX(s->config->n_checks, (size_t) 1), sizeof(CheckState *));
        s->services = calloc(MAX(s->config->n_services, (size_t) 1), sizeof(ServiceView));
        if (!s->checks || !s->services)
                return NULL;
        if (state->reload_error) {
                s->reload_error = strdup(state->reload_error);
                if (!s->reload_error)
                        return NULL;
        }

        for (size_t i = 0; i < s->config->n_checks; i++) {
                s->checks[i] = check_state_ref(state->checks[i]);
                s->n_restored += s->checks[i]->is_restored;
                s->expires_boottime = MIN(s->expires_boottime, check_state_expires(s->checks[i]));
        }
        for (size_t i = 0; i < s->config->n_services; i++) {
                view_fill(s, i, state->services[i], old);
                s->n_never_run += view_count_never_run(s, i);
        }
        return host_fill(s, old) < 0 ? NULL : TAKE(s);
}

static size_t snapshot_service_of(const Snapshot *s, size_t check) {
        return config_service_of(s->config, check);
}

bool snapshot_check_blocks(const Snapshot *s, size_t check, Probe p) {
        const ServiceView *v = s->services + snapshot_service_of(s, check);
        const CheckState *c = s->checks[check];
        bool blocks = probe_check_blocks(c, p, v->has_startup_checks, s->time);

        /* It rests, and what stands in the way is the unit. */
        if (!unit_state_is_up(v->state->unit) && !check_state_override(c)->is_active)
                return false;

        switch (p) {
        case PROBE_LIVENESS:
                return v->verdict.live == LIVENESS_DEAD && blocks;
        case PROBE_STARTUP:
                return v->verdict.started != STARTUP_STARTED && blocks;
        case PROBE_READINESS:
                if (v->verdict.ready == READINESS_READY)
                        return false;
                return blocks || snapshot_check_blocks(s, check, PROBE_STARTUP);
        case PROBE_COUNT_:
                break;
        }
        assert(false);
        return false;
}
