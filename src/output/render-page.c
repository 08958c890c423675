/* SPDX-License-Identifier: MIT */

/* The status page: all services, their checks and what became of them lately, for a browser. It is
 * whole without its script, which only fetches it anew and puts the parts in place, so that nothing
 * is rendered in two places. */

#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "output/page-assets.h"
#include "output/render.h"
#include "output/summary.h"

#define PLOT_HEIGHT 20

const char page_fields[] =
        "Vary: Accept\r\n"
        "Content-Security-Policy: default-src 'none'; style-src '" PAGE_STYLE_HASH
        "'; script-src '" PAGE_SCRIPT_HASH
        "'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'\r\n"
        "X-Content-Type-Options: nosniff\r\n"
        "Referrer-Policy: no-referrer\r\n";

static void html_text(StrBuf *out, const char *text) {
        for (size_t n; *text; text += n) {
                n = strcspn(text, "&<>\"'");
                strbuf_append_bytes(out, text, n);
                if (text[n])
                        strbuf_printf(out, "&#%d;", text[n++]);
        }
}

static const char *health_class(Health h) {
        switch (h) {
        case HEALTH_HEALTHY:
                return "good";
        case HEALTH_UNHEALTHY:
        case HEALTH_UNKNOWN:
                return "bad";
        case HEALTH_PENDING:
        case HEALTH_DEGRADED:
        case HEALTH_SKIPPED:
                return "warn";
        case HEALTH_COUNT_:
                break;
        }
        return "";
}

static const char *verdict_class(const Verdict *v) {
        if (v->live == LIVENESS_DEAD)
                return "bad";
        if (v->ready == READINESS_READY)
                return v->is_degraded ? "warn" : "good";
        return v->reason == REASON_DRAINED || v->is_inactive ? "warn" : "bad";
}

/* "12:03:44", with the date where it is another; the whole for machines. */
static void time_append(StrBuf *out, usec_t realtime, usec_t now) {
        char whole[TIMESTAMP_MAX], text[TIMESTAMP_MAX];

        if (realtime == 0)
                return;
        strbuf_printf(out, "<time datetime=\"%s\">%s</time>", timestamp_format_utc(whole, realtime),
                      timestamp_format_short(text, realtime, now));
}

static void latency_append(StrBuf *out, usec_t latency_usec) {
        strbuf_printf(out, "%.1f ms", (double) latency_usec / (double) USEC_PER_MSEC);
}

/* -- the last runs ----------------------------------------------------------------------------- */

/* One stroke a run, as high as it took; failures reach to the top. */
static void plot_path(StrBuf *out, const HistoryRun runs[], size_t n, usec_t max, bool of_bad) {
        strbuf_printf(out, "<path%s d=\"", of_bad ? " class=\"bad\"" : "");
        for (size_t i = 0; i < n; i++) {
                bool is_bad = runs[i].outcome == OUTCOME_FAIL || runs[i].outcome == OUTCOME_ERROR;
                usec_t height = runs[i].latency_usec == USEC_INFINITY || max == 0
                                        ? 1
                                        : 1 + runs[i].latency_usec * (PLOT_HEIGHT - 2) / max;

                if (is_bad == of_bad)
                        strbuf_printf(out, "M%zu %dv-%" PRIu64, 2 * i + 1, PLOT_HEIGHT,
                                      is_bad ? PLOT_HEIGHT : MIN(height, (usec_t) PLOT_HEIGHT));
        }
        strbuf_append(out, "\"/>");
}

static void plot_append(StrBuf *out, const RenderView *v, size_t check) {
        HistoryRun runs[HISTORY_RUNS_MAX];
        size_t n, n_bad = 0;
        HistoryLatency l;

        n = history_runs(v->history, check, runs);
        if (n == 0)
                return;
        history_latency(v->history, check, &l);
        for (size_t i = 0; i < n; i++)
                n_bad += runs[i].outcome == OUTCOME_FAIL || runs[i].outcome == OUTCOME_ERROR;
        strbuf_printf(out,
                      "<svg viewBox=\"0 0 %d %d\" preserveAspectRatio=\"none\" role=\"img\" "
                      "aria-label=\"last %zu runs: %zu failed",
                      2 * HISTORY_RUNS_MAX, PLOT_HEIGHT, n, n_bad);
        if (l.n > 0) {
                strbuf_append(out, ", median ");
                latency_append(out, l.p50_usec);
                strbuf_append(out, ", slowest ");
                latency_append(out, l.max_usec);
        }
        strbuf_append(out, "\">");
        plot_path(out, runs, n, l.max_usec, false);
        plot_path(out, runs, n, l.max_usec, true);
        strbuf_append(out, "</svg>");
}

