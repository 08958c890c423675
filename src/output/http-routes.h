/* SPDX-License-Identifier: MIT */
#pragma once

/* Which path is answered with what, from the publisher's current snapshot. */

#include "output/http-server.h"
#include "output/publisher.h"

typedef struct HttpRoutes HttpRoutes;

int http_routes_new(Publisher *publisher, HttpRoutes **ret);
HttpRoutes *http_routes_free(HttpRoutes *r);
DEFINE_CLEANUP(HttpRoutes *, http_routes_free);

/* An HttpHandler; userdata is the HttpRoutes. */
HttpAnswer *http_routes_handle(void *userdata, const HttpRequest *request, const HttpPeer *peer);
