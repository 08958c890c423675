/* SPDX-License-Identifier: MIT */
#include "output/http-connection.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/fd.h"

#define TOGETHER_MAX 2048

static void connection_enter(HttpConnection *c, HttpPhase phase) {
        HttpServer *s = c->server;
        bool was_empty = list_is_empty(&s->phases[phase]);

        list_unlink(&c->phase_link);
        list_append(&s->phases[phase], &c->phase_link);
        c->phase = phase;
        c->since_usec = s->now_usec;
        http_address_touch(c);

        /* Where others are waiting already their deadline comes first. */
        if (was_empty)
                http_server_arm(s, http_server_deadline(s, phase, c->since_usec));
}

/* Registers what to wait for; it hardly ever changes, so a request costs no epoll_ctl(). */
static int connection_watch(HttpConnection *c, uint32_t events) {
        struct epoll_event e = { .events = events, .data.ptr = &c->watch };

        if (c->watch.events == events)
                return 0;
        if (epoll_ctl(c->server->epoll_fd, c->watch.events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD,
                      c->watch.fd, &e) < 0)
                return -errno;

        c->watch.events = events;
        return 0;
}

static void connection_drop_input(HttpConnection *c) {
        free(c->input);
        c->input = NULL;
        c->input_bytes = c->seen_bytes = 0;
}

void http_connection_close(HttpConnection *c) {
        HttpServer *s = c->server;

        connection_drop_input(c);
        c->answer = http_answer_unref(c->answer);
        c->watch.fd = fd_close(c->watch.fd);
        http_address_remove(c);
        list_unlink(&c->phase_link);
        list_append(&s->closed, &c->phase_link);
        c->phase = HTTP_PHASE_CLOSED;
        s->n_connections--;
        s->n_streams -= c->is_stream;
}

/* The three parts of the answer without what was sent already. */
static size_t answer_parts(const HttpConnection *c, const HttpTail *tail,
                           struct iovec ret[static 3], size_t *ret_bytes) {
        HttpAnswer *a = c->answer;
        const struct iovec parts[] = {
                { a->bytes, a->head_bytes },
                { (void *) (uintptr_t) tail->text, tail->length },
                { a->bytes + a->head_bytes, c->with_body ? a->body_bytes : 0 },
        };
        size_t skip = c->sent_bytes, n = 0;

        *ret_bytes = 0;
        for (size_t i = 0; i < ELEMENTSOF(parts); i++) {
                size_t skipped = MIN(skip, parts[i].iov_len);

                skip -= skipped;
                if (skipped == parts[i].iov_len)
                        continue;
                ret[n++] = (struct iovec){ (char *) parts[i].iov_base + skipped,
                                           parts[i].iov_len - skipped };
                *ret_bytes += parts[i].iov_len - skipped;
        }

        return n;
}

