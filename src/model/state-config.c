/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "base/text.h"
#include "model/probe.h"
#include "model/state-internal.h"

/* What a service's checks and unit say, drains aside: those are no matter of the configuration. */
static Verdict service_evaluate(const State *s, size_t service, Time now) {
        const ServiceConfig *config = s->config->services + service;
        ServiceState undrained = *s->services[service];

        undrained.drain = (Drain){};
        return probe_evaluate(config, &undrained, s->checks + config->first_check, NULL, now);
}

static int host_is_ready(const State *s, Time now, bool *ret) {
        _cleanup_free_ Verdict *verdicts = NULL;

        verdicts = calloc(MAX(s->config->n_services, (size_t) 1), sizeof(Verdict));
        if (!verdicts)
                return -ENOMEM;
        for (size_t i = 0; i < s->config->n_services; i++)
                verdicts[i] = service_evaluate(s, i, now);
        *ret = probe_evaluate_host(s->config, verdicts, NULL).ready == READINESS_READY;
        return 0;
}

static bool is_same_unit(const ServiceConfig *a, const ServiceConfig *b) {
        return a->unit && b->unit ? str_equal(a->unit, b->unit) : a->unit == b->unit;
}

/* Whether what is known of a service still holds. One that was at fault before had not begun to
 * start; one whose unit was down begins anew with another unit. */
static bool service_is_continued(const State *from, size_t old, const ServiceConfig *config) {
        const ServiceConfig *before = from->config->services + old;

        if (before->defect)
                return false;
        return is_same_unit(before, config) || unit_state_is_up(from->services[old]->unit);
}

static void service_carry(State *to, size_t service, const State *from, size_t old, Time now) {
        ServiceState *s = to->services[service];

        *s = *from->services[old];
        s->n_ref = 1;
        if (is_same_unit(from->config->services + old, to->config->services + service))
                return;
        service_state_drop_unit(s, now);
}

/* Brings over the state of a check that still tests the same thing. */
static int check_carry(State *to, size_t check, const State *from, size_t old) {
        CheckConfig *config = to->config->checks[check];
        CheckState *state = from->checks[old];

        if (!check_config_same_target(state->config, config))
                return 0;
        if (state->config == config)
                check_state_ref(state);
        else {
                state = check_state_copy(state);
                if (!state)
                        return -ENOMEM;
                check_state_set_config(state, config);
        }
        check_state_unref(to->checks[check]);
        to->checks[check] = state;
        return 0;
}

static int service_carry_checks(State *to, size_t service, const State *from) {
        const ServiceConfig *config = to->config->services + service;

        for (size_t i = config->first_check; i < config->first_check + config->n_checks; i++) {
                size_t old =
                        config_find_check(from->config, config->name, to->config->checks[i]->name);
                int r;

                if (old == INDEX_NONE)
                        continue;
                r = check_carry(to, i, from, old);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Brings over all that the two configurations have in common. */
static int state_carry(State *to, const State *from, Time now) {
        for (size_t i = 0; i < to->config->n_services; i++) {
                const ServiceConfig *config = to->config->services + i;
                size_t old = config_find_service(from->config, config->name);
                int r;

                if (old == INDEX_NONE)
                        continue;
                if (!service_is_continued(from, old, config)) {
                        to->services[i]->drain = service_state_lasting_drain(from->services[old]);
                        continue;
                }
                service_carry(to, i, from, old, now);
                r = service_carry_checks(to, i, from);
                if (r < 0)
                        return r;
        }
        to->drain = from->drain;
        to->shutdown = from->shutdown;
        to->expires_boottime = state_next_expiry(to);
        return state_expire(to, now);
}

int state_keep_check_ready(State *to, size_t check, usec_t since, Time now) {
        usec_t until = usec_add(since, to->checks[check]->config->max_age_usec);
        int r;

        if (until <= now.boottime ||
            !probe_check_blocks(to->checks[check], PROBE_READINESS, false, now))
                return 0;
        r = state_own_check(to, check);
        if (r < 0)
                return r;
        to->checks[check]->joins_until_boottime = until;
        return 0;
}

/* A service that was ready stays so until results say otherwise. */
static int service_keep_ready(State *to, size_t service, Time now) {
        const ServiceConfig *config = to->config->services + service;

        for (size_t i = config->first_check; i < config->first_check + config->n_checks; i++) {
                int r = state_keep_check_ready(to, i, now.boottime, now);

                if (r < 0)
                        return r;
        }
        return 0;
}

/* Whether the host's verdict depends on the service. */
static bool service_speaks_for_host(const State *s, size_t service) {
        return s->config->services[service].counts_for_host &&
               s->services[service]->unit != UNIT_INACTIVE &&
               s->services[service]->joins_until_boottime == 0;
}

/* The same for the host: what did not speak for it before does so when it has a verdict. */
static int host_keep_ready(State *to, const State *from, Time now) {
        bool was_ready;
        int r;

        r = host_is_ready(from, now, &was_ready);
        if (r < 0 || !was_ready)
                return r;
        for (size_t i = 0; i < to->config->n_services; i++) {
                const ServiceConfig *config = to->config->services + i;
                size_t old = config_find_service(from->config, config->name);

                if (!service_speaks_for_host(to, i))
                        continue;
                if (old != INDEX_NONE && service_speaks_for_host(from, old))
                        continue;
                if (probe_evaluate(config, to->services[i], to->checks + config->first_check,
                                   state_host_drain(to), now)
                            .ready == READINESS_READY)
                        continue;
                to->services[i]->joins_until_boottime =
                        usec_add(now.boottime, config->startup_timeout_usec);
        }
        return 0;
}

int state_derive_all(State *s, Time now) {
        for (size_t i = 0; i < s->config->n_services; i++) {
                int r = state_own_derived(s, i);

                if (r >= 0)
                        r = state_own_resting(s, i);
                if (r < 0)
                        return r;
                state_rest(s, i, now);
                state_derive(s, i, false, now);
        }
        return 0;
}

static int state_keep_ready(State *to, const State *from, Time now) {
        for (size_t i = 0; i < to->config->n_services; i++) {
                size_t old = config_find_service(from->config, to->config->services[i].name);
                int r;

                if (old == INDEX_NONE || service_evaluate(from, old, now).ready != READINESS_READY)
                        continue;
                r = service_keep_ready(to, i, now);
                if (r < 0)
                        return r;
        }
        return host_keep_ready(to, from, now);
}

int state_take_config(State *s, Config *config, Time now) {
        _cleanup_(state_freep) State *next = NULL;
        int r;

        next = state_new(config, now);
        if (!next)
                return -ENOMEM;
        r = state_carry(next, s, now);
        if (r < 0)
                return r;
        r = state_derive_all(next, now);
        if (r < 0)
                return r;
        for (size_t i = 0; i < config->n_services; i++)
                state_latch_start(next, i, now);
        r = state_keep_ready(next, s, now);
        if (r < 0)
                return r;
        next->expires_boottime = state_next_expiry(next);
        s->reload_realtime = now.realtime;
        free(s->reload_error);
        s->reload_error = NULL;
        state_swap(s, next);
        return 0;
}