/* -- checks ------------------------------------------------------------------------------------ */

/* Only what a browser can safely be sent to. */
static void link_append(StrBuf *out, const char *url) {
        if (!url || (!str_starts_with(url, "https://") && !str_starts_with(url, "http://")))
                return;
        strbuf_append(out, " <a rel=\"noreferrer\" href=\"");
        html_text(out, url);
        strbuf_append(out, "\">what to do</a>");
}

static void why_append(StrBuf *out, const RenderView *v, size_t check) {
        const CheckState *c = v->snapshot->checks[check];
        char text[RENDER_TEXT_MAX];

        if (check_state_override(c)->is_active)
                strbuf_printf(out, "set by hand, measured: %s. ", health_to_string(c->measured));
        if (c->state != HEALTH_HEALTHY)
                html_text(out, render_check_error(text, v, c));
        if (!health_is_good(c->state))
                link_append(out, config_documentation(v->snapshot->config, check));
}

static void check_append(StrBuf *out, const RenderView *v, size_t check) {
        const CheckState *c = v->snapshot->checks[check];
        usec_t latency = render_check_latency(c);

        strbuf_append(out, "<tr><th scope=\"row\">");
        html_text(out, c->config->name);
        strbuf_printf(out, "</th><td class=\"%s\">%s%s</td><td>", health_class(c->state),
                      health_to_string(c->state),
                      config_check_is_shadow(v->snapshot->config, check) ? " (shadow)"
                      : c->config->is_critical                           ? ""
                                                                         : " (not critical)");
        why_append(out, v, check);
        strbuf_append(out, "</td><td>");
        time_append(out, c->since_realtime, v->snapshot->time.realtime);
        strbuf_append(out, "</td><td class=\"number\">");
        if (latency != USEC_INFINITY)
                latency_append(out, latency);
        strbuf_append(out, "</td><td>");
        plot_append(out, v, check);
        strbuf_append(out, "</td></tr>\n");
}

/* "not ready" */
static void verdict_append(StrBuf *out, const Verdict *v) {
        for (const char *word = verdict_summary(v); *word; word++)
                strbuf_append_bytes(out, *word == '_' ? " " : word, 1);
}

static void service_append(StrBuf *out, const RenderView *v, size_t service) {
        const ServiceConfig *config = &v->snapshot->config->services[service];
        const ServiceView *s = &v->snapshot->services[service];

        strbuf_printf(out, "<section aria-labelledby=\"s%zu\"><h2 id=\"s%zu\">", service, service);
        html_text(out, config->name);
        strbuf_printf(out, " <span class=\"%s\">",
                      config->is_builtin ? "faint" : verdict_class(&s->verdict));
        if (config->is_builtin)
                strbuf_append(out, "of this machine");
        else
                verdict_append(out, &s->verdict);
        strbuf_append(out, "</span></h2>\n");
        if (config->description) {
                strbuf_append(out, "<p class=\"faint\">");
                html_text(out, config->description);
                strbuf_append(out, "</p>\n");
        }
        if (config->n_checks > 0) {
                strbuf_printf(out,
                              "<div class=\"scroll\" id=\"t%zu\" tabindex=\"0\" role=\"group\" "
                              "aria-labelledby=\"s%zu\"><table><thead><tr><th scope=\"col\">Check"
                              "</th><th scope=\"col\">State</th><th scope=\"col\">Why</th>"
                              "<th scope=\"col\">Since</th><th scope=\"col\">Latency</th>"
                              "<th scope=\"col\">Last runs</th></tr></thead><tbody>\n",
                              service, service);
                for (size_t i = 0; i < config->n_checks; i++)
                        check_append(out, v, config->first_check + i);
                strbuf_append(out, "</tbody></table></div>");
        }
        strbuf_append(out, "</section>\n");
}

