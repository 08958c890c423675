/* SPDX-License-Identifier: MIT */
#include "model/combine.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/text.h"
#include "model/state.h"

/* What the checks are, counted. */
typedef struct Tally {
        size_t n_good, n_healthy, n_unhealthy, n_pending, n_unknown;
        const CheckState
                *worst; /* the first that is unhealthy, else the first that is not healthy */
        Health worst_health;
} Tally;

static Health health_of(const CheckState *c, bool is_measured) {
        return is_measured ? c->measured : c->state;
}

static void tally_add(Tally *t, const CheckState *c, Health h) {
        t->n_good += health_is_good(h);
        t->n_healthy += h == HEALTH_HEALTHY;
        t->n_unhealthy += h == HEALTH_UNHEALTHY;
        t->n_pending += h == HEALTH_PENDING;
        t->n_unknown += h == HEALTH_UNKNOWN;
        if (h == HEALTH_HEALTHY)
                return;
        if (!t->worst || (h == HEALTH_UNHEALTHY && t->worst_health != HEALTH_UNHEALTHY)) {
                t->worst = c;
                t->worst_health = h;
        }
}

static Health tally_decide(const Tally *t, size_t n, size_t n_needed) {
        if (t->n_good >= n_needed)
                return t->n_healthy == n ? HEALTH_HEALTHY : HEALTH_DEGRADED;
        if (n - t->n_unhealthy < n_needed)
                return HEALTH_UNHEALTHY;
        if (t->n_pending > 0)
                return HEALTH_PENDING;
        return t->n_unknown > 0 ? HEALTH_UNKNOWN : HEALTH_SKIPPED;
}

/* "database: Connection refused; 1 of 3 good, 2 needed" */
static void tally_explain(const Tally *t, size_t n, size_t n_needed, Health h, Result *ret) {
        const char *detail, *message;
        Reason reason;

        assert(t->worst); /* n_needed is at most n, so somebody is not healthy */
        reason = check_state_reason(t->worst, &detail, &message);
        if (reason == REASON_NONE)
                reason = h == HEALTH_SKIPPED ? REASON_SKIPPED : REASON_THRESHOLD;
        if (str_is_empty(message))
                message = health_to_string(t->worst_health);
        if (h == HEALTH_DEGRADED)
                result_warn(ret, reason, "%s: %s; %zu of %zu good, %zu needed",
                            t->worst->config->name, message, t->n_good, n, n_needed);
        else if (h == HEALTH_UNHEALTHY)
                result_fail(ret, reason, "%s: %s; %zu of %zu good, %zu needed",
                            t->worst->config->name, message, t->n_good, n, n_needed);
        else
                result_error(ret, reason, "%s: %s; %zu of %zu good, %zu needed",
                             t->worst->config->name, message, t->n_good, n, n_needed);
        result_set_detail(ret, detail);
}

Health combine(size_t n_needed, CheckState *const checks[], const size_t needs[], size_t n,
               bool is_measured, Result *ret) {
        Tally t = {};
        Health h;

        for (size_t i = 0; i < n; i++)
                tally_add(&t, checks[needs[i]], health_of(checks[needs[i]], is_measured));
        h = tally_decide(&t, n, n_needed);
        if (h == HEALTH_HEALTHY)
                result_pass(ret, "%zu of %zu good", t.n_good, n);
        else
                tally_explain(&t, n, n_needed, h, ret);
        return h;
}

char *const *combine_inputs(const void *settings) {
        const CombineSettings *s = settings;

        return s->checks;
}

void combine_describe(const void *settings, CheckTarget *ret) {
        const CombineSettings *s = settings;
        int used = 0;

        *ret = (CheckTarget){};
        STRV_FOREACH(name, s->checks)
                if (used < CHECK_TARGET_MAX)
                        used += snprintf(ret->text + used, CHECK_TARGET_MAX - (size_t) used, "%s%s",
                                         used > 0 ? ", " : "", *name);
}
