/* SPDX-License-Identifier: MIT */
/* show: everything about one check, and how soon it acts. */

#include <inttypes.h>

#include "ctl/json.h"
#include "ctl/table.h"
#include "ctl/words.h"

typedef struct Sheet {
        Table table;
        const View *view;
        const ServiceInfo *service;
        const CheckInfo *check;
} Sheet;

static void sheet_done(Sheet *s) {
        table_done(&s->table);
}

static void line(Sheet *s, const char *label, const char *format, ...) _printf_(3, 4);

static void line(Sheet *s, const char *label, const char *format, ...) {
        _cleanup_strbuf_ StrBuf b = {};
        va_list ap;

        va_start(ap, format);
        strbuf_vprintf(&b, format, ap);
        va_end(ap);
        if (b.length == 0)
                return;
        table_cell(&s->table, TONE_FAINT, "  %s", label);
        table_cell(&s->table, TONE_PLAIN, "%s", b.text);
}

#define SPAN(t) timespan_format((char[TIMESPAN_MAX]){}, t)
#define AGE(t)  age_format((char[TIMESPAN_MAX]){}, t, s->view->realtime)
#define AT(t)   timestamp_format_short((char[TIMESTAMP_MAX]){}, t, s->view->realtime)

static void show_words(Sheet *s, const char *label, char *const *words, const char *behind) {
        _cleanup_strbuf_ StrBuf b = {};

        STRV_FOREACH(i, words)
                strbuf_printf(&b, "%s%s", b.length > 0 ? ", " : "", *i);
        if (b.length > 0)
                line(s, label, "%s%s", b.text, behind);
}

static void show_what(Sheet *s) {
        const CheckInfo *c = s->check;

        line(s, "Description", "%s", c->description);
        line(s, "Type", "%s", c->type);
        line(s, "Target", "%s", c->target);
        line(s, "From", "%s%s", c->shared, *c->shared ? ", run once for all that share it" : "");
        show_words(s, "After", c->after, "");
        show_words(s, "Feeds", c->probes,
                   c->is_shadow     ? "; in shadow, so no verdict depends on it"
                   : c->is_critical ? ""
                                    : "; not critical");
        show_words(s, "Spoils now", c->blocking, "");
        line(s, "See", "%s", *c->documentation ? c->documentation : s->service->documentation);
}

static void show_override(Sheet *s) {
        const CheckInfo *c = s->check;

        if (!c->is_overridden)
                return;
        line(s, "Override", "by %s %s ago, until %s%s%s", c->override_who, AGE(c->override_since),
             c->override_until == USEC_INFINITY ? "cleared" : AT(c->override_until),
             *c->override_note ? ": " : "", c->override_note);
        line(s, "Measured", "%s", c->measured_state);
}

static void show_values(Sheet *s) {
        const MeasuredList *l = &s->check->values;

        for (size_t i = 0; i < l->n; i++)
                line(s, i == 0 ? "Values" : "", "%s = %.10g%s%s", l->items[i].name,
                     l->items[i].number, *l->items[i].unit ? " " : "", l->items[i].unit);
}

static void append_limits(StrBuf *b, const char *key, char *const *limits) {
        STRV_FOREACH(i, limits)
                strbuf_printf(b, "%s%s=%s", b->length > 0 ? " " : "", key, *i);
}

static void show_limits(Sheet *s) {
        const CheckInfo *c = s->check;
        _cleanup_strbuf_ StrBuf b = {};

        if (c->warn_latency > 0)
                strbuf_printf(&b, "WarnLatency=%s", SPAN(c->warn_latency));
        if (c->max_latency > 0)
                strbuf_printf(&b, "%sMaxLatency=%s", b.length > 0 ? " " : "", SPAN(c->max_latency));
        append_limits(&b, "Warn", c->warn);
        append_limits(&b, "Fail", c->fail);
        if (b.length > 0)
                line(s, "Limits", "%s", b.text);
}

static void show_runs(Sheet *s) {
        const CheckInfo *c = s->check;

        if (c->last_run > 0)
                line(s, "Last run", "%s ago: %s%s%s", AGE(c->last_run), c->last_outcome,
                     c->latency == USEC_INFINITY ? "" : " in ",
                     c->latency == USEC_INFINITY
                             ? ""
                             : latency_format((char[TIMESPAN_MAX]){}, c->latency));
        if (c->next_run > s->view->monotonic && c->next_run != USEC_INFINITY)
                line(s, "Next run", "in %s", SPAN(c->next_run - s->view->monotonic));
        if (c->failures_in_row > 0)
                line(s, "In a row", "%" PRIu64 " %s", c->failures_in_row,
                     c->failures_in_row == 1 ? "failure" : "failures");
        else
                line(s, "In a row", "%" PRIu64 " %s", c->successes_in_row,
                     c->successes_in_row == 1 ? "success" : "successes");
        line(s, "Runs",
             "%" PRIu64 ": %" PRIu64 " pass, %" PRIu64 " warn, %" PRIu64 " fail, %" PRIu64
             " error, %" PRIu64 " void",
             c->n_runs, c->n_pass, c->n_warn, c->n_fail, c->n_error, c->n_void);
        show_values(s);
        show_limits(s);
}

