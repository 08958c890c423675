/* SPDX-License-Identifier: MIT */
#include "output/bus-history.h"

static int append_runs(sd_bus_message *reply, const History *h, size_t check) {
        HistoryRun runs[HISTORY_RUNS_MAX];
        size_t n = history_runs(h, check, runs);
        int r;

        r = sd_bus_message_open_container(reply, 'a', "(tst)");
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = sd_bus_message_append(reply, "(tst)", runs[i].realtime,
                                          outcome_to_string(runs[i].outcome), runs[i].latency_usec);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_flips(sd_bus_message *reply, const History *h, size_t check) {
        HistoryFlip flips[HISTORY_FLIPS_MAX];
        size_t n = history_flips(h, check, flips);
        int r;

        r = sd_bus_message_open_container(reply, 'a', "(tss)");
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = sd_bus_message_append(
                        reply, "(tss)", flips[i].realtime, health_to_string(flips[i].state),
                        flips[i].reason == REASON_NONE ? "" : reason_to_string(flips[i].reason));
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_latency(sd_bus_message *reply, const History *h, size_t check) {
        HistoryLatency l;

        history_latency(h, check, &l);
        if (l.n == 0)
                l.p50_usec = l.p95_usec = l.p99_usec = l.max_usec = USEC_INFINITY;
        return sd_bus_message_append(reply, "(tttt)", l.p50_usec, l.p95_usec, l.p99_usec,
                                     l.max_usec);
}

int bus_method_get_history(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        const BusTarget *t = userdata;
        const History *h = t->link->bus->context.history;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = append_runs(reply, h, t->index);
        if (r >= 0)
                r = append_flips(reply, h, t->index);
        if (r >= 0)
                r = append_latency(reply, h, t->index);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}
