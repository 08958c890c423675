/* SPDX-License-Identifier: MIT */
#pragma once

/* A check's last runs and changes of state, as vitald keeps them in memory. */

#include "ctl/client.h"
#include "ctl/sparkline.h"

/* More than vitald keeps. */
#define RUNS_MAX    1024
#define CHANGES_MAX 1024

typedef struct Change {
        uint64_t realtime;
        const char *state, *reason; /* borrowed from the answer */
} Change;

typedef struct Past {
        SparkPoint runs[RUNS_MAX]; /* the oldest first */
        uint64_t times[RUNS_MAX];
        const char *outcomes[RUNS_MAX]; /* borrowed from the answer */
        size_t n_runs;
        Change changes[CHANGES_MAX];
        size_t n_changes;
        uint64_t p50, p95, p99, max; /* UINT64_MAX: no run had a latency */
        sd_bus_message *answer;      /* owned: what the texts stand in */
} Past;

/* 0 or negative errno; error is the caller's. */
int past_get(Client *c, const char *check_path, sd_bus_error *error, Past **ret);
Past *past_free(Past *p);
DEFINE_CLEANUP(Past *, past_free);
