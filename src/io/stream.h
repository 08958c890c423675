/* SPDX-License-Identifier: MIT */
#pragma once

/* A byte stream to an Address: TCP or unix, in the clear or by TLS. Dialling resolves the name and
 * tries all addresses in turn, each next one after STREAM_STAGGER_USEC or at once when one fails;
 * the first that connects wins. There is no time limit here: the caller owns one deadline over all
 * and frees the stream when it passes. An open stream is always being read, so that a close or
 * bytes that nobody asked for are seen the moment they arrive, also between requests.
 *
 * No handler is called from within a function of this header, nor after stream_free(), which may be
 * called from any handler. */

#include "base/address.h"
#include "base/clock.h"
#include "io/poll-set.h"
#include "io/resolver.h"
#include "io/tls.h"

#define STREAM_STAGGER_USEC (200 * USEC_PER_MSEC)
#define STREAM_WRITE_MAX    65536 /* bytes that wait to be sent */
#define STREAM_REPLY_MAX    65536 /* default of stream_expect() */

typedef struct Stream Stream;

typedef enum StreamPhase {
        STREAM_RESOLVING,
        STREAM_CONNECTING,
        STREAM_SHAKING, /* in the TLS handshake */
        STREAM_OPEN,
} StreamPhase;

/* "resolving", "connecting", "in the TLS handshake", "open" */
const char *stream_phase_name(StreamPhase p);

typedef struct StreamFailure {
        StreamPhase phase;     /* in which it happened */
        ResolveStatus resolve; /* why, while resolving */
        int error;             /* errno, positive; 0: the peer closed in order; EMSGSIZE: more bytes
                                  than expected; EDESTADDRREQ while resolving; EPROTO: by TLS, see
                                  tls_session_error(), or that the peer's certificate is bad */
        uint64_t received;     /* bytes since the last stream_expect() */
        const TlsSession *tls; /* borrowed for the call; NULL: without TLS, or not begun */
} StreamFailure;

/* The text for people, without the address: "Connection refused", "closed by the peer". */
const char *stream_failure_text(const StreamFailure *f);

typedef struct StreamHandlers {
        void (*resolved)(void *userdata);  /* may be NULL; not for addresses without a name */
        void (*shaking)(void *userdata);   /* may be NULL; the TLS handshake begins */
        void (*connected)(void *userdata); /* may be NULL; with TLS behind the handshake */
        void (*received)(void *userdata, const void *bytes, size_t n);
        /* Called at most once, the last call of all; the stream is still there to be freed. */
        void (*failed)(void *userdata, const StreamFailure *failure);
} StreamHandlers;

/* handlers are borrowed for the stream's life (a constant table). address is copied. Only what
 * hinders every attempt is an error here (-ENOMEM, -EAGAIN); all else comes through failed(). */
int stream_dial(PollSet *set, Resolver *resolver, const Address *address,
                const StreamHandlers *handlers, void *userdata, Stream **ret);

/* For a stream that has just been dialled: by TLS, with a peer whose certificate is good and for
 * name, a host name or an IP address. Then stream_write() takes nothing before connected(). The
 * context may be freed. -ENOMEM. */
int stream_use_tls(Stream *s, TlsContext *c, const char *name);

/* Closes in order: what the peer has sent so far is taken off the socket first, so that it gets a
 * FIN and no RST. Drops a dialling at once. */
Stream *stream_free(Stream *s);
DEFINE_CLEANUP(Stream *, stream_free);

/* Sends now what the socket takes and the rest when it can. Before the stream is open everything
 * waits. An error of the socket comes through failed(). -ENOBUFS when more than STREAM_WRITE_MAX
 * bytes would wait, -ENOTCONN after failed(), -EPROTO when TLS cannot send, -ENOMEM. */
int stream_write(Stream *s, const void *bytes, size_t n);

/* Begins a new reply: the peer may send at most max bytes, those of TLS among them, until the next
 * call. */
void stream_expect(Stream *s, size_t max);

StreamPhase stream_phase(const Stream *s);

/* Borrowed: what is known of the peer's certificate; NULL without TLS. */
const TlsSession *stream_tls(const Stream *s);

/* CLOCK_MONOTONIC; 0: not yet. For an address without a name resolved is dialled. */
typedef struct StreamTimes {
        usec_t dialled_usec, resolved_usec, connected_usec;
} StreamTimes;

StreamTimes stream_times(const Stream *s);

/* Whether the addresses were the resolver's last good ones, and why it had no new. */
bool stream_is_stale(const Stream *s, ResolveStatus *ret_why);

/* The address in use or tried last, "10.0.0.1:6379"; "" while there is none, and for unix sockets.
 * Returns buf. */
const char *stream_peer(const Stream *s, char buf[static ADDRESS_TEXT_MAX]);
