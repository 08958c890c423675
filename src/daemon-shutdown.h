/* SPDX-License-Identifier: MIT */
#pragma once

/* A shutdown of the host (DrainOnShutdown=): logind waits for us, everything is drained as soon as
 * one is announced, and it goes on once all who probe have read of it, or shortly before logind
 * waits no longer. A cancelled one gives everything back; drains of people stay as they are. Called
 * by the daemon's files alone. */

#include "daemon-internal.h"

/* Follows the configuration in force: takes the lock or gives it up. 0 or -ENOMEM. */
int shutdown_configure(Daemon *d);

Shutdown *shutdown_free(Shutdown *s);
