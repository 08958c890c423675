/* SPDX-License-Identifier: MIT */

/* Kubernetes' own: "ok", and with ?verbose or when it is not, one line a check, as its API server
 * answers /readyz?verbose. */

#include "output/dialect.h"

static const char *const probe_names[] = {
        [PROBE_READINESS] = "readyz",
        [PROBE_LIVENESS] = "livez",
        [PROBE_STARTUP] = "startupz",
};

static void append_check(const RenderView *v, const RenderWalk *w, StrBuf *out) {
        const CheckState *c = v->snapshot->checks[w->check];
        const char *name = render_check_name(v, c);
        Grade grade = dialect_check_grade(v, w);
        char error[RENDER_TEXT_MAX];

        if (grade == GRADE_PASS)
                strbuf_printf(out, "[+]%s ok\n", name);
        else if (grade == GRADE_WARN)
                strbuf_printf(out, "[!]%s degraded: %s\n", name, render_check_error(error, v, c));
        else
                strbuf_printf(out, "[%c]%s failed: %s\n",
                              v->probe == PROBE_READINESS && render_check_degrades(v, w) ? '!'
                                                                                         : '-',
                              name, render_check_error(error, v, c));
}

static void text_render(const RenderView *v, StrBuf *out) {
        bool is_good = dialect_grade(v) != GRADE_FAIL;
        RenderWalk walk = RENDER_WALK_INIT;
        char text[RENDER_TEXT_MAX];
        const char *obstacle;

        if (is_good && !v->is_verbose) {
                strbuf_append(out, "ok");
                return;
        }

        while (dialect_walk_next(&walk, v))
                append_check(v, &walk, out);
        for (size_t i = 0; i < v->n_excluded; i++)
                strbuf_printf(out, "[+]%s excluded: ok\n",
                              render_check_name(v, v->snapshot->checks[v->excluded[i]]));
        obstacle = dialect_obstacle(v, text);
        if (obstacle)
                strbuf_printf(out, "[-]%s failed: %s\n", obstacle, text);
        strbuf_printf(out, "%s check %s\n", probe_names[v->probe], is_good ? "passed" : "failed");
}

const Dialect text_dialect = {
        .name = "text",
        .media_types = (const char *const[]){ "text/plain", NULL },
        .content_type = "text/plain; charset=utf-8",
        .is_plain = true,
        .render = text_render,
};
