/* SPDX-License-Identifier: MIT */
#include "output/journal-restarts.h"

#include <inttypes.h>

#include "base/log.h"
#include "base/text.h"
#include "model/restart-rule.h"

#define ID_RESTART "0c8c8dd614344e5a8307f4a88b2b966a"
#define ID_WAITS   "84e16649199d458aa6bfa2234fe0a458"
#define ID_STATIC  "9a89a26cc7d8493ab34a8eac3e8e4307"
#define ID_CURED   "b61c873fe84c49129b91125d60fca113"
#define ID_REFUSED "c791761866ed4d99a8430e1903bb8883"
#define ID_RESET   "dc7bde8ede144889855bd64e9a39d399"

typedef struct Style {
        const char *message_id;
        int level;
} Style;

static const Style styles[] = {
        [ACTION_RESTART] = { ID_RESTART, LOG_WARNING },
        [ACTION_TELL_DELAY] = { ID_WAITS, LOG_WARNING },
        [ACTION_TELL_BUDGET] = { ID_WAITS, LOG_ERR },
        [ACTION_TELL_HELD] = { ID_WAITS, LOG_ERR },
        [ACTION_TELL_STATIC] = { ID_STATIC, LOG_CRIT },
        [ACTION_TELL_CURED] = { ID_CURED, LOG_NOTICE },
};

static const ServiceConfig *config_of(const Actions *a, size_t service) {
        return &a->config->services[service];
}

static bool check_is_cause(const CheckState *c, RestartCause cause) {
        if (cause == RESTART_CAUSE_LIVENESS)
                return check_config_counts(c->config, PROBE_LIVENESS) && c->is_dead;
        return check_config_counts(c->config, PROBE_STARTUP) && !c->has_been_good;
}

static const CheckState *cause_check(const Snapshot *s, size_t service, RestartCause cause) {
        CheckState *const *checks = snapshot_checks_of(s, service);

        for (size_t i = 0; i < s->config->services[service].n_checks; i++)
                if (check_is_cause(checks[i], cause))
                        return checks[i];
        return NULL;
}

/* "liveness has failed (app: Timeout after 1000ms)" */
static void append_cause(StrBuf *b, const Actions *a, const Snapshot *s, size_t service) {
        RestartCause cause = a->restarts[service].cause;
        const CheckState *c = cause_check(s, service, cause);

        strbuf_append(b, cause == RESTART_CAUSE_STARTUP ? "not started in time"
                                                        : "liveness has failed");
        if (c)
                strbuf_printf(b, " (%s: %s)", c->config->name,
                              *c->message ? c->message : health_to_string(c->measured));
}

static const char *restarts_word(uint64_t n) {
        return n == 1 ? "restart" : "restarts";
}

static void append_restart(StrBuf *b, const Actions *a, size_t service, Time now) {
        const ServiceConfig *config = config_of(a, service);

        strbuf_printf(b,
                      "; restarting %s, %" PRIu64 " of at most %" PRIu64
                      " without a cure; the host may restart %u more",
                      config->unit, a->restarts[service].counts.n_in_row, config->restart_limit,
                      restart_budget_left(&a->budget, now.boottime));
}

static void append_delay(StrBuf *b, const Actions *a, size_t service, Time now) {
        char span[TIMESPAN_MAX];

        strbuf_printf(
                b, " again; %s is restarted in %s, if that stays so", config_of(a, service)->unit,
                timespan_format(span, usec_sub(a->restarts[service].next_boottime, now.boottime)));
}

static void append_budget(StrBuf *b, const Actions *a, size_t service, Time now) {
        usec_t next = restart_budget_next(&a->budget, now.boottime);
        char interval[TIMESPAN_MAX], span[TIMESPAN_MAX];

        strbuf_printf(b,
                      ", but this host has used up its restart budget (%u in %s); %s stays as it "
                      "is ",
                      a->budget.burst, timespan_format(interval, a->budget.interval_usec),
                      config_of(a, service)->unit);
        if (next == USEC_INFINITY)
                strbuf_append(b, "(RestartBudgetBurst=0)");
        else
                strbuf_printf(b, "for %s at least",
                              timespan_format(span, usec_sub(next, now.boottime)));
}

