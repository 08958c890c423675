/* SPDX-License-Identifier: MIT */
#pragma once

/* Tells the server's streams (/events) that there is something new to see: at most once a second,
 * by the sequence number alone. Who wants to know what it is asks for a page. */

#include "output/http-server.h"
#include "output/publisher.h"

typedef struct HttpEvents HttpEvents;

/* Follows the publisher; it and the server must live as long. */
int http_events_new(sd_event *event, Publisher *publisher, HttpServer *server, HttpEvents **ret);
HttpEvents *http_events_free(HttpEvents *e);
DEFINE_CLEANUP(HttpEvents *, http_events_free);
