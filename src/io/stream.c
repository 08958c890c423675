/* SPDX-License-Identifier: MIT */
#include "io/stream.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/fd.h"
#include "base/strbuf.h"
#include "io/dial.h"

#define READ_BYTES     16384
#define READS_PER_TURN 4 /* before other event sources get their turn */

struct Stream {
        PollSet *set;                   /* borrowed */
        const StreamHandlers *handlers; /* borrowed */
        void *userdata;
        Dial *dial;            /* owned; until it has ended */
        DialProgress progress; /* once it has ended */
        int fd;                /* owned; -1 unless open */
        PollWatch watch;       /* reading always, writing while something waits */
        TlsSession *tls;       /* owned; NULL: in the clear */
        bool is_shaking;       /* in its handshake */
        StrBuf out;
        size_t out_sent;
        int write_error; /* told after what can still be read */
        size_t expected;
        uint64_t arrived;  /* bytes, as they come */
        uint64_t received; /* bytes, as the handler gets them */
        unsigned depth;    /* handlers being called */
        bool is_freed;     /* by a handler: the memory goes when the handlers have returned */
};

const char *stream_phase_name(StreamPhase p) {
        static const char *const names[] = {
                [STREAM_RESOLVING] = "resolving",
                [STREAM_CONNECTING] = "connecting",
                [STREAM_SHAKING] = "in the TLS handshake",
                [STREAM_OPEN] = "open",
        };

        return names[p];
}

const char *stream_failure_text(const StreamFailure *f) {
        if (f->phase == STREAM_RESOLVING)
                return resolve_status_text(f->resolve);
        if (f->error == 0)
                return "Connection closed by the peer";
        if (f->error == EMSGSIZE)
                return "More bytes than allowed";
        if (f->error == EPROTO && f->tls && *tls_session_error(f->tls))
                return tls_session_error(f->tls);
        return strerror(f->error);
}

/* -- the end ----------------------------------------------------------------------------------- */

/* Lets go of everything but the memory. */
static void stream_shut(Stream *s) {
        s->dial = dial_free(s->dial);
        poll_watch_drop(&s->watch);
        s->fd = fd_close(s->fd);
        if (s->out.text)
                explicit_bzero(s->out.text, s->out.allocated); /* it may hold a password */
        strbuf_done(&s->out);
}

static void stream_leave(Stream *s) {
        if (--s->depth > 0 || !s->is_freed)
                return;
        tls_session_free(s->tls);
        free(s);
}

/* Bytes that nobody has read turn the close into a reset, which a server takes for a fault. */
static void stream_drain(const Stream *s) {
        char buf[READ_BYTES];

        for (unsigned i = 0; i < READS_PER_TURN; i++)
                if (recv(s->fd, buf, sizeof(buf), MSG_DONTWAIT) < (ssize_t) sizeof(buf))
                        return;
}

/* Tells the peer, if the socket takes it. */
static void stream_end_tls(Stream *s) {
        _cleanup_strbuf_ StrBuf sealed = {};

        tls_session_end(s->tls, &sealed);
        if (sealed.length > 0 && s->out.length == 0)
                (void) send(s->fd, sealed.text, sealed.length, MSG_DONTWAIT | MSG_NOSIGNAL);
}

Stream *stream_free(Stream *s) {
        if (!s)
                return NULL;
        if (s->fd >= 0 && s->tls && !s->is_shaking)
                stream_end_tls(s);
        if (s->fd >= 0)
                stream_drain(s);
        stream_shut(s);
        s->is_freed = true;
        s->depth++;
        stream_leave(s);
        return NULL;
}

static void stream_fail(Stream *s, const StreamFailure *f) {
        stream_shut(s);
        s->handlers->failed(s->userdata, f);
}

static void stream_fail_open(Stream *s, int error) {
        stream_fail(s, &(StreamFailure){ .phase = s->is_shaking ? STREAM_SHAKING : STREAM_OPEN,
                                         .error = error,
                                         .received = s->received,
                                         .tls = s->tls });
}

/* -- writing ----------------------------------------------------------------------------------- */

/* Sends what it can; 0 or how many bytes the socket took. */
static size_t stream_send(Stream *s, const char *bytes, size_t n) {
        ssize_t k = send(s->fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (k >= 0)
                return (size_t) k;
        if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS)
                s->write_error = errno;
        return 0;
}

