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
        StrBuf out;
        size_t out_sent;
        int write_error; /* told after what can still be read */
        size_t expected;
        uint64_t received;
        unsigned depth; /* handlers being called */
        bool is_freed;  /* by a handler: the memory goes when the handlers have returned */
};

const char *stream_phase_name(StreamPhase p) {
        static const char *const names[] = {
                [STREAM_RESOLVING] = "resolving",
                [STREAM_CONNECTING] = "connecting",
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
        free(s);
}

/* Bytes that nobody has read turn the close into a reset, which a server takes for a fault. */
static void stream_drain(const Stream *s) {
        char buf[READ_BYTES];

        for (unsigned i = 0; i < READS_PER_TURN; i++)
                if (recv(s->fd, buf, sizeof(buf), MSG_DONTWAIT) < (ssize_t) sizeof(buf))
                        return;
}

Stream *stream_free(Stream *s) {
        if (!s)
                return NULL;
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
        stream_fail(s, &(StreamFailure){
                               .phase = STREAM_OPEN, .error = error, .received = s->received });
}

/* -- reading and writing ----------------------------------------------------------------------- */

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
                s->received += (uint64_t) n;
                if (s->received > s->expected) {
                        stream_fail_open(s, EMSGSIZE);
                        return;
                }
                s->handlers->received(s->userdata, buf, (size_t) n);
                if (s->fd < 0 || n < (ssize_t) sizeof(buf))
                        return;
        }
}

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

int stream_write(Stream *s, const void *bytes, size_t n) {
        size_t sent = 0;

        if (s->fd < 0 && !s->dial)
                return -ENOTCONN;
        if (s->fd >= 0 && s->out.length == 0 && s->write_error == 0)
                sent = stream_send(s, bytes, n);
        if (sent == n)
                return 0;
        if (s->out.length - s->out_sent + n - sent > STREAM_WRITE_MAX)
                return -ENOBUFS;
        strbuf_append_bytes(&s->out, (const char *) bytes + sent, n - sent);
        if (s->out.failed)
                return -ENOMEM;
        /* A failed send makes the socket ready too, so that the error is told from the loop. */
        if (poll_watch_is_on(&s->watch))
                return poll_watch_change(&s->watch, EPOLLIN | EPOLLOUT);
        return 0;
}

void stream_expect(Stream *s, size_t max) {
        s->expected = max;
        s->received = 0;
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
        if (s->handlers->connected)
                s->handlers->connected(s->userdata);
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

/* -- what is known ----------------------------------------------------------------------------- */

static const DialProgress *stream_progress(const Stream *s) {
        return s->dial ? dial_progress(s->dial) : &s->progress;
}

StreamPhase stream_phase(const Stream *s) {
        StreamTimes t = stream_times(s);

        if (t.connected_usec > 0)
                return STREAM_OPEN;
        return t.resolved_usec > 0 ? STREAM_CONNECTING : STREAM_RESOLVING;
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
