/* SPDX-License-Identifier: MIT */
#include "output/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/build-id.h"

#define BOUND_MAX 16

typedef struct Metrics {
        const Snapshot *snapshot;  /* borrowed */
        const MetricsStats *stats; /* borrowed */
        MetricsFormat format;
        StrBuf *out; /* borrowed */

        const char *name;                            /* of the present family */
        size_t check;                                /* the present check */
        StrBuf check_labels;                         /* its labels */
        bool has_labels;                             /* in the present sample */
        char bounds[LATENCY_BUCKETS + 1][BOUND_MAX]; /* in seconds */
} Metrics;

/* -- samples: name{label="value"} number ------------------------------------------------------ */

static void append_quoted(StrBuf *out, const char *value) {
        strbuf_append_bytes(out, "\"", 1);
        for (size_t n; *value; value += n) {
                n = strcspn(value, "\\\"\n");
                strbuf_append_bytes(out, value, n);
                if (value[n]) {
                        strbuf_append(out, value[n] == '\n'  ? "\\n"
                                           : value[n] == '"' ? "\\\""
                                                             : "\\\\");
                        n++;
                }
        }
        strbuf_append_bytes(out, "\"", 1);
}

static void sample_begin(Metrics *m, const char *suffix) {
        strbuf_append(m->out, m->name);
        strbuf_append(m->out, suffix);
        m->has_labels = false;
}

static void sample_label(Metrics *m, const char *label, const char *value) {
        strbuf_append_bytes(m->out, m->has_labels ? "," : "{", 1);
        strbuf_append(m->out, label);
        strbuf_append_bytes(m->out, "=", 1);
        append_quoted(m->out, value);
        m->has_labels = true;
}

/* A sample of the present check: nearly all are, so its labels are made once. */
static void sample_begin_check(Metrics *m, const char *suffix) {
        sample_begin(m, suffix);
        strbuf_append_bytes(m->out, m->check_labels.text, m->check_labels.length);
        m->has_labels = true;
}

_printf_(2, 3) static void sample_end(Metrics *m, const char *format, ...) {
        va_list ap;

        strbuf_append(m->out, m->has_labels ? "} " : " ");
        va_start(ap, format);
        strbuf_vprintf(m->out, format, ap);
        va_end(ap);
        strbuf_append_bytes(m->out, "\n", 1);
}

/* Nearly all numbers are counts, and printf() takes ten times as long. */
static void sample_end_count(Metrics *m, uint64_t n) {
        char text[sizeof("} 18446744073709551615\n")], *end = text + sizeof(text), *at = end;

        *--at = '\n';
        do {
                *--at = (char) ('0' + n % 10);
                n /= 10;
        } while (n > 0);
        *--at = ' ';
        if (m->has_labels)
                *--at = '}';
        strbuf_append_bytes(m->out, at, (size_t) (end - at));
}

static void sample_end_seconds(Metrics *m, usec_t t) {
        sample_end(m, "%" PRIu64 ".%06" PRIu64, t / USEC_PER_SEC, t % USEC_PER_SEC);
}

/* -- families of each check ------------------------------------------------------------------- */

static void metrics_take_check(Metrics *m, const CheckState *c, const char *check_label) {
        strbuf_reset(&m->check_labels);
        strbuf_append(&m->check_labels, "{service=");
        append_quoted(&m->check_labels, c->config->service);
        strbuf_printf(&m->check_labels, ",%s=", check_label);
        append_quoted(&m->check_labels, c->config->name);
        m->out->failed |= m->check_labels.failed;
}

static void write_healthy(Metrics *m, const CheckState *c) {
        sample_begin_check(m, "");
        sample_end_count(m, health_is_good(c->state));
}

static void write_shadow(Metrics *m, const CheckState *c _unused_) {
        sample_begin_check(m, "");
        sample_end_count(m, config_check_is_shadow(m->snapshot->config, m->check));
}

static void write_state(Metrics *m, const CheckState *c) {
        for (Health h = 0; h < HEALTH_COUNT_; h++) {
                sample_begin_check(m, "");
                sample_label(m, "state", health_to_string(h));
                sample_end_count(m, c->state == h);
        }
}

static void write_failures(Metrics *m, const CheckState *c) {
        sample_begin_check(m, "");
        sample_end_count(m, c->failures_in_row);
}

/* Only where there is one: a person put it there, and it is to be seen as such. */
static void write_overridden(Metrics *m, const CheckState *c) {
        if (!check_state_override(c)->is_active)
                return;
        sample_begin_check(m, "");
        sample_label(m, "state", health_to_string(check_state_override(c)->state));
        sample_end_count(m, 1);
}

