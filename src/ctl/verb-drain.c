/* SPDX-License-Identifier: MIT */
/* drain, undrain; and the wait until everybody has read of it. */

#include <errno.h>
#include <stdio.h>

#include "ctl/ctl.h"
#include "ctl/words.h"
#include "model/load-balancer.h"

/* Shorter than the 90s that systemd gives an ExecStop=. */
#define WAIT_DEFAULT_USEC USEC_PER_MINUTE
#define WAIT_LOOK_USEC    (100 * USEC_PER_MSEC)

typedef struct Wait {
        const Ctl *ctl;           /* borrowed */
        Client *client;           /* borrowed */
        const ServiceInfo *named; /* borrowed; NULL: the host */
        uint64_t count;
        bool had_probers, is_settled;
        StrBuf text; /* owned: how it stands, at the last look */
} Wait;

static int change(const Ctl *ctl, Client *c, const ServiceInfo *s, const char *method,
                  const char *types, ...) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        va_list ap;
        int r;

        va_start(ap, types);
        r = client_call_v(c, s ? s->path : VITALD_PATH,
                          s ? VITALD_SERVICE_INTERFACE : VITALD_MANAGER_INTERFACE, method, 0,
                          &error, NULL, types, ap);
        va_end(ap);
        return r < 0 ? ctl_failed(ctl, r, &error) : 0;
}

/* Load balancers go on sending requests until they have read often enough that they should not. */
static void warn_of_short_drain(const View *v, usec_t duration) {
        char notice[TIMESPAN_MAX];

        if (duration < v->load_balancer_notice)
                fprintf(stderr,
                        "vitalctl: this drain ends before the load balancer (%s) has noticed it, "
                        "which takes up to %s\n",
                        v->load_balancer, timespan_format(notice, v->load_balancer_notice));
}

/* What the command line names: *ret stays NULL for the host. */
static int open_named(const Ctl *ctl, Client **ret_client, View **ret_view, ServiceInfo **ret) {
        /* A whole host is not drained by a variable that happens to be empty. */
        if (!ctl->all == !ctl->arguments[0]) {
                fputs("vitalctl: name a SERVICE, or --all for the whole host\n", stderr);
                return EXIT_USAGE;
        }
        return ctl_open_service(ctl, ret_client, ret_view, ret);
}

/* -- waiting ----------------------------------------------------------------------------------- */

/* Those that have not read it often enough yet. */
static void append_missing(StrBuf *b, const ProberList *l, uint64_t count) {
        for (size_t i = 0; i < l->n; i++)
                if (l->items[i].n_not_ready < count)
                        strbuf_printf(b, "; %s %s%s%s: %" PRIu64 " times", l->items[i].address,
                                      l->items[i].route, *l->items[i].agent ? " by " : "",
                                      l->items[i].agent, l->items[i].n_not_ready);
}

/* 0: not yet, 1: it is so, -ECANCELED: the drain has ended, or negative errno. */
static int judge(Wait *w, const Verdicts *d) {
        if (!d->is_draining)
                return -ECANCELED;
        strbuf_done(&w->text);
        w->text = (StrBuf){};
        probers_describe(&w->text, &d->probers, w->count);
        append_missing(&w->text, &d->probers, w->count);
        if (w->text.failed)
                return -ENOMEM;
        w->had_probers = w->had_probers || d->probers.n > 0;
        return probers_told(&d->probers, w->count) == d->probers.n;
}

/* As judge(): how many clients are left. */
static int look_at_connections(Wait *w) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        const Ctl *ctl = w->ctl;
        uint64_t n;
        int r;

        r = client_call(w->client, VITALD_PATH, VITALD_MANAGER_INTERFACE, "CountConnections", 0,
                        &error, &m, "q", (int) ctl->port);
        if (r >= 0)
                r = sd_bus_message_read(m, "t", &n);
        if (r < 0)
                return r;
        strbuf_printf(&w->text, "; port %" PRIu64 " has %" PRIu64 " %s", ctl->port, n,
                      n == 1 ? "connection" : "connections");
        return w->text.failed ? -ENOMEM : n <= ctl->connections;
}

static int look_at_host(Wait *w) {
        _cleanup_(view_freep) View *v = calloc(1, sizeof(View));
        int r;

        if (!v)
                return -ENOMEM;
        r = client_get_fields(w->client, VITALD_PATH, VITALD_MANAGER_INTERFACE, &host_fields, v);
        return r < 0 ? r : judge(w, &v->verdicts);
}

