/* SPDX-License-Identifier: MIT */

/* Spring Boot Actuator's health endpoint: services are composites with their checks as components,
 * and liveness and readiness are components, too, as applications have them with
 * management.endpoint.health.probes.enabled. */

#include <inttypes.h>

#include "base/text.h"
#include "output/dialect.h"

#define UP             "UP"
#define DOWN           "DOWN"
#define OUT_OF_SERVICE "OUT_OF_SERVICE"
#define UNKNOWN        "UNKNOWN"

#define LIVENESS_NAME  "livenessState"
#define READINESS_NAME "readinessState"

/* What is withdrawn on purpose, or not there yet, is not broken. */
static const char *view_status(const RenderView *v) {
        const Verdict *verdict = &v->verdict;

        if (dialect_grade(v) != GRADE_FAIL)
                return UP;
        if (v->check != INDEX_NONE || v->probe == PROBE_LIVENESS ||
            verdict->started == STARTUP_FAILED)
                return DOWN;
        if (verdict->started == STARTUP_STARTING || verdict->reason == REASON_DRAINED ||
            verdict->reason == REASON_INACTIVE)
                return OUT_OF_SERVICE;
        return DOWN;
}

static const char *check_status(const RenderView *v, const RenderWalk *w) {
        static const char *const words[] = {
                [GRADE_PASS] = UP,
                [GRADE_WARN] = UP,
                [GRADE_FAIL] = DOWN,
                [GRADE_UNKNOWN] = UNKNOWN,
        };

        return words[dialect_check_grade(v, w)];
}

/* Status and details: the members of a component, or of the whole where one check is asked for. */
static void write_check_members(JsonWriter *w, const RenderView *v, const RenderWalk *walk) {
        const CheckState *c = v->snapshot->checks[walk->check];
        usec_t latency = render_check_latency(c);
        char reason[REASON_WORD_MAX], error[RENDER_TEXT_MAX];

        json_string(w, "status", check_status(v, walk));
        json_open(w, "details", '{');
        if (*render_check_reason(reason, c))
                json_string(w, "reason", reason);
        if (dialect_check_grade(v, walk) != GRADE_PASS)
                json_string(w, "error", render_check_error(error, v, c));
        if (latency != USEC_INFINITY)
                json_number(w, "latencyMs", "%" PRIu64 ".%u", latency / USEC_PER_MSEC,
                            (unsigned) (latency % USEC_PER_MSEC / 100));
        json_close(w, '}');
}

static void write_checks(JsonWriter *w, const RenderView *v) {
        RenderWalk walk = RENDER_WALK_INIT;
        const CheckState *c;

        while ((c = dialect_walk_next(&walk, v))) {
                json_open(w, c->config->name, '{');
                write_check_members(w, v, &walk);
                json_close(w, '}');
        }
}

/* A service as a part of the host. */
static void write_service(JsonWriter *w, const RenderView *host, size_t service) {
        RenderView v = *host;

        v.service = service;
        if (render_view_judge(&v) < 0) {
                w->out->failed = true;
                return;
        }

        json_open(w, v.snapshot->config->services[service].name, '{');
        json_string(w, "status", view_status(&v));
        json_open(w, "components", '{');
        write_checks(w, &v);
        json_close(w, '}');
        json_close(w, '}');
}

/* The two of the application itself, where no check or service has the name. */
static bool view_has_name(const RenderView *v, const char *name) {
        const Config *config = v->snapshot->config;

        if (v->service == INDEX_NONE)
                return config_find_service(config, name) != INDEX_NONE;
        return config_find_check(config, config->services[v->service].name, name) != INDEX_NONE;
}

static void write_liveness_state(JsonWriter *w, const RenderView *v) {
        if (view_has_name(v, LIVENESS_NAME))
                return;

        json_open(w, LIVENESS_NAME, '{');
        json_string(w, "status", v->verdict.live == LIVENESS_ALIVE ? UP : DOWN);
        json_close(w, '}');
}

static void write_readiness_state(JsonWriter *w, const RenderView *v) {
        char text[RENDER_TEXT_MAX];
        const char *obstacle;

        if (view_has_name(v, READINESS_NAME))
                return;

        json_open(w, READINESS_NAME, '{');
        json_string(w, "status", v->verdict.ready == READINESS_READY ? UP : OUT_OF_SERVICE);
        obstacle = dialect_obstacle(v, text);
        if (obstacle) {
                json_open(w, "details", '{');
                json_string(w, "reason", obstacle);
                json_string(w, "error", text);
                json_close(w, '}');
        }
        json_close(w, '}');
}

static void write_components(JsonWriter *w, const RenderView *v) {
        json_open(w, "components", '{');
        if (v->service != INDEX_NONE)
                write_checks(w, v);
        for (size_t i = 0; v->service == INDEX_NONE && i < v->snapshot->config->n_services; i++)
                if (render_has_service(v, i))
                        write_service(w, v, i);
        if (v->probe == PROBE_LIVENESS || v->is_report)
                write_liveness_state(w, v);
        if (v->probe == PROBE_READINESS)
                write_readiness_state(w, v);
        json_close(w, '}');
}

static void spring_render(const RenderView *v, StrBuf *out) {
        RenderWalk walk = { .service = v->service, .check = v->check };
        JsonWriter w = { .out = out };

        json_open(&w, NULL, '{');
        if (v->check != INDEX_NONE)
                write_check_members(&w, v, &walk);
        else {
                json_string(&w, "status", view_status(v));
                write_components(&w, v);
        }
        if (v->is_report && v->service == INDEX_NONE) {
                json_open(&w, "groups", '[');
                json_string(&w, NULL, "liveness");
                json_string(&w, NULL, "readiness");
                json_close(&w, ']');
        }
        json_close(&w, '}');
}

const Dialect spring_dialect = {
        .name = "spring",
        .media_types =
                (const char *const[]){ "application/vnd.spring-boot.actuator.v3+json",
                                       "application/vnd.spring-boot.actuator.v2+json", NULL },
        .content_type = "application/vnd.spring-boot.actuator.v3+json",
        .render = spring_render,
};
