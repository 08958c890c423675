/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "base/text.h"
#include "output/bus-change.h"
#include "output/bus-link.h"
#include "output/bus-restart.h"
#include "output/bus-why.h"
#include "output/summary.h"

/* org.vitald1.Service */
typedef struct ServiceRow {
        BusTarget target;
        const char *name, *description, *documentation, *unit, *unit_state, *invocation_id;
        const char *version;
        const char *state, *reason, *configuration_error, *on_liveness_failure;
        int is_alive, is_measured_alive, is_ready, is_started, counts_for_host, is_shadow;
        uint16_t ready_http_status;
        uint64_t live_since, ready_since, started_since;
        BusDrainRow drain;
        uint64_t startup_timeout_usec, sequence, copy_realtime;
        BusRestartRow restart;
        const char *worst_check;
} ServiceRow;

static const char *worst_check(const Snapshot *s, size_t service) {
        size_t check = summary_worst_check(s, service);

        return check == INDEX_NONE ? "" : s->config->checks[check]->name;
}

static void row_fill(ServiceRow *row) {
        const Snapshot *s = row->target.snapshot;
        const ServiceConfig *config = &s->config->services[row->target.index];
        const ServiceView *view = &s->services[row->target.index];

        row->name = config->name;
        row->description = bus_text(config->description);
        row->documentation = bus_text(config->documentation);
        row->unit = bus_text(config->unit);
        row->unit_state = unit_state_to_string(view->state->unit);
        row->invocation_id = view->state->invocation_id;
        row->version = service_state_version(view->state, config);
        row->state = verdict_summary(&view->verdict);
        row->reason = reason_to_string(view->verdict.reason);
        row->configuration_error = bus_text(config->defect ? config->defect : config->fault);
        row->copy_realtime = config->copy_realtime;
        row->is_alive = view->verdict.live == LIVENESS_ALIVE;
        row->is_measured_alive = !view->verdict.is_measured_dead;
        row->is_ready = view->verdict.ready == READINESS_READY;
        row->is_started = view->verdict.started == STARTUP_STARTED;
        row->counts_for_host = config->counts_for_host;
        row->is_shadow = config->is_shadow;
        row->on_liveness_failure = on_liveness_failure_words[config->on_liveness_failure];
        bus_restart_row(row->target.link->bus->context.actions, config, row->target.index,
                        &row->restart);
        row->ready_http_status = bus_ready_http_status(s, &view->verdict);
        row->live_since = view->since[PROBE_LIVENESS].realtime;
        row->ready_since = view->since[PROBE_READINESS].realtime;
        row->started_since = view->since[PROBE_STARTUP].realtime;
        bus_drain_row(&view->state->drain, &row->drain);
        row->worst_check = worst_check(s, row->target.index);
        row->startup_timeout_usec = config->startup_timeout_usec;
        row->sequence = s->sequence;
}

static int service_find(_unused_ sd_bus *bus, const char *path, _unused_ const char *interface,
                        void *userdata, void **ret_found, _unused_ sd_bus_error *error) {
        BusLink *l = userdata;
        ServiceRow *row = l->rows[BUS_OBJECT_SERVICE];
        int r;

        r = bus_link_find(l, path, BUS_OBJECT_SERVICE, &row->target);
        if (r <= 0)
                return r;
        row_fill(row);
        *ret_found = row;
        return 1;
}

static int get_why(_unused_ sd_bus *bus, _unused_ const char *path, _unused_ const char *interface,
                   _unused_ const char *property, sd_bus_message *reply, void *userdata,
                   _unused_ sd_bus_error *error) {
        const ServiceRow *row = userdata;

        return bus_append_why_service(reply, row->target.snapshot, row->target.index);
}

static int get_checks(_unused_ sd_bus *bus, _unused_ const char *path,
                      _unused_ const char *interface, _unused_ const char *property,
                      sd_bus_message *reply, void *userdata, _unused_ sd_bus_error *error) {
        const ServiceRow *row = userdata;
        const ServiceConfig *config = &row->target.snapshot->config->services[row->target.index];
        const BusPaths *paths = row->target.link->bus->paths;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "o");
        for (size_t i = 0; r >= 0 && i < config->n_checks; i++)
                r = sd_bus_message_append(reply, "o", paths->checks[config->first_check + i]);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

