/* SPDX-License-Identifier: MIT */
#include "stream-fixture.h"

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
                TEST(test_fault_15_reset),
                TEST(test_fault_16_closed),
                TEST(test_write_after_close),
                TEST(test_fault_19_idle),
                TEST(test_fault_20_cap),
                TEST(test_close_in_order),
                TEST(test_free_in_handlers),
                TEST(test_slow_reader),
                TEST(test_nothing_is_left),
        };

        return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
