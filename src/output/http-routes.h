/* SPDX-License-Identifier: MIT */
#pragma once

/* Which path is answered with what, from the publisher's current snapshot. An answer is rendered
 * once a snapshot, however many ask for it. */

#include "output/history.h"
#include "output/http-probers.h"
#include "output/http-server.h"
#include "output/metrics.h"
#include "output/publisher.h"

typedef struct HttpRoutes HttpRoutes;

/* What /metrics says of the daemon itself; asked when needed. */
typedef void (*HttpRoutesStats)(void *userdata, MetricsStats *ret);

/* All are borrowed. Who asks for readiness is noted in probers. */
int http_routes_new(Publisher *publisher, const History *history, HttpProbers *probers,
                    HttpRoutesStats stats, void *userdata, HttpRoutes **ret);
HttpRoutes *http_routes_free(HttpRoutes *r);
DEFINE_CLEANUP(HttpRoutes *, http_routes_free);

/* An HttpHandler; userdata is the HttpRoutes. */
HttpAnswer *http_routes_handle(void *userdata, const HttpRequest *request, const HttpPeer *peer);
