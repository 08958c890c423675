/* SPDX-License-Identifier: MIT */
#pragma once

/* Who is answered, and how much he is told: by his address, by how often he asks, and by a token.
 * Knows no paths. */

#include "base/clock.h"
#include "model/config.h"
#include "output/http-server.h"

typedef struct HttpGate HttpGate;

typedef enum HttpEntry {
        HTTP_ENTRY_OPEN,      /* may ask */
        HTTP_ENTRY_TRUSTED,   /* may see full messages, too */
        HTTP_ENTRY_FORBIDDEN, /* is not of AllowFrom=: 403 */
        HTTP_ENTRY_LIMITED,   /* asks more often than RateLimit= allows: 429 */
} HttpEntry;

HttpGate *http_gate_new(void);
HttpGate *http_gate_free(HttpGate *g);
DEFINE_CLEANUP(HttpGate *, http_gate_free);

/* Unix sockets and loopback are always let in and never limited, and neither is an address that
 * AllowFrom= names by itself. */
HttpEntry http_gate_enter(HttpGate *g, const HttpConfig *config, const HttpRequest *request,
                          const HttpPeer *peer);

/* Whether his address may ask at all: of AllowFrom=, or this host's own. */
bool http_gate_lets_in(const HttpConfig *config, const HttpPeer *peer);

/* When who is limited may come back: by then he may ask at least once. */
#define HTTP_GATE_RETRY_SEC "1"
