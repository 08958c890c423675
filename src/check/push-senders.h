/* SPDX-License-Identifier: MIT */
#pragma once

/* Who may report to a check: users, and the processes of units. */

#include "model/sender.h"

typedef struct PushSenders {
        uid_t *uids; /* owned */
        size_t n_uids;
} PushSenders;

/* Looks names up among the users of this host, in /etc/passwd: no service that may be far away is
 * asked. Those that are not there are left out, and *ret_missing (borrowed from users) is one of
 * them, or NULL. 0 or -ENOMEM. */
int push_senders_new(PushSenders *ret, char *const *users, const char **ret_missing);
void push_senders_done(PushSenders *s);

/* The users, and the processes of the units: the list (ends with NULL) if there is one, else unit
 * (may be NULL). Processes of a unit are those in its control group; one that has ended meanwhile
 * is in none. */
bool push_senders_have(const PushSenders *s, char *const *units, const char *unit,
                       const Sender *sender);
