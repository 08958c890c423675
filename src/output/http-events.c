/* SPDX-License-Identifier: MIT */
#include "output/http-events.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "output/http-gate.h"

#define EVENT_MAX 64

/* What comes later within this time is told at its end. */
#define PAUSE_USEC USEC_PER_SEC

/* Without news something is sent all the same, so that proxies keep the connection and those that
 * are gone are noticed. */
#define SILENCE_USEC (15 * USEC_PER_SEC)

#define TIMER_ACCURACY_USEC (100 * USEC_PER_MSEC)

struct HttpEvents {
        Publisher *publisher;   /* borrowed */
        HttpServer *server;     /* borrowed */
        sd_event_source *timer; /* owned */
        uint64_t told;          /* sequence */
        usec_t told_usec;       /* CLOCK_MONOTONIC */
        bool is_waiting;        /* for the end of the pause */
};

static void events_arm(HttpEvents *e, usec_t when) {
        sd_event_source_set_time(e->timer, when);
        sd_event_source_set_enabled(e->timer, SD_EVENT_ONESHOT);
}

static bool on_may_stay(void *userdata, const HttpPeer *peer) {
        const HttpEvents *e = userdata;

        return http_gate_lets_in(&publisher_current(e->publisher)->config->http, peer);
}

static void events_tell(HttpEvents *e) {
        const Snapshot *s = publisher_current(e->publisher);
        char event[EVENT_MAX];
        int n;

        /* A reload may have changed who may ask. */
        if (s)
                http_server_end_streams(e->server, on_may_stay, e);
        if (s && s->sequence != e->told)
                n = snprintf(event, sizeof(event), "data: %" PRIu64 "\n\n", s->sequence);
        else
                n = snprintf(event, sizeof(event), ":\n\n");
        e->told = s ? s->sequence : 0;
        e->told_usec = clock_usec(CLOCK_MONOTONIC);
        e->is_waiting = false;
        http_server_broadcast(e->server, event, (size_t) n);
        events_arm(e, usec_add(e->told_usec, SILENCE_USEC));
}

static int on_timer(sd_event_source *s _unused_, usec_t usec _unused_, void *userdata) {
        events_tell(userdata);
        return 0;
}

/* Nothing is sent from here, where outputs take the snapshot in: the server's connections may be in
 * the middle of something. */
static void on_snapshot(void *userdata, const Snapshot *old _unused_,
                        const Snapshot *new _unused_) {
        HttpEvents *e = userdata;

        if (e->is_waiting || http_server_n_streams(e->server) == 0)
                return;
        e->is_waiting = true;
        events_arm(e, MAX(usec_add(e->told_usec, PAUSE_USEC), clock_usec(CLOCK_MONOTONIC)));
}

int http_events_new(sd_event *event, Publisher *publisher, HttpServer *server, HttpEvents **ret) {
        _cleanup_(http_events_freep) HttpEvents *e = calloc(1, sizeof(HttpEvents));
        int r;

        if (!e)
                return -ENOMEM;
        e->publisher = publisher;
        e->server = server;
        r = sd_event_add_time_relative(event, &e->timer, CLOCK_MONOTONIC, SILENCE_USEC,
                                       TIMER_ACCURACY_USEC, on_timer, e);
        if (r < 0)
                return r;
        r = publisher_subscribe(publisher, on_snapshot, e);
        if (r < 0)
                return r;
        *ret = TAKE(e);
        return 0;
}

HttpEvents *http_events_free(HttpEvents *e) {
        if (!e)
                return NULL;
        sd_event_source_disable_unref(e->timer);
        free(e);
        return NULL;
}
