/* SPDX-License-Identifier: MIT */
#pragma once

/* Keeps the reports that stand, so that no restart of vitald loses one: those of this boot, or
 * (another store) those that outlive boots. One small file, written by a helper thread a moment
 * after something changed. What the disk does to it never does anything to a check. */

#include <systemd/sd-event.h>

#include "check/push-report.h"
#include "io/workers.h"

typedef struct PushStore PushStore;

/* What is remembered of another boot counts only where is_lasting. path is copied; a file that is
 * no use is left aside with one line in the log. Never waits for more than reading it. */
int push_store_new(sd_event *event, Workers *workers, const char *path, bool is_lasting,
                   PushStore **ret);

/* Writes what is not written yet, for at most a second. */
PushStore *push_store_free(PushStore *s);
DEFINE_CLEANUP(PushStore *, push_store_free);

/* Keeps a copy in place of the check's former one. Beyond PUSH_STORE_MAX checks nothing is kept. */
#define PUSH_STORE_MAX 1024
void push_store_put(PushStore *s, const PushReport *report);

void push_store_drop(PushStore *s, const char *check);

/* The report of this check (borrowed until the next call) and how old it is; NULL: there is none,
 * or none that counts. */
const PushReport *push_store_find(PushStore *s, const char *check, usec_t *ret_age_usec);

/* Forgets the reports of checks that nobody wants. */
void push_store_prune(PushStore *s, bool (*is_wanted)(void *userdata, const char *check),
                      void *userdata);
