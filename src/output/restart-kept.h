/* SPDX-License-Identifier: MIT */
#pragma once

/* The restarts that were done, and what is left of the budget, as text that outlives vitald: JSON,
 * of which nothing is believed that is not exactly as it should be. */

#include "base/strbuf.h"
#include "model/actions.h"

/* boot: the text of the boot's ID. Errors are the buffer's. */
void restart_kept_format(const Actions *a, const char *boot, StrBuf *out);

/* After the first configuration. Of another boot: nothing. -EBADMSG with a as it was; -ENOMEM. */
int restart_kept_take(Actions *a, const char *boot, const char *text, size_t n, Time now);

/* -- between the two files --------------------------------------------------------------------- */

#define RESTART_KEPT_NUMBERS 6

typedef struct RestartKeptNumber {
        const char *key;
        size_t offset; /* of a uint64_t in RestartCounts */
} RestartKeptNumber;

extern const RestartKeptNumber restart_kept_numbers[RESTART_KEPT_NUMBERS];

static inline uint64_t *restart_kept_number(RestartCounts *c, size_t i) {
        return (uint64_t *) (void *) ((char *) c + restart_kept_numbers[i].offset);
}
