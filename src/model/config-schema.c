/* SPDX-License-Identifier: MIT */
#include "model/config.h"

#include <errno.h>
#include <inttypes.h>

#include "base/address.h"
#include "base/parse.h"
#include "base/text.h"
#include "model/restart-budget.h"

/* -- Listen= ----------------------------------------------------------------------------------- */

static int listen_parse(const Option *o, const char *value, void *field,
                        char why[static OPTION_WHY_MAX]) {
        char shown[OPTION_VALUE_SHOWN_MAX];
        const char *error;
        Address address;
        int r;

        r = address_parse(value, 0, &address, &error);
        if (r >= 0 && address.kind == ADDRESS_NAME) {
                error = "a name; write the address itself, such as 127.0.0.1:9911";
                r = -EINVAL;
        }
        if (r < 0) {
                snprintf(why, OPTION_WHY_MAX, "\"%s\": %s", option_show(shown, value), error);
                return r;
        }
        return option_strv.parse(o, value, field, why);
}

static void listen_clear(void *field) {
        option_strv.clear(field);
}

static void listen_canonical(const Option *o, const void *field, StrBuf *out) {
        option_strv.canonical(o, field, out);
}

static const OptionType option_listen = {
        .expected = "ADDRESS:PORT, [IPV6]:PORT or an absolute path",
        .is_list = true,
        .parse = listen_parse,
        .clear = listen_clear,
        .canonical = listen_canonical,
        .size = sizeof(char **),
};

/* -- DownStatus=, DegradedStatus= -------------------------------------------------------------- */

/* One of a few numbers, which stand in the words. */
static int status_parse(const Option *o, const char *value, void *field,
                        char why[static OPTION_WHY_MAX]) {
        unsigned index;
        int r;

        r = option_word.parse(o, value, &index, why);
        if (r < 0)
                return r;
        return parse_uint64(o->words[index], field);
}

static void status_canonical(const Option *o _unused_, const void *field, StrBuf *out) {
        strbuf_printf(out, "%" PRIu64, *(const uint64_t *) field);
}

static const OptionType option_status = {
        .expected = "an HTTP status",
        .parse = status_parse,
        .canonical = status_canonical,
        .size = sizeof(uint64_t),
};

/* -- Alias= ------------------------------------------------------------------------------------ */

#define ALIASES_MAX    64
#define ALIAS_PATH_MAX 256

static const char *const alias_targets[] = {
        "/health", "/health/live", "/health/ready", "/health/started", "/health/status", "/live",
        "/livez",  "/ready",       "/readyz",       "/startupz",       "/metrics",
};

/* Those that may have a service behind them, and a check behind that. */
static const char *const alias_folders[] = {
        "/health/live/",
        "/health/ready/",
        "/health/started/",
        "/health/status/",
};

static bool alias_names_are_valid(const char *names) {
        char service[NAME_LENGTH_MAX + 1];
        size_t n = strcspn(names, "/");

        if (n >= sizeof(service))
                return false;
        memcpy(service, names, n);
        service[n] = 0;
        return name_is_valid(service) && (!names[n] || name_is_valid(names + n + 1));
}

static bool alias_path_is_known(const char *path) {
        for (size_t i = 0; i < ELEMENTSOF(alias_targets); i++)
                if (str_equal(path, alias_targets[i]))
                        return true;
        for (size_t i = 0; i < ELEMENTSOF(alias_folders); i++)
                if (str_starts_with(path, alias_folders[i]) &&
                    alias_names_are_valid(path + strlen(alias_folders[i])))
                        return true;
        return false;
}

/* A format that is none is told to who asks for it: only the outputs know which there are. */
static bool alias_target_is_known(const char *target) {
        static const char format[] = "?format=";
        char path[ALIAS_PATH_MAX + 1];
        size_t n = strcspn(target, "?");

        if (n > ALIAS_PATH_MAX)
                return false;
        memcpy(path, target, n);
        path[n] = 0;
        if (target[n] && (!str_starts_with(target + n, format) || !target[n + strlen(format)] ||
                          target[n + strspn(target + n, "?=abcdefghijklmnopqrstuvwxyz")]))
                return false;
        return alias_path_is_known(path);
}

/* As a request would spell it: no query, no blanks, printable. */
static bool alias_path_is_valid(const char *s, size_t n) {
        if (n == 0 || n > ALIAS_PATH_MAX || s[0] != '/')
                return false;
        for (size_t i = 0; i < n; i++)
                if (s[i] <= ' ' || s[i] == 0x7f || s[i] == '?' || s[i] == '#')
                        return false;
        return true;
}

