/* SPDX-License-Identifier: MIT */
/* Taking up what was known when vitald last ran. */

#include <errno.h>

#include "base/log.h"
#include "daemon-internal.h"

typedef struct Drains {
        Daemon *daemon;   /* borrowed */
        const Kept *kept; /* borrowed: the picture that was taken up; NULL: none */
} Drains;

/* What is older than a picture with its subject is known by that already, or was ended. */
static bool is_known(const Kept *kept, size_t service, const Drain *drain) {
        return kept && drain->since_realtime <= kept->time.realtime &&
               (service == INDEX_NONE || kept->services[service].state);
}

static void on_drain(void *userdata, const LastingDrain *lasting) {
        const Drains *drains = userdata;
        const Drain *drain = &lasting->drain;
        Daemon *d = drains->daemon;
        const char *name = *lasting->service ? lasting->service : NULL;
        size_t service = name ? config_find_service(d->state->config, name) : INDEX_NONE;

        if (is_known(drains->kept, service, drain))
                return;
        daemon_apply(d, &(Event){ .type = EVENT_DRAIN, .service = service, .drain = drain });
        log_notice("%s is still drained by %s%s%s", name ? name : "Host", drain->who,
                   *drain->note ? ": " : "", drain->note);
}

static void return_drains(Daemon *d, const Kept *kept) {
        Drains drains = { .daemon = d, .kept = kept };

        keeper_return_drains(d->keeper, d->state->config, on_drain, &drains);
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
        }
        /* A picture that could not be renewed may lack them. */
        keeper_read_drains(d->keeper);
        return_drains(d, kept);
        return 0;
}

void daemon_return_drains(Daemon *d) {
        return_drains(d, NULL);
}
