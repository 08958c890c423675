/* SPDX-License-Identifier: MIT */

/* What all bodies have in common: which checks they show, and what is said of each. */

#include <stdio.h>

#include "base/text.h"
#include "output/render.h"

static bool view_excludes(const RenderView *v, size_t check) {
        for (size_t i = 0; i < v->n_excluded; i++)
                if (v->excluded[i] == check)
                        return true;

        return false;
}

/* Drains and the like are of the service, and no matter here. */
static Verdict check_verdict(const RenderView *v) {
        const Snapshot *s = v->snapshot;
        const CheckState *c = s->checks[v->check];
        bool is_waited_for = probe_check_blocks(
                c, PROBE_STARTUP, s->services[v->service].has_startup_checks, s->time);

        return (Verdict){
                .live = check_state_is_dead(c) ? LIVENESS_DEAD : LIVENESS_ALIVE,
                .ready = health_is_good(c->state) ? READINESS_READY : READINESS_NOT_READY,
                .started = is_waited_for ? STARTUP_STARTING : STARTUP_STARTED,
                .is_degraded = c->state == HEALTH_DEGRADED,
        };
}

int render_view_judge(RenderView *v) {
        const Snapshot *s = v->snapshot;

        if (v->check != INDEX_NONE)
                v->verdict = check_verdict(v);
        else if (v->n_excluded > 0)
                return snapshot_verdict_without(s, v->service, v->excluded, v->n_excluded,
                                                &v->verdict);
        else if (v->service != INDEX_NONE)
                v->verdict = s->services[v->service].verdict;
        else
                v->verdict = s->host;

        return 0;
}

const ProbeSince *render_since(const RenderView *v, Probe p) {
        return v->service == INDEX_NONE ? &v->snapshot->host_since[p]
                                        : &v->snapshot->services[v->service].since[p];
}

bool render_has_service(const RenderView *v, size_t service) {
        const ServiceConfig *config;

        if (service == INDEX_NONE)
                return false;
        if (v->service != INDEX_NONE)
                return v->service == service;

        config = &v->snapshot->config->services[service];
        if (config->is_builtin || config->is_shadow)
                return true;
        if (v->snapshot->services[service].verdict.is_inactive && !v->snapshot->host.is_inactive)
                return false;
        return config->counts_for_host;
}

/* The view's first check of this service from a given one on, or INDEX_NONE. */
static size_t view_check_from(const RenderView *v, size_t service, size_t check) {
        const ServiceConfig *config = &v->snapshot->config->services[service];

        if (v->check != INDEX_NONE)
                return check <= v->check ? v->check : INDEX_NONE;
        for (check = MAX(check, config->first_check);
             check < config->first_check + config->n_checks; check++)
                if (!view_excludes(v, check))
                        return check;

        return INDEX_NONE;
}

const CheckState *render_walk_next(RenderWalk *w, const RenderView *v) {
        size_t from = w->check == INDEX_NONE ? 0 : w->check + 1;

        for (size_t i = w->service == INDEX_NONE ? 0 : w->service;
             i < v->snapshot->config->n_services; i++) {
                size_t check = render_has_service(v, i) ? view_check_from(v, i, from) : INDEX_NONE;

                if (check != INDEX_NONE) {
                        *w = (RenderWalk){ .service = i, .check = check };
                        return v->snapshot->checks[check];
                }
        }

        return NULL;
}

const char *render_check_name(const RenderView *v, const CheckState *c) {
        return v->service == INDEX_NONE ? c->config->public_name : c->config->name;
}

bool render_check_degrades(const RenderView *v, const RenderWalk *w) {
        if (v->service == INDEX_NONE && !v->snapshot->config->services[w->service].counts_for_host)
                return false;

        return probe_check_degrades(v->snapshot->checks[w->check], v->snapshot->time);
}

static bool check_is_cause(const RenderView *v, const RenderWalk *w) {
        const Snapshot *s = v->snapshot;

        if (v->check != INDEX_NONE)
                return true;
        if (v->service == INDEX_NONE && !s->config->services[w->service].counts_for_host)
                return false;
        for (Probe p = 0; p < PROBE_COUNT_; p++)
                if (snapshot_check_blocks(s, w->check, p))
                        return true;

        return false;
}

size_t render_worst_check(const RenderView *v) {
        RenderWalk walk = RENDER_WALK_INIT;
        size_t worst = INDEX_NONE;
        const CheckState *c;

        while ((c = render_walk_next(&walk, v)))
                if (check_is_cause(v, &walk) &&
                    (worst == INDEX_NONE ||
                     c->since_boottime < v->snapshot->checks[worst]->since_boottime))
                        worst = walk.check;

        return worst;
}

/* A check can be dead by its own threshold while it still counts as healthy: then the latest result
 * says why. */
static Reason check_reason(const CheckState *c, const char **ret_detail, const char **ret_message) {
        Reason reason = check_state_reason(c, ret_detail, ret_message);

        if (reason != REASON_NONE || !check_state_is_dead(c))
                return reason;

        *ret_detail = c->last.detail;
        *ret_message = c->last.message;
        return c->last.reason;
}

