/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>

#include "base/build-id.h"
#include "base/text.h"
#include "output/render.h"
#include "output/summary.h"

/* The component of the status report that is none of the checks. */
#define UPTIME_NAME "application_uptime"

static void begin(JsonWriter *w, const RenderView *v, const char *status) {
        json_open(w, NULL, '{');
        json_string(w, "status", status);
        if (v->service == INDEX_NONE)
                return;
        json_string(w, "service", v->snapshot->config->services[v->service].name);
        if (v->snapshot->config->services[v->service].is_shadow)
                json_bool(w, "shadow", true);
        if (v->check != INDEX_NONE)
                json_string(w, "check", v->snapshot->config->checks[v->check]->name);
}

static void end(JsonWriter *w) {
        json_close(w, '}');
        strbuf_append_bytes(w->out, "\n", 1);
}

/* Why the verdict is a bad one, if no check is the cause. */
static void write_obstacle(JsonWriter *w, const RenderView *v) {
        Reason reason = v->verdict.reason;
        char text[RENDER_TEXT_MAX];

        if (reason == REASON_NONE)
                return;

        json_string(w, "reason", reason_to_string(reason));
        json_string(w, "error", render_obstacle(text, v));
}

static void write_timestamp(JsonWriter *w, const RenderView *v) {
        char timestamp[TIMESTAMP_MAX];

        json_string(w, "timestamp", timestamp_format_utc(timestamp, v->snapshot->time.realtime));
}

/* Where the whole answer is not in shadow already. */
static void write_shadow(JsonWriter *w, const RenderView *v, size_t check) {
        if (v->service == INDEX_NONE ? config_check_is_shadow(v->snapshot->config, check)
                                     : v->snapshot->config->checks[check]->is_shadow)
                json_bool(w, "shadow", true);
}

static void write_check(JsonWriter *w, const RenderView *v, size_t check, bool is_healthy) {
        const CheckState *c = v->snapshot->checks[check];
        usec_t latency = render_check_latency(c);
        char reason[REASON_WORD_MAX], error[RENDER_TEXT_MAX];

        json_open(w, render_check_name(v, c), '{');
        json_bool(w, "healthy", is_healthy);
        write_shadow(w, v, check);
        if (is_healthy && latency != USEC_INFINITY) {
                uint64_t tenths = usec_add(latency, 50) / 100;

                json_number(w, "latency_ms", "%" PRIu64 ".%" PRIu64, tenths / 10, tenths % 10);
        }

        render_check_reason(reason, c);
        if (*reason)
                json_string(w, "reason", reason);
        if (!is_healthy || *reason)
                json_string(w, "error", render_check_error(error, v, c));
        json_close(w, '}');
}

static void write_checks(JsonWriter *w, const RenderView *v, Probe p) {
        RenderWalk walk = RENDER_WALK_INIT;
        const CheckState *c;

        json_open(w, "checks", '{');
        while ((c = render_walk_next(&walk, v)))
                if (check_config_feeds(c->config, p))
                        write_check(w, v, walk.check,
                                    p == PROBE_LIVENESS ? !check_state_is_dead(c)
                                                        : health_is_good(c->state));
        json_close(w, '}');
}

/* -- the three probes ------------------------------------------------------------------------- */

void render_live(const RenderView *v, StrBuf *out) {
        const Verdict *verdict = &v->verdict;
        JsonWriter w = { .out = out };

        begin(&w, v, liveness_to_string(verdict->live));
        if (verdict->live != LIVENESS_ALIVE)
                write_checks(&w, v, PROBE_LIVENESS);
        end(&w);
}

static void write_degraded(JsonWriter *w, const RenderView *v) {
        RenderWalk walk = RENDER_WALK_INIT;
        const CheckState *c;

        json_open(w, "degraded", '[');
        while ((c = render_walk_next(&walk, v)))
                if (render_check_degrades(v, &walk))
                        json_string(w, NULL, render_check_name(v, c));
        json_close(w, ']');
}

void render_ready(const RenderView *v, StrBuf *out) {
        const Verdict *verdict = &v->verdict;
        JsonWriter w = { .out = out };

        begin(&w, v, readiness_to_string(verdict->ready));
        if (verdict->ready != READINESS_READY)
                write_obstacle(&w, v);
        write_checks(&w, v, PROBE_READINESS);
        if (verdict->ready == READINESS_READY && verdict->is_degraded)
                write_degraded(&w, v);
        end(&w);
}

static void write_waiting_for(JsonWriter *w, const RenderView *v) {
        RenderWalk walk = RENDER_WALK_INIT;
        const CheckState *c;

        json_open(w, "waiting_for", '[');
        while ((c = render_walk_next(&walk, v)))
                if ((v->check != INDEX_NONE ||
                     snapshot_check_blocks(v->snapshot, walk.check, PROBE_STARTUP)) &&
                    !v->snapshot->config->services[walk.service].is_builtin)
                        json_string(w, NULL, render_check_name(v, c));
        json_close(w, ']');
}

void render_started(const RenderView *v, StrBuf *out) {
        const Verdict *verdict = &v->verdict;
        JsonWriter w = { .out = out };

        begin(&w, v, startup_to_string(verdict->started));
        if (verdict->started != STARTUP_STARTED) {
                json_string(&w, "detail",
                            verdict->started == STARTUP_FAILED
                                    ? "Service did not start within its time"
                                    : "Service is still initialising");
                if (verdict->reason != REASON_DRAINED)
                        write_obstacle(&w, v);
                write_waiting_for(&w, v);
        }
        end(&w);
}

/* -- the report ------------------------------------------------------------------------------- */

static void write_component(JsonWriter *w, const char *name, bool is_up, const char *message) {
        json_open(w, name, '{');
        json_string(w, "status", is_up ? "UP" : "DOWN");
        json_string(w, "message", message);
}

