/* SPDX-License-Identifier: MIT */
#include "ctl/status.h"

#include <inttypes.h>

#include "base/address.h"
#include "ctl/restarts.h"
#include "ctl/table.h"
#include "ctl/words.h"

/* A restart is told of so long, or until every check has a result of its own. */
#define RESTART_SHOWN_USEC USEC_PER_MINUTE

enum { COLUMN_MARK, COLUMN_NAME, COLUMN_STATE, COLUMN_TEXT, COLUMNS };

/* -- the first line ---------------------------------------------------------------------------- */

static size_t count_overrides(const View *v, const ServiceInfo *only) {
        size_t n = 0;

        for (size_t i = 0; i < v->n_services; i++)
                for (size_t j = 0; j < v->services[i].n_checks; j++)
                        n += v->services[i].checks[j].is_overridden &&
                             (!only || only == &v->services[i]);
        return n;
}

/* "; last good copy runs: vitald.conf, orders" */
static void append_copies(StrBuf *b, const View *v, const ServiceInfo *only) {
        const char *before = "; last good copy runs: ";

        if (!only && v->copy_time > 0) {
                strbuf_printf(b, "%svitald.conf", before);
                before = ", ";
        }
        for (size_t i = 0; i < v->n_services; i++)
                if (v->services[i].copy_time > 0 && (!only || only == &v->services[i])) {
                        strbuf_printf(b, "%s%s", before, v->services[i].name);
                        before = ", ";
                }
}

/* What else must be known at first sight. told: the service whose cause stands there already. */
static void append_decisions(StrBuf *b, const View *v, const ServiceInfo *only,
                             const ServiceInfo *told) {
        size_t n = count_overrides(v, only);

        if (!only)
                for (size_t i = 0; i < v->n_services; i++)
                        if (v->services[i].verdicts.is_draining && v->services + i != told)
                                strbuf_printf(b, "; %s drained", v->services[i].name);
        if (n > 0)
                strbuf_printf(b, "; %zu %s", n, n == 1 ? "override" : "overrides");
        append_copies(b, v, only);
        if (*v->reload_error)
                strbuf_append(b, "; last reload refused");
}

static void print_headline(const Screen *screen, const char *name, const Verdicts *d,
                           const char *cause) {
        _cleanup_strbuf_ StrBuf verdict = {};
        size_t at;

        verdict_headline(&verdict, d);
        if (verdict.failed)
                return;
        at = text_width(name) + 2 + text_width(verdict.text) + 2;
        cause += str_starts_with(cause, "; ") ? 2 : 0;
        fprintf(screen->file, "%s%s%s: %s%s%s%s", tone_begin(screen, TONE_BOLD), name,
                tone_end(screen, TONE_BOLD), tone_begin(screen, state_tone(d->state)), verdict.text,
                tone_end(screen, state_tone(d->state)), *cause ? "  " : "");
        screen_wrap(screen, TONE_PLAIN, cause, at, 2);
}

/* -- rows -------------------------------------------------------------------------------------- */

static void row_begin(Table *t, bool is_bad, const char *name, const char *state) {
        char word[WORD_MAX];

        table_cell(t, is_bad ? TONE_BAD : TONE_PLAIN, "%s", is_bad ? "!" : " ");
        table_cell(t, TONE_PLAIN, "%s", name);
        table_cell(t, state_tone(state), "%s", state_word(word, state));
}

/* A further line of the text column. */
static void row_more(Table *t, const char *text) {
        table_cell(t, TONE_PLAIN, "%s", " ");
        table_cell(t, TONE_PLAIN, "%s", "");
        table_cell(t, TONE_PLAIN, "%s", "");
        table_cell(t, TONE_PLAIN, "%s", text);
}

static void note_first(Table *t, const CheckInfo *c, const ServiceInfo *s, const View *v) {
        _cleanup_strbuf_ StrBuf b = {};

        check_describe_first(&b, c, s, v);
        if (b.text)
                table_note(t, COLUMN_STATE, TONE_FAINT, "%s", b.text);
}

/* Who has read of the drain: the host's is told of behind the table. */
static void note_probers(Table *t, const ServiceInfo *s) {
        _cleanup_strbuf_ StrBuf b = {};

        probers_describe(&b, &s->verdicts.probers, 1);
        if (b.text)
                table_note(t, COLUMN_STATE, TONE_PLAIN, "%s", b.text);
}

static void note_restart(Table *t, const ServiceInfo *s, const View *v) {
        _cleanup_strbuf_ StrBuf b = {};

        restart_describe(&b, s, v);
        if (b.text)
                table_note(t, COLUMN_STATE, restart_tone(s), "%s", b.text);
}

