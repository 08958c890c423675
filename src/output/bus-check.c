/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "model/schedule.h"
#include "output/bus-authorize.h"
#include "output/bus-call.h"
#include "output/bus-change.h"
#include "output/bus-history.h"
#include "output/bus-link.h"

/* org.vitald1.Check */
typedef struct CheckRow {
        BusTarget target;
        const char *name, *service, *description, *documentation, *type, *target_text, *shared;
        int is_critical, is_shadow, is_overridden;
        const char *state, *measured_state, *message, *first_failure_message, *last_outcome;
        char reason_buffer[REASON_WORD_MAX];
        const char *reason;
        uint64_t state_since, first_failure_realtime, last_run_realtime, next_run_monotonic;
        uint64_t latency_usec, successes_in_row, failures_in_row;
        uint64_t n_runs, n_pass, n_warn, n_fail, n_error, n_void;
        const char *override_reason, *overridden_by;
        uint64_t override_since, override_until;
        uint64_t interval_usec, retry_interval_usec, initial_delay_usec, timeout_usec, max_age_usec;
        uint64_t warn_latency_usec, max_latency_usec, worst_case_usec;
        uint64_t failure_threshold, success_threshold, liveness_failure_threshold;
} CheckRow;

static void row_fill_config(CheckRow *row, const CheckConfig *c) {
        row->name = c->name;
        row->service = c->service;
        row->description = bus_text(c->description);
        row->documentation = bus_text(c->documentation);
        row->type = c->type->name;
        row->target_text = bus_text(c->target.text);
        row->shared = bus_text(c->shared);
        row->is_critical = c->is_critical;
        row->interval_usec = c->interval_usec;
        row->retry_interval_usec = c->retry_interval_usec;
        row->initial_delay_usec = c->initial_delay_usec;
        row->timeout_usec = c->timeout_usec;
        row->max_age_usec = c->max_age_usec;
        row->warn_latency_usec = c->warn_latency_usec;
        row->max_latency_usec = c->max_latency_usec;
        row->failure_threshold = c->failure_threshold;
        row->success_threshold = c->success_threshold;
        row->liveness_failure_threshold = c->liveness_failure_threshold;
        row->worst_case_usec = schedule_worst_case(c, c->failure_threshold);
}

static void row_fill_override(CheckRow *row, const Override *o) {
        row->is_overridden = o->is_active;
        row->override_reason = o->is_active ? bus_text(o->note) : "";
        row->overridden_by = o->is_active ? bus_text(o->who) : "";
        row->override_since = o->is_active ? o->since_realtime : 0;
        row->override_until = o->is_active ? bus_until_realtime(o->until_boottime) : 0;
}

static void row_fill_state(CheckRow *row, const CheckState *c) {
        row->state = health_to_string(c->state);
        row->measured_state = health_to_string(c->measured);
        row->reason = reason_format(row->reason_buffer, c->reason, c->detail);
        row->message = bus_text(c->message);
        row->first_failure_message = bus_text(c->first_failure_message);
        row->first_failure_realtime = c->first_failure_realtime;
        row->state_since = c->since_realtime;
        row->last_outcome = c->has_result ? outcome_to_string(c->last.outcome) : "";
        row->last_run_realtime = c->last_realtime;
        row->latency_usec = c->has_result ? c->last.latency_usec : USEC_INFINITY;
        row->successes_in_row = c->successes_in_row;
        row->failures_in_row = c->failures_in_row;
        row->n_runs = c->n_runs;
        row->n_pass = c->n_by_outcome[OUTCOME_PASS];
        row->n_warn = c->n_by_outcome[OUTCOME_WARN];
        row->n_fail = c->n_by_outcome[OUTCOME_FAIL];
        row->n_error = c->n_by_outcome[OUTCOME_ERROR];
        row->n_void = c->n_void;
        row_fill_override(row, check_state_override(c));
}

