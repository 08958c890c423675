/* SPDX-License-Identifier: MIT */
#include "../unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

#include "base/fd.h"
#include "base/strbuf.h"
#include "dns-server.h"
#include "io/stream.h"
#include "loop.h"

typedef struct Fixture {
        sd_event *event;
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

static int setup(void **state) {
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
        ResolverOptions o = { .resolv_conf = f->conf, .port = dns_server_port(f->dns) };
        assert_int_equal(resolver_new(f->event, &o, &f->resolver), 0);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        resolver_free(f->resolver);
        sd_event_unref(f->event);
        dns_server_stop(f->dns);
        unlink(f->conf);
        rmdir(f->dir);
        free(f);
        return 0;
}

static void on_connected(void *userdata) {
        Seen *s = userdata;

        s->connected++;
        if (s->free_when_connected)
                s->stream = stream_free(s->stream);
}

static void on_received(void *userdata, const void *bytes, size_t n) {
        Seen *s = userdata;

        s->received++;
        strbuf_append_bytes(&s->bytes, bytes, n);
        if (s->free_when_received)
                s->stream = stream_free(s->stream);
}

static void on_failed(void *userdata, const StreamFailure *f) {
        Seen *s = userdata;

        s->failed++;
        s->failure = *f;
        if (s->free_when_failed)
                s->stream = stream_free(s->stream);
}

static const StreamHandlers handlers = { on_connected, on_received, on_failed };

static void dial(const Fixture *f, Seen *s, const char *host, uint16_t port) {
        const char *error;
        Address a;

        assert_int_equal(address_parse(host, port, &a, &error), 0);
        assert_int_equal(stream_dial(f->event, f->resolver, &a, &handlers, s, &s->stream), 0);
        assert_int_equal(s->connected + s->failed, 0);
}

static void seen_done(Seen *s) {
        s->stream = stream_free(s->stream);
        strbuf_done(&s->bytes);
}
#define _cleanup_seen_ _cleanup_(seen_done)

/* Listens on a loopback address; port 0 takes a free one. */
static int listen_on(const char *host, uint16_t port, int backlog, uint16_t *ret_port) {
        _cleanup_fd_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        SockAddr a;
        socklen_t n;
        IpAddress ip;

        assert_int_equal(ip_parse(host, &ip), 0);
        n = ip_sockaddr(&ip, port, &a);
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)), 0);
        if (bind(fd, &a.sa, n) < 0 || listen(fd, backlog) < 0)
                return -errno;
        assert_int_equal(getsockname(fd, &a.sa, &n), 0);
        *ret_port = ntohs(a.in4.sin_port);
        return TAKE_FD(fd);
}

/* A listening socket with a full queue: the kernel drops what wants to connect. */
static void fill_queue(const char *host, uint16_t port, int fds[static 8]) {
        IpAddress ip;
        SockAddr a;
        socklen_t n;

        assert_int_equal(ip_parse(host, &ip), 0);
        n = ip_sockaddr(&ip, port, &a);
        for (size_t i = 0; i < 8; i++) {
                fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
                assert_true(connect(fds[i], &a.sa, n) == 0 || errno == EINPROGRESS);
        }
}

static void close_all(int *fds, size_t n) {
        for (size_t i = 0; i < n; i++)
                fds[i] = fd_close(fds[i]);
}

static int accept_one(int listener) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

        assert_true(fd >= 0);
        return fd;
}

static void assert_reads(int fd, const char *text) {
        char buf[256] = "";

        assert_int_equal(recv(fd, buf, strlen(text), MSG_WAITALL), strlen(text));
        assert_string_equal(buf, text);
}

static void close_with_reset(int fd) {
        struct linger l = { .l_onoff = 1 };

        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)), 0);
        close(fd);
}

/* Asks, is answered, asks again on the held connection. */
static void talk(const Fixture *f, int listener, const char *address, uint16_t port) {
        _cleanup_seen_ Seen s = {};
        _cleanup_fd_ int peer = -1;
        StreamTimes t;

        dial(f, &s, address, port);
        assert_int_equal(stream_write(s.stream, "early ", 6), 0);
        loop_until(f->event, &s.connected, 1);
        assert_int_equal(stream_phase(s.stream), STREAM_OPEN);
        peer = accept_one(listener);
        for (unsigned i = 1; i <= 3; i++) {
                stream_expect(s.stream, 4);
                assert_int_equal(stream_write(s.stream, "PING", 4), 0);
                assert_reads(peer, i == 1 ? "early PING" : "PING");
                assert_int_equal(send(peer, "PONG", 4, 0), 4);
                loop_until(f->event, &s.received, i);
        }
        assert_string_equal(s.bytes.text, "PONGPONGPONG");
        assert_int_equal(s.failed, 0);
        t = stream_times(s.stream);
        assert_true(t.dialled_usec > 0);
        assert_true(t.resolved_usec >= t.dialled_usec);
        assert_true(t.connected_usec >= t.resolved_usec);
}

