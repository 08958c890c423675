/* SPDX-License-Identifier: MIT */

/* ASP.NET: what UIResponseWriter.WriteHealthCheckUIResponse of AspNetCore.Diagnostics.HealthChecks
 * writes, and HealthChecks UI reads. */

#include <inttypes.h>
#include <stdio.h>

#include "output/dialect.h"

#define DURATION_MAX 32

static const char *const grade_words[] = {
        [GRADE_PASS] = "Healthy",
        [GRADE_WARN] = "Degraded",
        [GRADE_FAIL] = "Unhealthy",
        [GRADE_UNKNOWN] = "Unhealthy",
};

/* A TimeSpan in its constant format, in tenths of microseconds. */
static const char *duration_format(char buf[static DURATION_MAX], usec_t t) {
        uint64_t seconds = t / USEC_PER_SEC;
        char days[24] = "";

        if (seconds >= 24 * 60 * 60)
                snprintf(days, sizeof(days), "%" PRIu64 ".", seconds / (24 * 60 * 60));
        snprintf(buf, DURATION_MAX, "%.9s%02u:%02u:%02u.%06u0", days,
                 (unsigned) (seconds / 3600 % 24), (unsigned) (seconds / 60 % 60),
                 (unsigned) (seconds % 60), (unsigned) (t % USEC_PER_SEC));
        return buf;
}

/* Checks run side by side. */
static usec_t view_duration(const RenderView *v) {
        RenderWalk walk = RENDER_WALK_INIT;
        usec_t longest = 0;
        const CheckState *c;

        while ((c = dialect_walk_next(&walk, v)))
                if (render_check_latency(c) != USEC_INFINITY)
                        longest = MAX(longest, render_check_latency(c));

        return longest;
}

static void write_tags(JsonWriter *w, const CheckConfig *c) {
        json_open(w, "tags", '[');
        for (Probe p = 0; p < PROBE_COUNT_; p++)
                if (check_config_feeds(c, p))
                        json_string(w, NULL, probe_to_string(p));
        json_close(w, ']');
}

static void write_entry(JsonWriter *w, const RenderView *v, const RenderWalk *walk) {
        const CheckState *c = v->snapshot->checks[walk->check];
        Grade grade = dialect_check_grade(v, walk);
        usec_t latency = render_check_latency(c);
        char duration[DURATION_MAX], error[RENDER_TEXT_MAX];

        json_open(w, render_check_name(v, c), '{');
        json_open(w, "data", '{');
        dialect_write_values(w, c);
        json_close(w, '}');
        if (grade != GRADE_PASS)
                json_string(w, "description", render_check_error(error, v, c));
        json_string(w, "duration",
                    duration_format(duration, latency == USEC_INFINITY ? 0 : latency));
        json_string(w, "status", grade_words[grade]);
        write_tags(w, c->config);
        json_close(w, '}');
}

/* Only entries say why; no check can have a name with blanks in it. */
static void write_obstacle(JsonWriter *w, const RenderView *v) {
        char name[64], text[RENDER_TEXT_MAX], duration[DURATION_MAX];
        const char *obstacle = dialect_obstacle(v, text);

        if (!obstacle)
                return;

        snprintf(name, sizeof(name), "vitald (%s)", obstacle);
        json_open(w, name, '{');
        json_open(w, "data", '{');
        json_close(w, '}');
        json_string(w, "description", text);
        json_string(w, "duration", duration_format(duration, 0));
        json_string(w, "status", grade_words[GRADE_FAIL]);
        json_open(w, "tags", '[');
        json_close(w, ']');
        json_close(w, '}');
}

static void aspnet_render(const RenderView *v, StrBuf *out) {
        RenderWalk walk = RENDER_WALK_INIT;
        char duration[DURATION_MAX];
        JsonWriter w = { .out = out };

        json_open(&w, NULL, '{');
        json_string(&w, "status", grade_words[dialect_grade(v)]);
        json_string(&w, "totalDuration", duration_format(duration, view_duration(v)));
        json_open(&w, "entries", '{');
        while (dialect_walk_next(&walk, v))
                write_entry(&w, v, &walk);
        write_obstacle(&w, v);
        json_close(&w, '}');
        json_close(&w, '}');
}

const Dialect aspnet_dialect = {
        .name = "aspnet",
        .content_type = "application/json",
        .render = aspnet_render,
};
