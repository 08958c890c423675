/* SPDX-License-Identifier: MIT */
#pragma once

/* What became of each check lately: its last runs and its last changes of state, in rings of fixed
 * size. It follows the publisher, like every output that pushes; runs so close together that one
 * snapshot holds several count as the last of them. A check keeps its history over a reload as long
 * as its name stays. */

#include "output/publisher.h"

#define HISTORY_RUNS_MAX  60
#define HISTORY_FLIPS_MAX 20

typedef struct HistoryRun {
        usec_t realtime;     /* when the result came */
        usec_t latency_usec; /* USEC_INFINITY: none */
        Outcome outcome;
} HistoryRun;

typedef struct HistoryFlip {
        usec_t realtime;
        Health state; /* from then on */
        Reason reason;
} HistoryFlip;

/* Over the runs that have a latency. */
typedef struct HistoryLatency {
        size_t n; /* 0: the others mean nothing */
        usec_t p50_usec, p95_usec, p99_usec, max_usec;
} HistoryLatency;

typedef struct History History;

/* Follows the publisher, which must live as long. */
int history_new(Publisher *publisher, History **ret);
History *history_free(History *h);
DEFINE_CLEANUP(History *, history_free);

/* Of a check by its index in the current snapshot; the oldest first. Returns how many. */
size_t history_runs(const History *h, size_t check, HistoryRun ret[static HISTORY_RUNS_MAX]);
size_t history_flips(const History *h, size_t check, HistoryFlip ret[static HISTORY_FLIPS_MAX]);
void history_latency(const History *h, size_t check, HistoryLatency *ret);