static void test_talk(void **state) {
        Fixture *f = *state;
        _cleanup_fd_ int tcp = -1, un = -1;
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        uint16_t port;

        tcp = listen_on("127.0.0.1", 0, 8, &port);
        talk(f, tcp, "127.0.0.1", port);
        talk(f, tcp, "localhost", port);
        talk(f, tcp, "loopback.test", port);

        un = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        snprintf(a.sun_path, sizeof(a.sun_path), "%s/sock", f->dir);
        assert_int_equal(bind(un, (struct sockaddr *) &a, sizeof(a)), 0);
        assert_int_equal(listen(un, 8), 0);
        talk(f, un, a.sun_path, 0);
        unlink(a.sun_path);
}

static void test_fault_14_refused(void **state) {
        Fixture *f = *state;
        uint16_t port;
        int fd = listen_on("127.0.0.1", 0, 8, &port);
        char path[128];
        const struct {
                const char *address;
                StreamPhase phase;
                int error;
        } table[] = {
                { "127.0.0.1", STREAM_CONNECTING, ECONNREFUSED },
                { "localhost", STREAM_CONNECTING, ECONNREFUSED },
                { "mixed.test", STREAM_CONNECTING, ECONNREFUSED },
                { "nx.test", STREAM_RESOLVING, EDESTADDRREQ },
                { path, STREAM_CONNECTING, ENOENT },
        };

        close(fd);
        snprintf(path, sizeof(path), "%s/nothing", f->dir);
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_seen_ Seen s = { .free_when_failed = i % 2 };

                dial(f, &s, table[i].address, port);
                loop_until(f->event, &s.failed, 1);
                assert_int_equal(s.connected, 0);
                assert_int_equal(s.failure.phase, table[i].phase);
                assert_int_equal(s.failure.error, table[i].error);
                assert_true(*stream_failure_text(&s.failure));
        }
}

/* The first address answers nothing: the second one gets its turn after the stagger. */
static void test_fault_13_second_address(void **state) {
        Fixture *f = *state;
        _cleanup_seen_ Seen s = {};
        _cleanup_fd_ int hole = -1, good = -1;
        char peer[ADDRESS_TEXT_MAX], expected[64];
        int queue[8];
        uint16_t port;

        good = listen_on("127.0.0.1", 0, 8, &port);
        hole = listen_on("127.0.0.2", port, 0, &port);
        assert_true(hole >= 0);
        fill_queue("127.0.0.2", port, queue);
        dial(f, &s, "mixed.test", port);
        loop_until(f->event, &s.connected, 1);
        snprintf(expected, sizeof(expected), "127.0.0.1:%u", (unsigned) port);
        assert_string_equal(stream_peer(s.stream, peer), expected);
        close_all(queue, 8);
}

static void test_fault_13_black_hole(void **state) {
        Fixture *f = *state;
        _cleanup_seen_ Seen s = {};
        _cleanup_fd_ int hole = -1;
        usec_t before;
        int queue[8];
        uint16_t port;
        Lag lag;

        hole = listen_on("127.0.0.1", 0, 0, &port);
        fill_queue("127.0.0.1", port, queue);
        lag_watch(&lag, f->event);
        dial(f, &s, "localhost", port);
        loop_for(f->event, 500 * USEC_PER_MSEC);
        assert_int_equal(s.connected + s.failed, 0);
        assert_int_equal(stream_phase(s.stream), STREAM_CONNECTING);
        before = clock_usec(CLOCK_MONOTONIC);
        s.stream = stream_free(s.stream);
        assert_true(clock_usec(CLOCK_MONOTONIC) - before < USEC_PER_SEC);
        loop_for(f->event, 50 * USEC_PER_MSEC);
        assert_int_equal(s.connected + s.failed, 0);
        assert_true(lag_stop(&lag) < USEC_PER_SEC);
        close_all(queue, 8);
}

typedef enum Ending { END_IN_ORDER, END_BY_RESET } Ending;