static int check_find(_unused_ sd_bus *bus, const char *path, _unused_ const char *interface,
                      void *userdata, void **ret_found, _unused_ sd_bus_error *error) {
        BusLink *l = userdata;
        CheckRow *row = l->rows[BUS_OBJECT_CHECK];
        int r;

        r = bus_link_find(l, path, BUS_OBJECT_CHECK, &row->target);
        if (r <= 0)
                return r;
        row_fill_config(row, row->target.snapshot->config->checks[row->target.index]);
        row_fill_state(row, row->target.snapshot->checks[row->target.index]);
        row->is_shadow = config_check_is_shadow(row->target.snapshot->config, row->target.index);
        row->next_run_monotonic =
                l->bus->context.next_run(l->bus->context.userdata, row->target.index);
        *ret_found = row;
        return 1;
}

static int get_probes(_unused_ sd_bus *bus, _unused_ const char *path,
                      _unused_ const char *interface, const char *property, sd_bus_message *reply,
                      void *userdata, _unused_ sd_bus_error *error) {
        const CheckRow *row = userdata;
        const Snapshot *s = row->target.snapshot;
        size_t check = row->target.index;
        bool wants_blocking = str_equal(property, "Blocking");
        int r;

        r = sd_bus_message_open_container(reply, 'a', "s");
        for (Probe p = 0; r >= 0 && p < PROBE_COUNT_; p++)
                if (wants_blocking ? snapshot_check_blocks(s, check, p)
                                   : check_config_feeds(s->config->checks[check], p))
                        r = sd_bus_message_append(reply, "s", probe_to_string(p));
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int get_values(_unused_ sd_bus *bus, _unused_ const char *path,
                      _unused_ const char *interface, _unused_ const char *property,
                      sd_bus_message *reply, void *userdata, _unused_ sd_bus_error *error) {
        const CheckRow *row = userdata;
        const CheckState *c = row->target.snapshot->checks[row->target.index];
        int r;

        r = sd_bus_message_open_container(reply, 'a', "(sds)");
        for (size_t i = 0; r >= 0 && c->has_result && i < c->last.n_values; i++)
                r = sd_bus_message_append(reply, "(sds)", bus_text(c->last.values[i].name),
                                          c->last.values[i].number,
                                          bus_text(c->last.values[i].unit));
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int get_after(_unused_ sd_bus *bus, _unused_ const char *path,
                     _unused_ const char *interface, _unused_ const char *property,
                     sd_bus_message *reply, void *userdata, _unused_ sd_bus_error *error) {
        const CheckRow *row = userdata;
        const CheckConfig *c = row->target.snapshot->config->checks[row->target.index];
        int r;

        r = sd_bus_message_open_container(reply, 'a', "s");
        STRV_FOREACH(name, c->after)
                if (r >= 0)
                        r = sd_bus_message_append(reply, "s", *name);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* Warn= or Fail= as they were written. */
static int get_limits(_unused_ sd_bus *bus, _unused_ const char *path,
                      _unused_ const char *interface, const char *property, sd_bus_message *reply,
                      void *userdata, _unused_ sd_bus_error *error) {
        const CheckRow *row = userdata;
        const CheckConfig *c = row->target.snapshot->config->checks[row->target.index];
        const Limits *limits = str_equal(property, "Warn") ? &c->warn : &c->fail;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "s");
        for (size_t i = 0; r >= 0 && i < limits->n; i++) {
                const Limit *l = &limits->items[i];
                char text[LIMIT_NAME_MAX + RANGE_TEXT_MAX];

                snprintf(text, sizeof(text), "%s%s%s", l->name, *l->name ? ":" : "", l->text);
                r = sd_bus_message_append(reply, "s", bus_text(text));
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int reply_not_supported(sd_bus_error *error, const CheckConfig *c) {
        return sd_bus_error_setf(error, BUS_ERROR_NOT_SUPPORTED,
                                 "Check %s has no runs; its type is %s", c->id, c->type->name);
}

/* The result is taken from the snapshot that holds it, in which the check may have another index
 * than when the run was asked for, or none. */
static int answer_run(const BusCall *call, int r, const char *error, const Snapshot *snapshot) {
        char reason[REASON_WORD_MAX];
        const CheckState *c;
        size_t check;

        if (r < 0)
                return sd_bus_reply_method_errnof(call->message, r, "%s",
                                                  error ? bus_text(error) : strerror(-r));
        check = config_find_check(snapshot->config, call->check->service, call->check->name);
        if (check == INDEX_NONE)
                return sd_bus_reply_method_errorf(call->message, BUS_ERROR_NO_SUCH_CHECK,
                                                  "Check %s is gone", call->check->id);
        c = snapshot->checks[check];
        return sd_bus_reply_method_return(call->message, "sssst", health_to_string(c->state),
                                          outcome_to_string(c->last.outcome),
                                          reason_format(reason, c->last.reason, c->last.detail),
                                          bus_text(c->last.message), c->last.latency_usec);
}

static void on_run_done(void *userdata, int r, const char *error, const Snapshot *snapshot) {
        _cleanup_(bus_call_freep) BusCall *call = userdata;

        if (call->message)
                bus_call_answered(call, answer_run(call, r, error, snapshot));
}

static int method_run(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const CheckRow *row = userdata;
        Bus *b = row->target.link->bus;
        CheckConfig *check = row->target.snapshot->config->checks[row->target.index];
        _cleanup_(bus_call_freep) BusCall *call = NULL;
        char who[WHO_MAX];
        int r;

        r = bus_authorize(row->target.link, m, BUS_NAME ".run", NULL, who, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = bus_call_new(b, m, check, error, &call);
        if (r < 0)
                return r;
        r = b->context.control->run(b->context.control->daemon, row->target.index, on_run_done,
                                    call);
        if (r == -EOPNOTSUPP)
                return reply_not_supported(error, check);
        if (r == -EAGAIN)
                return sd_bus_error_setf(error, BUS_ERROR_NOT_SUPPORTED,
                                         "Check %s is not run while it waits for another check",
                                         check->id);
        if (r < 0)
                return r;
        TAKE(call);
        return 1;
}

#define ROW(member)  offsetof(CheckRow, member)
#define EMITS_CHANGE SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE
#define UNPRIVILEGED SD_BUS_VTABLE_UNPRIVILEGED

static const sd_bus_vtable check_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Name", "s", NULL, ROW(name), SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Service", "s", NULL, ROW(service), SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Description", "s", NULL, ROW(description), 0),
        SD_BUS_PROPERTY("Documentation", "s", NULL, ROW(documentation), 0),
        SD_BUS_PROPERTY("Type", "s", NULL, ROW(type), 0),
        SD_BUS_PROPERTY("Target", "s", NULL, ROW(target_text), 0),
        SD_BUS_PROPERTY("From", "s", NULL, ROW(shared), 0),
        SD_BUS_PROPERTY("After", "as", get_after, 0, 0),
        SD_BUS_PROPERTY("Probes", "as", get_probes, 0, 0),
        SD_BUS_PROPERTY("Critical", "b", NULL, ROW(is_critical), 0),
        SD_BUS_PROPERTY("Shadow", "b", NULL, ROW(is_shadow), 0),
        SD_BUS_PROPERTY("State", "s", NULL, ROW(state), EMITS_CHANGE),
        SD_BUS_PROPERTY("StateChangeTimestamp", "t", NULL, ROW(state_since), EMITS_CHANGE),
        SD_BUS_PROPERTY("MeasuredState", "s", NULL, ROW(measured_state), 0),
        SD_BUS_PROPERTY("Blocking", "as", get_probes, 0, 0),
        SD_BUS_PROPERTY("Reason", "s", NULL, ROW(reason), 0),
        SD_BUS_PROPERTY("Message", "s", NULL, ROW(message), 0),
        SD_BUS_PROPERTY("FirstFailureMessage", "s", NULL, ROW(first_failure_message), 0),
        SD_BUS_PROPERTY("FirstFailureTimestamp", "t", NULL, ROW(first_failure_realtime), 0),
        SD_BUS_PROPERTY("LastOutcome", "s", NULL, ROW(last_outcome), 0),
        SD_BUS_PROPERTY("LastRunTimestamp", "t", NULL, ROW(last_run_realtime), 0),
        SD_BUS_PROPERTY("NextRunTimestampMonotonic", "t", NULL, ROW(next_run_monotonic), 0),
        SD_BUS_PROPERTY("LatencyUSec", "t", NULL, ROW(latency_usec), 0),
        SD_BUS_PROPERTY("Values", "a(sds)", get_values, 0, 0),
        SD_BUS_PROPERTY("SuccessesInRow", "t", NULL, ROW(successes_in_row), 0),
        SD_BUS_PROPERTY("FailuresInRow", "t", NULL, ROW(failures_in_row), 0),
        SD_BUS_PROPERTY("NRuns", "t", NULL, ROW(n_runs), 0),
        SD_BUS_PROPERTY("NPass", "t", NULL, ROW(n_pass), 0),
        SD_BUS_PROPERTY("NWarn", "t", NULL, ROW(n_warn), 0),
        SD_BUS_PROPERTY("NFail", "t", NULL, ROW(n_fail), 0),
        SD_BUS_PROPERTY("NError", "t", NULL, ROW(n_error), 0),
        SD_BUS_PROPERTY("NVoid", "t", NULL, ROW(n_void), 0),
        SD_BUS_PROPERTY("Overridden", "b", NULL, ROW(is_overridden), EMITS_CHANGE),
        SD_BUS_PROPERTY("OverrideReason", "s", NULL, ROW(override_reason), 0),
        SD_BUS_PROPERTY("OverriddenBy", "s", NULL, ROW(overridden_by), 0),
        SD_BUS_PROPERTY("OverrideTimestamp", "t", NULL, ROW(override_since), 0),
        SD_BUS_PROPERTY("OverrideUntilTimestamp", "t", NULL, ROW(override_until), 0),
        SD_BUS_PROPERTY("IntervalUSec", "t", NULL, ROW(interval_usec), 0),
        SD_BUS_PROPERTY("RetryIntervalUSec", "t", NULL, ROW(retry_interval_usec), 0),
        SD_BUS_PROPERTY("InitialDelayUSec", "t", NULL, ROW(initial_delay_usec), 0),
        SD_BUS_PROPERTY("TimeoutUSec", "t", NULL, ROW(timeout_usec), 0),
        SD_BUS_PROPERTY("MaxAgeUSec", "t", NULL, ROW(max_age_usec), 0),
        SD_BUS_PROPERTY("WarnLatencyUSec", "t", NULL, ROW(warn_latency_usec), 0),
        SD_BUS_PROPERTY("MaxLatencyUSec", "t", NULL, ROW(max_latency_usec), 0),
        SD_BUS_PROPERTY("Warn", "as", get_limits, 0, 0),
        SD_BUS_PROPERTY("Fail", "as", get_limits, 0, 0),
        SD_BUS_PROPERTY("FailureThreshold", "t", NULL, ROW(failure_threshold), 0),
        SD_BUS_PROPERTY("SuccessThreshold", "t", NULL, ROW(success_threshold), 0),
        SD_BUS_PROPERTY("LivenessFailureThreshold", "t", NULL, ROW(liveness_failure_threshold), 0),
        SD_BUS_PROPERTY("WorstCaseUSec", "t", NULL, ROW(worst_case_usec), 0),
        SD_BUS_METHOD_WITH_NAMES("Run", NULL, , "sssst",
                                 SD_BUS_PARAM(state) SD_BUS_PARAM(outcome) SD_BUS_PARAM(reason)
                                         SD_BUS_PARAM(message) SD_BUS_PARAM(latency_usec),
                                 method_run, UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("GetHistory", NULL, , "a(tst)a(tss)(tttt)",
                                 SD_BUS_PARAM(runs) SD_BUS_PARAM(changes) SD_BUS_PARAM(latency),
                                 bus_method_get_history, UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("Report", "ss", SD_BUS_PARAM(state) SD_BUS_PARAM(message), NULL, ,
                                 bus_method_report, UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("ReportValues", "sss",
                                 SD_BUS_PARAM(state) SD_BUS_PARAM(message) SD_BUS_PARAM(values),
                                 NULL, , bus_method_report_values, UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("Override", "sts",
                                 SD_BUS_PARAM(state) SD_BUS_PARAM(timeout_usec)
                                         SD_BUS_PARAM(reason),
                                 NULL, , bus_method_override, UNPRIVILEGED),
        SD_BUS_METHOD("ClearOverride", NULL, NULL, bus_method_clear_override, UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

int bus_check_add(BusLink *l) {
        l->rows[BUS_OBJECT_CHECK] = calloc(1, sizeof(CheckRow));
        if (!l->rows[BUS_OBJECT_CHECK])
                return -ENOMEM;
        return sd_bus_add_fallback_vtable(l->connection, NULL, BUS_PATH_SERVICES,
                                          BUS_INTERFACE_CHECK, check_vtable, check_find, l);
}
