/* SPDX-License-Identifier: MIT */
#pragma once

/* Holds the current snapshot, and nobody else does. Outputs that push subscribe; outputs that
 * answer requests ask for the current one when they need it and do not keep it, but by a reference
 * of their own. */

#include "base/list.h"
#include "model/snapshot.h"

typedef struct Publisher Publisher;

/* Called for each new snapshot. old is NULL for the first, unless what was known before a
 * restart is taken up. Both are borrowed for the call. Must not
 * publish. */
typedef void (*Subscriber)(void *userdata, const Snapshot *old, const Snapshot *new);

Publisher *publisher_new(void);
Publisher *publisher_free(Publisher *p);
DEFINE_CLEANUP(Publisher *, publisher_free);

/* Subscribers are called in the order of their subscription, for the life of the publisher. */
int publisher_subscribe(Publisher *p, Subscriber subscriber, void *userdata);

/* The picture from before a restart: the first that is published is a change of this one. Called
 * before that, or never; nobody is told. */
void publisher_begin(Publisher *p, Snapshot *before);

/* Takes a reference of the snapshot, makes it current and calls all subscribers. */
void publisher_publish(Publisher *p, Snapshot *snapshot);

/* The current snapshot, borrowed: valid until control returns to the event loop. NULL before the
 * first. */
Snapshot *publisher_current(const Publisher *p);
