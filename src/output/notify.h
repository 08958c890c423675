/* SPDX-License-Identifier: MIT */
#pragma once

/* What systemd is told of vitald by sd_notify(3)'s protocol: READY=1 when the verdicts are real,
 * EXTEND_TIMEOUT_USEC= until then, STATUS= with the one-line truth, RELOADING=1, STOPPING=1,
 * WATCHDOG=1. Without $NOTIFY_SOCKET all of it does nothing.
 *
 * The datagrams are sent here, not by sd_notify(): that one blocks while the manager's queue of ten
 * messages is full, and a probe must not wait for PID 1. */

#include <systemd/sd-event.h>

#include "output/publisher.h"

typedef struct Notify Notify;

/* Reads and unsets $NOTIFY_SOCKET. Follows the publisher, which must live as long. */
int notify_new(sd_event *event, Publisher *publisher, Notify **ret);
Notify *notify_free(Notify *n);
DEFINE_CLEANUP(Notify *, notify_free);

/* The listeners are up: READY=1 may be sent from now on, when mode says so. */
void notify_listening(Notify *n, NotifyReady mode);

/* A reload has begun; when it is over, READY=1 is sent again whatever came of it. */
void notify_reloading(Notify *n);
void notify_reloaded(Notify *n);

void notify_stopping(Notify *n);
void notify_watchdog(Notify *n);
