/* SPDX-License-Identifier: MIT */
/* is-ready, wait, follow, watch: a verdict now, or as it changes. */

#include <errno.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>

#include "ctl/json.h"
#include "ctl/past.h"
#include "ctl/status.h"
#include "ctl/subject.h"
#include "ctl/table.h"
#include "ctl/words.h"

/* How long follow goes on without vitald: a restart by the watchdog is over by then, and a verdict
 * that is older than this is worth nothing. */
#define FOLLOW_PATIENCE_USEC (30 * USEC_PER_SEC)

/* What matters is signalled; ages and counts are not. */
#define WATCH_REFRESH_USEC (2 * USEC_PER_SEC)

static Subject subject_of(const Ctl *ctl) {
        return (Subject){ .link.ctl = ctl, .service = ctl->arguments[0] };
}

int verb_is_ready(const Ctl *ctl) {
        _cleanup_subject_ Subject s = subject_of(ctl);
        int r;

        r = subject_look(&s);
        if (r != 0)
                return r;
        if (!ctl->is_quiet)
                puts(s.text);
        return s.is_true ? EXIT_YES : EXIT_NO;
}

int verb_wait(const Ctl *ctl) {
        _cleanup_subject_ Subject s = subject_of(ctl);
        usec_t deadline = usec_add(clock_usec(CLOCK_MONOTONIC), ctl->timeout_usec);
        int r;

        do {
                r = subject_next(&s, deadline, USEC_INFINITY);
        } while (r == 0 && !s.is_true);
        if (r != -ETIMEDOUT)
                return r;
        if (!ctl->is_quiet)
                fprintf(stderr, "vitalctl: timed out: %s\n",
                        s.link.client && s.text ? s.text : "vitald cannot be reached");
        return EXIT_TIMED_OUT;
}

/* -- follow ------------------------------------------------------------------------------------ */

static void follow_tell(const Subject *s, const char *notification) {
        sd_notifyf(0, "%sSTATUS=%s", notification, s->text);
        if (!s->link.ctl->is_quiet)
                puts(s->text);
        fflush(stdout);
}

/* A vitald that was restarted is given the time to run its checks once. */
static bool follow_is_in_grace(const Subject *s) {
        return s->is_starting && s->link.lost > 0 &&
               clock_usec(CLOCK_MONOTONIC) < usec_add(s->link.lost, FOLLOW_PATIENCE_USEC);
}

static int follow_alone(void) {
        sd_notify(0, "STOPPING=1\nSTATUS=vitald cannot be reached");
        fputs("vitalctl: vitald has not been reached for 30s, its verdict is worth nothing\n",
              stderr);
        return EXIT_UNREACHABLE;
}

int verb_follow(const Ctl *ctl) {
        _cleanup_subject_ Subject s = subject_of(ctl);
        bool is_up = false, has_told = false;
        int r;

        for (;;) {
                r = subject_next(&s, USEC_INFINITY, is_up ? FOLLOW_PATIENCE_USEC : USEC_INFINITY);
                if (r != 0)
                        return r == -EHOSTDOWN ? follow_alone() : r;
                if (is_up && !s.is_true && !follow_is_in_grace(&s)) {
                        follow_tell(&s, "STOPPING=1\n");
                        return EXIT_YES;
                }
                if (!is_up && s.is_true)
                        follow_tell(&s, "READY=1\n");
                else if (!has_told)
                        follow_tell(&s, "");
                is_up = is_up || s.is_true;
                has_told = true;
        }
}

/* -- watch ------------------------------------------------------------------------------------- */

#define SCREEN_CLEAR "\033[H\033[2J\033[3J"

/* Whose latencies are drawn, and how many of the last runs. */
#define WATCH_CHECKS_MAX 16
#define WATCH_RUNS_MAX   30
#define WATCH_COLUMNS    5

