/* SPDX-License-Identifier: MIT */

/* /health/history: what became of checks lately. */

#include <inttypes.h>

#include "output/render.h"

static void write_time(JsonWriter *w, const char *key, usec_t realtime) {
        char text[TIMESTAMP_MAX];

        json_string(w, key, timestamp_format_utc(text, realtime));
}

static void write_latency(JsonWriter *w, const char *key, usec_t latency_usec) {
        json_number(w, key, "%" PRIu64 ".%03" PRIu64, latency_usec / USEC_PER_MSEC,
                    latency_usec % USEC_PER_MSEC);
}

static void write_runs(JsonWriter *w, const RenderView *v, size_t check) {
        HistoryRun runs[HISTORY_RUNS_MAX];
        size_t n = history_runs(v->history, check, runs);

        json_open(w, "runs", '[');
        for (size_t i = 0; i < n; i++) {
                json_open(w, NULL, '{');
                write_time(w, "timestamp", runs[i].realtime);
                json_string(w, "outcome", outcome_to_string(runs[i].outcome));
                if (runs[i].latency_usec != USEC_INFINITY)
                        write_latency(w, "latency_ms", runs[i].latency_usec);
                json_close(w, '}');
        }
        json_close(w, ']');
}

static void write_changes(JsonWriter *w, const RenderView *v, size_t check) {
        HistoryFlip flips[HISTORY_FLIPS_MAX];
        size_t n = history_flips(v->history, check, flips);

        json_open(w, "changes", '[');
        for (size_t i = 0; i < n; i++) {
                json_open(w, NULL, '{');
                write_time(w, "timestamp", flips[i].realtime);
                json_string(w, "state", health_to_string(flips[i].state));
                if (flips[i].reason != REASON_NONE)
                        json_string(w, "reason", reason_to_string(flips[i].reason));
                json_close(w, '}');
        }
        json_close(w, ']');
}

static void write_percentiles(JsonWriter *w, const RenderView *v, size_t check) {
        HistoryLatency l;

        history_latency(v->history, check, &l);
        if (l.n == 0)
                return;
        json_open(w, "percentiles", '{');
        write_latency(w, "p50_ms", l.p50_usec);
        write_latency(w, "p95_ms", l.p95_usec);
        write_latency(w, "p99_ms", l.p99_usec);
        write_latency(w, "max_ms", l.max_usec);
        json_close(w, '}');
}

void render_history(const RenderView *v, StrBuf *out) {
        RenderWalk walk = RENDER_WALK_INIT;
        JsonWriter w = { .out = out };
        const CheckState *c;

        json_open(&w, NULL, '{');
        json_open(&w, "checks", '{');
        while ((c = render_walk_next(&walk, v))) {
                json_open(&w, render_check_name(v, c), '{');
                json_string(&w, "state", health_to_string(c->state));
                write_percentiles(&w, v, walk.check);
                write_runs(&w, v, walk.check);
                write_changes(&w, v, walk.check);
                json_close(&w, '}');
        }
        json_close(&w, '}');
        json_close(&w, '}');
        strbuf_append(out, "\n");
}