static void write_last_result(Metrics *m, const CheckState *c) {
        if (!c->has_result)
                return;
        sample_begin_check(m, "");
        sample_end_seconds(m, c->last_realtime);
}

static void write_values(Metrics *m, const CheckState *c) {
        for (size_t i = 0; i < c->last.n_values; i++) {
                const Value *value = &c->last.values[i];

                sample_begin_check(m, "");
                sample_label(m, "name", value->name);
                sample_label(m, "unit", value->unit);
                sample_end(m, "%.15g", value->number);
        }
}

static void write_duration(Metrics *m, const CheckState *c) {
        uint64_t n = 0;

        for (size_t i = 0; i <= LATENCY_BUCKETS; i++) {
                n += c->latency_counts[i];
                sample_begin_check(m, "_bucket");
                sample_label(m, "le", m->bounds[i]);
                sample_end_count(m, n);
        }

        sample_begin_check(m, "_sum");
        sample_end_seconds(m, c->latency_sum_usec);
        sample_begin_check(m, "_count");
        sample_end_count(m, n);
}

static void write_runs(Metrics *m, const CheckState *c) {
        for (Outcome o = 0; o < ELEMENTSOF(c->n_by_outcome); o++) {
                sample_begin_check(m, "_total");
                sample_label(m, "outcome", outcome_to_string(o));
                sample_end_count(m, c->n_by_outcome[o]);
        }
}

/* -- families of the whole -------------------------------------------------------------------- */

static void write_probe(Metrics *m, const char *service, Probe p, bool is_ok) {
        sample_begin(m, "");
        sample_label(m, "service", service);
        sample_label(m, "probe", probe_to_string(p));
        sample_end_count(m, is_ok);
}

static void write_verdict(Metrics *m, const char *service, const Verdict *v) {
        write_probe(m, service, PROBE_LIVENESS, v->live == LIVENESS_ALIVE);
        write_probe(m, service, PROBE_READINESS, v->ready == READINESS_READY);
        write_probe(m, service, PROBE_STARTUP, v->started == STARTUP_STARTED);
}

/* The host is the one without a service. */
static void write_probes(Metrics *m) {
        const Snapshot *s = m->snapshot;

        write_verdict(m, "", &s->host);
        for (size_t i = 0; i < s->config->n_services; i++)
                write_verdict(m, s->config->services[i].name, &s->services[i].verdict);
}

/* The host is the one without a service; who and why stand in the journal. */
static void write_draining(Metrics *m) {
        const Snapshot *s = m->snapshot;

        sample_begin(m, "");
        sample_label(m, "service", "");
        sample_end_count(m, s->drain.is_active);
        for (size_t i = 0; i < s->config->n_services; i++) {
                sample_begin(m, "");
                sample_label(m, "service", s->config->services[i].name);
                sample_end_count(m, s->services[i].state->drain.is_active);
        }
}

/* Of the services whose unit may be restarted. */
static void write_restarts_by(Metrics *m, const char *suffix, uint64_t (*of)(const Restart *r)) {
        const Actions *a = m->stats->actions;

        if (a->config != m->snapshot->config)
                return;
        for (size_t i = 0; i < a->n; i++) {
                if (!service_config_restarts(&a->config->services[i]))
                        continue;
                sample_begin(m, suffix);
                sample_label(m, "service", a->restarts[i].name);
                sample_end_count(m, of(&a->restarts[i]));
        }
}

static uint64_t restart_total(const Restart *r) {
        return r->counts.n_total;
}

static uint64_t restart_is_static(const Restart *r) {
        return r->counts.static_boottime > 0;
}

static uint64_t restart_is_refused(const Restart *r) {
        return r->is_refused;
}

static void write_restarts(Metrics *m) {
        write_restarts_by(m, "_total", restart_total);
}

static void write_restarts_static(Metrics *m) {
        write_restarts_by(m, "", restart_is_static);
}

static void write_restarts_refused(Metrics *m) {
        write_restarts_by(m, "", restart_is_refused);
}

static void write_restart_budget(Metrics *m) {
        sample_begin(m, "");
        sample_end_count(
                m, restart_budget_left(&m->stats->actions->budget, clock_usec(CLOCK_BOOTTIME)));
}

static void write_reload(Metrics *m) {
        sample_begin(m, "");
        sample_end_count(m, !m->snapshot->reload_error);
}

/* vitald.conf is the one without a service. */
static void write_last_good(Metrics *m) {
        const Config *c = m->snapshot->config;

        sample_begin(m, "");
        sample_label(m, "service", "");
        sample_end_count(m, c->fault != NULL);
        for (size_t i = 0; i < c->n_services; i++) {
                sample_begin(m, "");
                sample_label(m, "service", c->services[i].name);
                sample_end_count(m, c->services[i].fault != NULL);
        }
}

