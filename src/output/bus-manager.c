/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "base/build-id.h"
#include "base/text.h"
#include "io/tcp-count.h"
#include "model/load-balancer.h"
#include "output/bus-authorize.h"
#include "output/bus-call.h"
#include "output/bus-change.h"
#include "output/bus-link.h"
#include "output/bus-restart.h"
#include "output/bus-why.h"
#include "output/summary.h"

/* org.vitald1.Manager */
typedef struct ManagerRow {
        BusTarget target;
        const char *version, *build, *state, *reason;
        int is_alive, is_ready, is_started;
        uint16_t ready_http_status;
        uint64_t live_since, ready_since, started_since;
        BusDrainRow drain;
        uint64_t sequence, reload_realtime, copy_realtime;
        uint64_t start_realtime, restored_realtime;
        const char *restore_error;
        uint32_t n_restored_checks;
        const char *reload_error, *configuration_error;
        uint32_t n_services, n_ready_services, n_checks, n_unhealthy_checks;
        char **listening;
        const char *load_balancer;
        uint64_t load_balancer_notice_usec, load_balancer_threshold;
        BusRestartBudgetRow budget;
        char status_buffer[SUMMARY_MAX], build_buffer[BUILD_ID_MAX];
        const char *status, *worst_service;
} ManagerRow;

static uint32_t count_ready(const Snapshot *s) {
        uint32_t n = 0;

        for (size_t i = 0; i < s->config->n_services; i++)
                n += s->services[i].verdict.ready == READINESS_READY;
        return n;
}

static uint32_t count_unhealthy(const Snapshot *s) {
        uint32_t n = 0;

        for (size_t i = 0; i < s->config->n_checks; i++)
                n += s->checks[i]->state == HEALTH_UNHEALTHY;
        return n;
}

static const char *worst_service(const Snapshot *s) {
        size_t service = summary_worst_service(s);

        return service == INDEX_NONE ? "" : s->config->services[service].name;
}

static void row_fill_restoration(ManagerRow *row, const Restoration *r) {
        row->start_realtime = r ? r->began_realtime : 0;
        row->restored_realtime = r ? r->restored_realtime : 0;
        row->restore_error = r ? bus_text(r->why) : "";
}

static void row_fill(ManagerRow *row) {
        const Snapshot *s = row->target.snapshot;
        const BusContext *context = &row->target.link->bus->context;

        row->version = PACKAGE_VERSION;
        row->build = build_id(row->build_buffer);
        row->state = verdict_summary(&s->host);
        row->reason = reason_to_string(s->host.reason);
        row->is_alive = s->host.live == LIVENESS_ALIVE;
        row->is_ready = s->host.ready == READINESS_READY;
        row->is_started = s->host.started == STARTUP_STARTED;
        row->ready_http_status = bus_ready_http_status(s, &s->host);
        row->live_since = s->host_since[PROBE_LIVENESS].realtime;
        row->ready_since = s->host_since[PROBE_READINESS].realtime;
        row->started_since = s->host_since[PROBE_STARTUP].realtime;
        bus_drain_row(&s->drain, &row->drain);
        row->sequence = s->sequence;
        row->reload_error = bus_text(s->reload_error);
        row->reload_realtime = s->reload_realtime;
        row->configuration_error =
                bus_text(s->config->defect ? s->config->defect : s->config->fault);
        row->copy_realtime = s->config->copy_realtime;
        row->n_services = (uint32_t) s->config->n_services;
        row->n_ready_services = count_ready(s);
        row->n_checks = (uint32_t) s->config->n_checks;
        row->n_unhealthy_checks = count_unhealthy(s);
        row->status = bus_text(summary_format(row->status_buffer, s, clock_usec(CLOCK_BOOTTIME)));
        row->worst_service = worst_service(s);
        row->load_balancer = load_balancer_words[s->config->http.load_balancer];
        row->load_balancer_notice_usec = load_balancer_notice_usec(&s->config->http);
        row->load_balancer_threshold = load_balancer_threshold(&s->config->http);
        bus_restart_budget_row(context->actions, &row->budget);
        row->n_restored_checks = (uint32_t) s->n_restored;
        row_fill_restoration(row, context->restoration);
        row->listening = (char **) (uintptr_t) context->listening(context->userdata);
}

static int manager_find(_unused_ sd_bus *bus, const char *path, _unused_ const char *interface,
                        void *userdata, void **ret_found, _unused_ sd_bus_error *error) {
        BusLink *l = userdata;
        ManagerRow *row = l->rows[BUS_OBJECT_MANAGER];
        int r;

        r = bus_link_find(l, path, BUS_OBJECT_MANAGER, &row->target);
        if (r <= 0)
                return r;
        row_fill(row);
        *ret_found = row;
        return 1;
}

static int get_why(_unused_ sd_bus *bus, _unused_ const char *path, _unused_ const char *interface,
                   _unused_ const char *property, sd_bus_message *reply, void *userdata,
                   _unused_ sd_bus_error *error) {
        const ManagerRow *row = userdata;

        return bus_append_why_host(reply, row->target.snapshot);
}

