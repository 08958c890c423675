/* SPDX-License-Identifier: MIT */
#include "config/restarts.h"

#include "config/apply.h"

static void verify_unit(const ServiceConfig *s, const Document *document, Diagnostics *d) {
        const struct {
                const char *key;
                bool is_restart;
        } keys[] = {
                { "OnLivenessFailure", s->on_liveness_failure == ON_LIVENESS_FAILURE_RESTART },
                { "OnStartupFailure", s->on_startup_failure == ON_STARTUP_FAILURE_RESTART },
        };

        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                if (keys[i].is_restart && !s->unit)
                        section_fault_at(document_find(document, "Service"), d, keys[i].key,
                                         "restart needs Unit=, the unit that is to be restarted");
}

static void verify_startup(const Config *c, const ServiceConfig *s, const Document *document,
                           Diagnostics *d) {
        if (s->on_startup_failure != ON_STARTUP_FAILURE_RESTART)
                return;
        for (size_t i = s->first_check; i < c->n_checks; i++) {
                const CheckConfig *check = c->checks[i];

                if (check_config_counts(check, PROBE_STARTUP) && check->target.is_remote &&
                    !check->allow_remote_liveness)
                        section_fault_at(
                                document_find_named(document, "Check", check->name), d, "Probes",
                                "with OnStartupFailure=restart a start must not depend on another "
                                "host, whose outage would become a storm of restarts here; "
                                "AllowRemoteLiveness=yes says that it is meant");
        }
}

void restarts_verify(const Config *c, size_t service, const Document *document, Diagnostics *d) {
        const ServiceConfig *s = &c->services[service];

        verify_unit(s, document, d);
        verify_startup(c, s, document, d);
}
