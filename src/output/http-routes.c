/* SPDX-License-Identifier: MIT */
#include "output/http-routes.h"

#include <errno.h>
#include <string.h>

#include "output/summary.h"

struct HttpRoutes {
        Publisher *publisher; /* borrowed */
};

HttpRoutes *http_routes_free(HttpRoutes *r) {
        free(r);
        return NULL;
}

int http_routes_new(Publisher *publisher, HttpRoutes **ret) {
        HttpRoutes *r = calloc(1, sizeof(HttpRoutes));

        if (!r)
                return -ENOMEM;
        r->publisher = publisher;
        *ret = r;
        return 0;
}

HttpAnswer *http_routes_handle(void *userdata, const HttpRequest *request _unused_,
                               const HttpPeer *peer _unused_) {
        HttpRoutes *r = userdata;
        const Snapshot *s = publisher_current(r->publisher);
        char text[SUMMARY_MAX];

        summary_format(text, s, clock_usec(CLOCK_BOOTTIME));
        return http_answer_new(s->host.ready == READINESS_READY ? 200 : 503, "text/plain", NULL,
                               text, strlen(text));
}