/* One row: what it takes now and at most, and a bar a run. Nothing for what has no past. */
static void watch_add_latency(Table *t, const Screen *screen, Client *client, const CheckInfo *c) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        Screen plain = { .file = screen->file, .columns = screen->columns };
        _cleanup_(past_freep) Past *p = NULL;
        _cleanup_strbuf_ StrBuf bars = {};
        char now[TIMESPAN_MAX], p95[TIMESPAN_MAX];
        size_t n;

        if (past_get(client, c->path, &error, &p) < 0 || p->n_runs == 0)
                return;
        n = MIN(p->n_runs, (size_t) WATCH_RUNS_MAX);
        sparkline_append(&bars, &plain, p->runs + p->n_runs - n, n);
        if (bars.failed)
                return;
        table_cell(t, TONE_PLAIN, "%s", c->id);
        table_cell(t, state_tone(c->state), "%s", c->state);
        table_cell(t, TONE_PLAIN, "%s", latency_format(now, c->latency));
        table_cell(t, TONE_PLAIN, "%s", latency_format(p95, p->p95));
        table_cell(t, TONE_PLAIN, "%s", bars.text);
}

static void watch_add_latencies(Table *t, const Screen *screen, Client *client, const View *v,
                                const ServiceInfo *only) {
        static const char *const heading[WATCH_COLUMNS] = { "CHECK", "STATE", "LATENCY", "P95",
                                                            "LAST RUNS" };
        size_t n_left = WATCH_CHECKS_MAX;

        table_heading(t, heading);
        for (size_t i = 0; i < v->n_services; i++)
                for (size_t j = 0; j < v->services[i].n_checks && n_left > 0; j++)
                        if (!only || only == &v->services[i]) {
                                watch_add_latency(t, screen, client, &v->services[i].checks[j]);
                                n_left--;
                        }
}

/* On a terminal all is fetched before the screen is cleared, so that it does not stand empty. */
static void watch_print_screen(const Ctl *ctl, Client *client, const View *v,
                               const ServiceInfo *s) {
        _cleanup_table_ Table latencies = { .n_columns = WATCH_COLUMNS };

        if (ctl->screen.is_terminal) {
                watch_add_latencies(&latencies, &ctl->screen, client, v, s);
                fputs(SCREEN_CLEAR, stdout);
        }
        if (s)
                status_print_service(&ctl->screen, v, s);
        else
                status_print_host(&ctl->screen, v);
        putchar('\n');
        if (latencies.n_lines > 1)
                table_print(&latencies, &ctl->screen);
        fflush(stdout);
}

static int watch_print(const Ctl *ctl, Client *client, const View *v) {
        ServiceInfo *s = NULL;
        int r;

        if (ctl->arguments[0]) {
                r = ctl_find_service(v, ctl->arguments[0], &s);
                if (r != 0)
                        return r;
        }
        if (ctl->json != JSON_OFF) {
                r = json_print(ctl, s ? json_of_service(s) : json_of_view(v));
                fflush(stdout);
                return r;
        }
        watch_print_screen(ctl, client, v, s);
        return 0;
}

static int watch_look(Link *l) {
        _cleanup_(view_freep) View *v = NULL;
        int r;

        r = client_get_view(l->client, &v);
        if (r >= 0)
                return watch_print(l->ctl, l->client, v);
        if (!client_is_unreachable(r))
                return ctl_failed(l->ctl, r, NULL);
        link_drop(l);
        return 0;
}

int verb_watch(const Ctl *ctl) {
        usec_t refresh = ctl->screen.is_terminal ? WATCH_REFRESH_USEC : USEC_INFINITY;
        _cleanup_(link_done) Link l = { .ctl = ctl };
        bool has_told = false;
        int r;

        for (;;) {
                r = link_next(&l, usec_add(clock_usec(CLOCK_MONOTONIC), refresh),
                              has_told ? USEC_INFINITY : 0);
                if (l.client && (r == 0 || r == -ETIMEDOUT)) {
                        has_told = false;
                        r = watch_look(&l);
                } else if (r == -EHOSTDOWN || r == -ETIMEDOUT) {
                        if (!has_told)
                                fputs("vitald cannot be reached, waiting for it\n", stderr);
                        has_told = true;
                        r = 0;
                }
                if (r != 0)
                        return r;
        }
}
