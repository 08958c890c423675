/* SPDX-License-Identifier: MIT */
#pragma once

/* How a history is held, for the file that reads and writes it. */

#include "output/history.h"

/* A run in eight bytes: with a thousand checks the rings are what vitald holds most of. Times count
 * from the store's beginning, in units that last for 136 years, by the clock that is never set. */
typedef struct PackedRun {
        uint32_t second;
        uint32_t outcome : 2, latency : 30; /* usec; HISTORY_LATENCY_NONE: none or
                                             * longer */
} PackedRun;

#define HISTORY_LATENCY_NONE ((1u << 30) - 1)

#define HISTORY_RUN_DIGITS 16 /* of a packed run in a file, hexadecimal */

typedef struct PackedFlip {
        uint32_t second;
        uint8_t state, reason;
} PackedFlip;

typedef struct CheckHistory {
        uint64_t n_runs, n_flips; /* ever */
        PackedRun runs[HISTORY_RUNS_MAX];
        PackedFlip flips[HISTORY_FLIPS_MAX];
} CheckHistory;

struct History {
        usec_t began_boottime, began_realtime; /* realtime: as the clock has it now */
        Config *config;        /* owned reference: what the indices mean; NULL before the first */
        CheckHistory **checks; /* owned, by index */
        size_t n_checks;
};

/* The histories of this configuration's checks are empty. 0 or -ENOMEM. */
int history_begin(History *h, Config *config);

/* Where the clock was set, what was before keeps its distance to now. */
void history_follow_clock(History *h, Time now);

/* As before the first configuration. */
void history_forget(History *h);
