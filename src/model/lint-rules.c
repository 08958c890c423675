/* SPDX-License-Identifier: MIT */
/* What the linter says of checks and services. */

#include <errno.h>
#include <inttypes.h>

#include "base/text.h"
#include "model/lint-internal.h"
#include "model/schedule.h"

/* Has a say in a verdict of something that has one. */
static bool feeds(const ServiceConfig *s, const CheckConfig *c, Probe p) {
        return !s->is_shadow && check_config_counts(c, p);
}

static bool withdraws_readiness(const ServiceConfig *s, const CheckConfig *c) {
        return feeds(s, c, PROBE_READINESS) && c->is_critical;
}

static const char *target_text(const CheckConfig *c) {
        return *c->target.text ? c->target.text : "another host";
}

/* -- liveness ---------------------------------------------------------------------------------- */

static bool is_remote_startup_restart(const ServiceConfig *s, const CheckConfig *c) {
        return feeds(s, c, PROBE_STARTUP) && c->target.is_remote &&
               s->on_startup_failure == ON_STARTUP_FAILURE_RESTART;
}

static bool is_remote_liveness(const ServiceConfig *s, const CheckConfig *c) {
        return feeds(s, c, PROBE_LIVENESS) && c->target.is_remote;
}

void lint_remote_restart(Lint *l, const ServiceConfig *s, const CheckConfig *c) {
        if (is_remote_startup_restart(s, c))
                lint_say(l, "AllowRemoteLiveness",
                         "while %s is away no start succeeds, OnStartupFailure=restart acts on "
                         "every host at the same time, and no restart here mends it; take startup "
                         "out of Probes=",
                         target_text(c));
        if (!is_remote_liveness(s, c) || s->on_liveness_failure == ON_LIVENESS_FAILURE_NONE)
                return;
        lint_say(l, "AllowRemoteLiveness",
                 "an outage of %s makes OnLivenessFailure=%s act, on every host at the same time, "
                 "and no restart here mends it; take liveness out of Probes=",
                 target_text(c), on_liveness_failure_words[s->on_liveness_failure]);
}

void lint_remote_liveness(Lint *l, const ServiceConfig *s, const CheckConfig *c) {
        if (!is_remote_liveness(s, c) || s->on_liveness_failure != ON_LIVENESS_FAILURE_NONE)
                return;
        lint_say(l, "AllowRemoteLiveness",
                 "an outage of %s is reported as this service being dead, and whoever restarts by "
                 "/health/live does so on every host at the same time; take liveness out of "
                 "Probes=",
                 target_text(c));
}

void lint_liveness_threshold(Lint *l, const ServiceConfig *s, const CheckConfig *c) {
        if (!check_type_has_runs(c->type) || !feeds(s, c, PROBE_LIVENESS) ||
            !withdraws_readiness(s, c) || c->liveness_failure_threshold > c->failure_threshold)
                return;
        lint_say(l, "LivenessFailureThreshold",
                 "the service is dead after %" PRIu64
                 " failures and not ready no earlier than after "
                 "%" PRIu64 " (FailureThreshold=), so that it is restarted before its traffic is "
                 "led away; make it %" PRIu64 " or more",
                 c->liveness_failure_threshold, c->failure_threshold, c->failure_threshold + 1);
}

void lint_action_without_liveness(Lint *l, const ServiceConfig *s) {
        if (s->on_liveness_failure == ON_LIVENESS_FAILURE_NONE || s->is_shadow)
                return;
        for (size_t i = 0; i < s->n_checks; i++)
                if (feeds(s, lint_checks_of(l, s)[i], PROBE_LIVENESS))
                        return;
        lint_say(l, "OnLivenessFailure",
                 "no check feeds liveness, so that the service is never dead and nothing is ever "
                 "done; add liveness to Probes= of a local check");
}

/* The longest until the service is found dead, and by which check; 0: never. */
static usec_t liveness_worst_case(const Lint *l, const ServiceConfig *s, const CheckConfig **ret) {
        usec_t worst = 0;

        for (size_t i = 0; i < s->n_checks; i++) {
                const CheckConfig *c = lint_checks_of(l, s)[i];
                usec_t usec = schedule_worst_case(c, c->liveness_failure_threshold);

                if (feeds(s, c, PROBE_LIVENESS) && usec > worst) {
                        worst = usec;
                        *ret = c;
                }
        }
        return worst;
}