const char *render_check_reason(char buf[static REASON_WORD_MAX], const CheckState *c) {
        const char *detail, *message;
        Reason reason = check_reason(c, &detail, &message);

        return reason_format(buf, reason, detail);
}

usec_t render_check_latency(const CheckState *c) {
        return c->has_result && outcome_is_success(c->last.outcome) ? c->last.latency_usec
                                                                    : USEC_INFINITY;
}

static const char *const reason_texts[REASON_COUNT_] = {
        [REASON_REFUSED] = "Connection refused",
        [REASON_RESET] = "Connection reset",
        [REASON_UNREACHABLE] = "Unreachable",
        [REASON_DNS] = "Name not resolved",
        [REASON_TLS] = "TLS failed",
        [REASON_AUTH] = "Authentication failed",
        [REASON_CREDENTIAL] = "Credential not configured",
        [REASON_PROTOCOL] = "Protocol error",
        [REASON_STATUS] = "Bad status",
        [REASON_MISMATCH] = "Unexpected answer",
        [REASON_THRESHOLD] = "Beyond the limit",
        [REASON_MISSING] = "Not found",
        [REASON_TRUNCATED] = "Answer incomplete or too long",
        [REASON_EXIT_CODE] = "Bad exit status",
        [REASON_SIGNAL] = "Ended by a signal",
        [REASON_EXEC] = "Cannot be started",
        [REASON_STUCK] = "An earlier run is stuck",
        [REASON_CLOSED] = "Connection closed",
        [REASON_STALE] = "No recent result",
        [REASON_LATE] = "Result came too late",
        [REASON_RESOURCE] = "Out of resources",
        [REASON_SKIPPED] = "Waits for another check",
        [REASON_DRAINED] = "Drained",
        [REASON_OVERRIDDEN] = "Overridden",
        [REASON_INACTIVE] = "Unit is not running",
        [REASON_CONFIGURATION] = "Bad configuration",
        [REASON_UNCONFIGURED] = "No service is configured",
        [REASON_INTERNAL] = "Internal error",
};

/* Errors of databases have numbers too, with more digits. */
static bool is_http_status(const char *detail) {
        return strlen(detail) == 3 && strspn(detail, "0123456789") == 3;
}

/* The part that every reader may see: nothing of it comes from a peer's words. */
static const char *error_without_detail(char buf[static RENDER_TEXT_MAX], const CheckState *c,
                                        Reason reason, const char *detail) {
        const char *host = c->config->target.host;

        if (reason == REASON_TIMEOUT)
                snprintf(buf, RENDER_TEXT_MAX, "Timeout after %llums",
                         (unsigned long long) (c->config->timeout_usec / USEC_PER_MSEC));
        else if (reason == REASON_STATUS && is_http_status(detail))
                snprintf(buf, RENDER_TEXT_MAX, "HTTP %s%s%s", detail, *host ? " from " : "", host);
        else if (reason == REASON_NONE)
                snprintf(buf, RENDER_TEXT_MAX, "%s",
                         c->state == HEALTH_PENDING ? "No result yet" : health_to_string(c->state));
        else
                snprintf(buf, RENDER_TEXT_MAX, "%s%s%s", reason_texts[reason], *detail ? ": " : "",
                         detail);

        return buf;
}

const char *render_check_error(char buf[static RENDER_TEXT_MAX], const RenderView *v,
                               const CheckState *c) {
        const char *detail, *message;
        Reason reason = check_reason(c, &detail, &message);

        if (!v->with_detail || str_is_empty(message))
                return error_without_detail(buf, c, reason, detail);

        snprintf(buf, RENDER_TEXT_MAX, "%s", message);
        return buf;
}

/* The first defect that there is in the view. */
static const char *view_defect(const RenderView *v) {
        const Config *config = v->snapshot->config;

        if (v->service != INDEX_NONE)
                return config->services[v->service].defect;
        if (config->defect)
                return config->defect;
        for (size_t i = 0; i < config->n_services; i++)
                if (config->services[i].defect)
                        return config->services[i].defect;

        return NULL;
}

/* The drain that counts in the view, or NULL. */
static const Drain *view_drain(const RenderView *v) {
        const Snapshot *s = v->snapshot;

        if (v->service != INDEX_NONE && s->services[v->service].state->drain.is_active)
                return &s->services[v->service].state->drain;
        return s->drain.is_active ? &s->drain : NULL;
}

const char *render_obstacle(char buf[static RENDER_TEXT_MAX], const RenderView *v) {
        Reason reason = v->verdict.reason;
        const char *defect = reason == REASON_CONFIGURATION ? view_defect(v) : NULL;
        const Drain *drain = reason == REASON_DRAINED ? view_drain(v) : NULL;

        if (v->with_detail && defect)
                snprintf(buf, RENDER_TEXT_MAX, "%s", defect);
        else if (v->with_detail && drain)
                snprintf(buf, RENDER_TEXT_MAX, "Drained by %s%s%s", drain->who,
                         *drain->note ? ": " : "", drain->note);
        else
                snprintf(buf, RENDER_TEXT_MAX, "%s",
                         reason_texts[reason] ? reason_texts[reason] : "");

        return buf;
}
