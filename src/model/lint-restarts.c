/* SPDX-License-Identifier: MIT */
/* What the linter says of services whose unit may be restarted. */

#include <inttypes.h>

#include "model/lint-internal.h"
#include "model/restart-rule.h"
#include "model/schedule.h"

static bool restarts_when_dead(const ServiceConfig *s) {
        return service_config_restarts(s) && s->on_liveness_failure == ON_LIVENESS_FAILURE_RESTART;
}

void lint_restart_threshold(Lint *l, const ServiceConfig *s, const CheckConfig *c) {
        if (!restarts_when_dead(s) || !check_type_has_runs(c->type) ||
            !check_config_counts(c, PROBE_LIVENESS) || c->liveness_failure_threshold > 1)
                return;
        lint_say(l, "LivenessFailureThreshold",
                 "a single run that fails restarts %s, for a moment of high load as well as for a "
                 "deadlock; make it 3 or more",
                 s->unit);
}

void lint_startup_action(Lint *l, const ServiceConfig *s) {
        if (s->on_startup_failure != ON_STARTUP_FAILURE_RESTART || !service_config_restarts(s) ||
            service_has_startup_checks(s, lint_checks_of(l, s)))
                return;
        lint_say(
                l, "OnStartupFailure",
                "no check feeds startup, so that no start ever fails and nothing is ever done; add "
                "startup to Probes= of a local check");
}

void lint_restart_delays(Lint *l, const ServiceConfig *s) {
        char reset[TIMESPAN_MAX], found[TIMESPAN_MAX];
        usec_t worst = 0;

        if (!service_config_restarts(s))
                return;
        if (s->restart_backoff_max_usec < s->restart_backoff_usec)
                lint_say(l, "RestartBackoffMax",
                         "it is shorter than RestartBackoff=, which then means nothing");
        for (size_t i = 0; restarts_when_dead(s) && i < s->n_checks; i++) {
                const CheckConfig *c = lint_checks_of(l, s)[i];

                if (check_type_has_runs(c->type) && check_config_counts(c, PROBE_LIVENESS))
                        worst = MAX(worst, schedule_worst_case(c, c->liveness_failure_threshold));
        }
        if (worst < s->restart_reset_after_usec)
                return;
        lint_say(l, "RestartResetAfter",
                 "it is %s, but it takes up to %s to find out that the service is dead again: "
                 "restarts that do not help may be taken for cures, again and again; make it "
                 "longer than that",
                 timespan_format(reset, s->restart_reset_after_usec),
                 timespan_format(found, worst));
}

void lint_restart_forbidden(Lint *l, const ServiceConfig *s) {
        if (service_config_restarts(s) && l->config->daemon.restart_budget_burst == 0)
                lint_say(l, restarts_when_dead(s) ? "OnLivenessFailure" : "OnStartupFailure",
                         "RestartBudgetBurst=0 in vitald.conf: nothing is ever restarted");
}

void lint_restart_budget(Lint *l, const ServiceConfig *s) {
        uint64_t burst = l->config->daemon.restart_budget_burst;

        if (!service_config_restarts(s) || burst == 0 || s->restart_limit < burst)
                return;
        lint_say(l, "RestartLimit",
                 "with %" PRIu64 " restarts without a cure this service alone can use up the "
                 "budget of the whole host (RestartBudgetBurst=%" PRIu64
                 "), and others that a restart would cure wait; make it less than that",
                 s->restart_limit, burst);
}

/* -- what polkit says -------------------------------------------------------------------------- */

static void say_right(Lint *l, const ServiceConfig *s, const char *what) {
        _cleanup_strbuf_ StrBuf rule = {};

        restart_rule_format(&rule, l->config);
        lint_say(l, "Unit", "%s %s unless " RESTART_RULE_FILE " has the line: %s", what, s->unit,
                 rule.text ? rule.text : "");
}

static LintRight right_of(const Lint *l, const ServiceConfig *s) {
        if (!l->facts->restart_right || !service_config_restarts(s))
                return LINT_RIGHT_GIVEN;
        return l->facts->restart_right(l->facts->userdata, s->unit);
}

void lint_restart_denied(Lint *l, const ServiceConfig *s) {
        if (right_of(l, s) == LINT_RIGHT_DENIED)
                say_right(l, s, "polkit does not let vitald restart");
}

void lint_restart_right(Lint *l, const ServiceConfig *s) {
        if (right_of(l, s) == LINT_RIGHT_UNKNOWN)
                say_right(l, s,
                          "polkit, which can be asked by root alone and while vitald runs, "
                          "will not let vitald restart");
}
