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

/* Brings over what is known of a service. One that was at fault before had not begun to start. */
static void service_carry(ServiceState *to, const ServiceConfig *to_config,
                          const ServiceState *from, const ServiceConfig *from_config, Time now) {
        if (from_config->defect) {
                to->drain = from->drain;
                return;
        }
        *to = *from;
        to->n_ref = 1;
        if (is_same_unit(from_config, to_config))
                return;
        to->unit = UNIT_UNFOLLOWED;
        to->invocation_id[0] = 0;
        if (to->startup_boottime == USEC_INFINITY)
                to->startup_boottime = now.boottime;
}

/* Brings over the state of a check that still tests the same thing. The decision of a person stands
 * even if it does not. */
static int check_carry(State *to, size_t check, const State *from, size_t old, Time now) {
        CheckConfig *config = to->config->checks[check];
        CheckState *state = from->checks[old];

        if (!check_config_same_target(state->config, config)) {
                check_state_take_override(to->checks[check], &state->override, now);
                return 0;
        }
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

/* Brings over all that the two configurations have in common. */
static int state_carry(State *to, const State *from, Time now) {
        for (size_t i = 0; i < to->config->n_services; i++) {
                const ServiceConfig *config = to->config->services + i;
                size_t old = config_find_service(from->config, config->name);

                if (old != INDEX_NONE)
                        service_carry(to->services[i], config, from->services[old],
                                      from->config->services + old, now);
        }
        for (size_t i = 0; i < to->config->n_checks; i++) {
                const CheckConfig *config = to->config->checks[i];
                size_t old = config_find_check(from->config, config->service, config->name);
                int r;

                if (old == INDEX_NONE)
                        continue;
                r = check_carry(to, i, from, old, now);
                if (r < 0)
                        return r;
        }
        to->drain = from->drain;
        to->expires_boottime = state_next_expiry(to);
        return state_expire(to, now);
}

/* A service that was ready stays so until results say otherwise. */
static int service_keep_ready(State *to, size_t service, Time now) {
        const ServiceConfig *config = to->config->services + service;

        for (size_t i = config->first_check; i < config->first_check + config->n_checks; i++) {
                int r;

                if (!probe_check_blocks(to->checks[i], PROBE_READINESS, false, now))
                        continue;
                r = state_own_check(to, i);
                if (r < 0)
                        return r;
                to->checks[i]->joins_until_boottime =
                        usec_add(now.boottime, to->checks[i]->config->max_age_usec);
        }
        return 0;
}

static int state_keep_ready(State *to, const State *from, Time now) {
        bool was_ready;
        int r;

        for (size_t i = 0; i < to->config->n_services; i++) {
                size_t old = config_find_service(from->config, to->config->services[i].name);

                if (old == INDEX_NONE || service_evaluate(from, old, now).ready != READINESS_READY)
                        continue;
                r = service_keep_ready(to, i, now);
                if (r < 0)
                        return r;
        }

        r = host_is_ready(from, now, &was_ready);
        if (r < 0)
                return r;
        for (size_t i = 0; was_ready && i < to->config->n_services; i++)
                if (service_evaluate(to, i, now).ready != READINESS_READY)
                        to->services[i]->joins_until_boottime = usec_add(
                                now.boottime, to->config->services[i].startup_timeout_usec);
        return 0;
}

int state_take_config(State *s, Config *config, Time now) {
        _cleanup_(state_freep) State *next = NULL;
        State swap;
        int r;

        next = state_new(config, now);
        if (!next)
                return -ENOMEM;
        r = state_carry(next, s, now);
        if (r < 0)
                return r;
        r = state_keep_ready(next, s, now);
        if (r < 0)
                return r;
        for (size_t i = 0; i < config->n_services; i++)
                state_settle(next, i, now);
        next->expires_boottime = state_next_expiry(next);

        swap = *s;
        *s = *next;
        *next = swap;
        return 0;
}
