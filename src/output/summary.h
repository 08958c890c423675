/* SPDX-License-Identifier: MIT */
#pragma once

/* The host's verdict in one line for people: systemd's STATUS=, the root page, D-Bus. */

#include "model/snapshot.h"

#define SUMMARY_MAX 512

/* "NOT READY: 2 of 3 services ready; orders: redis refused for 2min". Returns buf. */
const char *summary_format(char buf[static SUMMARY_MAX], const Snapshot *s, usec_t now_boottime);

/* The check that is the worst cause of a service's bad readiness or liveness: the one that has been
 * so for the longest. INDEX_NONE if no check is the cause. */
size_t summary_worst_check(const Snapshot *s, size_t service);

/* The service that is the worst cause of the host's: dead before not ready, then the longest.
 * INDEX_NONE if none is. */
size_t summary_worst_service(const Snapshot *s);