static int alias_append(HttpAliases *l, const char *path, size_t n, const char *target) {
        HttpAlias *items = reallocarray(l->items, l->n + 1, sizeof(HttpAlias));
        HttpAlias new = { .path = strndup(path, n), .target = strdup(target) };

        if (items)
                l->items = items;
        if (!items || !new.path || !new.target) {
                free(new.path);
                free(new.target);
                return -ENOMEM;
        }
        items[l->n++] = new;
        return 0;
}

static int alias_parse(const Option *o _unused_, const char *value, void *field,
                       char why[static OPTION_WHY_MAX]) {
        size_t n = strcspn(value, " \t");
        const char *target = value + n + strspn(value + n, " \t");
        char shown[OPTION_VALUE_SHOWN_MAX];
        HttpAliases *l = field;

        if (!alias_path_is_valid(value, n) || !*target)
                return -EINVAL;
        if (!alias_target_is_known(target)) {
                snprintf(why, OPTION_WHY_MAX,
                         "\"%s\" is not a known path, such as /health/ready or "
                         "/health/ready/orders",
                         option_show(shown, target));
                return -EINVAL;
        }
        if (l->n >= ALIASES_MAX) {
                snprintf(why, OPTION_WHY_MAX, "more than %d aliases", ALIASES_MAX);
                return -ERANGE;
        }
        for (size_t i = 0; i < l->n; i++)
                if (strlen(l->items[i].path) == n && memcmp(l->items[i].path, value, n) == 0) {
                        snprintf(why, OPTION_WHY_MAX, "\"%s\" is an alias already",
                                 text_sanitize(shown, sizeof(shown), value, n));
                        return -EINVAL;
                }
        return alias_append(l, value, n, target);
}

static void alias_clear(void *field) {
        HttpAliases *l = field;

        for (size_t i = 0; i < l->n; i++) {
                free(l->items[i].path);
                free(l->items[i].target);
        }
        free(l->items);
        *l = (HttpAliases){};
}

static void alias_canonical(const Option *o _unused_, const void *field, StrBuf *out) {
        const HttpAliases *l = field;

        for (size_t i = 0; i < l->n; i++)
                strbuf_printf(out, "%s %s\n", l->items[i].path, l->items[i].target);
}

const OptionType option_http_alias = {
        .expected = "a path and the path that answers for it, such as \"/up /health/ready\"",
        .is_list = true,
        .parse = alias_parse,
        .clear = alias_clear,
        .canonical = alias_canonical,
        .size = sizeof(HttpAliases),
};

/* -- the tables -------------------------------------------------------------------------------- */

const char *const probe_words[] = { "readiness", "liveness", "startup", NULL };

const char *const on_liveness_failure_words[] = { "none", "watchdog", "restart", NULL };
const char *const on_startup_failure_words[] = { "none", "restart", NULL };
static const char *const notify_ready_words[] = { "checked", "listening", "started", NULL };
static const char *const layout_words[] = { "standard", "components", NULL };
static const char *const down_status_words[] = { "503", "500", NULL };
static const char *const degraded_status_words[] = { "200", "503", NULL };
const char *const load_balancer_words[] = { "none",    "aws-alb", "aws-nlb", "gcp", "azure",
                                            "haproxy", "nginx",   "other",   NULL };

/* clang-format off */
#define FIELD(Type, member) .offset = offsetof(Type, member)

#define CHECK_SPAN(Key, member, Fallback, Min, Max, Flags)                                       \
        { .key = Key, .type = &option_timespan, FIELD(CheckConfig, member), .fallback = Fallback, \
          .min = Min, .max = Max, .flags = Flags }
#define RUN_SPAN(Key, member, Fallback, Min, Max)                                                \
        CHECK_SPAN(Key, member, Fallback, Min, Max, OPTION_RUN)
#define CHECK_COUNT(Key, member, Fallback)                                                       \
        { .key = Key, .type = &option_unsigned, FIELD(CheckConfig, member), .fallback = Fallback, \
          .min = 1, .max = 1000, .flags = OPTION_GRADE }