/* The text beside the service that no check is the cause of. */
static void service_text(StrBuf *b, const ServiceInfo *s, const View *v) {
        if (service_is_refused(s))
                strbuf_append(b, s->defect);
        else if (s->verdicts.is_draining)
                drain_describe(b, &s->verdicts, v);
        else if (service_is_down(s))
                unit_describe(b, s);
}

static void add_causes(Table *t, const View *v, const ServiceInfo *s, CauseKind kind,
                       bool *has_text) {
        for (size_t i = 0; i < s->n_checks; i++) {
                const CheckInfo *c = &s->checks[i];
                _cleanup_strbuf_ StrBuf text = {};

                if (!check_is_cause(c, kind))
                        continue;
                strbuf_printf(&text, "%s: ", c->name);
                check_describe(&text, c, v);
                if (*has_text)
                        row_more(t, text.text);
                else
                        table_cell(t, TONE_PLAIN, "%s", text.text);
                *has_text = true;
                note_first(t, c, s, v);
        }
}

/* That its files are not what runs. */
static void add_copy(Table *t, const View *v, const ServiceInfo *s, bool *has_text) {
        _cleanup_strbuf_ StrBuf text = {};

        if (s->copy_time == 0)
                return;
        copy_describe(&text, s->defect, s->copy_time, v);
        if (*has_text)
                row_more(t, text.text);
        else
                table_cell(t, TONE_PLAIN, "%s", text.text ? text.text : "");
        *has_text = true;
}

static void add_service(Table *t, const View *v, const ServiceInfo *s) {
        bool is_bad = !s->is_shadow &&
                      (!s->verdicts.is_alive || (!s->verdicts.is_ready && !service_is_inactive(s)));
        _cleanup_strbuf_ StrBuf text = {};
        bool has_text;

        row_begin(t, is_bad || s->copy_time > 0, s->name, s->verdicts.state);
        service_text(&text, s, v);
        has_text = text.text;
        if (has_text)
                table_cell(t, TONE_PLAIN, "%s", text.text);
        if (has_text && s->verdicts.is_draining)
                note_probers(t, s);
        if (!service_is_down(s))
                for (CauseKind kind = 0; kind < CAUSE_KINDS; kind++)
                        add_causes(t, v, s, kind, &has_text);
        add_copy(t, v, s, &has_text);
        if (!has_text)
                table_cell(t, TONE_PLAIN, "%s", "");
        note_restart(t, s, v);
}

static void add_check(Table *t, const View *v, const ServiceInfo *s, const CheckInfo *c) {
        _cleanup_strbuf_ StrBuf text = {};

        row_begin(t, c->blocking, c->name, c->state);
        check_describe(&text, c, v);
        table_cell(t, TONE_PLAIN, "%s", text.text ? text.text : "");
        if (c->blocking || !check_is_good(c))
                note_first(t, c, s, v);
}

/* -- lines behind the table -------------------------------------------------------------------- */

static void print_probers(const Screen *screen, const Verdicts *d) {
        _cleanup_strbuf_ StrBuf b = {};
        char span[TIMESPAN_MAX];

        if (!d->is_draining)
                return;
        strbuf_append(&b, "Drain: ");
        probers_describe(&b, &d->probers, 1);
        for (size_t i = 0; i < d->probers.n; i++) {
                const ProberInfo *p = &d->probers.items[i];

                strbuf_printf(&b, "%s%s %s", i == 0 ? ": " : ", ", p->address, p->route);
                if (p->interval > 0)
                        strbuf_printf(&b, " every %s", timespan_format(span, p->interval));
                strbuf_printf(&b, " was told %" PRIu64, p->status);
        }
        if (!b.failed)
                screen_wrap(screen, TONE_WARNING, b.text, 0, 2);
}

static void print_overrides(const Screen *screen, const View *v, const ServiceInfo *s) {
        char age[TIMESPAN_MAX], until[TIMESTAMP_MAX];

        for (size_t i = 0; i < s->n_checks; i++) {
                const CheckInfo *c = &s->checks[i];
                _cleanup_strbuf_ StrBuf b = {};

                if (!c->is_overridden)
                        continue;
                strbuf_printf(&b, "Override: %s is shown as %s by %s, set %s ago", c->id, c->state,
                              c->override_who, age_format(age, c->override_since, v->realtime));
                if (c->override_until != USEC_INFINITY)
                        strbuf_printf(
                                &b, ", until %s",
                                timestamp_format_short(until, c->override_until, v->realtime));
                if (*c->override_note)
                        strbuf_printf(&b, ": %s", c->override_note);
                strbuf_printf(&b, "; measured %s", c->measured_state);
                if (!b.failed)
                        screen_wrap(screen, TONE_WARNING, b.text, 0, 2);
        }
}

