/* SPDX-License-Identifier: MIT */
#pragma once

/* libcurl's multi interface on the event loop: transfers that run beside everything else and share
 * a pool of kept connections. libcurl must never see a host name that it has to look up, because
 * that would block the loop: whoever adds a transfer gives numeric addresses with it
 * (CURLOPT_RESOLVE).
 *
 * The multi sets on each handle what belongs to it: CURLOPT_PRIVATE, the open- and
 * close-socket functions, NOSIGNAL and QUICK_EXIT; everything else is the caller's. It has no time
 * limit of its own: the caller removes a transfer that takes too long. */

#include <curl/curl.h>

#include "base/clock.h"
#include "base/list.h"
#include "io/poll-set.h"

typedef struct Multi Multi;
typedef struct Transfer Transfer;
typedef struct PeerWatch PeerWatch;

/* The transfer is over, and no longer in the multi. Called from the event loop, never from within a
 * function of this header. CURLE_ABORTED_BY_CALLBACK: not the peer's fault, the multi itself broke
 * down (memory) and has been built anew. */
typedef void (*TransferHandler)(void *userdata, CURLcode code);

/* Lives in the caller's memory, all zero before its first use. The last three members may be read,
 * the others are for multi.c. */
struct Transfer {
        ListLink link;
        Multi *multi;
        CURL *easy; /* borrowed */
        TransferHandler handler;
        void *userdata;
        int fd;             /* of the connection in use, -1: none yet */
        int socket_error;   /* errno when no socket could be made, else 0 */
        unsigned n_dialled; /* sockets made; 0: a kept connection was used */
        usec_t idle_usec;   /* how long the kept connection had been idle */
};

/* connections_max bounds the kept connections. */
int multi_new(PollSet *set, unsigned connections_max, Multi **ret);

/* All transfers must be over or removed. Closes the kept connections. */
Multi *multi_free(Multi *m);
DEFINE_CLEANUP(Multi *, multi_free);

/* Starts a transfer; easy is the caller's and may be used again when it is over. -ENOMEM. */
int multi_add(Multi *m, Transfer *t, CURL *easy, TransferHandler handler, void *userdata);

/* Drops a transfer at once: its connection is closed, its handler stays silent. Nothing happens if
 * it is over. */
void multi_remove(Transfer *t);

/* Called when the peer closed or lost a kept connection that nobody had used for idle_usec. The
 * watch is over by then and may be used again. */
typedef void (*PeerClosedHandler)(void *userdata, usec_t idle_usec);

/* Lives in the caller's memory, all zero before its first use. */
struct PeerWatch {
        ListLink link;
        PeerClosedHandler handler;
        void *userdata;
};

/* Watches the connection that t used last, if it was kept; in the transfer's handler or after it,
 * before the event loop turns. Any number of watches may share one connection. A watch ends by
 * itself, silently, when the connection is closed from this side. Returns whether there is
 * something to watch. */
bool multi_watch(const Transfer *t, PeerWatch *w, PeerClosedHandler handler, void *userdata);

/* Nothing happens if the watch is over. */
void peer_watch_drop(PeerWatch *w);

static inline bool peer_watch_is_on(const PeerWatch *w) {
        return list_is_linked(&w->link);
}