static void ending(const Fixture *f, const char *reply, Ending how, int error) {
        _cleanup_seen_ Seen s = {};
        _cleanup_fd_ int listener = -1;
        uint16_t port;
        int peer;

        listener = listen_on("127.0.0.1", 0, 8, &port);
        dial(f, &s, "127.0.0.1", port);
        assert_int_equal(stream_write(s.stream, "PING", 4), 0);
        loop_until(f->event, &s.connected, 1);
        peer = accept_one(listener);
        assert_reads(peer, "PING");
        assert_int_equal(send(peer, reply, strlen(reply), 0), strlen(reply));
        if (*reply)
                loop_until(f->event, &s.received, 1);
        if (how == END_BY_RESET)
                close_with_reset(peer);
        else
                close(peer);
        loop_until(f->event, &s.failed, 1);
        assert_int_equal(s.failure.phase, STREAM_OPEN);
        assert_int_equal(s.failure.error, error);
        assert_int_equal(s.failure.received, strlen(reply));
        assert_int_equal(stream_write(s.stream, "PING", 4), -ENOTCONN);
        loop_for(f->event, 20 * USEC_PER_MSEC);
        assert_int_equal(s.failed, 1);
}

static void test_fault_15_reset(void **state) {
        ending(*state, "", END_BY_RESET, ECONNRESET);
        ending(*state, "PO", END_BY_RESET, ECONNRESET);
}

static void test_fault_16_closed(void **state) {
        ending(*state, "", END_IN_ORDER, 0);
        ending(*state, "PO", END_IN_ORDER, 0);
}

/* Writing to a peer that has gone: what it said before is still heard, then one failure. */
static void test_write_after_close(void **state) {
        Fixture *f = *state;
        _cleanup_seen_ Seen s = {};
        _cleanup_fd_ int listener = -1;
        uint16_t port;
        int peer;

        listener = listen_on("127.0.0.1", 0, 8, &port);
        dial(f, &s, "127.0.0.1", port);
        loop_until(f->event, &s.connected, 1);
        peer = accept_one(listener);
        assert_int_equal(send(peer, "too many clients", 16, 0), 16);
        close(peer);
        for (unsigned i = 0; i < 3; i++)
                (void) stream_write(s.stream, "PING", 4);
        assert_int_equal(s.failed, 0);
        loop_until(f->event, &s.failed, 1);
        assert_string_equal(s.bytes.text, "too many clients");
        loop_for(f->event, 20 * USEC_PER_MSEC);
        assert_int_equal(s.failed, 1);
}

/* Between requests: bytes that nobody asked for, then the close. */
static void test_fault_19_idle(void **state) {
        Fixture *f = *state;
        _cleanup_seen_ Seen s = {};
        _cleanup_fd_ int listener = -1;
        uint16_t port;
        int peer;

        listener = listen_on("127.0.0.1", 0, 8, &port);
        dial(f, &s, "127.0.0.1", port);
        loop_until(f->event, &s.connected, 1);
        peer = accept_one(listener);
        loop_for(f->event, 20 * USEC_PER_MSEC);
        assert_int_equal(send(peer, "hello", 5, 0), 5);
        loop_until(f->event, &s.received, 1);
        close(peer);
        loop_until(f->event, &s.failed, 1);
        assert_int_equal(s.failure.error, 0);
}

static void test_fault_20_cap(void **state) {
        Fixture *f = *state;
        _cleanup_seen_ Seen s = {};
        _cleanup_fd_ int listener = -1, peer = -1;
        _cleanup_free_ char *much = calloc(1, 1 << 20);
        uint16_t port;

        assert_non_null(much);
        listener = listen_on("127.0.0.1", 0, 8, &port);
        dial(f, &s, "127.0.0.1", port);
        stream_expect(s.stream, 1000);
        loop_until(f->event, &s.connected, 1);
        peer = accept_one(listener);
        assert_true(send(peer, much, 1 << 20, MSG_DONTWAIT) > 1000);
        loop_until(f->event, &s.failed, 1);
        assert_int_equal(s.failure.error, EMSGSIZE);
        assert_true(s.bytes.length <= 1000);
        seen_done(&s);

        s = (Seen){};
        dial(f, &s, "127.0.0.1", port);
        loop_until(f->event, &s.connected, 1);
        fd_close(peer);
        peer = accept_one(listener);
        assert_int_equal(send(peer, much, STREAM_REPLY_MAX, 0), STREAM_REPLY_MAX);
        while (s.bytes.length < STREAM_REPLY_MAX)
                loop_for(f->event, USEC_PER_MSEC);
        assert_int_equal(s.failed, 0);
        assert_int_equal(send(peer, much, 1, 0), 1);
        loop_until(f->event, &s.failed, 1);
        assert_int_equal(s.failure.error, EMSGSIZE);
}

/* The peer sees an end of file, not a reset, although nobody read its banner. */
static void test_close_in_order(void **state) {
        Fixture *f = *state;
        _cleanup_seen_ Seen s = { .free_when_connected = true };
        _cleanup_fd_ int listener = -1, peer = -1;
        uint16_t port;
        char byte;

        listener = listen_on("127.0.0.1", 0, 8, &port);
        dial(f, &s, "127.0.0.1", port);
        peer = accept_one(listener);
        assert_int_equal(send(peer, "220 banner", 10, 0), 10);
        loop_until(f->event, &s.connected, 1);
        assert_int_equal(recv(peer, &byte, 1, 0), 0);
}

