/* SPDX-License-Identifier: MIT */
#pragma once

/* Combined checks: what the types that are made of other checks have in common. They have no runs;
 * their state follows from those of others whenever one of those changes. Pure. */

#include "model/check-type.h"

typedef struct CombineSettings {
        char **checks;    /* owned: names of checks of the same service */
        uint64_t minimum; /* how many must be good; 0: more than half */
} CombineSettings;

/* The state of a combined check that needs so many of its checks to be good. See
 * CheckType.derive. */
Health combine(size_t n_needed, CheckState *const checks[], const size_t needs[], size_t n,
               bool is_measured, Result *ret);

/* For CheckType: settings are CombineSettings. */
char *const *combine_inputs(const void *settings);
void combine_describe(const void *settings, CheckTarget *ret);
