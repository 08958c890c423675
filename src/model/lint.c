/* SPDX-License-Identifier: MIT */
#include "model/lint-internal.h"

#include <errno.h>

void lint_say(Lint *l, const char *key, const char *format, ...) {
        Findings *f = l->findings;
        _cleanup_strbuf_ StrBuf text = {};
        Finding *items;
        va_list ap;

        *(l->rule->severity == LINT_WARNING ? &f->n_warnings : &f->n_hints) += 1;
        if (f->n >= FINDINGS_MAX)
                return;
        va_start(ap, format);
        strbuf_vprintf(&text, format, ap);
        va_end(ap);
        items = reallocarray(f->items, f->n + 1, sizeof(Finding));
        if (items)
                f->items = items;
        if (!items || text.failed) {
                l->error = -ENOMEM;
                return;
        }
        f->items[f->n++] = (Finding){
                .rule = l->rule->name,
                .severity = l->rule->severity,
                .service = l->service,
                .check = l->check,
                .key = key,
                .text = TAKE(text.text),
        };
}

/* clang-format off */
static const LintRule rules[] = {
        { "remote-restart", LINT_WARNING, .check = lint_remote_restart },
        { "liveness-threshold", LINT_WARNING, .check = lint_liveness_threshold },
        { "action-without-liveness", LINT_WARNING, .service = lint_action_without_liveness },
        { "action-without-startup", LINT_WARNING, .service = lint_startup_action },
        { "restart-threshold", LINT_WARNING, .check = lint_restart_threshold },
        { "restart-delays", LINT_WARNING, .service = lint_restart_delays },
        { "restart-forbidden", LINT_WARNING, .service = lint_restart_forbidden },
        { "restart-denied", LINT_WARNING, .service = lint_restart_denied },
        { "startup-window", LINT_WARNING, .check = lint_startup_window },
        { "startup-optional", LINT_WARNING, .check = lint_startup_optional },
        { "combined-members", LINT_WARNING, .check = lint_combined_members },
        { "timeout-interval", LINT_WARNING, .check = lint_timeout_interval },
        { "latency-limits", LINT_WARNING, .check = lint_latency_limits },
        { "balancer-root-alias", LINT_WARNING, .host = lint_balancer_root_alias },
        { "balancer-networks", LINT_WARNING, .host = lint_balancer_networks },
        { "balancer-numbers", LINT_WARNING, .host = lint_balancer_numbers },
        { "shutdown-delay", LINT_WARNING, .host = lint_shutdown_delay },
        { "balancer-default-probe", LINT_HINT, .host = lint_balancer_default_probe },
        { "always-ready", LINT_HINT, .service = lint_always_ready },
        { "remote-liveness", LINT_HINT, .check = lint_remote_liveness },
        { "restart-right", LINT_HINT, .service = lint_restart_right },
        { "restart-budget", LINT_HINT, .service = lint_restart_budget },
        { "watchdog-detection", LINT_HINT, .service = lint_watchdog_detection },
        { "critical-unread", LINT_HINT, .check = lint_critical_unread },
        { "unread-service", LINT_HINT, .service = lint_unread_service },
        { "shared-dependency", LINT_HINT, .host = lint_shared_dependency },
};
/* clang-format on */

static void lint_service(Lint *l, const ServiceConfig *s) {
        l->service = s;
        l->check = NULL;
        if (l->rule->service)
                l->rule->service(l, s);
        for (size_t i = 0; l->rule->check && i < s->n_checks; i++) {
                l->check = lint_checks_of(l, s)[i];
                l->rule->check(l, s, l->check);
        }
}

static void lint_rule(Lint *l) {
        l->service = NULL;
        l->check = NULL;
        if (l->rule->host)
                l->rule->host(l);
        for (size_t i = 0; i < l->config->n_services; i++)
                lint_service(l, &l->config->services[i]);
}

int lint_config(const Config *c, const LintFacts *facts, Findings *ret) {
        Lint l = { .config = c, .facts = facts, .findings = ret };

        if (!diagnostics_is_empty(&c->diagnostics))
                return 0;
        for (size_t i = 0; i < ELEMENTSOF(rules) && l.error == 0; i++) {
                l.rule = &rules[i];
                lint_rule(&l);
        }
        return l.error;
}

const char *lint_rule_name(size_t i) {
        return i < ELEMENTSOF(rules) ? rules[i].name : NULL;
}

const char *lint_severity_to_string(LintSeverity s) {
        static const char *const words[] = {
                [LINT_WARNING] = "warning",
                [LINT_HINT] = "hint",
        };

        return words[s];
}

void findings_done(Findings *f) {
        for (size_t i = 0; i < f->n; i++)
                free(f->items[i].text);
        free(f->items);
        *f = (Findings){};
}
