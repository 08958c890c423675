/* SPDX-License-Identifier: MIT */
/* is-ready, wait, follow, watch: a verdict now, or as it changes. */

#include <errno.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>

#include "ctl/json.h"
#include "ctl/status.h"
#include "ctl/subject.h"

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

static int watch_print(const Ctl *ctl, const View *v) {
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
        if (ctl->screen.is_terminal)
                fputs(SCREEN_CLEAR, stdout);
        if (s)
                status_print_service(&ctl->screen, v, s);
        else
                status_print_host(&ctl->screen, v);
        if (!ctl->screen.is_terminal)
                putchar('\n');
        fflush(stdout);
        return 0;
}

static int watch_look(Link *l) {
        _cleanup_(view_freep) View *v = NULL;
        int r;

        r = client_get_view(l->client, &v);
        if (r >= 0)
                return watch_print(l->ctl, v);
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
