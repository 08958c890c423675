/* SPDX-License-Identifier: MIT */
/* States that do not follow from a check's own results: of those that rest with their unit, and of
 * those that hang on other checks of the service, because they wait (After=) or are combined. */

#include "model/state-internal.h"

int state_own_derived(State *s, size_t service) {
        const ServiceConfig *config = s->config->services + service;
        int r;

        for (size_t i = 0; i < config->n_derived; i++) {
                r = state_own_check(s, config->first_check + config->derived[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Whether state_rest() changes the check. What outlasts one start of the unit does not rest. */
static bool check_is_to_turn(const State *s, size_t service, size_t check) {
        const CheckState *c = s->checks[check];
        bool is_up = unit_state_is_up(s->services[service]->unit);

        return !check_config_is_derived(c->config) &&
               (is_up || !check_config_is_lasting(c->config)) &&
               (c->measured == HEALTH_SKIPPED) == is_up;
}

int state_own_resting(State *s, size_t service) {
        const ServiceConfig *config = s->config->services + service;
        int r;

        for (size_t i = config->first_check; i < config->first_check + config->n_checks; i++) {
                r = check_is_to_turn(s, service, i) ? state_own_check(s, i) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

void state_rest(State *s, size_t service, Time now) {
        const ServiceConfig *config = s->config->services + service;
        const char *unit = config->unit ? config->unit : "The unit";
        bool is_up = unit_state_is_up(s->services[service]->unit);

        for (size_t i = config->first_check; i < config->first_check + config->n_checks; i++)
                if (check_is_to_turn(s, service, i))
                        check_state_rest(s->checks[i], is_up ? NULL : unit, now);
}

/* What stands in the way of a check's runs, or NULL. Overrides have no say: they change what is
 * published and not what is done. */
static const CheckState *find_obstacle(CheckState *const checks[], const CheckConfig *config) {
        for (size_t i = 0; i < config->n_needs; i++) {
                const CheckState *c = checks[config->needs[i]];

                if (c->measured == HEALTH_UNHEALTHY || c->measured == HEALTH_SKIPPED)
                        return c;
        }
        return NULL;
}

static void derive_combined(CheckState *const checks[], CheckState *c, bool has_failed, Time now) {
        const CheckConfig *config = c->config;
        const CheckType *type = config->type;
        Health measured, published;
        Result result;

        measured = type->derive(config->settings, checks, config->needs, config->n_needs, true,
                                &result);
        published = type->derive(config->settings, checks, config->needs, config->n_needs, false,
                                 &result);
        check_state_combine(c, measured, published, &result, has_failed, now);
}

void state_derive(State *s, size_t service, bool has_failed, Time now) {
        const ServiceConfig *config = s->config->services + service;
        CheckState *const *checks = s->checks + config->first_check;

        for (size_t i = 0; i < config->n_derived; i++) {
                CheckState *c = checks[config->derived[i]];

                if (check_config_is_combined(c->config))
                        derive_combined(checks, c, has_failed, now);
                else
                        check_state_wait(c, find_obstacle(checks, c->config), now);
        }
}