static void print_reload_error(const Screen *screen, const View *v) {
        char at[TIMESTAMP_MAX];

        if (!*v->reload_error)
                return;
        fprintf(screen->file, "%sReload refused at %s; what was loaded before stays in force:%s\n",
                tone_begin(screen, TONE_WARNING),
                timestamp_format_short(at, v->reload_time, v->realtime),
                tone_end(screen, TONE_WARNING));
        for (const char *line = v->reload_error; *line; line += strspn(line, "\n")) {
                _cleanup_free_ char *text = strndup(line, strcspn(line, "\n"));

                fputs("  ", screen->file);
                screen_wrap(screen, TONE_PLAIN, text ? text : "", 2, 4);
                line += strcspn(line, "\n");
        }
}

static void print_copy(const Screen *screen, const char *name, const char *fault, usec_t copy_time,
                       const View *v) {
        _cleanup_strbuf_ StrBuf b = {};

        if (copy_time == 0)
                return;
        strbuf_printf(&b, "%s ", name);
        copy_describe(&b, fault, copy_time, v);
        if (!b.failed)
                screen_wrap(screen, TONE_WARNING, b.text, 0, 2);
}

static bool any_restart_is_near(const View *v) {
        for (size_t i = 0; i < v->n_services; i++)
                if (restart_is_near(&v->services[i]))
                        return true;
        return false;
}

/* " shop (OnLivenessFailure=restart: restart in 8s)" */
static void append_restart(StrBuf *b, const ServiceInfo *s, const View *v) {
        _cleanup_strbuf_ StrBuf brief = {};

        restart_describe_briefly(&brief, s, v);
        strbuf_printf(b, " %s", s->name);
        if (!s->verdicts.is_alive && *s->on_liveness_failure)
                strbuf_printf(b, " (OnLivenessFailure=%s%s%s)", s->on_liveness_failure,
                              brief.text ? ": " : "", brief.text ? brief.text : "");
        else if (brief.text)
                strbuf_printf(b, " (%s)", brief.text);
}

/* For as long as somebody may wonder. */
static void print_restart(const Screen *screen, const View *v) {
        bool is_recent = v->realtime < usec_add(v->start_time, RESTART_SHOWN_USEC);
        char age[TIMESPAN_MAX], at[TIMESTAMP_MAX], span[TIMESPAN_MAX];
        _cleanup_strbuf_ StrBuf b = {};

        if ((v->n_restored == 0 && !is_recent) || (v->restored_time == 0 && !*v->restore_error))
                return;
        strbuf_printf(&b, "Restarted %s ago; ", age_format(age, v->start_time, v->realtime));
        if (v->restored_time == 0)
                strbuf_printf(&b, "nothing restored: %s.", v->restore_error);
        else
                strbuf_printf(&b, "states restored from %s (%s old)",
                              timestamp_format_short(at, v->restored_time, v->realtime),
                              timespan_format(span, usec_sub(v->start_time, v->restored_time)));
        if (v->n_restored > 0)
                strbuf_printf(&b, "; %" PRIu64 " %s not run since", v->n_restored,
                              v->n_restored == 1 ? "check has" : "checks have");
        if (v->restored_time > 0)
                strbuf_append(&b, ".");
        if (!b.failed)
                screen_wrap(screen, TONE_FAINT, b.text, 0, 2);
}

/* A start may fail while all is alive, and an override changes nothing of what is to be done. */
static void append_liveness(StrBuf *b, const View *v) {
        bool any = false;

        if (v->verdicts.is_alive && !any_restart_is_near(v)) {
                strbuf_append(b, "Liveness alive: nothing will be restarted.");
                return;
        }
        strbuf_append(b, v->verdicts.is_alive ? "Liveness alive, but:" : "Liveness dead:");
        for (size_t i = 0; i < v->n_services; i++) {
                const ServiceInfo *s = &v->services[i];

                if (s->verdicts.is_alive && !restart_is_near(s))
                        continue;
                strbuf_append(b, any ? "," : "");
                append_restart(b, s, v);
                any = true;
        }
        strbuf_append(b, ".");
}

static bool is_local(const char *text) {
        Address a;
        const char *error;

        return address_parse(text, 0, &a, &error) >= 0 && address_is_local(&a);
}