static void test_free_in_handlers(void **state) {
        Fixture *f = *state;
        _cleanup_seen_ Seen received = { .free_when_received = true },
                            failed = { .free_when_failed = true };
        _cleanup_fd_ int listener = -1;
        uint16_t port;
        int peer;

        listener = listen_on("127.0.0.1", 0, 8, &port);
        dial(f, &received, "127.0.0.1", port);
        loop_until(f->event, &received.connected, 1);
        peer = accept_one(listener);
        assert_int_equal(send(peer, "x", 1, 0), 1);
        close(peer);
        loop_until(f->event, &received.received, 1);
        loop_for(f->event, 20 * USEC_PER_MSEC);
        assert_int_equal(received.received + received.failed, 1);

        dial(f, &failed, "127.0.0.1", port);
        loop_until(f->event, &failed.connected, 1);
        close(accept_one(listener));
        loop_until(f->event, &failed.failed, 1);
        assert_null(failed.stream);
}

/* More than the socket takes at once waits and arrives in order; more than the bound is refused. */
static void test_slow_reader(void **state) {
        Fixture *f = *state;
        _cleanup_seen_ Seen s = {};
        _cleanup_fd_ int listener = -1, peer = -1;
        char block[4096];
        size_t sent = 0, got = 0;
        uint16_t port;
        int r = 0;

        memset(block, 'x', sizeof(block));
        listener = listen_on("127.0.0.1", 0, 8, &port);
        dial(f, &s, "127.0.0.1", port);
        loop_until(f->event, &s.connected, 1);
        peer = accept_one(listener);
        while (sent < (64 << 20) && (r = stream_write(s.stream, block, sizeof(block))) == 0)
                sent += sizeof(block);
        assert_int_equal(r, -ENOBUFS);
        for (unsigned i = 0; got < sent && i < 100000; i++) {
                char buf[65536];
                ssize_t n = recv(peer, buf, sizeof(buf), MSG_DONTWAIT);

                if (n > 0)
                        got += (size_t) n;
                else
                        assert_true(sd_event_run(f->event, USEC_PER_MSEC) >= 0);
        }
        assert_int_equal(got, sent);
        assert_int_equal(s.failed, 0);
}

/* Nothing listens on a port of the ephemeral range: a connect must not meet itself there. Each one
 * takes another local port, so that after some ten thousand it would have. bind(2) hands out ports
 * of the one parity and connect(2) those of the other. */
static void test_no_meeting_with_itself(void **state) {
        Fixture *f = *state;
        _cleanup_seen_ Seen s = {};
        uint16_t port;
        int fd;

        do {
                close(listen_on("127.0.0.1", 0, 8, &port));
                fd = listen_on("127.0.0.1", port ^ 1, 8, &port);
        } while (fd < 0);
        close(fd);
        for (unsigned i = 0; i < 30000; i++) {
                s.failed = 0;
                dial(f, &s, "127.0.0.1", port);
                loop_until(f->event, &s.failed, 1);
                assert_int_equal(s.failure.error, ECONNREFUSED);
                s.stream = stream_free(s.stream);
        }
        assert_int_equal(s.connected, 0);
}

static void test_nothing_is_left(void **state) {
        Fixture *f = *state;
        _cleanup_fd_ int listener = -1;
        unsigned before = 0;
        uint16_t port;

        listener = listen_on("127.0.0.1", 0, 64, &port);
        for (unsigned i = 0; i < 500; i++) {
                _cleanup_seen_ Seen s = { .free_when_connected = i % 3 == 0 };

                if (i == 10)
                        before = open_fds();
                dial(f, &s, i % 2 ? "mixed.test" : "127.0.0.1", port);
                if (i % 5 > 0) {
                        loop_until(f->event, &s.connected, 1);
                        close(accept_one(listener));
                } else if (s.stream) {
                        s.stream = stream_free(s.stream);
                        if (i % 2 == 0)
                                close(accept_one(listener));
                }
        }
        assert_int_equal(open_fds(), before);
}

int main(void) {
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
                TEST(test_talk),
                TEST(test_fault_14_refused),
                TEST(test_fault_13_second_address),
                TEST(test_fault_13_black_hole),
                TEST(test_fault_15_reset),
                TEST(test_fault_16_closed),
                TEST(test_write_after_close),
                TEST(test_fault_19_idle),
                TEST(test_fault_20_cap),
                TEST(test_close_in_order),
                TEST(test_free_in_handlers),
                TEST(test_slow_reader),
                TEST(test_no_meeting_with_itself),
                TEST(test_nothing_is_left),
        };

        return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
