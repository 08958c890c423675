/* SPDX-License-Identifier: MIT */
#include "ctl/link.h"

#include <errno.h>
#include <time.h>

#define RECONNECT_USEC (200 * USEC_PER_MSEC)
#define RECHECK_USEC   (30 * USEC_PER_SEC) /* a vitald that hangs signals nothing */

void link_done(Link *l) {
        client_free(l->client);
}

void link_drop(Link *l) {
        l->client = client_free(l->client);
        l->lost = clock_usec(CLOCK_MONOTONIC);
}

static void pause_usec(usec_t usec) {
        struct timespec t = {
                .tv_sec = (time_t) (usec / USEC_PER_SEC),
                .tv_nsec = (long) (usec % USEC_PER_SEC * 1000),
        };

        nanosleep(&t, NULL);
}

/* 0, or negative errno: not now. */
static int connect_once(Link *l) {
        int r;

        r = client_open(&l->ctl->where, NULL, &l->client);
        if (r < 0)
                return r;
        r = client_subscribe(l->client);
        if (r < 0) {
                l->client = client_free(l->client);
                return r;
        }
        l->client->has_news = true;
        return 0;
}

static int reconnect(Link *l, usec_t deadline, usec_t patience_usec) {
        for (;;) {
                int r = connect_once(l);
                usec_t now = clock_usec(CLOCK_MONOTONIC);

                if (r >= 0)
                        return 0;
                if (!client_is_unreachable(r))
                        return ctl_failed(l->ctl, r, NULL);
                if (l->lost == 0)
                        l->lost = now;
                if (now >= deadline)
                        return -ETIMEDOUT;
                if (now >= usec_add(l->lost, patience_usec))
                        return -EHOSTDOWN;
                pause_usec(MIN(RECONNECT_USEC, deadline - now));
        }
}

int link_next(Link *l, usec_t deadline, usec_t patience_usec) {
        for (;;) {
                usec_t recheck = usec_add(clock_usec(CLOCK_MONOTONIC), RECHECK_USEC);
                int r;

                if (!l->client) {
                        r = reconnect(l, deadline, patience_usec);
                        if (r != 0)
                                return r;
                }
                r = client_wait(l->client, MIN(deadline, recheck));
                if (r == -ETIMEDOUT)
                        return deadline <= recheck ? r : 0;
                if (r >= 0 && !l->client->is_lost)
                        return 0;
                link_drop(l);
        }
}