/* What is wrong comes first, what is only told last. */
#define RANKS 3
static unsigned service_rank(const Snapshot *s, size_t service) {
        const Verdict *v = &s->services[service].verdict;

        if (s->config->services[service].is_builtin)
                return 2;
        return v->ready == READINESS_READY && v->live == LIVENESS_ALIVE && !v->is_degraded;
}

/* -- the whole --------------------------------------------------------------------------------- */

static void notice_append(StrBuf *out, const char *what, const char *text) {
        strbuf_printf(out, "<p class=\"notice\">%s", what);
        html_text(out, text);
        strbuf_append(out, "</p>\n");
}

/* Who reads by the network learns that there is a drain, not by whom. */
static void drain_append(StrBuf *out, const RenderView *v, const char *name, const Drain *d) {
        if (!d->is_active)
                return;
        strbuf_append(out, "<p class=\"notice\">");
        html_text(out, name);
        strbuf_append(out, " is drained since ");
        time_append(out, d->since_realtime, v->snapshot->time.realtime);
        if (v->with_detail) {
                strbuf_append(out, " by ");
                html_text(out, d->who);
                strbuf_append(out, *d->note ? ": " : "");
                html_text(out, d->note);
        }
        strbuf_append(out, "</p>\n");
}

static void copies_append(StrBuf *out, const RenderView *v) {
        ConfigCopy copy;

        CONFIG_FOREACH_COPY(i, copy, v->snapshot->config) {
                strbuf_append(out, "<p class=\"notice\">");
                html_text(out, copy.service ? copy.service : "vitald.conf");
                strbuf_append(out, " runs its last good copy, of ");
                time_append(out, copy.realtime, v->snapshot->time.realtime);
                strbuf_append(out, ": what its files say is at fault. ");
                html_text(out, v->with_detail ? copy.fault : "");
                strbuf_append(out, "</p>\n");
        }
}

static void main_append(StrBuf *out, const RenderView *v) {
        const Snapshot *s = v->snapshot;

        strbuf_append(out, "<main>\n");
        if (s->reload_error)
                notice_append(out, "The last reload was refused; an older configuration runs. ",
                              v->with_detail ? s->reload_error : "");
        copies_append(out, v);
        drain_append(out, v, "This host", &s->drain);
        for (size_t i = 0; i < s->config->n_services; i++)
                drain_append(out, v, s->config->services[i].name, &s->services[i].state->drain);
        for (unsigned rank = 0; rank < RANKS; rank++)
                for (size_t i = 0; i < s->config->n_services; i++)
                        if (service_rank(s, i) == rank)
                                service_append(out, v, i);
        strbuf_append(out, "</main>\n");
}

void render_page(const RenderView *v, StrBuf *out) {
        char host[HOST_NAME_MAX + 1] = "", text[SUMMARY_MAX];
        const Verdict *verdict = &v->snapshot->host;
        const char *word = verdict->live == LIVENESS_DEAD      ? "DEAD"
                           : verdict->ready == READINESS_READY ? "READY"
                                                               : "NOT READY";

        (void) gethostname(host, sizeof(host) - 1);
        strbuf_printf(out,
                      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>"
                      "%s &#8211; ",
                      word);
        html_text(out, host);
        strbuf_append(out, "</title><meta name=\"viewport\" content=\"width=device-width\">"
                           "<style>" PAGE_STYLE "</style></head><body>\n<header><h1>");
        html_text(out, host);
        strbuf_printf(out, " <span id=\"verdict\" class=\"%s\">%s</span></h1>\n",
                      verdict_class(verdict), word);
        strbuf_append(out, "<p id=\"headline\" role=\"status\">");
        if (v->with_detail)
                html_text(out, summary_format(text, v->snapshot, v->snapshot->time.boottime));
        else
                verdict_append(out, verdict);
        strbuf_append(out, "</p></header>\n");
        main_append(out, v);
        strbuf_printf(out,
                      "<footer class=\"faint\"><p id=\"made\">vitald %s, picture %" PRIu64 " of ",
                      PACKAGE_VERSION, v->snapshot->sequence);
        time_append(out, v->snapshot->time.realtime, v->snapshot->time.realtime);
        strbuf_append(out, "</p><p id=\"live\">reload the page to look again</p></footer>\n"
                           "<script>" PAGE_SCRIPT "</script></body></html>\n");
}
