/* SPDX-License-Identifier: MIT */
#include "output/bus-why.h"

#include <errno.h>

#include "base/strbuf.h"
#include "base/text.h"
#include "output/bus-link.h"

_printf_(2, 3) static int append_line(sd_bus_message *m, const char *format, ...) {
        _cleanup_strbuf_ StrBuf line = {};
        va_list ap;

        va_start(ap, format);
        strbuf_vprintf(&line, format, ap);
        va_end(ap);
        if (line.failed)
                return -ENOMEM;
        return sd_bus_message_append(m, "s", bus_text(line.text));
}

static int append_drain(sd_bus_message *m, const Drain *d, const char *what) {
        if (!d->is_active)
                return 0;
        return append_line(m, "%s drained by %s%s%s", what, d->who, *d->note ? ": " : "", d->note);
}

static bool check_blocks_any(const Snapshot *s, size_t check) {
        for (Probe p = 0; p < PROBE_COUNT_; p++)
                if (snapshot_check_blocks(s, check, p))
                        return true;
        return false;
}

static const char *check_text(const CheckState *c) {
        if (*c->message)
                return c->message;
        return c->state == HEALTH_PENDING ? "no result yet" : health_to_string(c->state);
}

/* The first lines are those that people see where there is room for few. */
typedef enum Rank { RANK_DEAD, RANK_FAILS, RANK_WAITS } Rank;

static Rank check_rank(const Snapshot *s, size_t check) {
        if (snapshot_check_blocks(s, check, PROBE_LIVENESS))
                return RANK_DEAD;
        return s->checks[check]->state == HEALTH_UNHEALTHY ? RANK_FAILS : RANK_WAITS;
}

static int append_checks(sd_bus_message *m, const Snapshot *s, size_t service, Rank rank,
                         bool at_host) {
        const ServiceConfig *config = &s->config->services[service];
        int r;

        for (size_t i = config->first_check; i < config->first_check + config->n_checks; i++) {
                const CheckState *c = s->checks[i];

                if (!check_blocks_any(s, i) || check_rank(s, i) != rank)
                        continue;
                r = append_line(m, "%s: %s", at_host ? c->config->public_name : c->config->name,
                                check_text(c));
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Why the service is not ready where no check is to blame. at_host: the host's own drain is told of
 * once, not with every service. */
static int append_obstacle(sd_bus_message *m, const Snapshot *s, size_t service, bool at_host) {
        const ServiceConfig *config = &s->config->services[service];
        const ServiceView *view = &s->services[service];
        const char *name = at_host ? config->name : "service";
        int r;

        if (config->defect)
                return append_line(m, "%s", config->defect);
        r = append_drain(m, &view->state->drain, name);
        if (r >= 0 && !at_host)
                r = append_drain(m, &s->drain, "host");
        if (r >= 0 && view->verdict.reason == REASON_INACTIVE)
                r = append_line(m, "%s: unit %s is not running (%s)", name, bus_text(config->unit),
                                unit_state_to_string(view->state->unit));
        if (r >= 0 && view->verdict.started == STARTUP_FAILED)
                r = append_line(m, "%s: not started in time", name);
        return r;
}

static int append_service(sd_bus_message *m, const Snapshot *s, size_t service, bool at_host) {
        int r;

        r = append_checks(m, s, service, RANK_DEAD, at_host);
        if (r >= 0)
                r = append_checks(m, s, service, RANK_FAILS, at_host);
        if (r >= 0)
                r = append_obstacle(m, s, service, at_host);
        return r < 0 ? r : append_checks(m, s, service, RANK_WAITS, at_host);
}

int bus_append_why_service(sd_bus_message *m, const Snapshot *s, size_t service) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "s");
        if (r < 0)
                return r;
        r = append_service(m, s, service, false);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static bool service_counts(const Snapshot *s, size_t service) {
        return s->config->services[service].counts_for_host &&
               !s->services[service].verdict.is_inactive;
}

int bus_append_why_host(sd_bus_message *m, const Snapshot *s) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "s");
        if (r >= 0 && s->config->defect)
                r = append_line(m, "%s", s->config->defect);
        if (r >= 0)
                r = append_drain(m, &s->drain, "host");
        if (r >= 0 && s->host.reason == REASON_UNCONFIGURED)
                r = append_line(m, "no service is configured");
        for (size_t i = 0; r >= 0 && i < s->config->n_services; i++)
                if (service_counts(s, i))
                        r = append_service(m, s, i, true);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

uint16_t bus_ready_http_status(const Snapshot *s, const Verdict *v) {
        if (v->ready != READINESS_READY)
                return 503;
        return v->is_degraded ? (uint16_t) s->config->http.degraded_status : 200;
}
