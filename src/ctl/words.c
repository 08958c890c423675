/* SPDX-License-Identifier: MIT */
#include "ctl/words.h"

#include <inttypes.h>
#include <unistd.h>

const char *host_name(char buf[static HOST_NAME_MAX_]) {
        if (gethostname(buf, HOST_NAME_MAX_) < 0 || !*buf)
                return strcpy(buf, "localhost");
        buf[strcspn(buf, ".")] = 0;
        return buf;
}

const char *state_word(char buf[static WORD_MAX], const char *state) {
        snprintf(buf, WORD_MAX, "%s", state);
        for (char *p = buf; *p; p++)
                if (*p == '_')
                        *p = ' ';
        return buf;
}

Tone state_tone(const char *state) {
        static const struct {
                const char *state;
                Tone tone;
        } tones[] = {
                { "ready", TONE_GOOD },       { "healthy", TONE_GOOD },
                { "degraded", TONE_WARNING }, { "draining", TONE_WARNING },
                { "starting", TONE_WARNING }, { "pending", TONE_WARNING },
                { "inactive", TONE_FAINT },   { "skipped", TONE_FAINT },
        };

        for (size_t i = 0; i < ELEMENTSOF(tones); i++)
                if (str_equal(tones[i].state, state))
                        return tones[i].tone;
        return TONE_BAD;
}

const char *age_format(char buf[static TIMESPAN_MAX], usec_t then, usec_t now) {
        usec_t age = usec_sub(now, then);

        if (then == 0)
                return strcpy(buf, "never");
        /* Nobody wants to read milliseconds of an age. */
        return age < USEC_PER_SEC ? strcpy(buf, "0s")
                                  : timespan_format(buf, age / USEC_PER_SEC * USEC_PER_SEC);
}

const char *latency_format(char buf[static TIMESPAN_MAX], usec_t latency) {
        if (latency == USEC_INFINITY)
                return strcpy(buf, "-");
        snprintf(buf, TIMESPAN_MAX, "%" PRIu64 ".%" PRIu64 "ms", latency / USEC_PER_MSEC,
                 latency % USEC_PER_MSEC / 100);
        return buf;
}

const char *check_reason(const CheckInfo *c) {
        return *c->reason ? c->reason : c->state;
}

bool check_is_good(const CheckInfo *c) {
        return str_equal(c->state, "healthy") || str_equal(c->state, "degraded");
}

static void append_next_run(StrBuf *b, const CheckInfo *c, const View *v) {
        char span[TIMESPAN_MAX];

        if (c->next_run == USEC_INFINITY || c->next_run == 0)
                return;
        if (c->next_run <= v->monotonic) {
                strbuf_append(b, ", running now");
                return;
        }
        strbuf_printf(b, ", next run in %s",
                      timespan_format(span, usec_add(c->next_run - v->monotonic, USEC_PER_SEC - 1) /
                                                    USEC_PER_SEC * USEC_PER_SEC));
}

/* Whether the message says already what it is about: the target, or the host and port of its URL.
 */
static bool message_names_target(const CheckInfo *c) {
        const char *authority = strstr(c->target, "://");
        _cleanup_free_ char *address = NULL;

        if (strstr(c->message, c->target))
                return true;
        if (!authority)
                return false;
        authority += strlen("://");
        address = strndup(authority, strcspn(authority, "/?#"));
        return address && *address && strstr(c->message, address);
}

void check_describe(StrBuf *b, const CheckInfo *c, const View *v) {
        char latency[TIMESPAN_MAX];

        if (*c->message)
                strbuf_append(b, c->message);
        else if (check_is_good(c) && c->latency != USEC_INFINITY)
                strbuf_append(b, latency_format(latency, c->latency));
        else
                strbuf_append(b, check_reason(c));
        if (!check_is_good(c) && *c->target && !message_names_target(c))
                strbuf_printf(b, " (%s)", c->target);
        if (c->failures_in_row > 1)
                strbuf_printf(b, ", %" PRIu64 " in a row", c->failures_in_row);
        if (!check_is_good(c))
                append_next_run(b, c, v);
        if (c->is_shadow)
                strbuf_append(b, " (shadow)");
}

void check_describe_first(StrBuf *b, const CheckInfo *c, const ServiceInfo *s, const View *v) {
        const char *see = *c->documentation ? c->documentation : s->documentation;
        bool is_same = str_equal(c->first_message, c->message);
        char at[TIMESTAMP_MAX];

        if (c->first_failure > 0)
                strbuf_printf(b, "first%s%s at %s", is_same ? "" : ": ",
                              is_same ? "" : c->first_message,
                              timestamp_format_short(at, c->first_failure, v->realtime));
        if (*see)
                strbuf_printf(b, "%ssee %s", c->first_failure > 0 ? "; " : "", see);
}

bool check_is_cause(const CheckInfo *c, CauseKind kind) {
        return kind == CAUSE_BLOCKING ? !!c->blocking
                                      : !c->blocking && !str_equal(c->state, "healthy");
}

void drain_describe(StrBuf *b, const Verdicts *d, const View *v) {
        char age[TIMESPAN_MAX], until[TIMESTAMP_MAX];

        strbuf_printf(b, "drained by %s %s ago", d->drain_who,
                      age_format(age, d->drain_since, v->realtime));
        if (d->drain_until != USEC_INFINITY)
                strbuf_printf(b, ", until %s",
                              timestamp_format_short(until, d->drain_until, v->realtime));
        if (*d->drain_note)
                strbuf_printf(b, ": %s", d->drain_note);
}