static void write_requests(Metrics *m) {
        for (unsigned status = 0; status < HTTP_STATUS_END; status++) {
                char code[16];

                if (m->stats->http->answers[status] == 0)
                        continue;
                snprintf(code, sizeof(code), "%u", status);
                sample_begin(m, "_total");
                sample_label(m, "code", code);
                sample_end_count(m, m->stats->http->answers[status]);
        }
}

static void write_connections(Metrics *m) {
        sample_begin(m, "");
        sample_end_count(m, m->stats->n_connections);
}

static void write_connection_events(Metrics *m) {
        const HttpCounters *http = m->stats->http;
        const struct {
                const char *event;
                uint64_t n;
        } events[] = {
                { "accepted", http->accepted },
                { "evicted", http->evicted },
                { "refused", http->refused },
                { "timed_out", http->timed_out },
        };

        for (size_t i = 0; i < ELEMENTSOF(events); i++) {
                sample_begin(m, "_total");
                sample_label(m, "event", events[i].event);
                sample_end_count(m, events[i].n);
        }
}

static void write_loop_lag(Metrics *m) {
        sample_begin(m, "");
        sample_end_seconds(m, m->stats->loop_lag_usec);
}

static void write_lateness(Metrics *m) {
        sample_begin(m, "");
        sample_end_seconds(m, m->stats->lateness_usec);
}

static void write_stalls(Metrics *m) {
        sample_begin(m, "_total");
        sample_end_count(m, m->stats->n_stalls);
}

static void write_log_dropped(Metrics *m) {
        sample_begin(m, "_total");
        sample_end_count(m, m->stats->log_dropped);
}

/* What was known before a restart says nothing if there was nothing. */
static void write_restored(Metrics *m) {
        if (m->stats->restored_realtime == 0)
                return;
        sample_begin(m, "");
        sample_end_seconds(m, m->stats->restored_realtime);
}

static void write_state_failures(Metrics *m) {
        sample_begin(m, "_total");
        sample_end_count(m, m->stats->state_write_failures);
}

static void write_sequence(Metrics *m) {
        sample_begin(m, "_total");
        sample_end_count(m, m->snapshot->sequence);
}

static void write_build(Metrics *m) {
        char build[BUILD_ID_MAX];

        sample_begin(m, "");
        sample_label(m, "version", PACKAGE_VERSION);
        sample_label(m, "compiler", VITALD_COMPILER);
        sample_label(m, "build", build_id(build));
        sample_end_count(m, 1);
}

static void write_services(Metrics *m) {
        const Snapshot *s = m->snapshot;

        for (size_t i = 0; i < s->config->n_services; i++) {
                sample_begin(m, "");
                sample_label(m, "service", s->config->services[i].name);
                sample_label(m, "version",
                             service_state_version(s->services[i].state, &s->config->services[i]));
                sample_end_count(m, 1);
        }
}

typedef enum FamilyType { FAMILY_GAUGE, FAMILY_COUNTER, FAMILY_HISTOGRAM } FamilyType;

