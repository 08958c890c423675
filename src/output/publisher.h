/* SPDX-License-Identifier: MIT */
#pragma once

/* Holds the current snapshot, and nobody else does. Outputs that push subscribe; outputs that
 * answer requests ask for the current one when they need it and do not keep it, but by a reference
 * of their own. */

#include "base/list.h"
#include "model/snapshot.h"

typedef struct Publisher Publisher;

/* Called for each new snapshot. old is NULL for the first. Both are borrowed for the call. Must not
 * publish. */
typedef void (*Subscriber)(void *userdata, const Snapshot *old, const Snapshot *new);

Publisher *publisher_new(void);
Publisher *publisher_free(Publisher *p);
DEFINE_CLEANUP(Publisher *, publisher_free);

/* Subscribers are called in the order of their subscription, for the life of the publisher. */
int publisher_subscribe(Publisher *p, Subscriber subscriber, void *userdata);

/* Takes a reference of the snapshot, makes it current and calls all subscribers. */
void publisher_publish(Publisher *p, Snapshot *snapshot);

/* The current snapshot, borrowed: valid until control returns to the event loop. NULL before the
 * first. */
Snapshot *publisher_current(const Publisher *p);