#define ROW(member)  offsetof(ServiceRow, member)
#define EMITS_CHANGE SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE
#define UNPRIVILEGED SD_BUS_VTABLE_UNPRIVILEGED

static const sd_bus_vtable service_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Name", "s", NULL, ROW(name), SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Description", "s", NULL, ROW(description), 0),
        SD_BUS_PROPERTY("Documentation", "s", NULL, ROW(documentation), 0),
        SD_BUS_PROPERTY("Unit", "s", NULL, ROW(unit), 0),
        SD_BUS_PROPERTY("UnitState", "s", NULL, ROW(unit_state), 0),
        SD_BUS_PROPERTY("UnitInvocationID", "s", NULL, ROW(invocation_id), 0),
        SD_BUS_PROPERTY("Version", "s", NULL, ROW(version), 0),
        SD_BUS_PROPERTY("State", "s", NULL, ROW(state), EMITS_CHANGE),
        SD_BUS_PROPERTY("Reason", "s", NULL, ROW(reason), EMITS_CHANGE),
        SD_BUS_PROPERTY("Live", "b", NULL, ROW(is_alive), EMITS_CHANGE),
        SD_BUS_PROPERTY("LiveChangeTimestamp", "t", NULL, ROW(live_since), EMITS_CHANGE),
        SD_BUS_PROPERTY("MeasuredLive", "b", NULL, ROW(is_measured_alive), 0),
        SD_BUS_PROPERTY("Ready", "b", NULL, ROW(is_ready), EMITS_CHANGE),
        SD_BUS_PROPERTY("ReadyChangeTimestamp", "t", NULL, ROW(ready_since), EMITS_CHANGE),
        SD_BUS_PROPERTY("ReadyHTTPStatus", "q", NULL, ROW(ready_http_status), EMITS_CHANGE),
        SD_BUS_PROPERTY("Started", "b", NULL, ROW(is_started), EMITS_CHANGE),
        SD_BUS_PROPERTY("StartedChangeTimestamp", "t", NULL, ROW(started_since), EMITS_CHANGE),
        SD_BUS_PROPERTY("WorstCheck", "s", NULL, ROW(worst_check), 0),
        SD_BUS_PROPERTY("Why", "as", get_why, 0, 0),
        BUS_DRAIN_PROPERTIES(ServiceRow, drain),
        SD_BUS_PROPERTY("Sequence", "t", NULL, ROW(sequence), 0),
        SD_BUS_PROPERTY("CountsForHost", "b", NULL, ROW(counts_for_host), 0),
        SD_BUS_PROPERTY("Shadow", "b", NULL, ROW(is_shadow), 0),
        SD_BUS_PROPERTY("ConfigurationError", "s", NULL, ROW(configuration_error), 0),
        SD_BUS_PROPERTY("LastGoodTimestamp", "t", NULL, ROW(copy_realtime), 0),
        SD_BUS_PROPERTY("StartupTimeoutUSec", "t", NULL, ROW(startup_timeout_usec), 0),
        SD_BUS_PROPERTY("OnLivenessFailure", "s", NULL, ROW(on_liveness_failure), 0),
        BUS_RESTART_PROPERTIES(ServiceRow, restart),
        SD_BUS_PROPERTY("Checks", "ao", get_checks, 0, 0),
        SD_BUS_METHOD_WITH_NAMES("Drain", "ts", SD_BUS_PARAM(timeout_usec) SD_BUS_PARAM(reason),
                                 NULL, , bus_method_drain, UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("DrainUntilStart", "s", SD_BUS_PARAM(reason), NULL, ,
                                 bus_method_drain_until_start, UNPRIVILEGED),
        SD_BUS_METHOD("Undrain", NULL, NULL, bus_method_undrain, UNPRIVILEGED),
        SD_BUS_METHOD("ResetRestarts", NULL, NULL, bus_method_reset_restarts, UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

int bus_service_add(BusLink *l) {
        l->rows[BUS_OBJECT_SERVICE] = calloc(1, sizeof(ServiceRow));
        if (!l->rows[BUS_OBJECT_SERVICE])
                return -ENOMEM;
        return sd_bus_add_fallback_vtable(l->connection, NULL, BUS_PATH_SERVICES,
                                          BUS_INTERFACE_SERVICE, service_vtable, service_find, l);
}