static int look_at_service(Wait *w) {
        _cleanup_(service_info_done) ServiceInfo info = {};
        int r;

        r = client_get_fields(w->client, w->named->path, VITALD_SERVICE_INTERFACE, &service_fields,
                              &info);
        return r < 0 ? r : judge(w, &info.verdicts);
}

/* As long as requests come there is no end of connections: they are looked at last, and then the
 * load balancer has had the time to act. */
static int look(Wait *w) {
        int r = w->named ? look_at_service(w) : look_at_host(w);

        if (r <= 0)
                return r;
        if (w->had_probers && !w->is_settled) {
                w->is_settled = true;
                (void) client_wait(w->client, clock_usec(CLOCK_MONOTONIC) + DRAIN_SETTLE_USEC);
        }
        return w->ctl->port > 0 ? look_at_connections(w) : r;
}

/* 1, -ETIMEDOUT, -ECANCELED, or negative errno. */
static int wait_until(Wait *w, usec_t deadline) {
        for (;;) {
                usec_t now = clock_usec(CLOCK_MONOTONIC);
                int r;

                r = look(w);
                if (r != 0)
                        return r;
                if (now >= deadline)
                        return -ETIMEDOUT;
                r = client_wait(w->client, MIN(deadline, now + WAIT_LOOK_USEC));
                if (r < 0 && r != -ETIMEDOUT)
                        return r;
                if (w->client->is_lost)
                        return -EHOSTDOWN;
        }
}

static int wait_for_probers(Wait *w) {
        usec_t now = clock_usec(CLOCK_MONOTONIC), timeout = w->ctl->timeout_usec;
        const char *text;
        int r;

        r = wait_until(w, usec_add(now, timeout == USEC_INFINITY ? WAIT_DEFAULT_USEC : timeout));
        text = w->text.text ? w->text.text : "";
        if (r == -ETIMEDOUT) {
                fprintf(stderr, "vitalctl: timed out: %s\n", text);
                return EXIT_TIMED_OUT;
        }
        if (r == -ECANCELED) {
                fputs("vitalctl: the drain was ended before everybody had read of it\n", stderr);
                return EXIT_NO;
        }
        if (r < 0)
                return ctl_failed(w->ctl, r, NULL);
        puts(text);
        return EXIT_YES;
}

/* -- verbs ------------------------------------------------------------------------------------- */

/* In ExecStop= the drain is over when the unit starts anew; systemd sets this variable there. */
static bool is_stopping_unit(const ServiceInfo *s) {
        return s && *s->unit && getenv("SERVICE_RESULT");
}

/* As often as the load balancer wants to read it, where that is known. */
static uint64_t wait_count(const Ctl *ctl, const View *v) {
        if (ctl->count > 0)
                return ctl->count;
        return v->load_balancer_threshold > 0 ? v->load_balancer_threshold : DRAIN_COUNT_DEFAULT;
}

int verb_drain(const Ctl *ctl) {
        /* With --wait the time is that of the wait: a drain that ends by itself in the midst of
         * what it was made for would be worse than none. */
        usec_t duration = ctl->wait ? USEC_INFINITY : ctl->timeout_usec;
        _cleanup_(client_freep) Client *c = NULL;
        _cleanup_(view_freep) View *v = NULL;
        ServiceInfo *s = NULL;
        int r;

        if ((ctl->count > 0 || ctl->port > 0) && !ctl->wait) {
                fputs("vitalctl: --count= and --connections= go with --wait\n", stderr);
                return EXIT_USAGE;
        }
        r = open_named(ctl, &c, &v, &s);
        if (r != 0)
                return r;
        if (is_stopping_unit(s) && duration == USEC_INFINITY)
                r = change(ctl, c, s, "DrainUntilStart", "s", ctl->reason);
        else
                r = change(ctl, c, s, "Drain", "ts", duration, ctl->reason);
        if (r == 0)
                warn_of_short_drain(v, duration);
        if (r == 0 && ctl->wait) {
                Wait w = {
                        .ctl = ctl,
                        .client = c,
                        .named = s,
                        .count = wait_count(ctl, v),
                };

                r = wait_for_probers(&w);
                strbuf_done(&w.text);
        }
        return r;
}

int verb_undrain(const Ctl *ctl) {
        _cleanup_(client_freep) Client *c = NULL;
        _cleanup_(view_freep) View *v = NULL;
        ServiceInfo *s = NULL;
        int r;

        r = open_named(ctl, &c, &v, &s);
        return r != 0 ? r : change(ctl, c, s, "Undrain", NULL);
}
