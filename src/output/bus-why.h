/* SPDX-License-Identifier: MIT */
#pragma once

/* Why a verdict is bad, one line for people per cause: "redis: Connection refused". */

#include <systemd/sd-bus.h>

#include "model/snapshot.h"

/* Append an array of strings ("as"). */
int bus_append_why_service(sd_bus_message *m, const Snapshot *s, size_t service);
int bus_append_why_host(sd_bus_message *m, const Snapshot *s);

/* What a prober of readiness gets now: 200, 503. */
uint16_t bus_ready_http_status(const Snapshot *s, const Verdict *v);
