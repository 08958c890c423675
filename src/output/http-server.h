/* SPDX-License-Identifier: MIT */
#pragma once

/* The HTTP/1.1 server: takes connections, reads request heads, asks a handler for the answer and
 * sends it. It knows no route and no snapshot.
 *
 * Its connections live in an epoll set of their own, which is one fd of the sd-event loop and is
 * handled in batches: a source for each connection costs nearly as much again as the probe itself.
 * Whoever the peer is, the work and memory that it can cause are bounded by HttpServerLimits, and
 * at the limit of connections the one that did nothing for longest makes room, so that a load
 * balancer always gets in. */

#include <netinet/in.h>
#include <systemd/sd-event.h>

#include "base/clock.h"
#include "output/http-answer.h"
#include "output/http-parse.h"

typedef struct HttpServer HttpServer;

typedef struct HttpPeer {
        bool is_trusted;         /* came by a listener that was given as trusted */
        bool is_local;           /* by a unix socket: no address */
        struct in6_addr address; /* an IPv4 address as ::ffff:a.b.c.d */
} HttpPeer;

/* What the peer's socket address says of it. */
void http_peer_set_address(HttpPeer *peer, const struct sockaddr_storage *ss);

/* Returns the answer, a reference of its own for the server; NULL becomes a 500. Must not block and
 * must not call the server. */
typedef HttpAnswer *(*HttpHandler)(void *userdata, const HttpRequest *request,
                                   const HttpPeer *peer);

typedef struct HttpServerLimits {
        HttpParseLimits parse;
        unsigned connections, connections_per_address;
        unsigned requests_per_connection;
        unsigned streams;    /* at once */
        usec_t header_usec;  /* from the first byte (the first time: from accept) to a whole head */
        usec_t idle_usec;    /* between two requests */
        usec_t stream_usec;  /* how long a stream lasts: its client comes back by itself */
        usec_t write_usec;   /* until the peer has taken an answer */
        usec_t linger_usec;  /* how long, and how much, is still read after an error: closing at */
        size_t linger_bytes; /* once would reset the connection and lose the answer */
} HttpServerLimits;

#define HTTP_SERVER_LIMITS_DEFAULT                     \
        ((HttpServerLimits){                           \
                .parse = HTTP_PARSE_LIMITS_DEFAULT,    \
                .connections = 1024,                   \
                .connections_per_address = 256,        \
                .requests_per_connection = 100 * 1000, \
                .streams = 256,                        \
                .stream_usec = USEC_PER_HOUR,          \
                .header_usec = 5 * USEC_PER_SEC,       \
                .idle_usec = 75 * USEC_PER_SEC,        \
                .write_usec = 10 * USEC_PER_SEC,       \
                .linger_usec = 2 * USEC_PER_SEC,       \
                .linger_bytes = 2 * 1024 * 1024,       \
        })

#define HTTP_STATUS_END 600

typedef struct HttpCounters {
        uint64_t accepted;
        uint64_t evicted;   /* closed to make room for a newer connection */
        uint64_t refused;   /* closed at once for lack of a file descriptor or memory */
        uint64_t timed_out; /* closed at a deadline other than the idle one */
        uint64_t answers[HTTP_STATUS_END]; /* by status */
} HttpCounters;

int http_server_new(sd_event *event, const HttpServerLimits *limits, HttpHandler handler,
                    void *userdata, HttpServer **ret);

/* Closes everything, also the listeners. */
HttpServer *http_server_free(HttpServer *s);
DEFINE_CLEANUP(HttpServer *, http_server_free);

/* Serves a listening stream socket (TCP or unix). On success, and only then, it is the server's.
 * The handler is told of trusted listeners. */
int http_server_listen(HttpServer *s, int fd, bool is_trusted);

/* Takes other limits for what comes from now on. */
void http_server_set_limits(HttpServer *s, const HttpServerLimits *limits);

/* Ends in order: takes no more connections (those that wait in the backlog are the next process's),
 * answers what arrives on the present ones for a moment longer, with Connection: close, and calls
 * stopped once the last is closed, perhaps before this returns. */
typedef void (*HttpStopped)(void *userdata);
void http_server_stop(HttpServer *s, HttpStopped stopped, void *userdata);

/* Sends this to each stream. Who does not take it as a whole at once has not read what came before,
 * and is cut off. */
void http_server_broadcast(HttpServer *s, const char *bytes, size_t n);

/* Cuts off the streams of those who may not stay. */
typedef bool (*HttpMayStay)(void *userdata, const HttpPeer *peer);
void http_server_end_streams(HttpServer *s, HttpMayStay may_stay, void *userdata);

unsigned http_server_n_streams(const HttpServer *s);

/* Whether the server turns: after a kick it has progressed once its own epoll set has been
 * handled. */
void http_server_kick(HttpServer *s);
bool http_server_has_progressed(const HttpServer *s);

const HttpCounters *http_server_counters(const HttpServer *s);
unsigned http_server_n_connections(const HttpServer *s);
