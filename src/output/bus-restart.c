/* SPDX-License-Identifier: MIT */
#include "output/bus-restart.h"

#include "output/bus-change.h"

/* When it may be restarted at the earliest, if that is not now and not never. */
static uint64_t next_realtime(const Actions *a, const Restart *r, usec_t now) {
        usec_t at = r->next_boottime;

        if (r->state == RESTART_BUDGET)
                at = MAX(at, restart_budget_next(&a->budget, now));
        if (r->state == RESTART_OFF || r->state == RESTART_FAIL_STATIC || at <= now)
                return 0;
        return bus_until_realtime(at);
}

void bus_restart_row(const Actions *a, const ServiceConfig *config, size_t service,
                     BusRestartRow *ret) {
        const Restart *r = service < a->n && &a->config->services[service] == config
                                   ? &a->restarts[service]
                                   : &(const Restart){};

        *ret = (BusRestartRow){
                .on_startup_failure = on_startup_failure_words[config->on_startup_failure],
                .state = restart_state_to_string(r->state),
                .held_by = restart_hold_to_string(r->hold),
                .n_total = r->counts.n_total,
                .n_in_row = r->counts.n_in_row,
                .limit = config->restart_limit,
                .reset_after_usec = config->restart_reset_after_usec,
                .last_realtime = r->counts.last_realtime,
                .next_realtime = next_realtime(a, r, clock_usec(CLOCK_BOOTTIME)),
                .static_realtime = r->counts.static_realtime,
        };
}

void bus_restart_budget_row(const Actions *a, BusRestartBudgetRow *ret) {
        usec_t now = clock_usec(CLOCK_BOOTTIME), next = restart_budget_next(&a->budget, now);

        *ret = (BusRestartBudgetRow){
                .burst = a->budget.burst,
                .interval_usec = a->budget.interval_usec,
                .left = restart_budget_left(&a->budget, now),
                .next_realtime = next <= now ? 0 : bus_until_realtime(next),
        };
}
