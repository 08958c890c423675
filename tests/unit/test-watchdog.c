/* SPDX-License-Identifier: MIT */
/* Who is fed for and who is not, and that a stall is nobody's fault. */

#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "output/watchdog.h"

#define PERIOD_USEC (800 * USEC_PER_MSEC)
#define EVERY_USEC  (PERIOD_USEC / 4)

typedef struct Bench {
        sd_event *event;
        Publisher *publisher;
        Notify *notify;
        Watchdog *watchdog;
        int manager; /* systemd's end */
        const char *stuck;
        unsigned n_kicks, n_asked;
} Bench;

static void on_kick(void *userdata) {
        ((Bench *) userdata)->n_kicks++;
}

static const char *on_stuck(void *userdata) {
        Bench *b = userdata;

        b->n_asked++;
        return b->stuck;
}

static const WatchdogHandler handler = { .kick = on_kick, .stuck = on_stuck };

/* The abstract address is bound by the kernel, so that nobody else has it. */
static void listen_as_systemd(Bench *b) {
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        socklen_t length = sizeof(a);
        char name[sizeof(a.sun_path) + 1];

        b->manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_true(b->manager >= 0);
        assert_int_equal(bind(b->manager, (struct sockaddr *) &a, sizeof(a.sun_family)), 0);
        assert_int_equal(getsockname(b->manager, (struct sockaddr *) &a, &length), 0);
        snprintf(name, sizeof(name), "@%.*s",
                 (int) (length - offsetof(struct sockaddr_un, sun_path) - 1), a.sun_path + 1);
        setenv("NOTIFY_SOCKET", name, 1);
}

static void bench_new(Bench *b) {
        char period[32];

        *b = (Bench){};
        listen_as_systemd(b);
        snprintf(period, sizeof(period), "%llu", (unsigned long long) PERIOD_USEC);
        setenv("WATCHDOG_USEC", period, 1);
        unsetenv("WATCHDOG_PID");
        b->publisher = publisher_new();
        assert_non_null(b->publisher);
        assert_true(sd_event_new(&b->event) >= 0);
        assert_true(notify_new(b->event, b->publisher, &b->notify) >= 0);
        assert_true(watchdog_new(b->event, b->publisher, b->notify, NULL, &handler, b,
                                 &b->watchdog) >= 0);
}

static void bench_done(Bench *b) {
        watchdog_free(b->watchdog);
        notify_free(b->notify);
        publisher_free(b->publisher);
        sd_event_unref(b->event);
        close(b->manager);
}

/* Pings since it was asked last. */
static unsigned pings(const Bench *b) {
        char text[256];
        unsigned n = 0;
        ssize_t r;

        while ((r = recv(b->manager, text, sizeof(text) - 1, 0)) >= 0) {
                text[r] = 0;
                n += strstr(text, "WATCHDOG=1") != NULL;
        }
        assert_int_equal(errno, EAGAIN);
        return n;
}

/* The loop turns until the watchdog has asked once more. */
static void turn(Bench *b) {
        unsigned before = b->n_asked;

        while (b->n_asked == before)
                assert_true(sd_event_run(b->event, 10 * EVERY_USEC) >= 0);
}

static void test_pings(void **state _unused_) {
        Bench b;

        bench_new(&b);
        assert_int_equal(pings(&b), 1); /* the first asks nothing */
        assert_int_equal(b.n_kicks, 1);
        turn(&b);
        assert_int_equal(pings(&b), 1);
        assert_int_equal(b.n_kicks, 2);
        bench_done(&b);
}

static void test_fault_57_who_is_stuck_is_not_fed_for(void **state _unused_) {
        unsigned in_vain = 0, tries;
        Bench b;

        bench_new(&b);
        b.stuck = "the test";
        pings(&b);
        /* On a machine that is busy we may be late ourselves, and say nothing of anybody. */
        for (tries = 0; tries < 50 && in_vain < 3; tries++) {
                turn(&b);
                in_vain += pings(&b) == 0;
        }
        assert_int_equal(in_vain, 3);
        assert_int_equal(b.n_kicks, 1 + tries);
        b.stuck = NULL;
        turn(&b);
        assert_int_equal(pings(&b), 1);
        bench_done(&b);
}

/* What was asked before a stall has had no time to answer. That this is asked at all shows that the
 * loop turns, and systemd is told at once. */
static void test_fault_10_a_stall_is_nobodys_fault(void **state _unused_) {
        Bench b;

        bench_new(&b);
        turn(&b);
        pings(&b);
        b.stuck = "the test";
        usleep(3 * EVERY_USEC);
        turn(&b);
        assert_int_equal(pings(&b), 1);
        bench_done(&b);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_pings),
                cmocka_unit_test(test_fault_57_who_is_stuck_is_not_fed_for),
                cmocka_unit_test(test_fault_10_a_stall_is_nobodys_fault),
        };

        return cmocka_run_group_tests_name("watchdog", tests, NULL, NULL);
}
