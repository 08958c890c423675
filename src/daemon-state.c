/* SPDX-License-Identifier: MIT */
/* Taking up what was known when vitald last ran. */

#include <errno.h>

#include "base/log.h"
#include "daemon-internal.h"

typedef struct Drains {
        Daemon *daemon;    /* borrowed */
        usec_t known_usec; /* CLOCK_REALTIME: what is older is known already, or was ended */
} Drains;

static void on_drain(void *userdata, size_t service, const Drain *drain) {
        const Drains *drains = userdata;
        Daemon *d = drains->daemon;

        if (drains->known_usec > 0 && drain->since_realtime <= drains->known_usec)
                return;
        daemon_apply(d, &(Event){ .type = EVENT_DRAIN, .service = service, .drain = drain });
        log_notice("%s is still drained by %s%s%s",
                   service == INDEX_NONE ? "Host" : d->state->config->services[service].name,
                   drain->who, *drain->note ? ": " : "", drain->note);
}

static int take_up(Daemon *d, Kept *kept) {
        _cleanup_(snapshot_unrefp) Snapshot *before = NULL;
        const Restoration *r = keeper_restoration(d->keeper);
        char age[TIMESPAN_MAX];

        /* Without a bus nobody would ever say that one is up again. */
        if (!d->systemd && kept_forget_units(kept, time_now()) < 0)
                return -ENOMEM;
        before = kept_snapshot(kept);
        if (!before)
                return -ENOMEM;
        daemon_apply(d, &(Event){ .type = EVENT_RESTORE, .kept = kept });
        publisher_begin(d->publisher, before);
        log_info("States of %zu of %zu checks restored, %s old", kept->n_checks,
                 kept->config->n_checks, timespan_format(age, r->age_usec));
        return 0;
}

int daemon_restore(Daemon *d) {
        _cleanup_(kept_freep) Kept *kept = NULL;
        Config *config = d->state->config;
        Drains drains = { .daemon = d };
        int r;

        r = keeper_new(d->event, engine_workers(d->engine), d->publisher,
                       d->options->runtime_directory, d->options->state_directory, &d->keeper);
        if (r >= 0)
                r = keeper_read(d->keeper, config, &kept);
        if (r < 0)
                return log_errno(LOG_ERR, r, "Cannot set up what outlasts a restart");
        if (kept) {
                r = take_up(d, kept);
                if (r < 0)
                        return r;
                drains.known_usec = kept->time.realtime;
        }
        /* A picture that could not be renewed may lack them. */
        keeper_read_drains(d->keeper, config, on_drain, &drains);
        return 0;
}
