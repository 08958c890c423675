/* SPDX-License-Identifier: MIT */
#pragma once

/* The only verdict logic: from the states of a service's checks to liveness, readiness and startup,
 * and from the services to the host. Pure. */

#include "model/state.h"

typedef enum Liveness { LIVENESS_ALIVE, LIVENESS_DEAD } Liveness;
typedef enum Readiness { READINESS_READY, READINESS_NOT_READY } Readiness;
typedef enum Startup { STARTUP_STARTED, STARTUP_STARTING, STARTUP_FAILED } Startup;

const char *liveness_to_string(Liveness l);   /* "alive" */
const char *readiness_to_string(Readiness r); /* "ready", "not_ready" */
const char *startup_to_string(Startup s);     /* "starting" */

typedef struct Verdict {
        Liveness live;
        Readiness ready;
        Startup started;
        bool is_degraded; /* ready or not: some check that feeds readiness is degraded, or is not
                           * critical and not good */
        bool is_inactive; /* its unit is stopped on purpose: left out of the host */
        bool is_joining;  /* new by a reload and not decided yet: left out of the host */
        bool is_measured_dead; /* liveness without overrides: what actions go by */
        Reason reason;         /* why not ready, where no check is the cause: drained, inactive,
                                * configuration, unconfigured; else REASON_NONE */
} Verdict;

/* One word for the whole: "ready", "degraded", "not_ready", "draining", "starting", "failed",
 * "dead", "inactive". */
const char *verdict_summary(const Verdict *v);

/* The same word, of those that verdict_summary() says (constant); NULL if it says no such word. */
const char *verdict_summary_find(const char *word);

/* checks are the service's own slice, service->n_checks of them; host_drain that of the host, or
 * NULL. */
Verdict probe_evaluate(const ServiceConfig *service, const ServiceState *state,
                       CheckState *const checks[], const Drain *host_drain, Time now);

/* The worst of the services that count; those that are inactive or joining only if no other does.
 * Not ready, `unconfigured`, if no service is configured or none of them counts. */
Verdict probe_evaluate_host(const Config *config, const Verdict services[],
                            const Drain *host_drain);

/* Whether this check as it stands keeps the probe from being ready, alive or started: the list of
 * causes under each verdict. has_startup_checks: whether the service has any check that feeds
 * startup; without one its readiness checks' first results are waited for. */
bool probe_check_blocks(const CheckState *c, Probe p, bool has_startup_checks, Time now);

/* Whether this check makes its service degraded: worth a mention beside a ready verdict. */
bool probe_check_degrades(const CheckState *c, Time now);

/* checks are the service's own slice. */
bool service_has_startup_checks(const ServiceConfig *service, CheckConfig *const checks[]);
