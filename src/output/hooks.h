/* SPDX-License-Identifier: MIT */
#pragma once

/* OnFlip=: starts a unit when the word for a service or the host changes ("ready", "not_ready",
 * "dead", …), by the service manager, asynchronously. What has changed lies in a file of the
 * runtime directory that the unit reads: output/hook-file.h. There is at most one start under way
 * for each subject; what flips meanwhile, or faster than the rates allow, becomes one start with
 * the latest word. So nothing queues up, however often things flip. A start that nobody answered,
 * as the bus or systemd went away, stays due: rather twice than never. */

#include "io/systemd-link.h"
#include "output/publisher.h"

/* How many units are started: so many at once, then one each period. */
#define HOOK_BURST              3
#define HOOK_PERIOD_USEC        (10 * USEC_PER_SEC)
#define HOOKS_TOTAL_BURST       20
#define HOOKS_TOTAL_PERIOD_USEC (2 * USEC_PER_SEC)

typedef struct Hooks Hooks;

/* All borrowed but event. systemd: NULL if vitald is on no bus, then nothing is started. */
int hooks_new(sd_event *event, Publisher *publisher, SystemdLink *systemd,
              const char *runtime_directory, Hooks **ret);

/* Before the link to systemd is freed. Publish nothing afterwards. */
Hooks *hooks_free(Hooks *h);
DEFINE_CLEANUP(Hooks *, hooks_free);
