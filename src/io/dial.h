/* SPDX-License-Identifier: MIT */
#pragma once

/* Making a connection to an Address: resolving it and trying its addresses until one answers. The
 * lower half of stream.h, used by it alone. */

#include "io/stream.h"

typedef struct Dial Dial;

/* What is known of a dialling so far. */
typedef struct DialProgress {
        StreamTimes times;
        bool is_stale; /* the resolver's last good addresses, because of resolve */
        ResolveStatus resolve;
        IpAddress peer; /* connected, or tried last; family AF_UNSPEC: none, or a unix socket */
        uint16_t port;
} DialProgress;

/* Called once, from the event loop. fd (now the callee's) is connected and error 0; or fd is -1 and
 * error says why, EDESTADDRREQ when progress->resolve does. The callee frees the Dial. */
typedef void (*DialHandler)(void *userdata, int fd, int error);

/* Called once the name is resolved and the attempts begin; not for addresses without a name. The
 * callee may free the Dial. */
typedef void (*DialResolvedHandler)(void *userdata);

/* address is copied. -ENOMEM, or -EAGAIN when the resolver is at its bounds. */
int dial_new(sd_event *event, Resolver *resolver, const Address *address,
             DialResolvedHandler resolved, DialHandler handler, void *userdata, Dial **ret);

/* Drops what is under way at once; the handler stays silent. */
Dial *dial_free(Dial *d);
DEFINE_CLEANUP(Dial *, dial_free);

/* Borrowed, for the Dial's life. */
const DialProgress *dial_progress(const Dial *d);
