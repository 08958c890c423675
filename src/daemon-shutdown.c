/* SPDX-License-Identifier: MIT */
#include "daemon-shutdown.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "io/inhibitor.h"
#include "model/load-balancer.h"
#include "output/http-paths.h"

/* How much sooner than logind would we let go. */
#define MARGIN_USEC (250 * USEC_PER_MSEC)

/* However patient logind is. */
#define WAIT_MAX_USEC USEC_PER_HOUR

/* How often it is looked at who has read of it. */
#define LOOK_USEC          (20 * USEC_PER_MSEC)
#define LOOK_ACCURACY_USEC (5 * USEC_PER_MSEC)

struct Shutdown {
        Daemon *daemon;        /* borrowed */
        Inhibitor *inhibitor;  /* owned */
        sd_event_source *look; /* owned */
        usec_t deadline;       /* CLOCK_MONOTONIC */
        usec_t told;           /* since when all have read of it; 0: they have not */
        uint64_t count;        /* how often each has to */
};

static void shutdown_drain(Shutdown *s, usec_t max_usec) {
        usec_t now = clock_usec(CLOCK_REALTIME);
        char at[TIMESTAMP_MAX];
        Drain drain = {
                .is_active = true,
                .until_boottime = USEC_INFINITY,
                .since_realtime = now,
                .who = "shutdown",
        };

        snprintf(drain.note, sizeof(drain.note), "this host is going down%s%s",
                 max_usec > 0 ? ", at the latest at " : "",
                 max_usec > 0 ? timestamp_format_short(at, usec_add(now, max_usec), now) : "");
        daemon_apply(s->daemon, &(Event){ .type = EVENT_SHUTDOWN, .drain = &drain });
        daemon_publish(s->daemon);
}

static void shutdown_undrain(Daemon *d) {
        daemon_apply(d, &(Event){ .type = EVENT_SHUTDOWN, .drain = &(Drain){} });
}

/* -- who has read of it ------------------------------------------------------------------------ */

/* How many have asked of late; missing gets those who have not read it often enough. */
static size_t shutdown_look(const Shutdown *s, size_t *ret_told, StrBuf *missing) {
        const Daemon *d = s->daemon;
        usec_t now = clock_usec(CLOCK_MONOTONIC);
        size_t at = 0, n = 0;
        char address[INET6_ADDRSTRLEN];
        const HttpProber *p;

        *ret_told = 0;
        for (; (p = http_path_next_prober(d->probers, d->state->config, INDEX_NONE, now, &at)); n++)
                if (p->n_not_ready >= s->count)
                        ++*ret_told;
                else
                        strbuf_printf(missing, "; %s %s%s%s: %u times",
                                      http_prober_address(address, p), p->route,
                                      *p->agent ? " by " : "", p->agent, p->n_not_ready);
        return n;
}

static void log_end(const Shutdown *s, size_t n, size_t told, const StrBuf *missing) {
        if (n == 0)
                log_notice("The shutdown goes on: nobody has asked of late");
        else if (told == n)
                log_notice("The shutdown goes on: %zu of %zu probers have read 503 %" PRIu64
                           " times",
                           told, n, s->count);
        else
                log_warning("The shutdown goes on too soon: %zu of %zu probers have read 503 "
                            "%" PRIu64 " times%s; InhibitDelayMaxSec= of logind.conf(5) gives them "
                            "more time",
                            told, n, s->count, missing->text ? missing->text : "");
}

/* Who has read the last answer that he needs still has to act on it. */
static bool shutdown_is_settled(Shutdown *s, size_t n, usec_t now) {
        if (s->told == 0)
                s->told = now;
        return n == 0 || now >= usec_add(s->told, DRAIN_SETTLE_USEC);
}

static int on_look(sd_event_source *source, usec_t usec _unused_, void *userdata) {
        _cleanup_strbuf_ StrBuf missing = {};
        usec_t now = clock_usec(CLOCK_MONOTONIC);
        Shutdown *s = userdata;
        size_t n, told;

        n = shutdown_look(s, &told, &missing);
        if (told < n)
                s->told = 0;
        if (now < s->deadline && !(told == n && shutdown_is_settled(s, n, now))) {
                (void) sd_event_source_set_time_relative(source, LOOK_USEC);
                return 0;
        }
        log_end(s, n, told, &missing);
        (void) sd_event_source_set_enabled(source, SD_EVENT_OFF);
        inhibitor_release(s->inhibitor);
        return 0;
}

/* -- what logind says -------------------------------------------------------------------------- */

static void on_preparing(void *userdata, usec_t max_usec) {
        Shutdown *s = userdata;
        const HttpConfig *http = &s->daemon->state->config->http;
        char span[TIMESPAN_MAX];

        max_usec = MIN(max_usec, WAIT_MAX_USEC);
        if (max_usec > 0)
                log_notice("This host is going down, in %s at the latest: everything is drained",
                           timespan_format(span, max_usec));
        else
                log_warning("This host is going down, and does not wait: everything is drained");
        shutdown_drain(s, max_usec);
        if (max_usec == 0)
                return;
        s->count = load_balancer_threshold(http);
        if (s->count == 0)
                s->count = DRAIN_COUNT_DEFAULT;
        s->told = 0;
        s->deadline = usec_add(clock_usec(CLOCK_MONOTONIC), usec_sub(max_usec, MARGIN_USEC));
        (void) sd_event_source_set_time_relative(s->look, 0);
        (void) sd_event_source_set_enabled(s->look, SD_EVENT_ON);
}

static void on_cancelled(void *userdata) {
        Shutdown *s = userdata;

        (void) sd_event_source_set_enabled(s->look, SD_EVENT_OFF);
        log_notice("This host is not going down, after all");
        shutdown_undrain(s->daemon);
        daemon_publish(s->daemon);
}

Shutdown *shutdown_free(Shutdown *s) {
        if (!s)
                return NULL;
        inhibitor_free(s->inhibitor);
        sd_event_source_disable_unref(s->look);
        free(s);
        return NULL;
}
DEFINE_CLEANUP(Shutdown *, shutdown_free);

static int shutdown_new(Daemon *d, Shutdown **ret) {
        static const InhibitorHandlers handlers = {
                .preparing = on_preparing,
                .cancelled = on_cancelled,
        };
        _cleanup_(shutdown_freep) Shutdown *s = calloc(1, sizeof(Shutdown));
        int r;

        if (!s)
                return -ENOMEM;
        s->daemon = d;
        r = sd_event_add_time(d->event, &s->look, CLOCK_MONOTONIC, 0, LOOK_ACCURACY_USEC, on_look,
                              s);
        if (r >= 0)
                r = sd_event_source_set_enabled(s->look, SD_EVENT_OFF);
        if (r >= 0)
                r = inhibitor_new(d->event, "vitald", "Load balancers are told first", &handlers, s,
                                  &s->inhibitor);
        if (r < 0)
                return r;
        *ret = TAKE(s);
        return 0;
}

int shutdown_configure(Daemon *d) {
        bool is_wanted =
                d->options->bus == BUS_MODE_SYSTEM && d->state->config->daemon.drain_on_shutdown;

        if (is_wanted == (d->shutdown != NULL))
                return 0;
        if (is_wanted)
                return shutdown_new(d, &d->shutdown);
        d->shutdown = shutdown_free(d->shutdown);
        /* In the midst of a shutdown: nobody ends this drain any more. */
        if (d->state->shutdown.is_active)
                shutdown_undrain(d);
        return 0;
}