void lint_watchdog_detection(Lint *l, const ServiceConfig *s) {
        char period[TIMESPAN_MAX], found[TIMESPAN_MAX], sum[TIMESPAN_MAX];
        usec_t watchdog = l->facts->watchdog_usec, worst;
        const CheckConfig *c = NULL;

        if (s->on_liveness_failure != ON_LIVENESS_FAILURE_WATCHDOG || s->is_shadow)
                return;
        worst = liveness_worst_case(l, s, &c);
        if (watchdog == 0 || !c || worst <= watchdog)
                return;
        lint_say(l, "OnLivenessFailure",
                 "the watchdog of vitald.service is set to %s, but check %s takes up to %s to find "
                 "the service dead, so that the restart comes after up to %s; lower its Interval= "
                 "or LivenessFailureThreshold=, or count on that time",
                 timespan_format(period, watchdog), c->name, timespan_format(found, worst),
                 timespan_format(sum, usec_add(worst, watchdog)));
}

/* -- startup ----------------------------------------------------------------------------------- */

/* The longest from when a thing is good until its check says so for the first time. */
static usec_t first_success_usec(const CheckConfig *c) {
        return usec_add(usec_add(c->interval_usec, usec_mul(c->timeout_usec, c->success_threshold)),
                        usec_mul(c->retry_interval_usec, c->success_threshold - 1));
}

void lint_startup_window(Lint *l, const ServiceConfig *s, const CheckConfig *c) {
        char window[TIMESPAN_MAX], needed[TIMESPAN_MAX];
        usec_t usec = usec_add(c->initial_delay_usec, first_success_usec(c));

        if (!check_type_has_runs(c->type) || !feeds(s, c, PROBE_STARTUP) ||
            s->startup_timeout_usec >= usec)
                return;
        lint_say(l, "Interval",
                 "it may take %s until this check has seen that all is well, but StartupTimeout= "
                 "is %s, so that a good start may be told as failed; raise that or lower "
                 "Interval=, Timeout= or InitialDelay=",
                 timespan_format(needed, usec), timespan_format(window, s->startup_timeout_usec));
}

void lint_startup_optional(Lint *l, const ServiceConfig *s, const CheckConfig *c) {
        if (!feeds(s, c, PROBE_STARTUP) || c->is_critical)
                return;
        lint_say(l, "Critical",
                 "Critical=no is about readiness alone: the service is not started, and so not "
                 "ready, until this check has been healthy once; take startup out of Probes=");
}

/* -- readiness --------------------------------------------------------------------------------- */

void lint_always_ready(Lint *l, const ServiceConfig *s) {
        if (s->is_builtin || s->is_shadow || s->unit || s->n_checks == 0)
                return;
        for (size_t i = 0; i < s->n_checks; i++)
                if (withdraws_readiness(s, lint_checks_of(l, s)[i]))
                        return;
        lint_say(l, "Probes",
                 "no check can take readiness away: once started, the service is ready whatever "
                 "its checks find; let a check be critical and have readiness in Probes=");
}

void lint_combined_members(Lint *l, const ServiceConfig *s, const CheckConfig *c) {
        if (!(c->type->flags & CHECK_TYPE_TOLERANT) || !withdraws_readiness(s, c))
                return;
        for (size_t i = 0; i < c->n_needs; i++) {
                const CheckConfig *input = lint_checks_of(l, s)[c->needs[i]];

                if (!withdraws_readiness(s, input))
                        continue;
                lint_say(l, "Checks",
                         "%s takes readiness away by itself already, so that the others do not "
                         "stand in for it; set Critical=no in [Check %s] and the like",
                         input->name, input->name);
                return;
        }
}

/* Whose traffic hangs on what: by the name of the server, or all of the address. */
static const char *dependency_of(const CheckConfig *c) {
        return *c->target.host ? c->target.host : c->target.text;
}

static int dependency_compare(const void *a, const void *b) {
        const CheckConfig *const *x = a, *const *y = b;
        int r = strcmp(dependency_of(*x), dependency_of(*y));

        return r != 0 ? r : strcmp((*x)->service, (*y)->service);
}

/* The checks that take a service of the host's out when another host is away, by that host. */
static size_t gather_dependencies(const Lint *l, const CheckConfig **checks, size_t *ret_services) {
        size_t n = 0;

        *ret_services = 0;
        for (size_t i = 0; i < l->config->n_services; i++) {
                const ServiceConfig *s = &l->config->services[i];

                if (!s->counts_for_host)
                        continue;
                ++*ret_services;
                for (size_t j = 0; j < s->n_checks; j++) {
                        const CheckConfig *c = lint_checks_of(l, s)[j];

                        if (check_type_has_runs(c->type) && c->target.is_remote &&
                            withdraws_readiness(s, c))
                                checks[n++] = c;
                }
        }
        if (n > 0)
                qsort(checks, n, sizeof(*checks), dependency_compare);
        return n;
}

