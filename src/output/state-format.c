/* SPDX-License-Identifier: MIT */
#include <inttypes.h>

#include "base/json-scan.h"
#include "base/json.h"
#include "base/text.h"
#include "output/state-file.h"
#include "output/state-words.h"

/* What is as it is at first is left out: most of what there is to write is that nothing is wrong.
 */
static void put_number(JsonWriter *w, const char *key, uint64_t value, uint64_t absent) {
        if (value != absent)
                json_unsigned(w, key, MIN(value, JSON_NUMBER_MAX));
}

static void put_flag(JsonWriter *w, const char *key, bool value) {
        if (value)
                json_bool(w, key, true);
}

/* One that was cut somewhere may end in the midst of a letter, and then nothing could be read. */
static void put_text(JsonWriter *w, const char *key, const char *value) {
        char clean[RESULT_MESSAGE_MAX];

        if (str_is_empty(value))
                return;
        if (!utf8_is_valid(value, strlen(value)))
                value = text_sanitize(clean, sizeof(clean), value, strlen(value));
        json_string(w, key, value);
}

static void put_digest(JsonWriter *w, const char *key, const char *text) {
        char digest[STATE_DIGEST_MAX] = "";

        if (text)
                snprintf(digest, sizeof(digest), "%016" PRIx64,
                         hash_bytes(HASH_INIT, text, strlen(text)));
        put_text(w, key, digest);
}

/* -- of people --------------------------------------------------------------------------------- */

static void put_drain(JsonWriter *w, const Drain *d) {
        if (!d->is_active)
                return;
        json_open(w, "drain", '{');
        put_flag(w, "until_start", d->ends_with_invocation);
        put_number(w, "since", d->since_realtime, 0);
        put_number(w, "until", d->until_boottime, USEC_INFINITY);
        put_text(w, "who", d->who);
        put_text(w, "note", d->note);
        json_close(w, '}');
}

static void put_override(JsonWriter *w, const Override *o) {
        if (!o->is_active)
                return;
        json_open(w, "override", '{');
        json_string(w, "state", health_to_string(o->state));
        put_number(w, "since", o->since_realtime, 0);
        put_number(w, "until", o->until_boottime, USEC_INFINITY);
        put_text(w, "who", o->who);
        put_text(w, "note", o->note);
        json_close(w, '}');
}

/* -- checks ------------------------------------------------------------------------------------ */

static void put_values(JsonWriter *w, const LastResult *r) {
        if (r->n_values == 0)
                return;
        json_open(w, "values", '[');
        for (size_t i = 0; i < r->n_values; i++) {
                json_open(w, NULL, '{');
                put_text(w, "name", r->values[i].name);
                put_text(w, "unit", r->values[i].unit);
                json_number(w, "number", "%.17g", r->values[i].number);
                json_close(w, '}');
        }
        json_close(w, ']');
}

static void put_result(JsonWriter *w, const CheckState *c) {
        if (!c->has_result)
                return;
        json_open(w, "result", '{');
        json_string(w, "outcome", outcome_words[c->last.outcome]);
        put_text(w, "reason", reason_to_string(c->last.reason));
        put_text(w, "detail", c->last.detail);
        put_text(w, "message", c->last.message);
        put_number(w, "latency", c->last.latency_usec, USEC_INFINITY);
        put_number(w, "retry_after", c->last.retry_after_usec, 0);
        put_number(w, "realtime", c->last_realtime, 0);
        put_number(w, "boottime", c->last_boottime, 0);
        put_values(w, &c->last);
        json_close(w, '}');
}

static void put_numbers(JsonWriter *w, const char *key, const uint64_t *numbers, size_t n) {
        json_open(w, key, '[');
        for (size_t i = 0; i < n; i++)
                json_unsigned(w, NULL, numbers[i]);
        json_close(w, ']');
}

static void put_counters(JsonWriter *w, const CheckState *c) {
        put_number(w, "void", c->n_void, 0);
        if (c->n_runs == 0)
                return;
        put_numbers(w, "runs", c->n_by_outcome, ELEMENTSOF(c->n_by_outcome));
        put_numbers(w, "latencies", c->latency_counts, ELEMENTSOF(c->latency_counts));
        put_number(w, "latency_sum", c->latency_sum_usec, 0);
}