static const Option check_options[] = {
        { .key = "From", .type = &option_string, FIELD(CheckConfig, shared), .flags = OPTION_OWN },
        { .key = "After", .type = &option_names, FIELD(CheckConfig, after),
          .flags = OPTION_OWN | OPTION_GRADE },
        { .key = "Description", .type = &option_string, FIELD(CheckConfig, description) },
        { .key = "Documentation", .type = &option_string, FIELD(CheckConfig, documentation) },
        { .key = "Probes", .type = &option_words, FIELD(CheckConfig, probes),
          .fallback = "readiness", .words = probe_words },
        { .key = "Critical", .type = &option_bool, FIELD(CheckConfig, is_critical),
          .fallback = "yes" },
        { .key = "Shadow", .type = &option_bool, FIELD(CheckConfig, is_shadow), .fallback = "no" },
        { .key = "AllowRemoteLiveness", .type = &option_bool,
          FIELD(CheckConfig, allow_remote_liveness), .fallback = "no" },
        RUN_SPAN("Interval", interval_usec, "10s", 10 * USEC_PER_MSEC, USEC_PER_DAY),
        /* 0 until the loader puts in what follows from the type and from Interval= */
        RUN_SPAN("Timeout", timeout_usec, NULL, 10 * USEC_PER_MSEC, USEC_PER_HOUR),
        RUN_SPAN("RetryInterval", retry_interval_usec, NULL, 10 * USEC_PER_MSEC, USEC_PER_DAY),
        RUN_SPAN("MaxAge", max_age_usec, NULL, 20 * USEC_PER_MSEC, 30 * USEC_PER_DAY),
        RUN_SPAN("InitialDelay", initial_delay_usec, "0", 0, USEC_PER_DAY),
        RUN_SPAN("ConnectionMaxAge", connection_max_age_usec, "5min", USEC_PER_SEC, USEC_INFINITY),
        CHECK_SPAN("WarnLatency", warn_latency_usec, NULL, 0, USEC_PER_HOUR, OPTION_GRADE),
        CHECK_SPAN("MaxLatency", max_latency_usec, NULL, 0, USEC_PER_HOUR, OPTION_GRADE),
        { .key = "Warn", .type = &option_limits, FIELD(CheckConfig, warn),
          .flags = OPTION_OWN | OPTION_GRADE },
        { .key = "Fail", .type = &option_limits, FIELD(CheckConfig, fail),
          .flags = OPTION_OWN | OPTION_GRADE },
        CHECK_COUNT("FailureThreshold", failure_threshold, "2"),
        CHECK_COUNT("SuccessThreshold", success_threshold, "1"),
        CHECK_COUNT("LivenessFailureThreshold", liveness_failure_threshold, "3"),
};

static const Option service_options[] = {
        { .key = "Description", .type = &option_string, FIELD(ServiceConfig, description) },
        { .key = "Documentation", .type = &option_string, FIELD(ServiceConfig, documentation) },
        { .key = "Unit", .type = &option_unit, FIELD(ServiceConfig, unit) },
        { .key = "Version", .type = &option_string, FIELD(ServiceConfig, version) },
        { .key = "VersionFile", .type = &option_path, FIELD(ServiceConfig, version_file) },
        { .key = "StartupTimeout", .type = &option_timespan,
          FIELD(ServiceConfig, startup_timeout_usec), .fallback = "5min",
          .min = 100 * USEC_PER_MSEC, .max = USEC_INFINITY },
        { .key = "OnLivenessFailure", .type = &option_word,
          FIELD(ServiceConfig, on_liveness_failure), .fallback = "none",
          .words = on_liveness_failure_words },
        { .key = "OnStartupFailure", .type = &option_word,
          FIELD(ServiceConfig, on_startup_failure), .fallback = "none",
          .words = on_startup_failure_words },
        { .key = "RestartBackoff", .type = &option_timespan,
          FIELD(ServiceConfig, restart_backoff_usec), .fallback = "10s", .min = USEC_PER_SEC,
          .max = USEC_PER_DAY },
        { .key = "RestartBackoffMax", .type = &option_timespan,
          FIELD(ServiceConfig, restart_backoff_max_usec), .fallback = "5min", .min = USEC_PER_SEC,
          .max = USEC_PER_DAY },
        { .key = "RestartResetAfter", .type = &option_timespan,
          FIELD(ServiceConfig, restart_reset_after_usec), .fallback = "10min",
          .min = USEC_PER_SEC, .max = 30 * USEC_PER_DAY },
        { .key = "RestartLimit", .type = &option_unsigned, FIELD(ServiceConfig, restart_limit),
          .fallback = "3", .min = 1, .max = 1000 },
        { .key = "OnFlip", .type = &option_unit_pattern, FIELD(ServiceConfig, on_flip) },
        { .key = "Host", .type = &option_bool, FIELD(ServiceConfig, counts_for_host),
          .fallback = "yes" },
        { .key = "Shadow", .type = &option_bool, FIELD(ServiceConfig, is_shadow),
          .fallback = "no" },
};