/* -- how soon it acts -------------------------------------------------------------------------- */

/* n runs in a streak after a run that saw nothing: the first one comes up to an interval later,
 * each further one after the retry interval, and all take up to the timeout. */
static usec_t streak_usec(const CheckInfo *c, uint64_t n) {
        return usec_add(usec_add(c->interval, usec_mul(c->timeout, n)),
                        usec_mul(c->retry_interval, n - 1));
}

/* Once a check is unhealthy its runs come at the interval again. */
static usec_t dead_usec(const CheckInfo *c) {
        uint64_t quick = MIN(c->failure_threshold, c->liveness_failure_threshold);
        uint64_t slow = c->liveness_failure_threshold - quick;

        return usec_add(streak_usec(c, quick), usec_mul(usec_add(c->interval, c->timeout), slow));
}

static void show_streak(Sheet *s, const char *label, usec_t total, uint64_t n) {
        const CheckInfo *c = s->check;

        if (n > 1)
                line(s, label, "%s (%s + %s, then %" PRIu64 " x (%s + %s))", SPAN(total),
                     SPAN(c->interval), SPAN(c->timeout), n - 1, SPAN(c->retry_interval),
                     SPAN(c->timeout));
        else
                line(s, label, "%s (%s + %s)", SPAN(total), SPAN(c->interval), SPAN(c->timeout));
}

static void show_schedule(Sheet *s) {
        const CheckInfo *c = s->check;

        if (c->interval == 0 || c->failure_threshold == 0)
                return;
        line(s, "Schedule", "Interval=%s RetryInterval=%s Timeout=%s", SPAN(c->interval),
             SPAN(c->retry_interval), SPAN(c->timeout));
        line(s, "Thresholds",
             "FailureThreshold=%" PRIu64 " SuccessThreshold=%" PRIu64
             " LivenessFailureThreshold=%" PRIu64,
             c->failure_threshold, c->success_threshold, c->liveness_failure_threshold);
        table_note(&s->table, 0, TONE_PLAIN, "%s", "Acts at the latest after:");
        show_streak(s, "Failure", streak_usec(c, c->failure_threshold), c->failure_threshold);
        show_streak(s, "Recovery", streak_usec(c, c->success_threshold), c->success_threshold);
        if (strv_contains(c->probes, "liveness"))
                line(s, "Dead", "%s (%" PRIu64 " failures in a row)", SPAN(dead_usec(c)),
                     c->liveness_failure_threshold);
        line(s, "Silence", "%s (MaxAge=)", SPAN(c->max_age));
}

static void show(const Ctl *ctl, Sheet *s) {
        const CheckInfo *c = s->check;

        fprintf(ctl->screen.file, "%s%s%s: %s%s%s", tone_begin(&ctl->screen, TONE_BOLD), c->id,
                tone_end(&ctl->screen, TONE_BOLD), tone_begin(&ctl->screen, state_tone(c->state)),
                c->state, tone_end(&ctl->screen, state_tone(c->state)));
        fprintf(ctl->screen.file, "%s%s for %s\n", *c->reason ? ", " : "", c->reason,
                AGE(c->state_since));
        show_override(s);
        line(s, "Message", "%s", c->message);
        if (c->first_failure > 0)
                line(s, "First failure", "%s at %s", c->first_message, AT(c->first_failure));
        show_what(s);
        show_runs(s);
        show_schedule(s);
        table_print(&s->table, &ctl->screen);
}

static int show_json(const Ctl *ctl, const CheckInfo *c) {
        return json_print(ctl, json_of_check(c));
}

int verb_show(const Ctl *ctl) {
        _cleanup_(sheet_done) Sheet s = { .table.n_columns = 2 };
        _cleanup_(view_freep) View *v = NULL;
        CheckInfo *c;
        int r;

        r = ctl_open_view(ctl, NULL, &v);
        if (r == 0)
                r = ctl_find_check(v, ctl->arguments[0], &c);
        if (r != 0)
                return r;
        if (ctl->json != JSON_OFF)
                return show_json(ctl, c);
        s.view = v;
        s.service = view_find_service(v, c->service);
        s.check = c;
        show(ctl, &s);
        return EXIT_YES;
}
