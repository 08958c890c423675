/* SPDX-License-Identifier: MIT */
/* Taking up what was known when vitald last ran, as if it had not been away. */

#include <errno.h>

#include "model/kept.h"
#include "model/state-internal.h"

/* How many expiries are gone through one by one, so that with many checks a long absence costs no
 * more than a moment. */
#define CATCH_UP_MAX 1000

static void restore_all(State *to, const Kept *k) {
        for (size_t i = 0; i < k->config->n_services; i++)
                if (k->services[i].state) {
                        service_state_unref(to->services[i]);
                        to->services[i] = service_state_ref(k->services[i].state);
                }
        for (size_t i = 0; i < k->config->n_checks; i++)
                if (k->checks[i]) {
                        check_state_unref(to->checks[i]);
                        to->checks[i] = check_state_ref(k->checks[i]);
                }
        to->drain = k->drain;
}

/* What follows from what was kept, as it did then, but for what is configured otherwise now. */
static int conclude(State *to, Time then) {
        int r = state_derive_all(to, then);

        for (size_t i = 0; r >= 0 && i < to->config->n_services; i++) {
                r = state_own_service(to, i);
                if (r >= 0)
                        state_latch_start(to, i, then);
        }
        to->expires_boottime = state_next_expiry(to);
        return r;
}

/* What has expired meanwhile did so at its time. */
static int catch_up(State *to, Time now) {
        int r = 0;

        for (unsigned n = 0; r >= 0 && n < CATCH_UP_MAX && to->expires_boottime <= now.boottime;
             n++)
                r = state_expire(to, time_before(now, now.boottime - to->expires_boottime));
        return r < 0 ? r : state_expire(to, now);
}

/* A service that was ready stays so until results say otherwise, also where a check is new or tests
 * something else than before. */
static int keep_ready(State *to, size_t service, const Kept *k, Time now) {
        const ServiceConfig *config = to->config->services + service;

        for (size_t i = config->first_check; i < config->first_check + config->n_checks; i++) {
                int r = k->checks[i] ? 0 : state_keep_check_ready(to, i, k->time.boottime, now);

                if (r < 0)
                        return r;
        }
        return 0;
}

static bool is_ready(const Verdict *v) {
        return v->ready == READINESS_READY;
}

/* The same for the host and a service that is new. */
static void keep_host_ready(State *to, size_t service, usec_t since, Time now) {
        const ServiceConfig *config = to->config->services + service;
        ServiceState *s = to->services[service];
        Verdict v = probe_evaluate(config, s, to->checks + config->first_check,
                                   state_host_drain(to), now);
        usec_t until = usec_add(since, config->startup_timeout_usec);

        if (config->counts_for_host && !config->defect && !is_ready(&v) && until > now.boottime)
                s->joins_until_boottime = until;
}

static int keep_all_ready(State *to, const Kept *k, Time now) {
        for (size_t i = 0; i < to->config->n_services; i++) {
                int r = 0;

                if (!k->services[i].state) {
                        if (is_ready(&k->host))
                                keep_host_ready(to, i, k->time.boottime, now);
                } else if (is_ready(&k->services[i].verdict))
                        r = keep_ready(to, i, k, now);
                if (r < 0)
                        return r;
        }
        return 0;
}

int state_take_kept(State *s, const Kept *k, Time now) {
        _cleanup_(state_freep) State *next = NULL;
        int r;

        assert(k->config == s->config);
        next = state_new(s->config, now);
        if (!next)
                return -ENOMEM;
        restore_all(next, k);
        r = conclude(next, time_before(now, now.boottime - k->time.boottime));
        if (r >= 0)
                r = catch_up(next, now);
        if (r >= 0)
                r = keep_all_ready(next, k, now);
        if (r < 0)
                return r;
        next->expires_boottime = state_next_expiry(next);
        state_swap(s, next);
        return 0;
}
