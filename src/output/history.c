/* SPDX-License-Identifier: MIT */
#include "output/history-internal.h"

#include <errno.h>
#include <stdlib.h>

static uint32_t pack_time(const History *h, usec_t boottime) {
        return (uint32_t) MIN(usec_sub(boottime, h->began_boottime) / USEC_PER_SEC,
                              (usec_t) UINT32_MAX);
}

static usec_t unpack_time(const History *h, uint32_t second) {
        return usec_add(h->began_realtime, second * USEC_PER_SEC);
}

/* Steps of less than what is shown would only make old times flicker. */
void history_follow_clock(History *h, Time now) {
        usec_t there = usec_add(h->began_realtime, usec_sub(now.boottime, h->began_boottime));

        if (now.realtime >= usec_add(there, USEC_PER_SEC))
                h->began_realtime = usec_add(h->began_realtime, now.realtime - there);
        else if (there >= usec_add(now.realtime, USEC_PER_SEC))
                h->began_realtime = usec_sub(h->began_realtime, there - now.realtime);
}

static void checks_free(CheckHistory **checks, size_t n) {
        for (size_t i = 0; checks && i < n; i++)
                free(checks[i]);
        free(checks);
}

/* Hands the histories of checks that stay on to their new places. What there is no memory for
 * begins anew. */
static void history_follow_config(History *h, Config *config) {
        CheckHistory **checks = calloc(MAX(config->n_checks, (size_t) 1), sizeof(*checks));

        for (size_t i = 0; checks && i < h->n_checks; i++) {
                const CheckConfig *c = h->config->checks[i];
                size_t to = config_find_check(config, c->service, c->name);

                if (to != INDEX_NONE)
                        checks[to] = TAKE(h->checks[i]);
        }
        checks_free(h->checks, h->n_checks);
        config_unref(h->config);
        h->config = config_ref(config);
        h->checks = checks;
        h->n_checks = checks ? config->n_checks : 0;
        for (size_t i = 0; i < h->n_checks; i++)
                if (!h->checks[i])
                        h->checks[i] = calloc(1, sizeof(CheckHistory));
}

static void history_add_run(const History *h, CheckHistory *to, const CheckState *c) {
        to->runs[to->n_runs++ % HISTORY_RUNS_MAX] = (PackedRun){
                .second = pack_time(h, c->last_boottime),
                .outcome = c->last.outcome & 3,
                .latency = (uint32_t) MIN(c->last.latency_usec, (usec_t) HISTORY_LATENCY_NONE) &
                           HISTORY_LATENCY_NONE,
        };
}

static void history_add_flip(const History *h, CheckHistory *to, const CheckState *c) {
        to->flips[to->n_flips++ % HISTORY_FLIPS_MAX] = (PackedFlip){
                .second = pack_time(h, c->since_boottime),
                .state = (uint8_t) c->state,
                .reason = (uint8_t) check_state_reason(c, NULL, NULL),
        };
}

/* A check that is new in this snapshot has no old state. */
static void history_take(const History *h, CheckHistory *to, const CheckState *old,
                         const CheckState *new) {
        if (new->has_result && (!old || new->n_runs != old->n_runs))
                history_add_run(h, to, new);
        if (!old || new->since_boottime != old->since_boottime || new->state != old->state)
                history_add_flip(h, to, new);
}

static void on_snapshot(void *userdata, const Snapshot *old, const Snapshot *new) {
        History *h = userdata;
        bool is_same = old && old->config == new->config;

        history_follow_clock(h, new->time);
        if (h->config != new->config)
                history_follow_config(h, new->config);
        for (size_t i = 0; i < h->n_checks; i++) {
                const CheckState *before = is_same ? old->checks[i] : NULL;
                const CheckConfig *c = new->config->checks[i];
                size_t from;

                if (before == new->checks[i] || !h->checks[i])
                        continue;
                if (!is_same && old) {
                        from = config_find_check(old->config, c->service, c->name);
                        before = from == INDEX_NONE ? NULL : old->checks[from];
                }
                history_take(h, h->checks[i], before, new->checks[i]);
        }
}

