/* SPDX-License-Identifier: MIT */
#include "ctl/model.h"

/* The properties of org.vitald1(5), and where each goes. */

#define FIELD(Type, name, type_, member) \
        { name, FIELD_##type_, offsetof(Type, member) }

/* clang-format off */
#define VERDICT_FIELDS(Type)                                                                       \
        FIELD(Type, "State", STRING, verdicts.state),                                              \
        FIELD(Type, "Reason", STRING, verdicts.reason),                                            \
        FIELD(Type, "Live", BOOL, verdicts.is_alive),                                              \
        FIELD(Type, "LiveChangeTimestamp", TIME, verdicts.alive_since),                            \
        FIELD(Type, "Ready", BOOL, verdicts.is_ready),                                             \
        FIELD(Type, "ReadyChangeTimestamp", TIME, verdicts.ready_since),                           \
        FIELD(Type, "ReadyHTTPStatus", NUMBER, verdicts.http_status),                              \
        FIELD(Type, "Started", BOOL, verdicts.is_started),                                         \
        FIELD(Type, "StartedChangeTimestamp", TIME, verdicts.started_since),                       \
        FIELD(Type, "Why", STRINGS, verdicts.why),                                                 \
        FIELD(Type, "Draining", BOOL, verdicts.is_draining),                                       \
        FIELD(Type, "DrainReason", STRING, verdicts.drain_note),                                   \
        FIELD(Type, "DrainedBy", STRING, verdicts.drain_who),                                      \
        FIELD(Type, "DrainTimestamp", TIME, verdicts.drain_since),                                 \
        FIELD(Type, "DrainUntilTimestamp", TIME, verdicts.drain_until),                            \
        FIELD(Type, "Probers", PROBERS, verdicts.probers)

static const Field host_items[] = {
        FIELD(View, "Version", STRING, version),
        FIELD(View, "Sequence", NUMBER, sequence),
        VERDICT_FIELDS(View),
        FIELD(View, "ConfigurationError", STRING, defect),
        FIELD(View, "LastGoodTimestamp", TIME, copy_time),
        FIELD(View, "LastReloadError", STRING, reload_error),
        FIELD(View, "LastReloadTimestamp", TIME, reload_time),
        FIELD(View, "StartTimestamp", TIME, start_time),
        FIELD(View, "RestoredTimestamp", TIME, restored_time),
        FIELD(View, "RestoreError", STRING, restore_error),
        FIELD(View, "NRestoredChecks", NUMBER, n_restored),
        FIELD(View, "Listening", STRINGS, listening),
        FIELD(View, "LoadBalancer", STRING, load_balancer),
        FIELD(View, "LoadBalancerNoticeUSec", SPAN, load_balancer_notice),
        FIELD(View, "LoadBalancerThreshold", NUMBER, load_balancer_threshold),
        FIELD(View, "RestartBudgetBurst", NUMBER, budget_burst),
        FIELD(View, "RestartBudgetIntervalUSec", SPAN, budget_interval),
        FIELD(View, "RestartBudgetRemaining", NUMBER, budget_left),
        FIELD(View, "RestartBudgetNextTimestamp", TIME, budget_next),
};

static const Field service_items[] = {
        FIELD(ServiceInfo, "Description", STRING, description),
        FIELD(ServiceInfo, "Documentation", STRING, documentation),
        FIELD(ServiceInfo, "Unit", STRING, unit),
        FIELD(ServiceInfo, "UnitState", STRING, unit_state),
        FIELD(ServiceInfo, "UnitInvocationID", STRING, invocation_id),
        FIELD(ServiceInfo, "Version", STRING, version),
        VERDICT_FIELDS(ServiceInfo),
        FIELD(ServiceInfo, "ConfigurationError", STRING, defect),
        FIELD(ServiceInfo, "LastGoodTimestamp", TIME, copy_time),
        FIELD(ServiceInfo, "CountsForHost", BOOL, counts_for_host),
        FIELD(ServiceInfo, "Shadow", BOOL, is_shadow),
        FIELD(ServiceInfo, "OnLivenessFailure", STRING, on_liveness_failure),
        FIELD(ServiceInfo, "OnStartupFailure", STRING, on_startup_failure),
        FIELD(ServiceInfo, "RestartState", STRING, restart_state),
        FIELD(ServiceInfo, "RestartHeldBy", STRING, restart_held_by),
        FIELD(ServiceInfo, "Restarts", NUMBER, n_restarts),
        FIELD(ServiceInfo, "RestartsInRow", NUMBER, n_restarts_in_row),
        FIELD(ServiceInfo, "RestartLimit", NUMBER, restart_limit),
        FIELD(ServiceInfo, "RestartResetAfterUSec", SPAN, restart_reset_after),
        FIELD(ServiceInfo, "LastRestartTimestamp", TIME, last_restart),
        FIELD(ServiceInfo, "NextRestartTimestamp", TIME, next_restart),
        FIELD(ServiceInfo, "FailStaticTimestamp", TIME, static_since),
};

static const Field check_items[] = {
        FIELD(CheckInfo, "Type", STRING, type),
        FIELD(CheckInfo, "Target", STRING, target),
        FIELD(CheckInfo, "From", STRING, shared),
        FIELD(CheckInfo, "After", STRINGS, after),
        FIELD(CheckInfo, "Description", STRING, description),
        FIELD(CheckInfo, "Documentation", STRING, documentation),
        FIELD(CheckInfo, "Probes", STRINGS, probes),
        FIELD(CheckInfo, "Critical", BOOL, is_critical),
        FIELD(CheckInfo, "Shadow", BOOL, is_shadow),
        FIELD(CheckInfo, "State", STRING, state),
        FIELD(CheckInfo, "StateChangeTimestamp", TIME, state_since),
        FIELD(CheckInfo, "MeasuredState", STRING, measured_state),
        FIELD(CheckInfo, "Blocking", STRINGS, blocking),
        FIELD(CheckInfo, "Reason", STRING, reason),
        FIELD(CheckInfo, "Message", STRING, message),
        FIELD(CheckInfo, "FirstFailureMessage", STRING, first_message),
        FIELD(CheckInfo, "FirstFailureTimestamp", TIME, first_failure),
        FIELD(CheckInfo, "LastOutcome", STRING, last_outcome),
        FIELD(CheckInfo, "LastRunTimestamp", TIME, last_run),
        FIELD(CheckInfo, "NextRunTimestampMonotonic", TIME, next_run),
        FIELD(CheckInfo, "LatencyUSec", SPAN, latency),
        FIELD(CheckInfo, "Values", VALUES, values),
        FIELD(CheckInfo, "SuccessesInRow", NUMBER, successes_in_row),
        FIELD(CheckInfo, "FailuresInRow", NUMBER, failures_in_row),
        FIELD(CheckInfo, "NRuns", NUMBER, n_runs),
        FIELD(CheckInfo, "NPass", NUMBER, n_pass),
        FIELD(CheckInfo, "NWarn", NUMBER, n_warn),
        FIELD(CheckInfo, "NFail", NUMBER, n_fail),
        FIELD(CheckInfo, "NError", NUMBER, n_error),
        FIELD(CheckInfo, "NVoid", NUMBER, n_void),
        FIELD(CheckInfo, "IntervalUSec", SPAN, interval),
        FIELD(CheckInfo, "RetryIntervalUSec", SPAN, retry_interval),
        FIELD(CheckInfo, "InitialDelayUSec", SPAN, initial_delay),
        FIELD(CheckInfo, "TimeoutUSec", SPAN, timeout),
        FIELD(CheckInfo, "MaxAgeUSec", SPAN, max_age),
        FIELD(CheckInfo, "WarnLatencyUSec", SPAN, warn_latency),
        FIELD(CheckInfo, "MaxLatencyUSec", SPAN, max_latency),
        FIELD(CheckInfo, "WorstCaseUSec", SPAN, worst_case),
        FIELD(CheckInfo, "Warn", STRINGS, warn),
        FIELD(CheckInfo, "Fail", STRINGS, fail),
        FIELD(CheckInfo, "FailureThreshold", NUMBER, failure_threshold),
        FIELD(CheckInfo, "SuccessThreshold", NUMBER, success_threshold),
        FIELD(CheckInfo, "LivenessFailureThreshold", NUMBER, liveness_failure_threshold),
        FIELD(CheckInfo, "Overridden", BOOL, is_overridden),
        FIELD(CheckInfo, "OverrideReason", STRING, override_note),
        FIELD(CheckInfo, "OverriddenBy", STRING, override_who),
        FIELD(CheckInfo, "OverrideTimestamp", TIME, override_since),
        FIELD(CheckInfo, "OverrideUntilTimestamp", TIME, override_until),
};

/* clang-format on */

const Fields host_fields = { host_items, ELEMENTSOF(host_items) };

const Fields service_fields = { service_items, ELEMENTSOF(service_items) };

const Fields check_fields = { check_items, ELEMENTSOF(check_items) };
