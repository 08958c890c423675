/* SPDX-License-Identifier: MIT */
#pragma once

/* The methods that decide something and are answered at once: drains, overrides, reports. Handlers
 * of a vtable's signature, userdata being the row of the object (which begins with its BusTarget).
 */

#include "output/bus-link.h"

/* Drain(t timeout_usec, s reason), Undrain(): the service, or the host if it is the manager. */
int bus_method_drain(sd_bus_message *m, void *userdata, sd_bus_error *error);
int bus_method_undrain(sd_bus_message *m, void *userdata, sd_bus_error *error);

/* DrainUntilStart(s reason): the service, until its unit starts anew. */
int bus_method_drain_until_start(sd_bus_message *m, void *userdata, sd_bus_error *error);

/* ResetRestarts(): the service. */
int bus_method_reset_restarts(sd_bus_message *m, void *userdata, sd_bus_error *error);

/* Override(s state, t timeout_usec, s reason), ClearOverride(): the check. */
int bus_method_override(sd_bus_message *m, void *userdata, sd_bus_error *error);
int bus_method_clear_override(sd_bus_message *m, void *userdata, sd_bus_error *error);

/* Report(s state, s message), ReportValues(s state, s message, s values): the check. Who may is the
 * check's matter. */
int bus_method_report(sd_bus_message *m, void *userdata, sd_bus_error *error);
int bus_method_report_values(sd_bus_message *m, void *userdata, sd_bus_error *error);

/* The drain of a service or of the host as properties. */
typedef struct BusDrainRow {
        int is_active;
        const char *reason, *by;
        uint64_t since_realtime, until_realtime; /* 0 if not draining; until: UINT64_MAX for ever */
} BusDrainRow;

/* The property Probers: userdata is the row of the service or manager. */
int bus_get_probers(sd_bus *bus, const char *path, const char *interface, const char *property,
                    sd_bus_message *reply, void *userdata, sd_bus_error *error);

void bus_drain_row(const Drain *d, BusDrainRow *ret);

/* When an age on CLOCK_BOOTTIME ends, as CLOCK_REALTIME sees it now. */
uint64_t bus_until_realtime(usec_t until_boottime);

/* clang-format off */
#define BUS_DRAIN_PROPERTIES(Row, member)                                                          \
        SD_BUS_PROPERTY("Draining", "b", NULL, offsetof(Row, member.is_active),                    \
                        SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),                                      \
        SD_BUS_PROPERTY("DrainReason", "s", NULL, offsetof(Row, member.reason), 0),                \
        SD_BUS_PROPERTY("DrainedBy", "s", NULL, offsetof(Row, member.by), 0),                      \
        SD_BUS_PROPERTY("DrainTimestamp", "t", NULL, offsetof(Row, member.since_realtime), 0),     \
        SD_BUS_PROPERTY("DrainUntilTimestamp", "t", NULL, offsetof(Row, member.until_realtime),    \
                        0),                                                                        \
        SD_BUS_PROPERTY("Probers", "a(sssttqu)", bus_get_probers, 0, 0)
/* clang-format on */