/* -- looking back ------------------------------------------------------------------------------ */

static const CheckHistory *history_of(const History *h, size_t check) {
        static const CheckHistory none = {};

        return check < h->n_checks && h->checks[check] ? h->checks[check] : &none;
}

size_t history_runs(const History *h, size_t check, HistoryRun ret[static HISTORY_RUNS_MAX]) {
        const CheckHistory *from = history_of(h, check);
        size_t n = (size_t) MIN(from->n_runs, (uint64_t) HISTORY_RUNS_MAX);

        for (size_t i = 0; i < n; i++) {
                const PackedRun *p = &from->runs[(from->n_runs - n + i) % HISTORY_RUNS_MAX];

                ret[i] = (HistoryRun){
                        .realtime = unpack_time(h, p->second),
                        .latency_usec =
                                p->latency == HISTORY_LATENCY_NONE ? USEC_INFINITY : p->latency,
                        .outcome = (Outcome) p->outcome,
                };
        }
        return n;
}

size_t history_flips(const History *h, size_t check, HistoryFlip ret[static HISTORY_FLIPS_MAX]) {
        const CheckHistory *from = history_of(h, check);
        size_t n = (size_t) MIN(from->n_flips, (uint64_t) HISTORY_FLIPS_MAX);

        for (size_t i = 0; i < n; i++) {
                const PackedFlip *p = &from->flips[(from->n_flips - n + i) % HISTORY_FLIPS_MAX];

                ret[i] = (HistoryFlip){ unpack_time(h, p->second), (Health) p->state,
                                        (Reason) p->reason };
        }
        return n;
}

static int latency_compare(const void *a, const void *b) {
        const usec_t *x = a, *y = b;

        return (*x > *y) - (*x < *y);
}

/* The nearest rank: a latency that there was. */
static usec_t percentile(const usec_t *sorted, size_t n, size_t percent) {
        return sorted[(n * percent + 99) / 100 - 1];
}

void history_latency(const History *h, size_t check, HistoryLatency *ret) {
        HistoryRun runs[HISTORY_RUNS_MAX];
        usec_t sorted[HISTORY_RUNS_MAX];
        size_t n_runs = history_runs(h, check, runs), n = 0;

        for (size_t i = 0; i < n_runs; i++)
                if (runs[i].latency_usec != USEC_INFINITY)
                        sorted[n++] = runs[i].latency_usec;
        *ret = (HistoryLatency){ .n = n };
        if (n == 0)
                return;
        qsort(sorted, n, sizeof(*sorted), latency_compare);
        ret->p50_usec = percentile(sorted, n, 50);
        ret->p95_usec = percentile(sorted, n, 95);
        ret->p99_usec = percentile(sorted, n, 99);
        ret->max_usec = sorted[n - 1];
}

/* -- life -------------------------------------------------------------------------------------- */

int history_new(Publisher *publisher, History **ret) {
        _cleanup_(history_freep) History *h = calloc(1, sizeof(History));
        Time now = time_now();
        int r;

        if (!h)
                return -ENOMEM;
        h->began_boottime = now.boottime;
        h->began_realtime = now.realtime;
        r = publisher_subscribe(publisher, on_snapshot, h);
        if (r < 0)
                return r;
        *ret = TAKE(h);
        return 0;
}

void history_forget(History *h) {
        checks_free(h->checks, h->n_checks);
        h->checks = NULL;
        h->n_checks = 0;
        h->config = config_unref(h->config);
}

int history_begin(History *h, Config *config) {
        history_forget(h);
        h->checks = calloc(MAX(config->n_checks, (size_t) 1), sizeof(*h->checks));
        if (!h->checks)
                return -ENOMEM;
        h->n_checks = config->n_checks;
        h->config = config_ref(config);
        for (size_t i = 0; i < h->n_checks; i++)
                h->checks[i] = calloc(1, sizeof(CheckHistory));
        return 0;
}

History *history_free(History *h) {
        if (!h)
                return NULL;
        history_forget(h);
        free(h);
        return NULL;
}
