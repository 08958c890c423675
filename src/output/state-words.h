/* SPDX-License-Identifier: MIT */
#pragma once

/* The words of a state file, for the two that write and read it. The order is that of the enums.
 * Each table ends with NULL. */

#include <stdint.h>

#define STATE_DIGEST_MAX 17

static const char *const outcome_words[] = { "pass", "warn", "fail", "error", NULL };
static const char *const unit_words[] = { "unfollowed", "activating", "auto-restart",
                                          "active",     "reloading",  "deactivating",
                                          "inactive",   "failed",     NULL };
static const char *const live_words[] = { "alive", "dead", NULL };
static const char *const ready_words[] = { "ready", "not_ready", NULL };
static const char *const started_words[] = { "started", "starting", "failed", NULL };
