/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "model/state-internal.h"

State *state_new(Config *config, Time now) {
        _cleanup_(state_freep) State *s = calloc(1, sizeof(State));

        if (!s)
                return NULL;
        s->config = config_ref(config);
        s->reload_realtime = now.realtime;
        s->checks = calloc(MAX(config->n_checks, (size_t) 1), sizeof(CheckState *));
        s->services = calloc(MAX(config->n_services, (size_t) 1), sizeof(ServiceState *));
        if (!s->checks || !s->services)
                return NULL;
        for (size_t i = 0; i < config->n_checks; i++) {
                s->checks[i] = check_state_new(config->checks[i], now);
                if (!s->checks[i])
                        return NULL;
        }
        for (size_t i = 0; i < config->n_services; i++) {
                s->services[i] = service_state_new(now);
                if (!s->services[i])
                        return NULL;
                state_latch_start(s, i, now);
        }
        s->expires_boottime = state_next_expiry(s);
        return TAKE(s);
}

State *state_free(State *s) {
        if (!s)
                return NULL;
        for (size_t i = 0; s->checks && i < s->config->n_checks; i++)
                check_state_unref(s->checks[i]);
        for (size_t i = 0; s->services && i < s->config->n_services; i++)
                service_state_unref(s->services[i]);
        free(s->checks);
        free(s->services);
        free(s->reload_error);
        config_unref(s->config);
        free(s);
        return NULL;
}

void state_swap(State *a, State *b) {
        State swap = *a;

        a->config = b->config;
        a->checks = b->checks;
        a->services = b->services;
        a->drain = b->drain;
        a->shutdown = b->shutdown;
        a->expires_boottime = b->expires_boottime;
        b->config = swap.config;
        b->checks = swap.checks;
        b->services = swap.services;
        b->drain = swap.drain;
        b->shutdown = swap.shutdown;
        b->expires_boottime = swap.expires_boottime;
}

void state_latch_start(State *s, size_t service, Time now) {
        const ServiceConfig *config = s->config->services + service;

        service_state_latch_start(s->services[service], config, s->checks + config->first_check,
                                  now);
}

void state_settle(State *s, size_t service, Time now) {
        const ServiceConfig *config = s->config->services + service;

        service_state_settle(s->services[service], config, s->checks + config->first_check, now);
}

const Drain *state_host_drain(const State *s) {
        return s->shutdown.is_active ? &s->shutdown : &s->drain;
}

usec_t state_next_expiry(const State *s) {
        usec_t at = s->drain.is_active ? s->drain.until_boottime : USEC_INFINITY;

        for (size_t i = 0; i < s->config->n_checks; i++)
                at = MIN(at, check_state_expires(s->checks[i]));
        for (size_t i = 0; i < s->config->n_services; i++)
                at = MIN(at, service_state_expires(s->services[i], s->config->services + i));
        return at;
}

int state_own_check(State *s, size_t check) {
        CheckState *copy;

        if (s->checks[check]->n_ref == 1)
                return 0;
        copy = check_state_copy(s->checks[check]);
        if (!copy)
                return -ENOMEM;
        check_state_unref(s->checks[check]);
        s->checks[check] = copy;
        return 0;
}

int state_own_service(State *s, size_t service) {
        ServiceState *copy;

        if (s->services[service]->n_ref == 1)
                return 0;
        copy = service_state_copy(s->services[service]);
        if (!copy)
                return -ENOMEM;
        service_state_unref(s->services[service]);
        s->services[service] = copy;
        return 0;
}

/* -- the passing of time ----------------------------------------------------------------------- */

static bool check_is_due(const State *s, size_t check, Time now) {
        return check_state_expires(s->checks[check]) <= now.boottime;
}

/* Also by what follows from checks that are due. */
static bool service_is_due(const State *s, size_t service, Time now) {
        const ServiceConfig *config = s->config->services + service;
        const ServiceState *state = s->services[service];

        return service_state_expires(state, config) <= now.boottime ||
               (config->n_derived > 0 && service_state_is_unsettled(state));
}

/* Copies all that state_expire() will change, so that it cannot fail half way. */
static int state_own_due(State *s, Time now) {
        int r;

        for (size_t i = 0; i < s->config->n_checks; i++)
                if (check_is_due(s, i, now)) {
                        r = state_own_check(s, i);
                        if (r < 0)
                                return r;
                }
        for (size_t i = 0; i < s->config->n_services; i++) {
                r = state_own_derived(s, i);
                if (r >= 0 && service_is_due(s, i, now))
                        r = state_own_service(s, i);
                if (r < 0)
                        return r;
        }
        return 0;
}

int state_expire(State *s, Time now) {
        int r;

        if (now.boottime < s->expires_boottime)
                return 0;
        r = state_own_due(s, now);
        if (r < 0)
                return r;
        for (size_t i = 0; i < s->config->n_checks; i++)
                if (check_is_due(s, i, now))
                        check_state_expire(s->checks[i], now);
        for (size_t i = 0; i < s->config->n_services; i++) {
                state_derive(s, i, false, now);
                if (!service_is_due(s, i, now))
                        continue;
                service_state_expire(s->services[i], s->config->services + i, now);
                state_settle(s, i, now);
        }
        s->drain = drain_at(&s->drain, now);
        s->expires_boottime = state_next_expiry(s);
        s->revision++;
        return 0;
}

/* -- events ------------------------------------------------------------------------------------ */

/* Takes into account that this check and this service may expire earlier than before. */
static void state_note_expiry(State *s, size_t check, size_t service) {
        if (check != INDEX_NONE)
                s->expires_boottime =
                        MIN(s->expires_boottime, check_state_expires(s->checks[check]));
        s->expires_boottime =
                MIN(s->expires_boottime,
                    service_state_expires(s->services[service], s->config->services + service));
}