static void append_static(StrBuf *b, const Actions *a, size_t service) {
        const ServiceConfig *config = config_of(a, service);
        uint64_t n = a->restarts[service].counts.n_in_row;
        char span[TIMESPAN_MAX];

        strbuf_printf(b,
                      "; %" PRIu64 " %s of %s did not help: it is left running (fail-static) until "
                      "the service has been healthy for %s, or \"vitalctl reset-restarts %s\"",
                      n, restarts_word(n), config->unit,
                      timespan_format(span, config->restart_reset_after_usec), config->name);
}

static void append_action(StrBuf *b, const Actions *a, const Action *action, const Snapshot *s,
                          Time now) {
        size_t i = action->service;
        const ServiceConfig *config = config_of(a, i);
        char span[TIMESPAN_MAX];

        if (action->type != ACTION_TELL_CURED)
                append_cause(b, a, s, i);
        switch (action->type) {
        case ACTION_RESTART:
                append_restart(b, a, i, now);
                break;
        case ACTION_TELL_DELAY:
                append_delay(b, a, i, now);
                break;
        case ACTION_TELL_BUDGET:
                append_budget(b, a, i, now);
                break;
        case ACTION_TELL_HELD:
                strbuf_printf(b, ", but systemd cannot be reached; %s stays as it is until then",
                              config->unit);
                break;
        case ACTION_TELL_STATIC:
                append_static(b, a, i);
                break;
        case ACTION_TELL_CURED:
                strbuf_printf(b, "healthy for %s since %s was restarted; that is forgotten now",
                              timespan_format(span, config->restart_reset_after_usec),
                              config->unit);
                break;
        }
}

static void tell(const Actions *a, size_t service, const Style *style, const StrBuf *text) {
        const ServiceConfig *config = config_of(a, service);
        const LogField fields[] = {
                { "MESSAGE_ID", style->message_id },
                { "VITALD_SERVICE", config->name },
                { "VITALD_UNIT", config->unit },
        };

        log_fields(style->level, fields, ELEMENTSOF(fields), "%s: %s", config->name,
                   text->text ? text->text : "");
}

void journal_restart_tell(const Actions *a, const Action *action, const Snapshot *s, Time now) {
        _cleanup_strbuf_ StrBuf text = {};

        append_action(&text, a, action, s, now);
        tell(a, action->service, &styles[action->type], &text);
}

void journal_restart_refused(const Actions *a, size_t service, const Snapshot *s, bool is_right,
                             const char *text) {
        const ServiceConfig *config = config_of(a, service);
        _cleanup_strbuf_ StrBuf b = {};

        if (s->config == a->config)
                append_cause(&b, a, s, service);
        if (is_right) {
                strbuf_printf(&b,
                              ", but vitald may not restart %s, which is left running; polkit must "
                              "allow it by a line in " RESTART_RULE_FILE ": ",
                              config->unit);
                restart_rule_format(&b, a->config);
        } else
                strbuf_printf(&b, ", but systemd does not restart %s: %s", config->unit, text);
        tell(a, service, &(Style){ ID_REFUSED, LOG_ERR }, &b);
}

void journal_restart_reset(const Actions *a, size_t service, const char *who) {
        const RestartCounts *counts = &a->restarts[service].counts;
        const char *unit = config_of(a, service)->unit;
        _cleanup_strbuf_ StrBuf b = {};

        strbuf_printf(&b, "by order of %s %" PRIu64 " %s of %s without a cure %s forgotten", who,
                      counts->n_in_row, restarts_word(counts->n_in_row), unit,
                      counts->n_in_row == 1 ? "is" : "are");
        if (counts->static_boottime > 0)
                strbuf_append(&b, "; it is no longer left running (fail-static)");
        tell(a, service, &(Style){ ID_RESET, LOG_WARNING }, &b);
}

void journal_restart_failed(const Actions *a, size_t service, const char *result) {
        _cleanup_strbuf_ StrBuf b = {};

        strbuf_printf(&b, "the restart of %s has ended with \"%s\"; see systemctl status %s",
                      config_of(a, service)->unit, result, config_of(a, service)->unit);
        tell(a, service, &(Style){ ID_REFUSED, LOG_ERR }, &b);
}
