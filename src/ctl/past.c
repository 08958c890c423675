/* SPDX-License-Identifier: MIT */
#include "ctl/past.h"

#include <errno.h>

#include "base/text.h"

static int read_runs(sd_bus_message *m, Past *p) {
        uint64_t realtime, latency;
        const char *outcome;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "(tst)");
        while (r >= 0 && (r = sd_bus_message_read(m, "(tst)", &realtime, &outcome, &latency)) > 0) {
                if (p->n_runs == RUNS_MAX)
                        continue;
                p->times[p->n_runs] = realtime;
                p->outcomes[p->n_runs] = outcome;
                p->runs[p->n_runs++] = (SparkPoint){
                        .value = latency == USEC_INFINITY ? 0 : latency,
                        .is_bad = str_equal(outcome, "fail") || str_equal(outcome, "error"),
                };
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_changes(sd_bus_message *m, Past *p) {
        Change c;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "(tss)");
        while (r >= 0 &&
               (r = sd_bus_message_read(m, "(tss)", &c.realtime, &c.state, &c.reason)) > 0)
                if (p->n_changes < CHANGES_MAX)
                        p->changes[p->n_changes++] = c;
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int past_read(sd_bus_message *m, Past *p) {
        int r;

        r = read_runs(m, p);
        if (r >= 0)
                r = read_changes(m, p);
        if (r >= 0)
                r = sd_bus_message_read(m, "(tttt)", &p->p50, &p->p95, &p->p99, &p->max);
        return r;
}

Past *past_free(Past *p) {
        if (p)
                sd_bus_message_unref(p->answer);
        free(p);
        return NULL;
}

int past_get(Client *c, const char *check_path, sd_bus_error *error, Past **ret) {
        _cleanup_(past_freep) Past *p = calloc(1, sizeof(Past));
        int r;

        if (!p)
                return -ENOMEM;
        r = client_call(c, check_path, VITALD_CHECK_INTERFACE, "GetHistory", 0, error, &p->answer,
                        NULL);
        if (r >= 0)
                r = past_read(p->answer, p);
        if (r < 0)
                return r;
        *ret = TAKE(p);
        return 0;
}