static void put_check(JsonWriter *w, const CheckState *c) {
        json_open(w, NULL, '{');
        json_string(w, "name", c->config->name);
        put_digest(w, "digest", c->config->canonical);
        json_string(w, "measured", health_to_string(c->measured));
        if (check_config_is_combined(c->config))
                json_string(w, "combined", health_to_string(c->combined));
        put_flag(w, "dead", c->is_dead);
        put_flag(w, "good_once", c->has_been_good);
        put_number(w, "joins_until", c->joins_until_boottime, 0);
        put_number(w, "fresh", c->fresh_boottime, 0);
        put_number(w, "pause", c->pause_usec, 0);
        put_number(w, "successes", c->successes_in_row, 0);
        put_number(w, "failures", c->failures_in_row, 0);
        put_text(w, "reason", reason_to_string(c->reason));
        put_text(w, "detail", c->detail);
        put_text(w, "message", c->message);
        put_text(w, "first_failure", c->first_failure_message);
        put_number(w, "first_failure_realtime", c->first_failure_realtime, 0);
        put_number(w, "since_realtime", c->since_realtime, 0);
        put_number(w, "since", c->since_boottime, 0);
        put_override(w, check_state_override(c));
        put_result(w, c);
        put_counters(w, c);
        json_close(w, '}');
}

/* -- services and the host --------------------------------------------------------------------- */

static void put_verdict(JsonWriter *w, const Verdict *v, const ProbeSince since[PROBE_COUNT_]) {
        json_open(w, "verdict", '{');
        json_string(w, "live", live_words[v->live]);
        json_string(w, "ready", ready_words[v->ready]);
        json_string(w, "started", started_words[v->started]);
        put_flag(w, "degraded", v->is_degraded);
        put_flag(w, "inactive", v->is_inactive);
        put_flag(w, "joining", v->is_joining);
        put_flag(w, "measured_dead", v->is_measured_dead);
        put_text(w, "reason", reason_to_string(v->reason));
        json_open(w, "since", '[');
        for (Probe p = 0; p < PROBE_COUNT_; p++) {
                json_unsigned(w, NULL, since[p].realtime);
                json_unsigned(w, NULL, since[p].boottime);
        }
        json_close(w, ']');
        json_close(w, '}');
}

static void put_service(JsonWriter *w, const Snapshot *s, size_t service) {
        const ServiceConfig *config = s->config->services + service;
        const ServiceView *v = s->services + service;
        const ServiceState *state = v->state;

        json_open(w, NULL, '{');
        json_string(w, "name", config->name);
        put_digest(w, "unit", config->unit);
        put_flag(w, "defect", config->defect);
        put_flag(w, "started", state->is_started);
        put_flag(w, "startup_failed", state->has_startup_failed);
        put_number(w, "startup", state->startup_boottime, USEC_INFINITY);
        put_number(w, "joins_until", state->joins_until_boottime, 0);
        if (state->unit != UNIT_UNFOLLOWED)
                json_string(w, "unit_state", unit_words[state->unit]);
        put_text(w, "invocation", state->invocation_id);
        put_text(w, "version", state->version);
        put_drain(w, &state->drain);
        put_verdict(w, &v->verdict, v->since);
        json_open(w, "checks", '[');
        for (size_t i = 0; i < config->n_checks; i++)
                put_check(w, snapshot_checks_of(s, service)[i]);
        json_close(w, ']');
        json_close(w, '}');
}

void state_file_format(StrBuf *out, const Snapshot *s, const char *boot, bool is_last) {
        JsonWriter w = { .out = out };

        json_open(&w, NULL, '{');
        json_string(&w, "boot", boot);
        put_flag(&w, "last", is_last);
        json_unsigned(&w, "realtime", s->time.realtime);
        json_unsigned(&w, "boottime", s->time.boottime);
        put_drain(&w, &s->own_drain);
        put_verdict(&w, &s->host, s->host_since);
        json_open(&w, "services", '[');
        for (size_t i = 0; i < s->config->n_services; i++)
                put_service(&w, s, i);
        json_close(&w, ']');
        json_close(&w, '}');
        strbuf_append(out, "\n");
}

/* -- beyond a boot ----------------------------------------------------------------------------- */

static void put_lasting(JsonWriter *w, const char *service, usec_t absent_realtime,
                        const Drain *drain, Time now) {
        Drain d = *drain;

        if (!drain_is_lasting(&d))
                return;
        if (d.until_boottime != USEC_INFINITY)
                d.until_boottime = usec_add(now.realtime, usec_sub(d.until_boottime, now.boottime));
        json_open(w, NULL, '{');
        put_text(w, "service", service);
        put_number(w, "absent", absent_realtime, 0);
        put_drain(w, &d);
        json_close(w, '}');
}

void drains_file_format(StrBuf *out, const Snapshot *s, const AbsentDrains *absent, Time now) {
        JsonWriter w = { .out = out };

        json_open(&w, NULL, '{');
        json_open(&w, "drains", '[');
        put_lasting(&w, NULL, 0, &s->own_drain, now);
        for (size_t i = 0; i < s->config->n_services; i++)
                put_lasting(&w, s->config->services[i].name, 0, &s->services[i].state->drain, now);
        for (size_t i = 0; i < absent->n; i++)
                put_lasting(&w, absent->items[i].service, absent->items[i].absent_realtime,
                            &absent->items[i].drain, now);
        json_close(&w, ']');
        json_close(&w, '}');
        strbuf_append(out, "\n");
}