void probers_describe(StrBuf *b, const ProberList *l, uint64_t times) {
        size_t told = probers_told(l, times);

        if (l->n == 0)
                strbuf_append(b, "nobody has asked of late");
        else
                strbuf_printf(b, "%zu of %zu %s read 503", told, l->n,
                              l->n == 1 ? "prober has" : "probers have");
        if (l->n > 0 && times > 1)
                strbuf_printf(b, " %" PRIu64 " times", times);
}

void verdict_headline(StrBuf *b, const Verdicts *d) {
        bool is_degraded = str_equal(d->state, "degraded");

        strbuf_printf(b, "%s%s%s (%" PRIu64 ")", d->is_alive ? "" : "DEAD, ",
                      d->is_ready ? "READY" : "NOT READY",
                      d->is_ready && is_degraded ? ", degraded" : "", d->http_status);
}

/* -- causes ------------------------------------------------------------------------------------ */

const CheckInfo *service_worst_check(const ServiceInfo *s) {
        const CheckInfo *worst = NULL;

        for (size_t i = 0; i < s->n_checks; i++)
                if (s->checks[i].blocking &&
                    (!worst || s->checks[i].state_since < worst->state_since))
                        worst = &s->checks[i];
        return worst;
}

const CheckInfo *service_worst_degraded(const ServiceInfo *s) {
        const CheckInfo *worst = NULL;

        for (size_t i = 0; i < s->n_checks; i++)
                if (!str_equal(s->checks[i].state, "healthy") && !s->checks[i].is_shadow &&
                    strv_contains(s->checks[i].probes, "readiness") &&
                    (!worst || s->checks[i].state_since < worst->state_since))
                        worst = &s->checks[i];
        return worst;
}

bool service_is_inactive(const ServiceInfo *s) {
        return str_equal(s->verdicts.state, "inactive");
}

bool service_is_down(const ServiceInfo *s) {
        return str_equal(s->verdicts.reason, "inactive");
}

bool service_is_refused(const ServiceInfo *s) {
        return *s->defect && s->copy_time == 0;
}

void copy_describe(StrBuf *b, const char *fault, usec_t copy_time, const View *v) {
        char at[TIMESTAMP_MAX];

        strbuf_printf(b, "runs its last good copy, of %s; at fault is %s",
                      timestamp_format_short(at, copy_time, v->realtime), fault);
}

void unit_describe(StrBuf *b, const ServiceInfo *s) {
        static const struct {
                const char *state, *words;
        } table[] = {
                { "failed", "has failed" },
                { "deactivating", "is stopping" },
                { "auto-restart", "is about to be restarted" },
        };
        const char *words = "is not running";

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (str_equal(s->unit_state, table[i].state))
                        words = table[i].words;
        strbuf_printf(b, "%s %s", *s->unit ? s->unit : "its unit", words);
}

/* The check that is to blame, NULL if it is something else or nobody. */
static const CheckInfo *cause_check(const ServiceInfo *s) {
        if (service_is_refused(s) || (s->verdicts.is_draining && s->verdicts.is_alive) ||
            service_is_down(s))
                return NULL;
        if (s->verdicts.is_ready && s->verdicts.is_alive)
                return service_worst_degraded(s);
        return service_worst_check(s);
}

void service_cause(StrBuf *b, const ServiceInfo *s, bool at_host, const View *v) {
        const CheckInfo *c = cause_check(s);
        char age[TIMESPAN_MAX], word[WORD_MAX];

        if (c) {
                strbuf_printf(b, "%s %s for %s", at_host ? c->id : c->name, check_reason(c),
                              age_format(age, c->state_since, v->realtime));
                return;
        }
        if (s->verdicts.is_ready && s->verdicts.is_alive)
                return;
        if (at_host)
                strbuf_printf(b, "%s: ", s->name);
        if (service_is_refused(s))
                strbuf_printf(b, "configuration: %s", s->defect);
        else if (s->verdicts.is_draining)
                drain_describe(b, &s->verdicts, v);
        else if (service_is_down(s))
                unit_describe(b, s);
        else
                strbuf_append(b, state_word(word, *s->verdicts.reason ? s->verdicts.reason
                                                                      : s->verdicts.state));
}

/* Dead goes before not ready before degraded; then the older one. */
static int badness(const ServiceInfo *s) {
        if (!s->counts_for_host || service_is_inactive(s))
                return 0;
        if (!s->verdicts.is_alive)
                return 3;
        if (!s->verdicts.is_ready)
                return 2;
        return str_equal(s->verdicts.state, "degraded");
}

static const ServiceInfo *worst_service(const View *v) {
        const ServiceInfo *worst = NULL;

        for (size_t i = 0; i < v->n_services; i++) {
                const ServiceInfo *s = &v->services[i];
                int mine = badness(s), best = worst ? badness(worst) : 0;

                if (mine > best || (mine > 0 && mine == best &&
                                    s->verdicts.ready_since < worst->verdicts.ready_since))
                        worst = s;
        }
        return worst;
}

static size_t count_checks(const View *v) {
        size_t n = 0;

        for (size_t i = 0; i < v->n_services; i++)
                n += v->services[i].n_checks;
        return n;
}

const ServiceInfo *host_cause(StrBuf *b, const View *v) {
        const ServiceInfo *worst = worst_service(v), *told = NULL;

        if (*v->defect && v->copy_time == 0)
                strbuf_printf(b, "configuration: %s", v->defect);
        else if (v->verdicts.is_draining)
                drain_describe(b, &v->verdicts, v);
        else if (str_equal(v->verdicts.reason, "unconfigured"))
                strbuf_append(b, "no service is configured, see vitald.services(5)");
        else if (worst)
                service_cause(b, told = worst, true, v);
        else
                strbuf_printf(b, "%zu %s in %zu %s", count_checks(v),
                              count_checks(v) == 1 ? "check" : "checks", v->n_services,
                              v->n_services == 1 ? "service" : "services");
        return told;
}