static const char *component_message(char buf[static RENDER_TEXT_MAX], const RenderView *v,
                                     const CheckState *c) {
        char reason[REASON_WORD_MAX];

        if (!health_is_good(c->state) || *render_check_reason(reason, c))
                return render_check_error(buf, v, c);
        return v->with_detail && *c->last.message ? c->last.message : "Healthy";
}

static void write_documentation(JsonWriter *w, const RenderView *v, size_t check) {
        const char *url = config_documentation(v->snapshot->config, check);

        if (url && !health_is_good(v->snapshot->checks[check]->state))
                json_string(w, "documentation", url);
}

static void write_uptime(JsonWriter *w, const RenderView *v) {
        bool is_started = v->verdict.started == STARTUP_STARTED;
        usec_t since = render_since(v, PROBE_STARTUP)->boottime;
        char span[TIMESPAN_MAX], message[RENDER_TEXT_MAX];

        timespan_format(span, usec_sub(v->snapshot->time.boottime, since));
        snprintf(message, sizeof(message), "%s for %s", is_started ? "Up" : "Not started", span);
        write_component(w, UPTIME_NAME, is_started, message);
        json_close(w, '}');
}

/* Those of the applications, by service. */
static void write_versions(JsonWriter *w, const RenderView *v) {
        const Snapshot *s = v->snapshot;
        bool is_first = true;

        for (size_t i = 0; i < s->config->n_services; i++) {
                const char *version =
                        service_state_version(s->services[i].state, &s->config->services[i]);

                if (!*version || !render_has_service(v, i))
                        continue;
                if (is_first)
                        json_open(w, "versions", '{');
                json_string(w, s->config->services[i].name, version);
                is_first = false;
        }
        if (!is_first)
                json_close(w, '}');
}

/* What of the configuration is the last good copy, as the files are at fault. */
static void write_copies(JsonWriter *w, const RenderView *v) {
        char since[TIMESTAMP_MAX];
        bool is_first = true;
        ConfigCopy copy;

        CONFIG_FOREACH_COPY(i, copy, v->snapshot->config) {
                if (copy.service ? !render_has_service(v, i - 1) : v->service != INDEX_NONE)
                        continue;
                if (is_first)
                        json_open(w, "last_good", '[');
                is_first = false;
                json_open(w, NULL, '{');
                if (copy.service)
                        json_string(w, "service", copy.service);
                json_string(w, "since", timestamp_format_utc(since, copy.realtime));
                if (v->with_detail)
                        json_string(w, "error", copy.fault);
                json_close(w, '}');
        }
        if (!is_first)
                json_close(w, ']');
}

void render_status(const RenderView *v, StrBuf *out) {
        const Verdict *verdict = &v->verdict;
        RenderWalk walk = RENDER_WALK_INIT;
        JsonWriter w = { .out = out };
        char message[RENDER_TEXT_MAX], build[BUILD_ID_MAX];
        bool has_uptime = false;
        const CheckState *c;

        begin(&w, v, verdict->ready == READINESS_READY ? "UP" : "DOWN");
        write_timestamp(&w, v);
        json_string(&w, "version", PACKAGE_VERSION);
        if (*build_id(build))
                json_string(&w, "build", build);
        write_versions(&w, v);
        write_copies(&w, v);
        if (verdict->ready != READINESS_READY)
                write_obstacle(&w, v);

        json_open(&w, "components", '{');
        while ((c = render_walk_next(&walk, v))) {
                const char *name = render_check_name(v, c);

                write_component(&w, name, health_is_good(c->state),
                                component_message(message, v, c));
                write_shadow(&w, v, walk.check);
                write_documentation(&w, v, walk.check);
                json_close(&w, '}');
                has_uptime |= str_equal(name, UPTIME_NAME);
        }
        if (!has_uptime && v->check == INDEX_NONE)
                write_uptime(&w, v);
        json_close(&w, '}');
        end(&w);
}

/* -- Layout=components ------------------------------------------------------------------------ */

/* Its one reason is a text: the worst check and what is wrong with it. */
static void write_cause(JsonWriter *w, const RenderView *v) {
        const Snapshot *s = v->snapshot;
        size_t check = render_worst_check(v);
        char text[RENDER_TEXT_MAX], cause[CHECK_ID_MAX + RENDER_TEXT_MAX];

        if (v->verdict.reason != REASON_NONE)
                json_string(w, "reason", render_obstacle(text, v));
        else if (check == INDEX_NONE)
                json_string(w, "reason", "Not ready");
        else {
                snprintf(cause, sizeof(cause), "%s: %s", render_check_name(v, s->checks[check]),
                         render_check_error(text, v, s->checks[check]));
                json_string(w, "reason", cause);
        }
}

void render_components_ready(const RenderView *v, StrBuf *out) {
        bool is_ready = v->verdict.ready == READINESS_READY;
        JsonWriter w = { .out = out };

        begin(&w, v, is_ready ? "READY" : "NOT READY");
        if (!is_ready)
                write_cause(&w, v);
        write_timestamp(&w, v);
        end(&w);
}

/* -- plain texts ------------------------------------------------------------------------------ */

void render_components_live(const RenderView *v, StrBuf *out) {
        strbuf_append(out, v->verdict.live == LIVENESS_ALIVE ? "OK" : "DEAD");
}

void render_root(const RenderView *v, StrBuf *out) {
        char text[SUMMARY_MAX];

        strbuf_printf(out, "%s\n",
                      v->with_detail && v->n_excluded == 0
                              ? summary_format(text, v->snapshot, v->snapshot->time.boottime)
                              : verdict_summary(&v->verdict));
}