/* In how many services those checks are, which are sorted by them. */
static size_t count_services(const CheckConfig *const *checks, size_t n) {
        size_t n_services = 0;

        for (size_t i = 0; i < n; i++)
                if (i == 0 || !str_equal(checks[i]->service, checks[i - 1]->service))
                        n_services++;
        return n_services;
}

void lint_shared_dependency(Lint *l) {
        _cleanup_free_ const CheckConfig **checks =
                calloc(l->config->n_checks + 1, sizeof(CheckConfig *));
        size_t n, n_services, end;

        if (!checks) {
                l->error = -ENOMEM;
                return;
        }
        n = gather_dependencies(l, checks, &n_services);
        for (size_t i = 0; i < n; i = end) {
                const CheckConfig *c = checks[i];

                for (end = i + 1; end < n; end++)
                        if (!str_equal(dependency_of(checks[end]), dependency_of(c)))
                                break;
                if (count_services(checks + i, end - i) < n_services)
                        continue;
                l->check = c;
                l->service = &l->config->services[config_find_service(l->config, c->service)];
                lint_say(l, "Critical",
                         "%s of this host hangs on %s, whose outage takes every host with this "
                         "configuration out at the same time; what can answer without it should "
                         "say Critical=no and be degraded instead",
                         n_services == 1 ? "all" : "each service", dependency_of(c));
        }
}

/* -- keys without effect ----------------------------------------------------------------------- */

void lint_timeout_interval(Lint *l, const ServiceConfig *s _unused_, const CheckConfig *c) {
        char timeout[TIMESPAN_MAX], interval[TIMESPAN_MAX];

        if (!check_type_has_runs(c->type) || c->timeout_usec <= c->interval_usec)
                return;
        lint_say(l, "Timeout",
                 "%s is longer than Interval=, %s: a run that hangs keeps the next ones from "
                 "beginning, and a failure is seen that much later; make it the shorter one",
                 timespan_format(timeout, c->timeout_usec),
                 timespan_format(interval, c->interval_usec));
}

void lint_latency_limits(Lint *l, const ServiceConfig *s, const CheckConfig *c) {
        char timeout[TIMESPAN_MAX];
        bool is_max = c->max_latency_usec >= c->timeout_usec;

        /* The built-in checks have what [Defaults] says for others. */
        if (!check_type_has_runs(c->type) || s->is_builtin)
                return;
        if (is_max || c->warn_latency_usec >= c->timeout_usec)
                lint_say(l, is_max ? "MaxLatency" : "WarnLatency",
                         "no run takes that long, it is a failure after Timeout=, %s, already; "
                         "make it shorter than that",
                         timespan_format(timeout, c->timeout_usec));
        else if (c->max_latency_usec > 0 && c->warn_latency_usec >= c->max_latency_usec)
                lint_say(l, "WarnLatency",
                         "nothing is slow enough to warn of and not a failure by MaxLatency= "
                         "already; make it shorter than that");
}

void lint_critical_unread(Lint *l, const ServiceConfig *s, const CheckConfig *c) {
        if (c->is_critical || !feeds(s, c, PROBE_LIVENESS) || feeds(s, c, PROBE_READINESS) ||
            feeds(s, c, PROBE_STARTUP))
                return;
        lint_say(l, "Critical",
                 "Critical=no is about readiness, which this check does not feed: its failures "
                 "make the service dead as ever; Shadow=yes only measures");
}

static bool alias_leads_to(const HttpAlias *a, const char *service) {
        size_t n = strlen(service);

        for (const char *p = a->target; (p = strchr(p, '/')); p++)
                if (strncmp(p + 1, service, n) == 0 && (!p[n + 1] || strchr("/?", p[n + 1])))
                        return true;
        return false;
}

void lint_unread_service(Lint *l, const ServiceConfig *s) {
        const HttpAliases *aliases = &l->config->http.aliases;

        if (s->counts_for_host || s->is_builtin || s->is_shadow ||
            s->on_liveness_failure != ON_LIVENESS_FAILURE_NONE)
                return;
        for (size_t i = 0; i < aliases->n; i++)
                if (alias_leads_to(&aliases->items[i], s->name))
                        return;
        lint_say(l, "Host",
                 "with Host=no the host's verdict leaves this service out: only who asks for "
                 "/health/ready/%s, by D-Bus or for metrics ever hears of its checks; make sure "
                 "that somebody does",
                 s->name);
}
