/* SPDX-License-Identifier: MIT */
#include "base/json.h"
#include "output/history-file.h"
#include "output/history-internal.h"

static void put_runs(JsonWriter *w, const CheckHistory *c) {
        size_t n = (size_t) MIN(c->n_runs, (uint64_t) HISTORY_RUNS_MAX);
        char text[HISTORY_RUNS_MAX * HISTORY_RUN_DIGITS + 1], *p = text;

        for (size_t i = 0; i < n; i++) {
                const PackedRun *r = &c->runs[(c->n_runs - n + i) % HISTORY_RUNS_MAX];
                uint64_t packed =
                        (uint64_t) r->second << 32 | (uint64_t) r->outcome << 30 | r->latency;

                for (int shift = 60; shift >= 0; shift -= 4)
                        *p++ = "0123456789abcdef"[packed >> shift & 15];
        }
        *p = 0;
        json_string(w, "runs", text);
}

static void put_flips(JsonWriter *w, const CheckHistory *c) {
        size_t n = (size_t) MIN(c->n_flips, (uint64_t) HISTORY_FLIPS_MAX);

        json_open(w, "flips", '[');
        for (size_t i = 0; i < n; i++) {
                const PackedFlip *f = &c->flips[(c->n_flips - n + i) % HISTORY_FLIPS_MAX];

                json_open(w, NULL, '[');
                json_unsigned(w, NULL, f->second);
                json_string(w, NULL, health_to_string((Health) f->state));
                json_string(w, NULL, reason_to_string((Reason) f->reason));
                json_close(w, ']');
        }
        json_close(w, ']');
}

void history_format(const History *h, const char *boot, StrBuf *out) {
        JsonWriter w = { .out = out };

        json_open(&w, NULL, '{');
        json_string(&w, "boot", boot);
        json_unsigned(&w, "began", h->began_realtime);
        json_unsigned(&w, "began_boottime", h->began_boottime);
        json_open(&w, "checks", '[');
        for (size_t i = 0; i < h->n_checks; i++) {
                if (!h->checks[i])
                        continue;
                json_open(&w, NULL, '{');
                json_string(&w, "service", h->config->checks[i]->service);
                json_string(&w, "name", h->config->checks[i]->name);
                put_runs(&w, h->checks[i]);
                put_flips(&w, h->checks[i]);
                json_close(&w, '}');
        }
        json_close(&w, ']');
        json_close(&w, '}');
        strbuf_append(out, "\n");
}
