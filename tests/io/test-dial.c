/* SPDX-License-Identifier: MIT */
#include "stream-fixture.h"

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

int main(void) {
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
                TEST(test_fault_14_refused),
                TEST(test_fault_13_second_address),
                TEST(test_fault_13_black_hole),
                TEST(test_no_meeting_with_itself),
        };

        return cmocka_run_group_tests_name("dial", tests, NULL, NULL);
}
