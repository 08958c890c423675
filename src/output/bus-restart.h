/* SPDX-License-Identifier: MIT */
#pragma once

/* What is known of restarts, as properties of a service and of the host. */

#include "model/actions.h"
#include "output/bus-link.h"

typedef struct BusRestartRow {
        const char *on_startup_failure, *state, *held_by;
        uint64_t n_total, n_in_row, limit;
        uint64_t last_realtime, next_realtime, static_realtime; /* 0: never */
        uint64_t reset_after_usec;
} BusRestartRow;

typedef struct BusRestartBudgetRow {
        uint32_t burst, left;
        uint64_t interval_usec, next_realtime; /* next: 0: there is one; UINT64_MAX: never */
} BusRestartBudgetRow;

void bus_restart_row(const Actions *a, const ServiceConfig *config, size_t service,
                     BusRestartRow *ret);
void bus_restart_budget_row(const Actions *a, BusRestartBudgetRow *ret);

/* clang-format off */
#define BUS_RESTART_PROPERTIES(Row, member)                                                        \
        SD_BUS_PROPERTY("OnStartupFailure", "s", NULL, offsetof(Row, member.on_startup_failure),   \
                        0),                                                                        \
        SD_BUS_PROPERTY("RestartState", "s", NULL, offsetof(Row, member.state),                    \
                        SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),                                      \
        SD_BUS_PROPERTY("RestartHeldBy", "s", NULL, offsetof(Row, member.held_by), 0),             \
        SD_BUS_PROPERTY("Restarts", "t", NULL, offsetof(Row, member.n_total), 0),                  \
        SD_BUS_PROPERTY("RestartsInRow", "t", NULL, offsetof(Row, member.n_in_row), 0),            \
        SD_BUS_PROPERTY("RestartLimit", "t", NULL, offsetof(Row, member.limit), 0),                \
        SD_BUS_PROPERTY("RestartResetAfterUSec", "t", NULL,                                        \
                        offsetof(Row, member.reset_after_usec), 0),                                \
        SD_BUS_PROPERTY("LastRestartTimestamp", "t", NULL, offsetof(Row, member.last_realtime),    \
                        0),                                                                        \
        SD_BUS_PROPERTY("NextRestartTimestamp", "t", NULL, offsetof(Row, member.next_realtime),    \
                        0),                                                                        \
        SD_BUS_PROPERTY("FailStaticTimestamp", "t", NULL, offsetof(Row, member.static_realtime), 0)

#define BUS_RESTART_BUDGET_PROPERTIES(Row, member)                                                 \
        SD_BUS_PROPERTY("RestartBudgetBurst", "u", NULL, offsetof(Row, member.burst), 0),          \
        SD_BUS_PROPERTY("RestartBudgetIntervalUSec", "t", NULL,                                    \
                        offsetof(Row, member.interval_usec), 0),                                   \
        SD_BUS_PROPERTY("RestartBudgetRemaining", "u", NULL, offsetof(Row, member.left), 0),       \
        SD_BUS_PROPERTY("RestartBudgetNextTimestamp", "t", NULL,                                   \
                        offsetof(Row, member.next_realtime), 0)
/* clang-format on */