static const Option daemon_options[] = {
        { .key = "NotifyReady", .type = &option_word, FIELD(DaemonConfig, notify_ready),
          .fallback = "checked", .words = notify_ready_words },
        { .key = "MaxConcurrentChecks", .type = &option_unsigned,
          FIELD(DaemonConfig, max_concurrent_checks), .fallback = "128", .min = 1, .max = 10000 },
        { .key = "OnFlip", .type = &option_unit_pattern, FIELD(DaemonConfig, on_flip) },
        { .key = "DrainOnShutdown", .type = &option_bool, FIELD(DaemonConfig, drain_on_shutdown),
          .fallback = "yes" },
        { .key = "RestartBudgetBurst", .type = &option_unsigned,
          FIELD(DaemonConfig, restart_budget_burst), .fallback = "5", .min = 0,
          .max = RESTART_BUDGET_MAX },
        { .key = "RestartBudgetInterval", .type = &option_timespan,
          FIELD(DaemonConfig, restart_budget_interval_usec), .fallback = "10min",
          .min = USEC_PER_SEC, .max = USEC_PER_DAY },
};

static const Option agent_options[] = {
        { .key = "Listen", .type = &option_listen, FIELD(AgentConfig, listen) },
        { .key = "DegradedWeight", .type = &option_unsigned, FIELD(AgentConfig, degraded_weight),
          .fallback = "100", .min = 0, .max = 100 },
};

static const Option http_options[] = {
        { .key = "Listen", .type = &option_listen, FIELD(HttpConfig, listen) },
        { .key = "Layout", .type = &option_word, FIELD(HttpConfig, layout),
          .fallback = "standard", .words = layout_words },
        { .key = "Alias", .type = &option_http_alias, FIELD(HttpConfig, aliases) },
        { .key = "DownStatus", .type = &option_status, FIELD(HttpConfig, down_status),
          .fallback = "503", .words = down_status_words },
        { .key = "DegradedStatus", .type = &option_status, FIELD(HttpConfig, degraded_status),
          .fallback = "200", .words = degraded_status_words },
        { .key = "MaxConnections", .type = &option_unsigned, FIELD(HttpConfig, max_connections),
          .fallback = "1024", .min = 4, .max = 65536 },
        { .key = "MaxConnectionsPerAddress", .type = &option_unsigned,
          FIELD(HttpConfig, max_connections_per_address), .fallback = "256", .min = 1,
          .max = 65536 },
        { .key = "HeaderTimeout", .type = &option_timespan,
          FIELD(HttpConfig, header_timeout_usec), .fallback = "5s", .min = 500 * USEC_PER_MSEC,
          .max = 5 * USEC_PER_MINUTE },
        { .key = "IdleTimeout", .type = &option_timespan, FIELD(HttpConfig, idle_timeout_usec),
          .fallback = "2min", .min = USEC_PER_SEC, .max = USEC_PER_DAY },
        { .key = "AllowFrom", .type = &option_networks, FIELD(HttpConfig, allow_from) },
        { .key = "RateLimit", .type = &option_unsigned, FIELD(HttpConfig, rate_limit),
          .fallback = "1000", .min = 0, .max = 1000000 },
        { .key = "TokenCredential", .type = &option_credential, FIELD(HttpConfig, token) },
        { .key = "LoadBalancer", .type = &option_word, FIELD(HttpConfig, load_balancer),
          .fallback = "none", .words = load_balancer_words },
        { .key = "LoadBalancerInterval", .type = &option_timespan,
          FIELD(HttpConfig, load_balancer_interval_usec), .min = 10 * USEC_PER_MSEC,
          .max = USEC_PER_HOUR },
        { .key = "LoadBalancerThreshold", .type = &option_unsigned,
          FIELD(HttpConfig, load_balancer_threshold), .min = 1, .max = 1000 },
};
/* clang-format on */

const Schema check_schema = SCHEMA(check_options);
const Schema service_schema = SCHEMA(service_options);
const Schema daemon_schema = SCHEMA(daemon_options);
const Schema http_schema = SCHEMA(http_options);
const Schema agent_schema = SCHEMA(agent_options);
