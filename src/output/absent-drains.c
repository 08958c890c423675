/* SPDX-License-Identifier: MIT */
#include "output/absent-drains.h"

#include <string.h>

#include "base/log.h"
#include "base/text.h"

void absent_drains_done(AbsentDrains *a) {
        free(a->items);
        *a = (AbsentDrains){};
}

void absent_drains_add(AbsentDrains *a, const LastingDrain *drain) {
        if (a->n == a->n_allocated) {
                size_t n = MAX(a->n_allocated * 2, (size_t) 4);
                LastingDrain *items = reallocarray(a->items, n, sizeof(LastingDrain));

                if (!items) {
                        log_warning("The drain of %s is lost: out of memory", drain->service);
                        return;
                }
                a->items = items;
                a->n_allocated = n;
        }
        a->items[a->n++] = *drain;
}

static bool is_there(const LastingDrain *d, const Config *config) {
        return !*d->service || config_find_service(config, d->service) != INDEX_NONE;
}

static bool is_over(const LastingDrain *d, const Config *config, Time now) {
        return d->drain.until_boottime <= now.boottime ||
               strv_contains(config->masked, d->service) ||
               (d->absent_realtime > 0 &&
                usec_sub(now.realtime, d->absent_realtime) >= ABSENT_DRAINS_MAX_AGE_USEC);
}

/* From now on its service is not there, or was not already. */
static void note_absence(LastingDrain *d, Time now) {
        if (d->absent_realtime == 0) {
                log_notice("%s is not configured, but drained by %s%s%s; it is drained again if it "
                           "comes back within 7 days",
                           d->service, d->drain.who, *d->drain.note ? ": " : "", d->drain.note);
                d->absent_realtime = now.realtime;
        }
        d->absent_realtime = MIN(d->absent_realtime, now.realtime);
}

void absent_drains_settle(AbsentDrains *a, const Config *config, Time now, DrainHandler handler,
                          void *userdata) {
        size_t n = 0, n_lost = 0;

        for (size_t i = 0; i < a->n; i++) {
                LastingDrain *d = a->items + i;

                if (is_over(d, config, now))
                        continue;
                if (is_there(d, config)) {
                        if (handler)
                                handler(userdata, d);
                } else if (n == ABSENT_DRAINS_MAX)
                        n_lost++;
                else {
                        note_absence(d, now);
                        a->items[n++] = *d;
                }
        }
        if (n_lost > 0)
                log_warning("Drains of more than %d services that are not configured: %zu are lost",
                            ABSENT_DRAINS_MAX, n_lost);
        a->n = n;
        if (n == 0)
                absent_drains_done(a);
}