/* What is small is copied together first: parts cost the kernel more than that. */
static ssize_t parts_send(int fd, struct iovec parts[], size_t n_parts, size_t bytes) {
        char together[TOGETHER_MAX], *end = together;
        struct msghdr message = { .msg_iov = parts, .msg_iovlen = n_parts };

        if (bytes > sizeof(together))
                return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        for (size_t i = 0; i < n_parts; i++)
                end = mempcpy(end, parts[i].iov_base, parts[i].iov_len);
        return send(fd, together, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Sends as much of the answer as the peer takes; all of it sent, the answer is let go. */
static int connection_flush(HttpConnection *c, const HttpTail *tail) {
        struct iovec parts[3];
        size_t n_parts, bytes;
        ssize_t n;

        n_parts = answer_parts(c, tail, parts, &bytes);
        n = parts_send(c->watch.fd, parts, n_parts, bytes);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
                return -errno;

        if (n == (ssize_t) bytes) {
                c->answer = http_answer_unref(c->answer);
                return 0;
        }

        c->sent_bytes += n > 0 ? (size_t) n : 0;
        if (tail != &c->tail)
                c->tail = *tail;
        return 0;
}

static HttpAnswer *server_error(HttpServer *s, unsigned status) {
        HttpAnswer **a = &s->errors[status - 400];

        if (!*a)
                *a = http_answer_new_status(status,
                                            status == 405 ? "Allow: " HTTP_ALLOW "\r\n" : NULL);

        return *a ? http_answer_ref(*a) : NULL;
}

/* A refused request (status) is the end of the connection: what follows has no meaning. The client
 * may not know yet, and still be sending. */
static int connection_refuse(HttpConnection *c, unsigned status, HttpMethod method) {
        c->answer = server_error(c->server, status);
        if (!c->answer)
                return -ENOMEM;

        c->is_closing = c->may_send_more = true;
        c->with_body = method != HTTP_HEAD;
        c->sent_bytes = 0;
        c->server->counters.answers[status]++;
        return connection_flush(c, &c->server->tails[HTTP_CLOSES]);
}

static int connection_answer(HttpConnection *c, const HttpRequest *request) {
        HttpServer *s = c->server;
        HttpPersistence persistence = request->minor == 0 ? HTTP_PERSISTS_SAY_SO : HTTP_PERSISTS;

        c->answer = s->handler(s->userdata, request, &c->peer);
        if (!c->answer)
                return connection_refuse(c, 500, request->method);

        if (c->answer->is_stream && request->method == HTTP_GET) {
                if (s->n_streams >= s->limits.streams) {
                        c->answer = http_answer_unref(c->answer);
                        return connection_refuse(c, 503, request->method);
                }
                c->is_stream = true;
                s->n_streams++;
        }

        c->n_requests++;
        if (c->answer->is_stream || !request->keep_alive || s->is_stopping ||
            c->n_requests >= s->limits.requests_per_connection) {
                persistence = HTTP_CLOSES;
                c->is_closing = true;
                c->may_send_more = request->keep_alive && !c->is_stream;
        }

        c->with_body = request->method != HTTP_HEAD;
        c->sent_bytes = 0;
        s->counters.answers[c->answer->status]++;
        return connection_flush(c, &s->tails[persistence]);
}

/* Keeps what belongs to requests that are not answered yet; data may lie in c->input itself. */
static int connection_keep_input(HttpConnection *c, const char *data, size_t n, bool is_seen) {
        if (n == 0 || c->is_closing) {
                connection_drop_input(c);
                return 0;
        }

        if (!c->input) {
                c->input = malloc(c->server->limits.parse.head_bytes);
                if (!c->input)
                        return -ENOMEM;
        }

        memmove(c->input, data, n);
        c->input_bytes = n;
        c->seen_bytes = is_seen ? n : 0;
        return 0;
}

/* Answers the requests in data, in order, until one is not whole or its answer is not taken. */
static int connection_process(HttpConnection *c, const char *data, size_t n, size_t seen) {
        HttpServer *s = c->server;
        size_t used = 0;
        int r = 1;

        while (used < n && !c->is_closing && !c->answer) {
                HttpRequest request;

                r = http_parse(data + used, n - used, seen, &s->limits.parse, &request);
                if (r == 0)
                        break;

                used += r == 1 ? request.head_bytes : n - used;
                seen = 0;
                s->budget--;
                r = r == 1 ? connection_answer(c, &request)
                           : connection_refuse(c, (unsigned) r, request.method);
                if (r < 0)
                        return r;
                r = 1;
        }

        return connection_keep_input(c, data + used, n - used, r == 0);
}

/* All is sent, and it ends: at once (as an error), or when the peer has ended it too. */
static int connection_linger(HttpConnection *c) {
        if (!c->may_send_more || shutdown(c->watch.fd, SHUT_WR) < 0)
                return -ESHUTDOWN;

        connection_enter(c, HTTP_PHASE_LINGER);
        return connection_watch(c, EPOLLIN);
}

/* Finds the phase that follows from what is there. */
static int connection_settle(HttpConnection *c, unsigned n_requests_before) {
        if (c->answer) {
                connection_enter(c, HTTP_PHASE_WRITE);
                return connection_watch(c, EPOLLOUT);
        }
        if (c->is_stream) {
                connection_enter(c, HTTP_PHASE_STREAM);
                return connection_watch(c, EPOLLIN);
        }
        if (c->is_closing)
                return connection_linger(c);

        if (!c->input)
                connection_enter(c, HTTP_PHASE_IDLE);
        else if (c->phase != HTTP_PHASE_HEADER || c->n_requests != n_requests_before)
                connection_enter(c, HTTP_PHASE_HEADER);

        return connection_watch(c, EPOLLIN);
}

/* Receives behind what is there already, or, if that is nothing, into the memory all share. */
static int connection_receive(HttpConnection *c) {
        HttpServer *s = c->server;
        unsigned before = c->n_requests;
        char *data = c->input ? c->input : s->input;
        ssize_t n;
        int r;

        n = recv(c->watch.fd, data + c->input_bytes, s->limits.parse.head_bytes - c->input_bytes,
                 MSG_DONTWAIT);
        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? connection_watch(c, EPOLLIN) : -errno;
        if (n == 0)
                return -ECONNRESET;

        r = connection_process(c, data, c->input_bytes + (size_t) n, c->seen_bytes);
        if (r < 0)
                return r;

        return connection_settle(c, before);
}

/* The peer takes more of the answer; then come the requests that waited behind it. */
static int connection_write(HttpConnection *c) {
        unsigned before = c->n_requests;
        int r;

        r = connection_flush(c, &c->tail);
        if (r < 0)
                return r;
        if (c->answer)
                return 0;

        if (c->input && !c->is_closing) {
                r = connection_process(c, c->input, c->input_bytes, 0);
                if (r < 0)
                        return r;
        }

        return connection_settle(c, before);
}

static int connection_discard(HttpConnection *c) {
        HttpServer *s = c->server;
        ssize_t n = recv(c->watch.fd, s->input, s->limits.parse.head_bytes, MSG_DONTWAIT);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n <= 0)
                return -ECONNRESET;

        c->lingered_bytes += (size_t) n;
        return c->lingered_bytes > s->limits.linger_bytes ? -EFBIG : 0;
}

void http_connection_work(HttpConnection *c) {
        int r = 0;

        switch (c->phase) {
        case HTTP_PHASE_HEADER:
        case HTTP_PHASE_IDLE:
                r = connection_receive(c);
                break;
        case HTTP_PHASE_WRITE:
                r = connection_write(c);
                break;
        case HTTP_PHASE_STREAM: /* it has nothing to say any more, so it has gone */
                r = -ECONNRESET;
                break;
        case HTTP_PHASE_LINGER:
                r = connection_discard(c);
                break;
        case HTTP_PHASE_CLOSED: /* earlier in this batch */
                return;
        }

        if (r < 0)
                http_connection_close(c);
}

void http_connection_expire(HttpConnection *c) {
        HttpServer *s = c->server;

        /* The next request may have come in this very moment. */
        if (c->phase == HTTP_PHASE_IDLE) {
                unsigned before = c->n_requests;

                http_connection_work(c);
                if (c->phase == HTTP_PHASE_IDLE && c->n_requests == before)
                        http_connection_close(c);
                return;
        }

        s->counters.timed_out++;

        /* Only who has begun a request is waiting for an answer to it. */
        if (c->phase == HTTP_PHASE_HEADER && c->input) {
                connection_drop_input(c);
                if (connection_refuse(c, 408, HTTP_METHOD_OTHER) == 0 &&
                    connection_settle(c, c->n_requests) == 0)
                        return;
        }

        http_connection_close(c);
}

int http_connection_open(HttpServer *s, int fd, const HttpPeer *peer, HttpConnection **ret) {
        HttpConnection *c = list_first(&s->unused, HttpConnection, phase_link);
        int r;

        if (c)
                list_unlink(&c->phase_link);
        else
                c = malloc(sizeof(HttpConnection));
        if (!c) {
                fd_close(fd);
                return -ENOMEM;
        }

        *c = (HttpConnection){
                .watch = { .kind = HTTP_WATCH_CONNECTION, .fd = fd },
                .server = s,
                .peer = *peer,
        };
        s->n_connections++;
        connection_enter(c, HTTP_PHASE_HEADER);

        r = peer->is_local ? 0 : http_address_add(s, c);
        if (r < 0) {
                http_connection_close(c);
                return r;
        }

        *ret = c;
        return 0;
}
