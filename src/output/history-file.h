/* SPDX-License-Identifier: MIT */
#pragma once

/* The text in which a history outlasts vitald, see state-file.h. Times count from
 * its beginning, as in the history itself, so that it does not matter whether the clock is set. */

#include "base/strbuf.h"
#include "output/history.h"
#include "output/state-file.h"

#define HISTORY_FILE_KIND    "vitald-history"
#define HISTORY_FILE_VERSION 1

/* Errors are the buffer's. */
void history_format(const History *h, const char *boot, StrBuf *out);

/* Fills a history that has seen nothing yet with what is there of checks of this configuration, by
 * their names. 0, or with ret_why as state_file_parse() with nothing taken. */
int history_parse(History *h, const char *text, size_t n, const char *boot, Config *config,
                  Time now, char ret_why[static STATE_FILE_WHY_MAX]);
