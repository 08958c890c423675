/* SPDX-License-Identifier: MIT */
#pragma once

/* Within the linter: what a rule is given, and the rules. A rule looks at one thing and says what
 * it finds by lint_say(); which severity that has, and its name, stand in the table of lint.c. */

#include "model/lint.h"
#include "model/probe.h"

typedef struct LintRule LintRule;

typedef struct Lint {
        const Config *config; /* borrowed, as all of it */
        const LintFacts *facts;
        Findings *findings;
        const LintRule *rule;         /* what is being looked at */
        const ServiceConfig *service; /* NULL: vitald.conf */
        const CheckConfig *check;     /* NULL: the service as a whole */
        int error;                    /* 0, or -ENOMEM */
} Lint;

struct LintRule {
        const char *name;
        LintSeverity severity;

        /* One of them: for each check, for each service, once. */
        void (*check)(Lint *l, const ServiceConfig *s, const CheckConfig *c);
        void (*service)(Lint *l, const ServiceConfig *s);
        void (*host)(Lint *l);
};

void lint_say(Lint *l, const char *key, const char *format, ...) _printf_(3, 4);

/* The checks of a service, s->n_checks of them. */
static inline CheckConfig *const *lint_checks_of(const Lint *l, const ServiceConfig *s) {
        return l->config->checks + s->first_check;
}

/* -- lint-rules.c ------------------------------------------------------------------------------ */

void lint_remote_restart(Lint *l, const ServiceConfig *s, const CheckConfig *c);
void lint_liveness_threshold(Lint *l, const ServiceConfig *s, const CheckConfig *c);
void lint_action_without_liveness(Lint *l, const ServiceConfig *s);
void lint_startup_window(Lint *l, const ServiceConfig *s, const CheckConfig *c);
void lint_startup_optional(Lint *l, const ServiceConfig *s, const CheckConfig *c);
void lint_always_ready(Lint *l, const ServiceConfig *s);
void lint_combined_members(Lint *l, const ServiceConfig *s, const CheckConfig *c);
void lint_timeout_interval(Lint *l, const ServiceConfig *s, const CheckConfig *c);
void lint_latency_limits(Lint *l, const ServiceConfig *s, const CheckConfig *c);
void lint_remote_liveness(Lint *l, const ServiceConfig *s, const CheckConfig *c);
void lint_watchdog_detection(Lint *l, const ServiceConfig *s);
void lint_critical_unread(Lint *l, const ServiceConfig *s, const CheckConfig *c);
void lint_unread_service(Lint *l, const ServiceConfig *s);
void lint_shared_dependency(Lint *l);

/* -- lint-balancer.c --------------------------------------------------------------------------- */

void lint_balancer_root_alias(Lint *l);
void lint_balancer_networks(Lint *l);
void lint_balancer_numbers(Lint *l);
void lint_shutdown_delay(Lint *l);
void lint_balancer_default_probe(Lint *l);

/* -- lint-restarts.c --------------------------------------------------------------------------- */

void lint_restart_threshold(Lint *l, const ServiceConfig *s, const CheckConfig *c);
void lint_startup_action(Lint *l, const ServiceConfig *s);
void lint_restart_delays(Lint *l, const ServiceConfig *s);
void lint_restart_forbidden(Lint *l, const ServiceConfig *s);
void lint_restart_budget(Lint *l, const ServiceConfig *s);
void lint_restart_denied(Lint *l, const ServiceConfig *s);
void lint_restart_right(Lint *l, const ServiceConfig *s);
