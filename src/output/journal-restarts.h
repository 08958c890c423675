/* SPDX-License-Identifier: MIT */
#pragma once

/* What the journal is told of restarts; the texts to the MESSAGE_IDs stand in data/vitald.catalog.
 */

#include "model/actions.h"

/* What was decided. s is the snapshot that it was decided by. */
void journal_restart_tell(const Actions *a, const Action *action, const Snapshot *s, Time now);

/* systemd did not take it: is_right says that polkit is why, else text does (of others). */
void journal_restart_refused(const Actions *a, size_t service, const Snapshot *s, bool is_right,
                             const char *text);

/* Before somebody's order to forget which restarts have not helped is carried out. */
void journal_restart_reset(const Actions *a, size_t service, const char *who);

/* systemd took it, and the job has ended otherwise than "done". */
void journal_restart_failed(const Actions *a, size_t service, const char *result);