static void append_listening(StrBuf *b, const View *v) {
        bool all_local = true, any = false;

        STRV_FOREACH(l, v->listening) {
                strbuf_printf(b, "%s%s", any ? ", " : " Listening ", *l);
                all_local = all_local && is_local(*l);
                any = true;
        }
        strbuf_append(b, !any ? " Not listening on HTTP." : all_local ? " (loopback only)." : ".");
}

static void print_last_line(const Screen *screen, const View *v) {
        _cleanup_strbuf_ StrBuf b = {};

        append_liveness(&b, v);
        append_listening(&b, v);
        if (!b.failed)
                screen_wrap(screen, v->verdicts.is_alive ? TONE_FAINT : TONE_BAD, b.text, 0, 2);
}

/* -- entry points ------------------------------------------------------------------------------ */

void status_print_host(const Screen *screen, const View *v) {
        _cleanup_table_ Table t = { .n_columns = COLUMNS };
        _cleanup_strbuf_ StrBuf cause = {};
        const ServiceInfo *told;
        char name[HOST_NAME_MAX_];

        told = host_cause(&cause, v);
        append_decisions(&cause, v, NULL, told);
        print_headline(screen, host_name(name), &v->verdicts, cause.text ? cause.text : "");
        for (size_t i = 0; i < v->n_services; i++)
                add_service(&t, v, &v->services[i]);
        table_print(&t, screen);
        print_probers(screen, &v->verdicts);
        for (size_t i = 0; i < v->n_services; i++)
                print_overrides(screen, v, &v->services[i]);
        print_copy(screen, "vitald.conf", v->defect, v->copy_time, v);
        print_reload_error(screen, v);
        print_restart(screen, v);
        print_last_line(screen, v);
}

/* "Order intake, orders.service (active), version 1.4.2" */
static void print_what(const Screen *screen, const ServiceInfo *s) {
        _cleanup_strbuf_ StrBuf b = {};

        if (*s->description)
                strbuf_printf(&b, ", %s", s->description);
        if (*s->unit)
                strbuf_printf(&b, ", %s", s->unit);
        if (*s->unit_state)
                strbuf_printf(&b, " (%s)", s->unit_state);
        if (*s->version)
                strbuf_printf(&b, ", version %s", s->version);
        if (b.text)
                fprintf(screen->file, "  %s\n", b.text + strlen(", "));
}

static void print_restarts(const Screen *screen, const View *v, const ServiceInfo *s) {
        _cleanup_strbuf_ StrBuf b = {};
        char age[TIMESPAN_MAX];

        restart_describe(&b, s, v);
        if (b.text)
                screen_wrap(screen, restart_tone(s), b.text, 0, 2);
        else if (s->n_restarts > 0)
                fprintf(screen->file, "%s%s was restarted %" PRIu64 " %s, %s ago%s.%s\n",
                        tone_begin(screen, TONE_FAINT), s->unit, s->n_restarts,
                        s->n_restarts == 1 ? "time" : "times",
                        age_format(age, s->last_restart, v->realtime),
                        s->n_restarts == 1 ? "" : " the last time", tone_end(screen, TONE_FAINT));
}

void status_print_service(const Screen *screen, const View *v, const ServiceInfo *s) {
        _cleanup_table_ Table t = { .n_columns = COLUMNS };
        _cleanup_strbuf_ StrBuf cause = {}, name = {};
        char host[HOST_NAME_MAX_];

        strbuf_printf(&name, "%s on %s", s->name, host_name(host));
        service_cause(&cause, s, false, v);
        append_decisions(&cause, v, s, s);
        print_headline(screen, name.text ? name.text : s->name, &s->verdicts,
                       cause.text ? cause.text : "");
        print_what(screen, s);
        for (size_t i = 0; i < s->n_checks; i++)
                add_check(&t, v, s, &s->checks[i]);
        table_print(&t, screen);
        print_probers(screen, &s->verdicts);
        print_overrides(screen, v, s);
        print_copy(screen, s->name, s->defect, s->copy_time, v);
        print_restarts(screen, v, s);
        fprintf(screen->file, "%sLiveness %s, %s.%s\n", tone_begin(screen, TONE_FAINT),
                s->verdicts.is_alive ? "alive" : "dead",
                s->verdicts.is_started ? "started" : "not started", tone_end(screen, TONE_FAINT));
}

int status_exit_code(const View *v, const ServiceInfo *service) {
        return (service ? service->verdicts.is_ready : v->verdicts.is_ready) ? EXIT_YES : EXIT_NO;
}