static void stream_flush(Stream *s) {
        s->out_sent += stream_send(s, s->out.text + s->out_sent, s->out.length - s->out_sent);
        if (s->out_sent < s->out.length)
                return;
        s->out_sent = 0;
        strbuf_reset(&s->out);
        (void) poll_watch_change(&s->watch, EPOLLIN);
}

static int stream_put(Stream *s, const char *bytes, size_t n) {
        size_t sent = 0;

        if (s->fd >= 0 && s->out.length == 0 && s->write_error == 0)
                sent = stream_send(s, bytes, n);
        if (sent == n)
                return 0;
        if (s->out.length - s->out_sent + n - sent > STREAM_WRITE_MAX)
                return -ENOBUFS;
        strbuf_append_bytes(&s->out, bytes + sent, n - sent);
        if (s->out.failed)
                return -ENOMEM;
        /* A failed send makes the socket ready too, so that the error is told from the loop. */
        if (poll_watch_is_on(&s->watch))
                return poll_watch_change(&s->watch, EPOLLIN | EPOLLOUT);
        return 0;
}

static int stream_put_sealed(Stream *s, const void *bytes, size_t n) {
        _cleanup_strbuf_ StrBuf sealed = {};
        int r;

        r = tls_session_seal(s->tls, bytes, n, &sealed);
        if (r < 0)
                return r;
        return sealed.failed ? -ENOMEM : stream_put(s, sealed.text, sealed.length);
}

int stream_write(Stream *s, const void *bytes, size_t n) {
        if ((s->fd < 0 && !s->dial) || (s->tls && (s->fd < 0 || s->is_shaking)))
                return -ENOTCONN;
        return s->tls ? stream_put_sealed(s, bytes, n) : stream_put(s, bytes, n);
}

/* -- reading ----------------------------------------------------------------------------------- */

static void stream_connected(Stream *s) {
        if (s->handlers->connected)
                s->handlers->connected(s->userdata);
}

static void stream_received(Stream *s, const void *bytes, size_t n) {
        s->received += n;
        s->handlers->received(s->userdata, bytes, n);
}

/* The handshake has ended: with whom? */
static void stream_shaken(Stream *s) {
        TlsPeer peer = tls_session_peer(s->tls);

        if (!peer.has_certificate || peer.verify != 0) {
                stream_fail_open(s, EPROTO);
                return;
        }
        s->is_shaking = false;
        stream_connected(s);
}

static int stream_take(Stream *s, const void *bytes, size_t n, StrBuf *plain,
                       TlsProgress *ret_progress) {
        _cleanup_strbuf_ StrBuf out = {};

        *ret_progress = tls_session_take(s->tls, bytes, n, plain, &out);
        if (out.failed || plain->failed)
                return -ENOMEM;
        return out.length > 0 ? stream_put(s, out.text, out.length) : 0;
}

/* What comes by TLS, or no bytes to begin with. */
static void stream_take_sealed(Stream *s, const void *bytes, size_t n) {
        _cleanup_strbuf_ StrBuf plain = {};
        TlsProgress progress;
        int r;

        r = stream_take(s, bytes, n, &plain, &progress);
        if (r < 0) {
                stream_fail_open(s, -r);
                return;
        }
        if (s->is_shaking && (progress == TLS_OPEN || progress == TLS_ENDED))
                stream_shaken(s);
        if (s->fd >= 0 && plain.length > 0)
                stream_received(s, plain.text, plain.length);
        if (s->fd >= 0 && progress == TLS_ENDED)
                stream_fail_open(s, 0);
        else if (s->fd >= 0 && progress == TLS_FAILED)
                stream_fail_open(s, EPROTO);
}

static void stream_read(Stream *s) {
        char buf[READ_BYTES];
        ssize_t n;

        for (unsigned i = 0; i < READS_PER_TURN; i++) {
                n = recv(s->fd, buf, sizeof(buf), MSG_DONTWAIT);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        return;
                if (n <= 0) {
                        stream_fail_open(s, n < 0 ? errno : s->write_error);
                        return;
                }
                s->arrived += (uint64_t) n;
                if (s->arrived > s->expected) {
                        s->received = s->arrived;
                        stream_fail_open(s, EMSGSIZE);
                        return;
                }
                if (s->tls)
                        stream_take_sealed(s, buf, (size_t) n);
                else
                        stream_received(s, buf, (size_t) n);
                if (s->fd < 0 || n < (ssize_t) sizeof(buf))
                        return;
        }
}

