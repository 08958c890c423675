/* SPDX-License-Identifier: MIT */
#pragma once

/* Configurations, results and times for tests of the model, without files and without a clock. In
 * all tables a zero stands for the usual default. Functions are inline, so that a test need not use
 * them all. */

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "model/combine.h"
#include "model/state.h"

#define FIXTURE_CHECKS_MAX 8
#define SEC                USEC_PER_SEC

enum {
        READINESS = 1 << PROBE_READINESS,
        LIVENESS = 1 << PROBE_LIVENESS,
        STARTUP = 1 << PROBE_STARTUP,
};

typedef struct FixtureCheck {
        const char *name;
        const char *canonical; /* NULL: the name */
        unsigned probes;       /* 0: READINESS */
        bool is_uncritical, is_shadow;
        usec_t interval_usec, retry_interval_usec, max_age_usec; /* 10s, 2s, 31s */
        usec_t initial_delay_usec, warn_latency_usec, max_latency_usec;
        uint64_t failure_threshold, success_threshold, liveness_failure_threshold; /* 2, 1, 3 */
        unsigned type_flags;
        unsigned after; /* After=: bit mask of checks of the service, by their order */
        unsigned of;    /* a combined check: bit mask of those that it is made of */
        size_t minimum; /* how many of them must be good; 0: more than half */
} FixtureCheck;

typedef struct FixtureService {
        const char *name, *unit, *defect;
        bool is_builtin, is_left_out, is_shadow; /* left out: Host=no */
        usec_t startup_timeout_usec;             /* 5min */
        FixtureCheck checks[FIXTURE_CHECKS_MAX]; /* up to the first without a name */
} FixtureService;

static inline size_t fixture_minimum(const void *settings, size_t n) {
        const CombineSettings *s = settings;

        return s->minimum > 0 ? (size_t) s->minimum : n / 2 + 1;
}

static inline Health fixture_derive(const void *settings, CheckState *const checks[],
                                    const size_t needs[], size_t n, bool is_measured, Result *ret) {
        return combine(fixture_minimum(settings, n), checks, needs, n, is_measured, ret);
}

static const CheckType fixture_types[] = {
        [0] = { .name = "fixture" },
        [CHECK_TYPE_PUSH] = { .name = "fixture-push", .flags = CHECK_TYPE_PUSH },
        [CHECK_TYPE_COMBINED] = { .name = "fixture-combined",
                                  .flags = CHECK_TYPE_COMBINED,
                                  .derive = fixture_derive },
};

static inline void *fixture_need(void *p) {
        if (!p)
                abort();
        return p;
}

static inline uint64_t fixture_or(uint64_t value, uint64_t fallback) {
        return value > 0 ? value : fallback;
}

static inline char *fixture_id(const char *service, const char *name) {
        char id[CHECK_ID_MAX];

        snprintf(id, sizeof(id), "%s/%s", service, name);
        return fixture_need(strdup(id));
}

static inline CheckConfig *fixture_check_config(const char *service, const FixtureCheck *f) {
        CheckConfig *c = fixture_need(check_config_new());

        c->type = fixture_types + (f->of ? CHECK_TYPE_COMBINED : f->type_flags);
        c->service = fixture_need(strdup(service));
        c->name = fixture_need(strdup(f->name));
        c->id = fixture_id(service, f->name);
        c->public_name = str_equal(service, "default") ? fixture_need(strdup(f->name))
                                                       : fixture_id(service, f->name);
        c->canonical = fixture_need(strdup(f->canonical ? f->canonical : f->name));
        c->probes = (unsigned) fixture_or(f->probes, READINESS);
        c->is_critical = !f->is_uncritical;
        c->is_shadow = f->is_shadow;
        c->interval_usec = fixture_or(f->interval_usec, 10 * SEC);
        c->timeout_usec = SEC;
        c->retry_interval_usec = fixture_or(f->retry_interval_usec, 2 * SEC);
        c->max_age_usec = fixture_or(f->max_age_usec, 31 * SEC);
        c->initial_delay_usec = f->initial_delay_usec;
        c->warn_latency_usec = f->warn_latency_usec;
        c->max_latency_usec = f->max_latency_usec;
        c->failure_threshold = fixture_or(f->failure_threshold, 2);
        c->success_threshold = fixture_or(f->success_threshold, 1);
        c->liveness_failure_threshold = fixture_or(f->liveness_failure_threshold, 3);
        if (f->of) {
                CombineSettings *settings = c->settings =
                        fixture_need(calloc(1, sizeof(CombineSettings)));

                settings->minimum = f->minimum;
        }
        c->needs = fixture_need(calloc(FIXTURE_CHECKS_MAX, sizeof(size_t)));
        for (size_t i = 0; i < FIXTURE_CHECKS_MAX; i++)
                if ((f->of ? f->of : f->after) & 1U << i)
                        c->needs[c->n_needs++] = i;
        return c;
}

