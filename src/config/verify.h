/* SPDX-License-Identifier: MIT */
#pragma once

/* What --verify says of a load: its faults, or what the linter finds in it. */

#include "config/loader.h"
#include "config/places.h"
#include "model/lint.h"

/* All borrowed for the call. */
typedef struct Verification {
        const Config *config;
        const Places *places;
        const Findings *findings;
} Verification;

/* "FILE:LINE: text" for each fault, "FILE:LINE: warning: text" for each finding, then a line with
 * the sum. The caller's to free; -ENOMEM. */
int verification_format(const Verification *v, char **ret);

/* The same as one JSON object. */
int verification_format_json(const Verification *v, char **ret);
