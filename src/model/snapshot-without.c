/* SPDX-License-Identifier: MIT */

/* Verdicts for those who do not care for every check. */

#include <errno.h>

#include "model/snapshot.h"
#include "model/state-internal.h"

static bool indices_contain(const size_t checks[], size_t n, size_t check) {
        for (size_t i = 0; i < n; i++)
                if (checks[i] == check)
                        return true;
        return false;
}

/* A start that waits for none but these is over. */
static int service_verdict_without(const Snapshot *s, size_t service, const size_t checks[],
                                   size_t n_checks, Verdict *ret) {
        ServiceConfig config = s->config->services[service];
        ServiceState state = *s->services[service].state;
        _cleanup_free_ CheckState **kept = NULL;
        size_t n_kept = 0;

        kept = calloc(MAX(config.n_checks, (size_t) 1), sizeof(CheckState *));
        if (!kept)
                return -ENOMEM;

        for (size_t i = config.first_check; i < config.first_check + config.n_checks; i++)
                if (!indices_contain(checks, n_checks, i))
                        kept[n_kept++] = s->checks[i];
        if (n_kept == config.n_checks) {
                *ret = s->services[service].verdict;
                return 0;
        }

        config.n_checks = n_kept;
        service_state_latch_start(&state, &config, kept, s->time);
        *ret = probe_evaluate(&config, &state, kept, &s->drain, s->time);
        return 0;
}

int snapshot_verdict_without(const Snapshot *s, size_t service, const size_t checks[],
                             size_t n_checks, Verdict *ret) {
        _cleanup_free_ Verdict *verdicts = NULL;
        int r;

        if (service != INDEX_NONE)
                return service_verdict_without(s, service, checks, n_checks, ret);

        verdicts = calloc(MAX(s->config->n_services, (size_t) 1), sizeof(Verdict));
        if (!verdicts)
                return -ENOMEM;

        for (size_t i = 0; i < s->config->n_services; i++) {
                r = service_verdict_without(s, i, checks, n_checks, &verdicts[i]);
                if (r < 0)
                        return r;
        }

        *ret = probe_evaluate_host(s->config, verdicts, &s->drain);
        return 0;
}