static inline void fixture_service_config(ServiceConfig *ret, const FixtureService *f) {
        *ret = (ServiceConfig){
                .name = fixture_need(strdup(f->name)),
                .unit = f->unit ? fixture_need(strdup(f->unit)) : NULL,
                .defect = f->defect ? fixture_need(strdup(f->defect)) : NULL,
                .is_builtin = f->is_builtin,
                .counts_for_host = !f->is_left_out && !f->is_builtin && !f->is_shadow,
                .is_shadow = f->is_shadow,
                .startup_timeout_usec = fixture_or(f->startup_timeout_usec, 300 * SEC),
        };
}

static inline void fixture_order(Config *c, size_t service) {
        size_t cyclic;

        if (config_order(c, service, &cyclic) < 0)
                abort();
}

/* The services must be sorted by name. */
static inline Config *fixture_config(const FixtureService *services, size_t n) {
        Config *c = fixture_need(config_new());

        c->services = fixture_need(calloc(n + 1, sizeof(ServiceConfig)));
        c->checks = fixture_need(calloc(n * FIXTURE_CHECKS_MAX + 1, sizeof(CheckConfig *)));
        for (size_t i = 0; i < n; i++) {
                ServiceConfig *s = c->services + c->n_services++;
                const FixtureService *f = services + i;

                assert(i == 0 || strcmp(services[i - 1].name, f->name) < 0);
                fixture_service_config(s, f);
                s->first_check = c->n_checks;
                for (; s->n_checks < FIXTURE_CHECKS_MAX && f->checks[s->n_checks].name;
                     s->n_checks++)
                        c->checks[c->n_checks++] =
                                fixture_check_config(f->name, f->checks + s->n_checks);
                fixture_order(c, i);
        }
        return c;
}

/* The time so long after the tests' beginning: three clocks that are well apart. */
static inline Time fixture_time(usec_t usec) {
        return (Time){
                .monotonic = 1000 * SEC + usec,
                .boottime = 2000 * SEC + usec,
                .realtime = 1700000000 * SEC + usec,
        };
}

/* The state of one service with nothing known yet, made at the tests' beginning. */
static inline State *fixture_state(const FixtureService *f) {
        _cleanup_(config_unrefp) Config *c = fixture_config(f, 1);

        return fixture_need(state_new(c, fixture_time(0)));
}

static inline Result fixture_result(Outcome outcome) {
        Result r;

        switch (outcome) {
        case OUTCOME_PASS:
                result_pass(&r, "fine");
                break;
        case OUTCOME_WARN:
                result_warn(&r, REASON_THRESHOLD, "tight");
                break;
        case OUTCOME_FAIL:
                result_fail(&r, REASON_REFUSED, "Connection refused");
                break;
        case OUTCOME_ERROR:
                result_error(&r, REASON_RESOURCE, "Too many open files");
                break;
        }
        return r;
}

static inline int fixture_apply_result(State *s, size_t check, Outcome outcome, Time now) {
        Result r = fixture_result(outcome);

        return state_apply(s, &(Event){ .type = EVENT_RESULT, .check = check, .result = &r }, now);
}

static inline int fixture_apply_unit(State *s, size_t service, UnitState unit, const char *id,
                                     Time now) {
        return state_apply(s,
                           &(Event){
                                   .type = EVENT_UNIT,
                                   .service = service,
                                   .unit = unit,
                                   .invocation_id = id,
                           },
                           now);
}

static inline int fixture_apply_override(State *s, size_t check, Health state, usec_t until,
                                         Time now) {
        Override o = {
                .is_active = until > 0,
                .state = state,
                .since_realtime = now.realtime,
                .until_boottime = until,
                .note = "on purpose",
                .who = "tester",
        };

        return state_apply(s, &(Event){ .type = EVENT_OVERRIDE, .check = check, .override = &o },
                           now);
}

static inline int fixture_apply_drain(State *s, size_t service, usec_t until, bool by_stop,
                                      Time now) {
        Drain d = {
                .is_active = until > 0,
                .ends_with_invocation = by_stop,
                .since_realtime = now.realtime,
                .until_boottime = until,
                .note = "maintenance",
                .who = "tester",
        };

        return state_apply(s, &(Event){ .type = EVENT_DRAIN, .service = service, .drain = &d },
                           now);
}

static inline int fixture_apply_config(State *s, Config *config, Time now) {
        return state_apply(s, &(Event){ .type = EVENT_CONFIG, .config = config }, now);
}

static inline int fixture_apply_tick(State *s, Time now) {
        return state_apply(s, &(Event){ .type = EVENT_TICK }, now);
}
