/* SPDX-License-Identifier: MIT */
/* Which checks are not run at present, and the units on which that depends. */

#include <errno.h>

#include "base/log.h"
#include "base/text.h"
#include "daemon-internal.h"

/* Checks that wait for others, or for their unit, are not run. */
static void daemon_hold(Daemon *d, size_t check) {
        const CheckState *c = d->state->checks[check];
        const Config *config = d->state->config;
        bool is_awaited = units_is_awaited(d->units, config, config_service_of(config, check));
        bool is_held = (c->measured == HEALTH_SKIPPED && !check_config_is_combined(c->config)) ||
                       is_awaited;

        if (engine_hold(d->engine, check, is_held) && is_held)
                daemon_fail_waiters_of(d, check, -EAGAIN,
                                       is_awaited ? "Waits for word of its unit" : c->message);
}

void daemon_hold_all(Daemon *d) {
        for (size_t i = 0; i < d->state->config->n_checks; i++)
                daemon_hold(d, i);
}

void daemon_hold_derived(Daemon *d) {
        const Config *config = d->state->config;

        for (size_t i = 0; i < config->n_services; i++)
                for (size_t j = 0; j < config->services[i].n_derived; j++)
                        daemon_hold(d, config->services[i].first_check +
                                               config->services[i].derived[j]);
}

static void daemon_renew(Daemon *d, size_t service) {
        const ServiceConfig *config = d->state->config->services + service;

        for (size_t i = config->first_check; i < config->first_check + config->n_checks; i++)
                engine_renew(d->engine, i);
}

/* What failed while the unit was on its way says nothing of one that is up: it is looked at again,
 * at once, and counted from there. */
static void daemon_look_again(Daemon *d, size_t service) {
        const ServiceConfig *config = d->state->config->services + service;
        uint64_t serial;

        for (size_t i = config->first_check; i < config->first_check + config->n_checks; i++)
                if (d->state->checks[i]->failures_in_row > 0 &&
                    engine_run(d->engine, i, &serial) >= 0)
                        daemon_apply(d, &(Event){ .type = EVENT_FORGET, .check = i });
}

static void on_unit_changed(void *userdata, size_t service, UnitState unit,
                            const char *invocation_id) {
        Daemon *d = userdata;
        const ServiceState *s = d->state->services[service];
        bool was_seen = s->unit != UNIT_UNFOLLOWED;
        bool has_come_up = s->unit == UNIT_ACTIVATING && unit == UNIT_ACTIVE;

        if (s->unit == unit && str_equal(s->invocation_id, invocation_id))
                return;
        daemon_apply(d, &(Event){ .type = EVENT_UNIT,
                                  .service = service,
                                  .unit = unit,
                                  .invocation_id = invocation_id });
        if (was_seen && unit_state_is_up(unit))
                daemon_renew(d, service);
        if (has_come_up)
                daemon_look_again(d, service);
        daemon_publish(d);
}

static void on_units_released(void *userdata) {
        daemon_hold_all(userdata);
}

static const UnitsHandler units_handler = {
        .changed = on_unit_changed,
        .released = on_units_released,
};

int daemon_follow_units(Daemon *d) {
        int r;

        r = units_configure(d->units, d->state->config);
        if (r < 0)
                log_errno(LOG_ERR, r, "Cannot follow the units of all services");
        daemon_hold_all(d);
        return r;
}

int daemon_make_units(Daemon *d) {
        int r;

        r = units_new(d->event, d->systemd, &units_handler, d, &d->units);
        return r < 0 ? log_errno(LOG_ERR, r, "Cannot set up the following of units") : 0;
}
