/* SPDX-License-Identifier: MIT */
#include "output/summary.h"

#include <stdio.h>
#include <string.h>

#include "base/strbuf.h"

static bool check_is_cause(const Snapshot *s, size_t check) {
        return snapshot_check_blocks(s, check, PROBE_LIVENESS) ||
               snapshot_check_blocks(s, check, PROBE_READINESS) ||
               snapshot_check_blocks(s, check, PROBE_STARTUP);
}

size_t summary_worst_check(const Snapshot *s, size_t service) {
        const ServiceConfig *config = &s->config->services[service];
        size_t worst = INDEX_NONE;

        for (size_t i = config->first_check; i < config->first_check + config->n_checks; i++)
                if (check_is_cause(s, i) &&
                    (worst == INDEX_NONE ||
                     s->checks[i]->since_boottime < s->checks[worst]->since_boottime))
                        worst = i;
        return worst;
}

static bool verdict_is_good(const Verdict *v) {
        return v->live == LIVENESS_ALIVE && v->ready == READINESS_READY;
}

/* Whether a is a worse cause than b. */
static bool service_is_worse(const ServiceView *a, const ServiceView *b) {
        if (a->verdict.live != b->verdict.live)
                return a->verdict.live == LIVENESS_DEAD;
        return a->since[PROBE_READINESS].boottime < b->since[PROBE_READINESS].boottime;
}

size_t summary_worst_service(const Snapshot *s) {
        size_t worst = INDEX_NONE;

        for (size_t i = 0; i < s->config->n_services; i++) {
                const ServiceView *v = &s->services[i];

                if (!s->config->services[i].counts_for_host || v->verdict.is_inactive ||
                    verdict_is_good(&v->verdict))
                        continue;
                if (worst == INDEX_NONE || service_is_worse(v, &s->services[worst]))
                        worst = i;
        }
        return worst;
}

static void append_age(StrBuf *b, const char *word, usec_t since, usec_t now) {
        char age[TIMESPAN_MAX];

        strbuf_printf(b, " %s %s", word, timespan_format(age, usec_sub(now, since)));
}

/* "drained by root: kernel update" */
static void append_drain(StrBuf *b, const Drain *d) {
        strbuf_printf(b, "drained by %s", d->who);
        if (*d->note)
                strbuf_printf(b, ": %s", d->note);
}

/* "redis refused for 2min" */
static void append_check(StrBuf *b, const CheckState *c, usec_t now) {
        char reason[REASON_WORD_MAX];

        reason_format(reason, c->reason, c->detail);
        strbuf_printf(b, "%s %s", c->config->name, *reason ? reason : health_to_string(c->state));
        append_age(b, "for", c->since_boottime, now);
}

static void append_service(StrBuf *b, const Snapshot *s, size_t service, usec_t now) {
        const ServiceConfig *config = &s->config->services[service];
        const ServiceView *v = &s->services[service];
        size_t worst = summary_worst_check(s, service);

        strbuf_printf(b, "%s: ", config->name);
        if (config->defect)
                strbuf_printf(b, "configuration: %s", config->defect);
        else if (v->verdict.reason == REASON_DRAINED)
                append_drain(b, v->state->drain.is_active ? &v->state->drain : &s->drain);
        else if (worst != INDEX_NONE)
                append_check(b, s->checks[worst], now);
        else if (v->verdict.reason == REASON_INACTIVE)
                strbuf_printf(b, "unit %s", unit_state_to_string(v->state->unit));
        else
                strbuf_append(b, v->verdict.reason != REASON_NONE
                                         ? reason_to_string(v->verdict.reason)
                                         : startup_to_string(v->verdict.started));
}

static void append_degraded(StrBuf *b, const Snapshot *s) {
        bool any = false;

        for (size_t i = 0; i < s->config->n_services; i++) {
                const ServiceConfig *config = &s->config->services[i];

                if (!config->counts_for_host || !s->services[i].verdict.is_degraded)
                        continue;
                strbuf_printf(b, "%s%s", any ? ", " : "; degraded: ", config->name);
                any = true;
        }
}

static void count_services(const Snapshot *s, size_t *ret_ready, size_t *ret_all) {
        size_t ready = 0, all = 0;

        for (size_t i = 0; i < s->config->n_services; i++)
                if (s->config->services[i].counts_for_host && !s->services[i].verdict.is_inactive) {
                        all++;
                        ready += s->services[i].verdict.ready == READINESS_READY;
                }
        *ret_ready = ready;
        *ret_all = all;
}

/* "; orders runs its last good copy: orders.conf:3: unknown key Foo=; so do 2 more" */
static void append_copies(StrBuf *b, const Config *c) {
        ConfigCopy copy;
        size_t n = 0;

        CONFIG_FOREACH_COPY(i, copy, c)
                if (n++ == 0)
                        strbuf_printf(b, "; %s runs its last good copy: %s",
                                      copy.service ? copy.service : "vitald.conf", copy.fault);
        if (n > 1)
                strbuf_printf(b, "; so do%s %zu more", n == 2 ? "es" : "", n - 1);
}

static void summary_append(StrBuf *b, const Snapshot *s, usec_t now) {
        size_t worst = summary_worst_service(s), ready, all;

        count_services(s, &ready, &all);
        if (s->host.live == LIVENESS_DEAD)
                strbuf_append(b, "DEAD, ");
        strbuf_append(b, s->host.ready == READINESS_READY ? "READY: " : "NOT READY: ");
        if (s->config->defect) {
                strbuf_printf(b, "configuration: %s", s->config->defect);
                return;
        }
        if (s->host.reason == REASON_UNCONFIGURED) {
                strbuf_append(b, "no service is configured; see vitald.services(5)");
                return;
        }
        strbuf_printf(b, "%zu of %zu %s ready", ready, all, all == 1 ? "service" : "services");
        if (s->drain.is_active) {
                strbuf_append(b, "; ");
                append_drain(b, &s->drain);
        } else if (worst != INDEX_NONE) {
                strbuf_append(b, "; ");
                append_service(b, s, worst, now);
        } else
                append_degraded(b, s);
        if (s->reload_error)
                strbuf_printf(b, "; reload refused: %.*s", (int) strcspn(s->reload_error, "\n"),
                              s->reload_error);
        append_copies(b, s->config);
}

const char *summary_format(char buf[static SUMMARY_MAX], const Snapshot *s, usec_t now_boottime) {
        _cleanup_strbuf_ StrBuf b = {};

        summary_append(&b, s, now_boottime);
        snprintf(buf, SUMMARY_MAX, "%s", b.text ? b.text : "");
        return buf;
}
