/* SPDX-License-Identifier: MIT */
#include "output/restart-kept.h"

#include <inttypes.h>

#include "base/json-scan.h"
#include "base/json.h"

const RestartKeptNumber restart_kept_numbers[RESTART_KEPT_NUMBERS] = {
        { "total", offsetof(RestartCounts, n_total) },
        { "in_row", offsetof(RestartCounts, n_in_row) },
        { "last", offsetof(RestartCounts, last_boottime) },
        { "last_realtime", offsetof(RestartCounts, last_realtime) },
        { "static", offsetof(RestartCounts, static_boottime) },
        { "static_realtime", offsetof(RestartCounts, static_realtime) },
};

static void put_counts(JsonWriter *w, const Restart *r) {
        RestartCounts counts = r->counts;

        json_open(w, r->name, '{');
        for (size_t i = 0; i < RESTART_KEPT_NUMBERS; i++)
                json_number(w, restart_kept_numbers[i].key, "%" PRIu64,
                            *restart_kept_number(&counts, i));
        json_close(w, '}');
}

void restart_kept_format(const Actions *a, const char *boot, StrBuf *out) {
        JsonWriter w = { .out = out };

        json_open(&w, NULL, '{');
        json_string(&w, "boot", boot);
        json_open(&w, "budget", '[');
        for (size_t i = 0; i < a->budget.n_spent; i++)
                json_number(&w, NULL, "%" PRIu64, MIN(a->budget.back_usec[i], JSON_NUMBER_MAX));
        json_close(&w, ']');
        json_open(&w, "services", '{');
        for (size_t i = 0; i < a->n; i++)
                if (a->restarts[i].counts.n_total > 0)
                        put_counts(&w, &a->restarts[i]);
        json_close(&w, '}');
        json_close(&w, '}');
}