static void on_io(void *userdata, uint32_t revents) {
        Stream *s = userdata;

        s->depth++;
        if (revents & EPOLLOUT && s->write_error == 0 && s->out.length > 0)
                stream_flush(s);
        if (revents & ~(uint32_t) EPOLLOUT)
                stream_read(s);
        if (s->fd >= 0 && s->write_error != 0)
                stream_fail_open(s, s->write_error);
        stream_leave(s);
}

void stream_expect(Stream *s, size_t max) {
        s->expected = max;
        s->arrived = s->received = 0;
}

/* -- dialling ---------------------------------------------------------------------------------- */

static void stream_open(Stream *s, int fd) {
        int r;

        s->fd = fd;
        r = poll_watch_add(&s->watch, s->set, fd, EPOLLIN, on_io, s);
        if (r < 0) {
                stream_fail_open(s, -r);
                return;
        }
        if (s->out.length > 0) {
                (void) poll_watch_change(&s->watch, EPOLLIN | EPOLLOUT);
                stream_flush(s);
        }
        if (!s->tls) {
                stream_connected(s);
                return;
        }
        s->is_shaking = true;
        if (s->handlers->shaking)
                s->handlers->shaking(s->userdata);
        if (s->fd >= 0)
                stream_take_sealed(s, NULL, 0);
}

static void on_resolved(void *userdata) {
        Stream *s = userdata;

        s->depth++;
        if (s->handlers->resolved)
                s->handlers->resolved(s->userdata);
        stream_leave(s);
}

static void on_dialled(void *userdata, int fd, int error) {
        Stream *s = userdata;
        bool is_resolved;

        s->progress = *dial_progress(s->dial);
        s->dial = dial_free(s->dial);
        is_resolved = s->progress.times.resolved_usec > 0;
        s->depth++;
        if (fd >= 0)
                stream_open(s, fd);
        else
                stream_fail(s, &(StreamFailure){ .phase = is_resolved ? STREAM_CONNECTING
                                                                      : STREAM_RESOLVING,
                                                 .resolve = s->progress.resolve,
                                                 .error = error });
        stream_leave(s);
}

int stream_dial(PollSet *set, Resolver *resolver, const Address *address,
                const StreamHandlers *handlers, void *userdata, Stream **ret) {
        _cleanup_(stream_freep) Stream *s = NULL;
        int r;

        s = malloc(sizeof(*s));
        if (!s)
                return -ENOMEM;
        *s = (Stream){
                .set = set,
                .handlers = handlers,
                .userdata = userdata,
                .fd = -1,
                .expected = STREAM_REPLY_MAX,
        };
        r = dial_new(poll_set_event(set), resolver, address, on_resolved, on_dialled, s, &s->dial);
        if (r < 0)
                return r;
        *ret = TAKE(s);
        return 0;
}

int stream_use_tls(Stream *s, TlsContext *c, const char *name) {
        return tls_session_new(c, name, &s->tls);
}

/* -- what is known ----------------------------------------------------------------------------- */

static const DialProgress *stream_progress(const Stream *s) {
        return s->dial ? dial_progress(s->dial) : &s->progress;
}

StreamPhase stream_phase(const Stream *s) {
        StreamTimes t = stream_times(s);

        if (t.connected_usec > 0)
                return s->is_shaking ? STREAM_SHAKING : STREAM_OPEN;
        return t.resolved_usec > 0 ? STREAM_CONNECTING : STREAM_RESOLVING;
}

const TlsSession *stream_tls(const Stream *s) {
        return s->tls;
}

StreamTimes stream_times(const Stream *s) {
        return stream_progress(s)->times;
}

bool stream_is_stale(const Stream *s, ResolveStatus *ret_why) {
        const DialProgress *p = stream_progress(s);

        if (p->is_stale && ret_why)
                *ret_why = p->resolve;
        return p->is_stale;
}

const char *stream_peer(const Stream *s, char buf[static ADDRESS_TEXT_MAX]) {
        const DialProgress *p = stream_progress(s);
        Address a = { .kind = ADDRESS_IP, .port = p->port, .ip = p->peer };

        buf[0] = 0;
        return p->peer.family == AF_UNSPEC ? buf : address_format(buf, &a);
}
