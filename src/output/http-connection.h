/* SPDX-License-Identifier: MIT */
#pragma once

/* One connection of the HTTP server, and what server and connections share. Only http-server.c,
 * http-listener.c, http-connection.c and http-address.c include this. */

#include "base/list.h"
#include "output/http-server.h"

/* What stands behind an fd of the server's epoll set; the first member of each such thing. */
typedef enum HttpWatchKind {
        HTTP_WATCH_LISTENER,
        HTTP_WATCH_KICK,
        HTTP_WATCH_CONNECTION
} HttpWatchKind;

typedef struct HttpWatch {
        HttpWatchKind kind;
        int fd;          /* owned */
        uint32_t events; /* as registered; 0: not in the set */
} HttpWatch;

typedef struct HttpListener {
        HttpWatch watch; /* first */
        ListLink link;
        bool is_trusted, is_local;
} HttpListener;

/* Each phase has a deadline, of the same length for all connections in it. */
typedef enum HttpPhase {
        HTTP_PHASE_HEADER, /* has to send a whole head */
        HTTP_PHASE_IDLE,   /* may send a further request */
        HTTP_PHASE_WRITE,  /* has to take the answer; nothing is read meanwhile */
        HTTP_PHASE_STREAM, /* is sent whatever is broadcast; what it sends ends it */
        HTTP_PHASE_LINGER, /* was sent an error; what it still sends is thrown away */
        HTTP_PHASE_COUNT_,
        HTTP_PHASE_CLOSED = HTTP_PHASE_COUNT_,
} HttpPhase;

/* The connections of one address, the one that did nothing for longest first. */
typedef struct HttpAddress {
        ListLink link; /* among those with the same hash */
        struct in6_addr address;
        unsigned n;
        List connections;
} HttpAddress;

#define HTTP_TAIL_MAX 96

/* What goes between head and body: Date, Connection, and the empty line. */
typedef struct HttpTail {
        char text[HTTP_TAIL_MAX];
        size_t length;
} HttpTail;

typedef enum HttpPersistence {
        HTTP_PERSISTS,        /* HTTP/1.1: goes without saying */
        HTTP_PERSISTS_SAY_SO, /* HTTP/1.0 */
        HTTP_CLOSES,
        HTTP_PERSISTENCE_COUNT_,
} HttpPersistence;

typedef struct HttpConnection {
        HttpWatch watch;    /* first */
        HttpServer *server; /* borrowed */
        HttpPeer peer;
        HttpAddress *address; /* borrowed; NULL for a unix socket */
        ListLink address_link;

        HttpPhase phase;
        ListLink phase_link;
        usec_t since_usec; /* when the phase began */

        unsigned n_requests;
        bool is_closing;    /* after the present answer */
        bool is_stream;     /* the present answer has no end */
        bool may_send_more; /* although it is closing */

        /* Received, but not answered yet: the beginning of a request, or while an answer is being
         * sent any number of them. An idle connection holds no buffer. */
        char *input; /* owned, limits.parse.head_bytes of memory; NULL: nothing */
        size_t input_bytes, seen_bytes;

        /* The answer that the peer has not taken as a whole yet. */
        HttpAnswer *answer; /* owned reference, or NULL */
        bool with_body;
        size_t sent_bytes;
        HttpTail tail;

        size_t lingered_bytes;
} HttpConnection;

#define HTTP_ADDRESS_BUCKETS 256

struct HttpServer {
        sd_event *event;             /* owned reference */
        sd_event_source *set_source; /* owned: the epoll set */
        sd_event_source *timer;      /* owned: the next deadline of all connections */
        usec_t timer_usec;           /* for when it is set, or USEC_INFINITY */
        int epoll_fd;                /* owned */
        int reserve_fd;              /* owned: given up for a connection when there is no other */
        HttpWatch kick;
        bool is_kicked;

        HttpServerLimits limits;
        HttpHandler handler;
        void *userdata; /* borrowed */
        HttpStopped stopped;
        void *stopped_userdata; /* borrowed */
        bool is_stopping;
        usec_t stop_usec; /* when idle connections are closed, once it stops */

        List listeners;     /* owned */
        usec_t resume_usec; /* when a pause of the listeners ends; 0: there is none */

        List phases[HTTP_PHASE_COUNT_]; /* in the order of since_usec */
        List closed;                    /* memory that the present batch may still point to */
        List unused;                    /* memory for the next connections */
        unsigned n_connections, n_streams;
        List addresses[HTTP_ADDRESS_BUCKETS];
        uint64_t address_seed;

        usec_t now_usec;
        int budget; /* what the present batch may still do */
        time_t tail_second;
        HttpTail tails[HTTP_PERSISTENCE_COUNT_];
        HttpAnswer *errors[HTTP_STATUS_END - 400]; /* owned references, made when first needed */
        char *input; /* owned: where everything is received that is not the rest of something */
        HttpCounters counters;
};

/* The connection owns fd from now on, also if this fails. */
int http_connection_open(HttpServer *s, int fd, const HttpPeer *peer, HttpConnection **ret);

/* Frees everything but the memory of the struct itself, which stays in s->closed. */
void http_connection_close(HttpConnection *c);

/* Reads, answers, and closes it perhaps. */
void http_connection_work(HttpConnection *c);

/* Its phase's deadline has passed. */
void http_connection_expire(HttpConnection *c);

/* Sees to it that the timer fires at deadline or soon after it. */
void http_server_arm(HttpServer *s, usec_t deadline_usec);

/* When a connection that came into this phase at since must have left it. */
usec_t http_server_deadline(const HttpServer *s, HttpPhase phase, usec_t since_usec);

/* Takes one of the connections that wait. One accept() in a turn is cheaper than asking in vain for
 * a second one, and as fair. */
void http_listener_accept(HttpServer *s, HttpListener *l);

/* What to wait for on all listeners: EPOLLIN or 0. */
void http_listeners_watch(HttpServer *s, uint32_t events);

/* Ends a pause of the listeners if it is over, else sees to it that it will be. */
void http_listeners_resume(HttpServer *s);

/* Counts the connection to its address. -ENOMEM. */
int http_address_add(HttpServer *s, HttpConnection *c);
void http_address_remove(HttpConnection *c);

/* The connection did something: it is the last that would have to go. */
void http_address_touch(HttpConnection *c);

/* The address's connection that did nothing for longest, if it has all that it may have. */
HttpConnection *http_address_surplus(HttpServer *s, const struct in6_addr *address);