static int method_list_services(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const ManagerRow *row = userdata;
        const Snapshot *s = row->target.snapshot;
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(ssso)");
        for (size_t i = 0; r >= 0 && i < s->config->n_services; i++)
                r = sd_bus_message_append(reply, "(ssso)", s->config->services[i].name,
                                          verdict_summary(&s->services[i].verdict),
                                          bus_text(s->config->services[i].description),
                                          row->target.link->bus->paths->services[i]);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int method_list_checks(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const ManagerRow *row = userdata;
        const Snapshot *s = row->target.snapshot;
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(sssso)");
        for (size_t i = 0; r >= 0 && i < s->config->n_checks; i++) {
                const CheckConfig *c = s->config->checks[i];

                r = sd_bus_message_append(reply, "(sssso)", c->service, c->name, c->type->name,
                                          health_to_string(s->checks[i]->state),
                                          row->target.link->bus->paths->checks[i]);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int find_service(const ManagerRow *row, const char *name, size_t *ret, sd_bus_error *error) {
        *ret = config_find_service(row->target.snapshot->config, name);
        if (*ret == INDEX_NONE)
                return sd_bus_error_setf(error, BUS_ERROR_NO_SUCH_SERVICE,
                                         "There is no service \"%s\"", name);
        return 0;
}

static int method_get_service(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const ManagerRow *row = userdata;
        const char *name;
        size_t service;
        int r;

        r = sd_bus_message_read(m, "s", &name);
        if (r < 0)
                return r;
        r = find_service(row, name, &service, error);
        if (r < 0)
                return r;
        return sd_bus_reply_method_return(m, "o", row->target.link->bus->paths->services[service]);
}

static int method_get_check(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const ManagerRow *row = userdata;
        const char *service, *name;
        size_t check;
        int r;

        r = sd_bus_message_read(m, "ss", &service, &name);
        if (r < 0)
                return r;
        r = find_service(row, service, &check, error);
        if (r < 0)
                return r;
        check = config_find_check(row->target.snapshot->config, service, name);
        if (check == INDEX_NONE)
                return sd_bus_error_setf(error, BUS_ERROR_NO_SUCH_CHECK,
                                         "Service \"%s\" has no check \"%s\"", service, name);
        return sd_bus_reply_method_return(m, "o", row->target.link->bus->paths->checks[check]);
}

/* Nothing that an ordinary user could not see by himself. */
static int method_count_connections(sd_bus_message *m, _unused_ void *userdata,
                                    sd_bus_error *error) {
        uint64_t count;
        uint16_t port;
        int r;

        r = sd_bus_message_read(m, "q", &port);
        if (r < 0)
                return r;
        if (port == 0)
                return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS, "There is no port 0");
        r = tcp_count_established(port, &count);
        if (r < 0)
                return sd_bus_error_set_errnof(error, r, "Connections cannot be counted: %s",
                                               strerror(-r));
        return sd_bus_reply_method_return(m, "t", count);
}

static void on_reloaded(void *userdata, int r, const char *error,
                        _unused_ const Snapshot *snapshot) {
        _cleanup_(bus_call_freep) BusCall *call = userdata;

        if (!call->message)
                return;
        if (r < 0)
                r = sd_bus_reply_method_errorf(call->message, BUS_ERROR_RELOAD_FAILED, "%s",
                                               error ? bus_text(error) : strerror(-r));
        else
                r = sd_bus_reply_method_return(call->message, NULL);
        bus_call_answered(call, r);
}

static int method_reload(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const ManagerRow *row = userdata;
        const Control *control = row->target.link->bus->context.control;
        _cleanup_(bus_call_freep) BusCall *call = NULL;
        char who[WHO_MAX];
        int r;

        r = bus_authorize(row->target.link, m, BUS_NAME ".reload", NULL, who, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = bus_call_new(row->target.link->bus, m, NULL, error, &call);
        if (r < 0)
                return r;
        r = control->reload(control->daemon, on_reloaded, call);
        if (r < 0)
                return r;
        TAKE(call);
        return 1;
}

#define ROW(member)  offsetof(ManagerRow, member)
#define EMITS_CHANGE SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE
#define UNPRIVILEGED SD_BUS_VTABLE_UNPRIVILEGED

static const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Version", "s", NULL, ROW(version), SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Build", "s", NULL, ROW(build), SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("State", "s", NULL, ROW(state), EMITS_CHANGE),
        SD_BUS_PROPERTY("Reason", "s", NULL, ROW(reason), EMITS_CHANGE),
        SD_BUS_PROPERTY("Live", "b", NULL, ROW(is_alive), EMITS_CHANGE),
        SD_BUS_PROPERTY("LiveChangeTimestamp", "t", NULL, ROW(live_since), EMITS_CHANGE),
        SD_BUS_PROPERTY("Ready", "b", NULL, ROW(is_ready), EMITS_CHANGE),
        SD_BUS_PROPERTY("ReadyChangeTimestamp", "t", NULL, ROW(ready_since), EMITS_CHANGE),
        SD_BUS_PROPERTY("ReadyHTTPStatus", "q", NULL, ROW(ready_http_status), EMITS_CHANGE),
        SD_BUS_PROPERTY("Started", "b", NULL, ROW(is_started), EMITS_CHANGE),
        SD_BUS_PROPERTY("StartedChangeTimestamp", "t", NULL, ROW(started_since), EMITS_CHANGE),
        SD_BUS_PROPERTY("StatusText", "s", NULL, ROW(status), 0),
        SD_BUS_PROPERTY("WorstService", "s", NULL, ROW(worst_service), 0),
        SD_BUS_PROPERTY("Why", "as", get_why, 0, 0),
        BUS_DRAIN_PROPERTIES(ManagerRow, drain),
        SD_BUS_PROPERTY("Sequence", "t", NULL, ROW(sequence), 0),
        SD_BUS_PROPERTY("ConfigurationError", "s", NULL, ROW(configuration_error), EMITS_CHANGE),
        SD_BUS_PROPERTY("LastGoodTimestamp", "t", NULL, ROW(copy_realtime), EMITS_CHANGE),
        SD_BUS_PROPERTY("LastReloadError", "s", NULL, ROW(reload_error), EMITS_CHANGE),
        SD_BUS_PROPERTY("LastReloadTimestamp", "t", NULL, ROW(reload_realtime), EMITS_CHANGE),
        SD_BUS_PROPERTY("StartTimestamp", "t", NULL, ROW(start_realtime),
                        SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("RestoredTimestamp", "t", NULL, ROW(restored_realtime),
                        SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("RestoreError", "s", NULL, ROW(restore_error),
                        SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("NRestoredChecks", "u", NULL, ROW(n_restored_checks), 0),
        SD_BUS_PROPERTY("NServices", "u", NULL, ROW(n_services), 0),
        SD_BUS_PROPERTY("NReadyServices", "u", NULL, ROW(n_ready_services), 0),
        SD_BUS_PROPERTY("NChecks", "u", NULL, ROW(n_checks), 0),
        SD_BUS_PROPERTY("NUnhealthyChecks", "u", NULL, ROW(n_unhealthy_checks), 0),
        SD_BUS_PROPERTY("Listening", "as", NULL, ROW(listening), 0),
        SD_BUS_PROPERTY("LoadBalancer", "s", NULL, ROW(load_balancer), 0),
        SD_BUS_PROPERTY("LoadBalancerNoticeUSec", "t", NULL, ROW(load_balancer_notice_usec), 0),
        SD_BUS_PROPERTY("LoadBalancerThreshold", "t", NULL, ROW(load_balancer_threshold), 0),
        BUS_RESTART_BUDGET_PROPERTIES(ManagerRow, budget),
        SD_BUS_METHOD_WITH_NAMES("ListServices", NULL, , "a(ssso)", SD_BUS_PARAM(services),
                                 method_list_services, UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("ListChecks", NULL, , "a(sssso)", SD_BUS_PARAM(checks),
                                 method_list_checks, UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("GetService", "s", SD_BUS_PARAM(name), "o", SD_BUS_PARAM(service),
                                 method_get_service, UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("GetCheck", "ss", SD_BUS_PARAM(service) SD_BUS_PARAM(name), "o",
                                 SD_BUS_PARAM(check), method_get_check, UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("CountConnections", "q", SD_BUS_PARAM(port), "t",
                                 SD_BUS_PARAM(established), method_count_connections, UNPRIVILEGED),
        SD_BUS_METHOD("Reload", NULL, NULL, method_reload, UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("Drain", "ts", SD_BUS_PARAM(timeout_usec) SD_BUS_PARAM(reason),
                                 NULL, , bus_method_drain, UNPRIVILEGED),
        SD_BUS_METHOD("Undrain", NULL, NULL, bus_method_undrain, UNPRIVILEGED),
        SD_BUS_SIGNAL_WITH_NAMES("ServiceStateChanged", "osss",
                                 SD_BUS_PARAM(service) SD_BUS_PARAM(name) SD_BUS_PARAM(state)
                                         SD_BUS_PARAM(previous_state),
                                 0),
        SD_BUS_SIGNAL_WITH_NAMES("CheckStateChanged", "osssss",
                                 SD_BUS_PARAM(check) SD_BUS_PARAM(name) SD_BUS_PARAM(state)
                                         SD_BUS_PARAM(previous_state) SD_BUS_PARAM(reason)
                                                 SD_BUS_PARAM(message),
                                 0),
        SD_BUS_VTABLE_END,
};

int bus_manager_add(BusLink *l) {
        l->rows[BUS_OBJECT_MANAGER] = calloc(1, sizeof(ManagerRow));
        if (!l->rows[BUS_OBJECT_MANAGER])
                return -ENOMEM;
        return sd_bus_add_fallback_vtable(l->connection, NULL, BUS_PATH_MANAGER,
                                          BUS_INTERFACE_MANAGER, manager_vtable, manager_find, l);
}