/* Copies a check, and what may change with it: those that hang on it, and its service. */
static int state_own_both(State *s, size_t check, size_t *ret_service) {
        size_t service;
        int r;

        assert(check < s->config->n_checks);
        service = config_service_of(s->config, check);
        r = state_own_check(s, check);
        if (r >= 0)
                r = state_own_derived(s, service);
        if (r < 0)
                return r;
        if (service_state_is_unsettled(s->services[service])) {
                r = state_own_service(s, service);
                if (r < 0)
                        return r;
        }
        *ret_service = service;
        return 0;
}

static int state_take_result(State *s, const Event *e, Time now) {
        bool is_quiet;
        size_t service;
        int r;

        r = state_own_both(s, e->check, &service);
        if (r < 0)
                return r;
        is_quiet = check_state_is_steady(s->checks[e->check]) &&
                   !service_state_is_unsettled(s->services[service]);
        check_state_take_result(s->checks[e->check], e->result, now);
        state_derive(s, service, e->result->outcome == OUTCOME_FAIL, now);
        state_settle(s, service, now);
        state_note_expiry(s, e->check, service);
        if (!is_quiet || !check_state_is_steady(s->checks[e->check]))
                s->revision++;
        return 0;
}

static int state_take_forget(State *s, const Event *e, Time now) {
        size_t service;
        int r;

        r = state_own_both(s, e->check, &service);
        if (r < 0)
                return r;
        check_state_restart(s->checks[e->check], now);
        state_rest(s, service, now);
        state_derive(s, service, false, now);
        state_settle(s, service, now);
        state_note_expiry(s, e->check, service);
        return 0;
}

static int state_take_override(State *s, const Event *e, Time now) {
        size_t service;
        int r;

        r = state_own_both(s, e->check, &service);
        if (r < 0)
                return r;
        r = check_state_take_override(s->checks[e->check], e->override, now);
        if (r < 0)
                return r;
        state_derive(s, service, false, now);
        state_settle(s, service, now);
        state_note_expiry(s, e->check, service);
        return 0;
}

static int state_take_void(State *s, const Event *e) {
        int r;

        assert(e->check < s->config->n_checks);
        r = state_own_check(s, e->check);
        if (r < 0)
                return r;
        s->checks[e->check]->n_void++;
        return 0;
}

static int state_take_unit(State *s, const Event *e, Time now) {
        const ServiceConfig *config = s->config->services + e->service;
        int r;

        assert(e->service < s->config->n_services);
        r = state_own_service(s, e->service);
        if (r < 0)
                return r;
        for (size_t i = 0; i < config->n_checks; i++) {
                r = state_own_check(s, config->first_check + i);
                if (r < 0)
                        return r;
        }
        if (service_state_take_unit(s->services[e->service], e->unit, e->invocation_id, now))
                for (size_t i = 0; i < config->n_checks; i++)
                        if (!check_config_is_lasting(s->config->checks[config->first_check + i]))
                                check_state_restart(s->checks[config->first_check + i], now);
        state_rest(s, e->service, now);
        state_derive(s, e->service, false, now);
        state_settle(s, e->service, now);
        state_note_expiry(s, INDEX_NONE, e->service);
        return 0;
}

static int state_take_drain(State *s, const Event *e, Time now) {
        Drain drain = drain_at(e->drain, now);
        int r;

        if (e->service == INDEX_NONE) {
                s->drain = drain;
                if (drain.is_active)
                        s->expires_boottime = MIN(s->expires_boottime, drain.until_boottime);
                return 0;
        }
        assert(e->service < s->config->n_services);
        r = state_own_service(s, e->service);
        if (r < 0)
                return r;
        s->services[e->service]->drain = drain;
        state_note_expiry(s, INDEX_NONE, e->service);
        return 0;
}

static int state_take_version(State *s, const Event *e) {
        int r;

        assert(e->service < s->config->n_services);
        r = state_own_service(s, e->service);
        if (r < 0)
                return r;
        snprintf(s->services[e->service]->version, VERSION_MAX, "%s", e->version);
        return 0;
}

static int state_take_reload(State *s, const Event *e, Time now) {
        char *error;

        if (e->config)
                return state_take_config(s, e->config, now);
        error = strdup(e->reload_error);
        if (!error)
                return -ENOMEM;
        free(s->reload_error);
        s->reload_error = error;
        s->reload_realtime = now.realtime;
        return 0;
}

int state_apply(State *s, const Event *e, Time now) {
        int r;

        r = state_expire(s, now);
        if (r < 0)
                return r;

        s->revision += e->type != EVENT_RESULT && e->type != EVENT_VOID && e->type != EVENT_TICK;
        switch (e->type) {
        case EVENT_RESULT:
                return state_take_result(s, e, now);
        case EVENT_UNIT:
                return state_take_unit(s, e, now);
        case EVENT_DRAIN:
                return state_take_drain(s, e, now);
        case EVENT_SHUTDOWN:
                s->shutdown = *e->drain;
                return 0;
        case EVENT_OVERRIDE:
                return state_take_override(s, e, now);
        case EVENT_FORGET:
                return state_take_forget(s, e, now);
        case EVENT_VOID:
                return state_take_void(s, e);
        case EVENT_VERSION:
                return state_take_version(s, e);
        case EVENT_RESTORE:
                return state_take_kept(s, e->kept, now);
        case EVENT_CONFIG:
                return state_take_reload(s, e, now);
        case EVENT_TICK:
                return 0;
        }
        assert(false);
        return -EINVAL;
}
