/* SPDX-License-Identifier: MIT */

/* What all dialects say alike: which checks there are, and which are not as they should be. */

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "output/dialect.h"

Grade dialect_grade(const RenderView *v) {
        switch (v->probe) {
        case PROBE_LIVENESS:
                return v->verdict.live == LIVENESS_ALIVE ? GRADE_PASS : GRADE_FAIL;
        case PROBE_STARTUP:
                return v->verdict.started == STARTUP_STARTED ? GRADE_PASS : GRADE_FAIL;
        case PROBE_READINESS:
                if (v->verdict.ready != READINESS_READY)
                        return GRADE_FAIL;
                return v->verdict.is_degraded ? GRADE_WARN : GRADE_PASS;
        case PROBE_COUNT_:
                break;
        }
        assert(false);
        return GRADE_FAIL;
}

static Grade health_grade(Health h) {
        static const Grade grades[] = {
                [HEALTH_PENDING] = GRADE_UNKNOWN, [HEALTH_HEALTHY] = GRADE_PASS,
                [HEALTH_DEGRADED] = GRADE_WARN,   [HEALTH_UNHEALTHY] = GRADE_FAIL,
                [HEALTH_UNKNOWN] = GRADE_UNKNOWN, [HEALTH_SKIPPED] = GRADE_UNKNOWN,
        };

        return grades[h];
}

Grade dialect_check_grade(const RenderView *v, const RenderWalk *w) {
        const Snapshot *s = v->snapshot;
        const CheckState *c = s->checks[w->check];

        switch (v->probe) {
        case PROBE_LIVENESS:
                return check_state_is_dead(c) ? GRADE_FAIL : GRADE_PASS;
        case PROBE_STARTUP:
                if (!probe_check_blocks(c, PROBE_STARTUP,
                                        s->services[w->service].has_startup_checks, s->time))
                        return GRADE_PASS;
                return c->state == HEALTH_UNHEALTHY ? GRADE_FAIL : GRADE_UNKNOWN;
        case PROBE_READINESS:
                return health_grade(c->state);
        case PROBE_COUNT_:
                break;
        }
        assert(false);
        return GRADE_FAIL;
}

static bool is_shown(const RenderView *v, const RenderWalk *w, const CheckState *c) {
        if (v->is_report || v->check != INDEX_NONE || check_config_feeds(c->config, v->probe))
                return true;
        return v->probe == PROBE_STARTUP && check_config_feeds(c->config, PROBE_READINESS) &&
               !v->snapshot->services[w->service].has_startup_checks;
}

const CheckState *dialect_walk_next(RenderWalk *w, const RenderView *v) {
        const CheckState *c;

        while ((c = render_walk_next(w, v)))
                if (is_shown(v, w, c))
                        return c;

        return NULL;
}

static const char *startup_obstacle(const RenderView *v, char text[static RENDER_TEXT_MAX]) {
        bool has_failed = v->verdict.started == STARTUP_FAILED;

        snprintf(text, RENDER_TEXT_MAX, "%s",
                 has_failed ? "Service did not start within its time"
                            : "Service is still initialising");
        return startup_to_string(v->verdict.started);
}

const char *dialect_obstacle(const RenderView *v, char text[static RENDER_TEXT_MAX]) {
        if (v->probe == PROBE_LIVENESS || dialect_grade(v) != GRADE_FAIL)
                return NULL;
        if (v->verdict.reason != REASON_NONE &&
            (v->probe == PROBE_READINESS || v->verdict.reason != REASON_DRAINED)) {
                render_obstacle(text, v);
                return reason_to_string(v->verdict.reason);
        }
        if (v->verdict.started != STARTUP_STARTED && v->check == INDEX_NONE)
                return startup_obstacle(v, text);

        return NULL;
}

const char *dialect_cause(char buf[static DIALECT_CAUSE_MAX], const RenderView *v) {
        char text[RENDER_TEXT_MAX];
        size_t worst = INDEX_NONE;

        *buf = 0;
        if (dialect_grade(v) != GRADE_FAIL)
                return buf;
        if (dialect_obstacle(v, text))
                snprintf(buf, DIALECT_CAUSE_MAX, "%s", text);
        else if ((worst = render_worst_check(v)) != INDEX_NONE) {
                const CheckState *c = v->snapshot->checks[worst];

                snprintf(buf, DIALECT_CAUSE_MAX, "%s: %s", render_check_name(v, c),
                         render_check_error(text, v, c));
        }

        return buf;
}

/* A plug-in may give two values the same name. */
static bool value_is_new(const LastResult *r, size_t value) {
        for (size_t i = 0; i < value; i++)
                if (str_equal(r->values[i].name, r->values[value].name))
                        return false;

        return true;
}

void dialect_write_values(JsonWriter *w, const CheckState *c) {
        const LastResult *r = &c->last;

        for (size_t i = 0; c->has_result && i < r->n_values; i++)
                if (value_is_new(r, i))
                        json_number(w, r->values[i].name, "%.15g", r->values[i].number);
}
