/* SPDX-License-Identifier: MIT */
#pragma once

/* Transitions in the log: one message for each change of a published state or verdict, with a
 * MESSAGE_ID that data/vitald.catalog explains and VITALD_* fields to filter by. Nothing else is
 * logged here, and nobody else logs transitions. */

#include "output/publisher.h"

/* For the life of the publisher. -ENOSPC. */
int journal_subscribe(Publisher *p);

/* What of the configuration is a last good copy since this snapshot, or no longer. */
void journal_log_copies(const Snapshot *old, const Snapshot *new);

/* One transition: a FlipHandler. What begins as it is expected to (pending, starting, alive) is no
 * transition. */
void journal_log_flip(void *userdata, const Flip *flip, const Snapshot *old, const Snapshot *new);