/* Counters stand here without the _total that their samples have. */
static const struct Family {
        const char *name;
        FamilyType type;
        const char *help;
        void (*write)(Metrics *m);                            /* once, or */
        void (*write_check)(Metrics *m, const CheckState *c); /* once for each check */
        const char *check_label; /* what its name stands under; NULL: check */
} families[] = {
        { "vitald_check_healthy", FAMILY_GAUGE, "Whether the check is healthy or degraded.",
          .write_check = write_healthy },
        { "vitald_check_state", FAMILY_GAUGE, "1 for the state that the check is in.",
          .write_check = write_state },
        { "vitald_check_shadow", FAMILY_GAUGE,
          "Whether the check is in shadow and counts for no verdict.",
          .write_check = write_shadow },
        { "vitald_check_overridden", FAMILY_GAUGE,
          "1 while somebody has set the check's state by hand.", .write_check = write_overridden },
        { "vitald_check_consecutive_failures", FAMILY_GAUGE,
          "How many of the check's latest runs failed in a row.", .write_check = write_failures },
        { "vitald_check_last_result_timestamp_seconds", FAMILY_GAUGE,
          "When the check's latest result came.", .write_check = write_last_result },
        { "vitald_check_value", FAMILY_GAUGE, "What the check's latest run measured.",
          .write_check = write_values },
        { "vitald_check_duration_seconds", FAMILY_HISTOGRAM, "How long the check's runs took.",
          .write_check = write_duration },
        { "vitald_check_runs", FAMILY_COUNTER, "The check's runs by outcome.",
          .write_check = write_runs },
        { "app_health_dependency_status", FAMILY_GAUGE, "Whether the component is up.",
          .write_check = write_healthy, .check_label = "component" },
        { "vitald_probe_ok", FAMILY_GAUGE,
          "Whether the probe's verdict is good; the empty service is the host.",
          .write = write_probes },
        { "vitald_draining", FAMILY_GAUGE,
          "Whether readiness is withdrawn on purpose; the empty service is the host.",
          .write = write_draining },
        { "vitald_unit_restarts", FAMILY_COUNTER,
          "Restarts of the service's unit by vitald since the host was booted.",
          .write = write_restarts },
        { "vitald_unit_restart_fail_static", FAMILY_GAUGE,
          "Whether restarts did not help, so that the unit is left running.",
          .write = write_restarts_static },
        { "vitald_unit_restart_refused", FAMILY_GAUGE,
          "Whether the unit should be restarted and systemd or polkit does not let vitald.",
          .write = write_restarts_refused },
        { "vitald_restart_budget_remaining", FAMILY_GAUGE, "How many units vitald may restart now.",
          .write = write_restart_budget },
        { "vitald_service_info", FAMILY_GAUGE, "The version of each service's application.",
          .write = write_services },
        { "vitald_config_last_reload_successful", FAMILY_GAUGE,
          "Whether the files are those that run; 0: the last reload was refused.",
          .write = write_reload },
        { "vitald_config_last_good", FAMILY_GAUGE,
          "Whether a last good copy runs, as the files are at fault; the empty service is "
          "vitald.conf.",
          .write = write_last_good },
        { "vitald_http_requests", FAMILY_COUNTER, "Requests answered, by status code.",
          .write = write_requests },
        { "vitald_http_connections", FAMILY_GAUGE, "Open HTTP connections.",
          .write = write_connections },
        { "vitald_http_connection_events", FAMILY_COUNTER, "HTTP connections by what befell them.",
          .write = write_connection_events },
        { "vitald_loop_lag_seconds", FAMILY_GAUGE,
          "The longest that anything had to wait for the event loop lately.",
          .write = write_loop_lag },
        { "vitald_lateness_seconds", FAMILY_GAUGE,
          "How late a timer was at most lately, for want of processor time.",
          .write = write_lateness },
        { "vitald_stalls", FAMILY_COUNTER, "Times that the host or vitald stood still.",
          .write = write_stalls },
        { "vitald_log_dropped", FAMILY_COUNTER, "Log messages that could not be delivered.",
          .write = write_log_dropped },
        { "vitald_state_restored_timestamp_seconds", FAMILY_GAUGE,
          "When what was known before vitald's last restart was written.",
          .write = write_restored },
        { "vitald_state_write_failures", FAMILY_COUNTER,
          "Failures to write what outlasts a restart.", .write = write_state_failures },
        { "vitald_snapshots", FAMILY_COUNTER, "Pictures published; the sequence of the latest.",
          .write = write_sequence },
        { "vitald_build_info", FAMILY_GAUGE, "The version that runs.", .write = write_build },
};

static void family_describe(Metrics *m, const struct Family *f) {
        static const char *const types[] = {
                [FAMILY_GAUGE] = "gauge",
                [FAMILY_COUNTER] = "counter",
                [FAMILY_HISTOGRAM] = "histogram",
        };
        const char *suffix =
                f->type == FAMILY_COUNTER && m->format == METRICS_CLASSIC ? "_total" : "";

        strbuf_printf(m->out, "# HELP %s%s %s\n# TYPE %s%s %s\n", f->name, suffix, f->help, f->name,
                      suffix, types[f->type]);
}

void metrics_render(const Snapshot *s, const MetricsStats *stats, MetricsFormat format,
                    StrBuf *out) {
        Metrics m = { .snapshot = s, .stats = stats, .format = format, .out = out };

        for (size_t i = 0; i < LATENCY_BUCKETS; i++)
                snprintf(m.bounds[i], BOUND_MAX, "%g",
                         (double) latency_bounds_usec[i] / (double) USEC_PER_SEC);
        memcpy(m.bounds[LATENCY_BUCKETS], "+Inf", sizeof("+Inf"));

        for (size_t i = 0; i < ELEMENTSOF(families); i++) {
                const struct Family *f = &families[i];

                m.name = f->name;
                family_describe(&m, f);
                if (f->write)
                        f->write(&m);
                for (size_t j = 0; f->write_check && j < s->config->n_checks; j++) {
                        m.check = j;
                        metrics_take_check(&m, s->checks[j],
                                           f->check_label ? f->check_label : "check");
                        f->write_check(&m, s->checks[j]);
                }
        }
        strbuf_done(&m.check_labels);
        if (format == METRICS_OPENMETRICS)
                strbuf_append(out, "# EOF\n");
}
