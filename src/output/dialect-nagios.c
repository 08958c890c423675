/* SPDX-License-Identifier: MIT */

/* One line as plug-ins of Nagios and its kin print it: a word, what is wrong, and how long checks
 * took. */

#include <inttypes.h>
#include <string.h>

#include "output/dialect.h"

#define PROBLEMS_MAX 5 /* that are spelt out */

static const char *view_word(const RenderView *v) {
        static const char *const words[] = {
                [GRADE_PASS] = "OK",
                [GRADE_WARN] = "WARNING",
                [GRADE_FAIL] = "CRITICAL",
                [GRADE_UNKNOWN] = "UNKNOWN",
        };
        bool is_unconfigured = v->verdict.reason == REASON_CONFIGURATION ||
                               v->verdict.reason == REASON_UNCONFIGURED;
        Grade grade = dialect_grade(v);

        return words[grade == GRADE_FAIL && is_unconfigured ? GRADE_UNKNOWN : grade];
}

static const char *verdict_word(const RenderView *v) {
        switch (v->probe) {
        case PROBE_LIVENESS:
                return liveness_to_string(v->verdict.live);
        case PROBE_STARTUP:
                return startup_to_string(v->verdict.started);
        case PROBE_READINESS:
        case PROBE_COUNT_:
                break;
        }
        return verdict_summary(&v->verdict);
}

/* Behind a bar come the figures. */
static void append_text(StrBuf *out, const char *text) {
        for (size_t n; *text; text += n) {
                n = strcspn(text, "|");
                strbuf_append_bytes(out, text, n);
                if (text[n]) {
                        strbuf_append_bytes(out, "/", 1);
                        n++;
                }
        }
}

static void append_problems(const RenderView *v, StrBuf *out) {
        RenderWalk walk = RENDER_WALK_INIT;
        size_t n_checks = 0, n_problems = 0;
        char text[RENDER_TEXT_MAX];
        const CheckState *c;

        if (dialect_obstacle(v, text)) {
                strbuf_append(out, ", ");
                append_text(out, text);
        }
        for (; (c = dialect_walk_next(&walk, v)); n_checks++) {
                if (dialect_check_grade(v, &walk) == GRADE_PASS || n_problems++ >= PROBLEMS_MAX)
                        continue;
                strbuf_printf(out, ", %s: ", render_check_name(v, c));
                append_text(out, render_check_error(text, v, c));
        }
        if (n_problems > PROBLEMS_MAX)
                strbuf_printf(out, ", and %zu more", n_problems - PROBLEMS_MAX);
        strbuf_printf(out, ", %zu of %zu checks good", n_checks - n_problems, n_checks);
}

static void nagios_render(const RenderView *v, StrBuf *out) {
        RenderWalk walk = RENDER_WALK_INIT;
        const char *lead = " |";
        const CheckState *c;

        strbuf_printf(out, "VITALD %s - %s", view_word(v), verdict_word(v));
        append_problems(v, out);
        while ((c = dialect_walk_next(&walk, v))) {
                usec_t latency = render_check_latency(c);

                if (latency == USEC_INFINITY)
                        continue;
                strbuf_printf(out, "%s %s=%" PRIu64 "us", lead, render_check_name(v, c), latency);
                lead = "";
        }
        strbuf_append(out, "\n");
}

const Dialect nagios_dialect = {
        .name = "nagios",
        .content_type = "text/plain; charset=utf-8",
        .is_plain = true,
        .render = nagios_render,
};
