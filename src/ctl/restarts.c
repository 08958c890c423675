/* SPDX-License-Identifier: MIT */
#include "ctl/restarts.h"

#include <inttypes.h>

#include "ctl/words.h"

static bool is_in(const ServiceInfo *s, const char *state) {
        return str_equal(s->restart_state, state);
}

/* " in 8s"; nothing when that is now or not known. */
static void append_next(StrBuf *b, const ServiceInfo *s, const View *v) {
        char span[TIMESPAN_MAX];

        if (s->next_restart > v->realtime && s->next_restart != USEC_INFINITY)
                strbuf_printf(b, " in %s", timespan_format(span, s->next_restart - v->realtime));
}

static void append_held(StrBuf *b, const ServiceInfo *s) {
        static const struct {
                const char *held_by, *text;
        } texts[] = {
                { "drained", "not while it is drained" },
                { "settling", "in a moment, if that stays so" },
                { "no-systemd", "once systemd can be reached" },
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                if (str_equal(s->restart_held_by, texts[i].held_by))
                        strbuf_append(b, texts[i].text);
}

static void append_static(StrBuf *b, const ServiceInfo *s, const View *v) {
        char at[TIMESTAMP_MAX], span[TIMESPAN_MAX];

        strbuf_printf(b,
                      "%" PRIu64 " %s of %s did not help: left running (fail-static) since %s, "
                      "until it has been healthy for %s, or vitalctl reset-restarts %s",
                      s->n_restarts_in_row, s->n_restarts_in_row == 1 ? "restart" : "restarts",
                      s->unit, timestamp_format_short(at, s->static_since, v->realtime),
                      timespan_format(span, s->restart_reset_after), s->name);
}

static void append_budget(StrBuf *b, const ServiceInfo *s, const View *v) {
        char span[TIMESPAN_MAX];

        strbuf_printf(
                b, "%s is to be restarted, but the restart budget is used up (%" PRIu64 " in %s)",
                s->unit, v->budget_burst, timespan_format(span, v->budget_interval));
        if (s->next_restart > v->realtime && s->next_restart != USEC_INFINITY) {
                strbuf_append(b, "; the next");
                append_next(b, s, v);
        }
}

static void append_watched(StrBuf *b, const ServiceInfo *s, const View *v) {
        char age[TIMESPAN_MAX];

        strbuf_printf(b,
                      "%s was restarted %s ago, %" PRIu64 " of at most %" PRIu64 " without a cure",
                      s->unit, age_format(age, s->last_restart, v->realtime), s->n_restarts_in_row,
                      s->restart_limit);
}

void restart_describe(StrBuf *b, const ServiceInfo *s, const View *v) {
        if (is_in(s, "fail-static"))
                append_static(b, s, v);
        else if (is_in(s, "budget"))
                append_budget(b, s, v);
        else if (is_in(s, "refused"))
                strbuf_printf(b,
                              "vitald may not restart %s, which is left running: see vitalctl "
                              "verify and the journal",
                              s->unit);
        else if (is_in(s, "restarting"))
                strbuf_printf(b, "%s is being restarted", s->unit);
        else if (is_in(s, "backoff")) {
                strbuf_printf(b, "%s is restarted", s->unit);
                append_next(b, s, v);
                strbuf_printf(b, ", %" PRIu64 " of at most %" PRIu64 " without a cure",
                              s->n_restarts_in_row + 1, s->restart_limit);
        } else if (is_in(s, "held")) {
                strbuf_printf(b, "%s is to be restarted ", s->unit);
                append_held(b, s);
        } else if (is_in(s, "watched"))
                append_watched(b, s, v);
}

Tone restart_tone(const ServiceInfo *s) {
        return is_in(s, "fail-static") || is_in(s, "budget") || is_in(s, "refused") ? TONE_BAD
                                                                                    : TONE_WARNING;
}

bool restart_is_near(const ServiceInfo *s) {
        return is_in(s, "restarting") || is_in(s, "backoff") || is_in(s, "budget") ||
               is_in(s, "held");
}

void restart_describe_briefly(StrBuf *b, const ServiceInfo *s, const View *v) {
        if (is_in(s, "fail-static") || is_in(s, "refused"))
                strbuf_append(b, "left running");
        else if (is_in(s, "budget"))
                strbuf_append(b, "no budget left");
        else if (is_in(s, "restarting"))
                strbuf_append(b, "being restarted");
        else if (is_in(s, "backoff")) {
                strbuf_append(b, "restart");
                append_next(b, s, v);
        } else if (is_in(s, "held")) {
                strbuf_append(b, "restart ");
                append_held(b, s);
        }
}
