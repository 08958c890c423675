/* SPDX-License-Identifier: MIT */
#pragma once

/* A stream whose handlers note all that they are told, and the peers that it meets: for the tests
 * of stream.h. */

#include "../unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/fd.h"
#include "base/strbuf.h"
#include "dns-server.h"
#include "io/stream.h"
#include "loop.h"

typedef struct Fixture {
        sd_event *event;
        PollSet *set;
        DnsServer *dns;
        Resolver *resolver;
        char conf[80], dir[64];
} Fixture;

/* One stream and all that its handlers were told. */
typedef struct Seen {
        Stream *stream;
        unsigned connected, received, failed;
        StrBuf bytes;
        StreamFailure failure;
        bool free_when_connected, free_when_received, free_when_failed;
} Seen;

static inline int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));
        FILE *conf;

        assert_non_null(f);
        strcpy(f->dir, "/tmp/vitald-stream.XXXXXX");
        assert_non_null(mkdtemp(f->dir));
        snprintf(f->conf, sizeof(f->conf), "%s/resolv.conf", f->dir);
        conf = fopen(f->conf, "we");
        assert_non_null(conf);
        fputs("nameserver 127.0.0.1\n", conf);
        fclose(conf);
        f->dns = dns_server_start();
        assert_int_equal(sd_event_new(&f->event), 0);
        assert_int_equal(poll_set_new(f->event, &f->set), 0);
        ResolverOptions o = { .resolv_conf = f->conf, .port = dns_server_port(f->dns) };
        assert_int_equal(resolver_new(f->event, &o, &f->resolver), 0);
        *state = f;
        return 0;
}

static inline int teardown(void **state) {
        Fixture *f = *state;

        resolver_free(f->resolver);
        poll_set_free(f->set);
        sd_event_unref(f->event);
        dns_server_stop(f->dns);
        unlink(f->conf);
        rmdir(f->dir);
        free(f);
        return 0;
}

static inline void on_connected(void *userdata) {
        Seen *s = userdata;

        s->connected++;
        if (s->free_when_connected)
                s->stream = stream_free(s->stream);
}

static inline void on_received(void *userdata, const void *bytes, size_t n) {
        Seen *s = userdata;

        s->received++;
        strbuf_append_bytes(&s->bytes, bytes, n);
        if (s->free_when_received)
                s->stream = stream_free(s->stream);
}

static inline void on_failed(void *userdata, const StreamFailure *f) {
        Seen *s = userdata;

        s->failed++;
        s->failure = *f;
        if (s->free_when_failed)
                s->stream = stream_free(s->stream);
}

static const StreamHandlers handlers = {
        .connected = on_connected,
        .received = on_received,
        .failed = on_failed,
};

static inline void dial(const Fixture *f, Seen *s, const char *host, uint16_t port) {
        const char *error;
        Address a;

        assert_int_equal(address_parse(host, port, &a, &error), 0);
        assert_int_equal(stream_dial(f->set, f->resolver, &a, &handlers, s, &s->stream), 0);
        assert_int_equal(s->connected + s->failed, 0);
}

static inline void seen_done(Seen *s) {
        s->stream = stream_free(s->stream);
        strbuf_done(&s->bytes);
}
#define _cleanup_seen_ _cleanup_(seen_done)

/* Listens on a loopback address; port 0 takes a free one. */
static inline int listen_on(const char *host, uint16_t port, int backlog, uint16_t *ret_port) {
        _cleanup_fd_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        SockAddr a;
        socklen_t n;
        IpAddress ip;

        *ret_port = port;
        assert_int_equal(ip_parse(host, &ip), 0);
        n = ip_sockaddr(&ip, port, &a);
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)), 0);
        if (bind(fd, &a.sa, n) < 0 || listen(fd, backlog) < 0)
                return -errno;
        assert_int_equal(getsockname(fd, &a.sa, &n), 0);
        *ret_port = ntohs(a.in4.sin_port);
        return TAKE_FD(fd);
}

static inline int accept_one(int listener) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

        assert_true(fd >= 0);
        return fd;
}

static inline void assert_reads(int fd, const char *text) {
        char buf[256] = "";

        assert_int_equal(recv(fd, buf, strlen(text), MSG_WAITALL), strlen(text));
        assert_string_equal(buf, text);
}
