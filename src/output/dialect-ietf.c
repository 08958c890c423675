/* SPDX-License-Identifier: MIT */

/* "Health Check Response Format for HTTP APIs", draft-inadarei-api-health-check-06. */

#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "output/dialect.h"

#define KEY_MAX (3 * CHECK_ID_MAX + sizeof(":responseTime"))

static const char *const grade_words[] = {
        [GRADE_PASS] = "pass",
        [GRADE_WARN] = "warn",
        [GRADE_FAIL] = "fail",
        [GRADE_UNKNOWN] = "fail",
};

/* What a check is and what was measured, with a colon between, so that a name must have none. */
static const char *check_key(char buf[static KEY_MAX], const char *name) {
        char *end = buf;

        for (; *name; name++)
                end = *name == ':' ? stpcpy(end, "%3A") : mempcpy(end, name, 1);
        strcpy(end, ":responseTime");
        return buf;
}

static void write_check(JsonWriter *w, const RenderView *v, const RenderWalk *walk) {
        const CheckState *c = v->snapshot->checks[walk->check];
        Grade grade = dialect_check_grade(v, walk);
        usec_t latency = render_check_latency(c);
        char key[KEY_MAX], time[TIMESTAMP_MAX], error[RENDER_TEXT_MAX];

        json_open(w, check_key(key, render_check_name(v, c)), '[');
        json_open(w, NULL, '{');
        json_string(w, "componentType", "component");
        if (latency != USEC_INFINITY) {
                uint64_t tenths = usec_add(latency, 50) / 100;

                json_number(w, "observedValue", "%" PRIu64 ".%" PRIu64, tenths / 10, tenths % 10);
                json_string(w, "observedUnit", "ms");
        }
        json_string(w, "status", grade_words[grade]);
        if (c->has_result)
                json_string(w, "time", timestamp_format_utc(time, c->last_realtime));
        if (grade != GRADE_PASS)
                json_string(w, "output", render_check_error(error, v, c));
        json_close(w, '}');
        json_close(w, ']');
}

static void write_uptime(JsonWriter *w, const RenderView *v) {
        usec_t since = render_since(v, PROBE_STARTUP)->boottime;
        char time[TIMESTAMP_MAX];

        json_open(w, "uptime", '[');
        json_open(w, NULL, '{');
        json_string(w, "componentType", "system");
        json_number(w, "observedValue", "%" PRIu64,
                    usec_sub(v->snapshot->time.boottime, since) / USEC_PER_SEC);
        json_string(w, "observedUnit", "s");
        json_string(w, "status", "pass");
        json_string(w, "time", timestamp_format_utc(time, v->snapshot->time.realtime));
        json_close(w, '}');
        json_close(w, ']');
}

/* Pass and warn go with a status that says yes, and fail with one that does not. */
static void ietf_render(const RenderView *v, StrBuf *out) {
        const Config *config = v->snapshot->config;
        RenderWalk walk = RENDER_WALK_INIT;
        char cause[DIALECT_CAUSE_MAX];
        JsonWriter w = { .out = out };

        json_open(&w, NULL, '{');
        json_string(&w, "status", grade_words[v->status == 200 ? dialect_grade(v) : GRADE_FAIL]);
        if (v->service != INDEX_NONE) {
                const ServiceConfig *service = &config->services[v->service];

                const char *version =
                        service_state_version(v->snapshot->services[v->service].state, service);

                if (*version)
                        json_string(&w, "releaseId", version);
                json_string(&w, "serviceId", service->name);
                if (!str_is_empty(service->description))
                        json_string(&w, "description", service->description);
        }
        if (*dialect_cause(cause, v))
                json_string(&w, "output", cause);

        json_open(&w, "checks", '{');
        while (dialect_walk_next(&walk, v))
                write_check(&w, v, &walk);
        if (v->is_report && v->check == INDEX_NONE && v->verdict.started == STARTUP_STARTED)
                write_uptime(&w, v);
        json_close(&w, '}');
        json_close(&w, '}');
}

const Dialect ietf_dialect = {
        .name = "ietf",
        .media_types = (const char *const[]){ "application/health+json", NULL },
        .content_type = "application/health+json",
        .render = ietf_render,
};
