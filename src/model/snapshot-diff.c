/* SPDX-License-Identifier: MIT */
#include "model/snapshot.h"

/* The same check or service in the old snapshot, or INDEX_NONE. */
static size_t old_check(const Snapshot *old, const Snapshot *new, size_t check) {
        const CheckConfig *c = new->config->checks[check];

        if (!old)
                return INDEX_NONE;
        if (old->config == new->config)
                return check;
        return config_find_check(old->config, c->service, c->name);
}

static size_t old_service(const Snapshot *old, const Snapshot *new, size_t service) {
        if (!old)
                return INDEX_NONE;
        if (old->config != new->config)
                return config_find_service(old->config, new->config->services[service].name);
        return old->services[service].is_blank ? INDEX_NONE : service;
}

static bool verdict_differs(const Verdict *a, const Verdict *b, Probe p) {
        switch (p) {
        case PROBE_READINESS:
                return a->ready != b->ready || a->is_degraded != b->is_degraded ||
                       a->is_inactive != b->is_inactive || a->reason != b->reason;
        case PROBE_LIVENESS:
                return a->live != b->live;
        case PROBE_STARTUP:
                return a->started != b->started;
        case PROBE_COUNT_:
                break;
        }
        assert(false);
        return false;
}

void snapshot_diff(const Snapshot *old, const Snapshot *new, FlipHandler handler, void *userdata) {
        for (size_t i = 0; i < new->config->n_checks; i++) {
                Flip f = { .type = FLIP_CHECK, .index = i, .old_index = old_check(old, new, i) };

                if (f.old_index == INDEX_NONE ||
                    (new->checks[i] != old->checks[f.old_index] &&
                     new->checks[i]->state != old->checks[f.old_index]->state))
                        handler(userdata, &f, old, new);
        }
        for (size_t i = 0; i < new->config->n_services; i++) {
                Flip f = { .type = FLIP_SERVICE, .index = i };

                f.old_index = old_service(old, new, i);
                for (f.probe = 0; f.probe < PROBE_COUNT_; f.probe++)
                        if (f.old_index == INDEX_NONE ||
                            verdict_differs(&old->services[f.old_index].verdict,
                                            &new->services[i].verdict, f.probe))
                                handler(userdata, &f, old, new);
        }
        for (Probe p = 0; p < PROBE_COUNT_; p++)
                if (!old || verdict_differs(&old->host, &new->host, p))
                        handler(userdata,
                                &(Flip){
                                        .type = FLIP_HOST,
                                        .old_index = old ? 0 : INDEX_NONE,
                                        .probe = p,
                                },
                                old, new);
}
