/* SPDX-License-Identifier: MIT */
#include "../unit/unit.h"

#include <sys/eventfd.h>

#include "base/fd.h"
#include "io/poll-set.h"
#include "loop.h"

#define N 200

typedef struct Fixture Fixture;

/* An eventfd that is ready from the beginning, and what its handler does when it is called. */
typedef struct Item {
        Fixture *fixture;
        PollWatch watch;
        int fd;
        unsigned n_calls;
        uint32_t events; /* of the last call */
        bool stays_ready;
        struct Item *drops, *adds; /* when called */
} Item;

struct Fixture {
        sd_event *event;
        PollSet *set;
        Item items[N];
        unsigned n_calls;
};

static void on_item(void *userdata, uint32_t events) {
        Item *i = userdata;
        uint64_t n;

        i->events = events;
        i->n_calls++;
        i->fixture->n_calls++;
        if (!i->stays_ready && events & EPOLLIN)
                assert_int_equal(read(i->fd, &n, sizeof(n)), sizeof(n));
        if (i->drops)
                poll_watch_drop(&i->drops->watch);
        if (i->adds && !poll_watch_is_on(&i->adds->watch))
                assert_int_equal(poll_watch_add(&i->adds->watch, i->fixture->set, i->adds->fd,
                                                EPOLLIN, on_item, i->adds),
                                 0);
}

static void item_watch(Item *i) {
        assert_int_equal(poll_watch_add(&i->watch, i->fixture->set, i->fd, EPOLLIN, on_item, i), 0);
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        assert_int_equal(sd_event_new(&f->event), 0);
        assert_int_equal(poll_set_new(f->event, &f->set), 0);
        assert_ptr_equal(poll_set_event(f->set), f->event);
        for (size_t i = 0; i < N; i++) {
                f->items[i].fixture = f;
                f->items[i].fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
                assert_true(f->items[i].fd >= 0);
        }
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        for (size_t i = 0; i < N; i++) {
                poll_watch_drop(&f->items[i].watch);
                fd_close(f->items[i].fd);
        }
        poll_set_free(f->set);
        sd_event_unref(f->event);
        free(f);
        return 0;
}

static void turn(const Fixture *f) {
        assert_true(sd_event_run(f->event, 0) >= 0);
}

/* All that are ready are handled, a batch a turn, and none twice. */
static void test_batches(void **state) {
        Fixture *f = *state;

        for (size_t i = 0; i < N; i++)
                item_watch(&f->items[i]);
        turn(f);
        assert_int_equal(f->n_calls, POLL_SET_BATCH);
        loop_until(f->event, &f->n_calls, N);
        turn(f);
        assert_int_equal(f->n_calls, N);
        for (size_t i = 0; i < N; i++) {
                assert_int_equal(f->items[i].n_calls, 1);
                assert_int_equal(f->items[i].events, EPOLLIN);
        }
}

static int on_timer(sd_event_source *s, uint64_t usec _unused_, void *userdata) {
        unsigned *n = userdata;

        (*n)++;
        assert_true(sd_event_source_set_time_relative(s, 1) >= 0);
        assert_true(sd_event_source_set_enabled(s, SD_EVENT_ONESHOT) >= 0);
        return 0;
}

/* What is always ready starves neither the rest of the set nor the rest of the loop. */
static void test_fairness(void **state) {
        Fixture *f = *state;
        sd_event_source *timer = NULL;
        unsigned n = 0;

        for (size_t i = 0; i < N; i++) {
                f->items[i].stays_ready = true;
                item_watch(&f->items[i]);
        }
        assert_true(sd_event_add_time_relative(f->event, &timer, CLOCK_MONOTONIC, 1, 1, on_timer,
                                               &n) >= 0);
        loop_until(f->event, &n, 10);
        for (size_t i = 0; i < N; i++)
                assert_true(f->items[i].n_calls > 0);
        sd_event_source_disable_unref(timer);
}

/* A handler drops a watch that is ready in the same batch, or its own. */
static void test_drop_in_handler(void **state) {
        Fixture *f = *state;
        Item *a = &f->items[0], *b = &f->items[1], *c = &f->items[2];

        a->drops = b;
        b->drops = a;
        c->drops = c;
        c->stays_ready = true;
        item_watch(a);
        item_watch(b);
        item_watch(c);
        turn(f);
        turn(f);
        assert_int_equal(a->n_calls + b->n_calls, 1);
        assert_int_equal(c->n_calls, 1);
        assert_false(poll_watch_is_on(&c->watch));
}

/* A watch dropped and added again under the same number hears of the new one only. */
static void test_add_in_handler(void **state) {
        Fixture *f = *state;
        Item *a = &f->items[0], *b = &f->items[1];

        a->adds = b;
        item_watch(a);
        loop_until(f->event, &f->n_calls, 2);
        assert_int_equal(a->n_calls, 1);
        assert_int_equal(b->n_calls, 1);

        poll_watch_drop(&b->watch);
        b->fd = fd_close(b->fd);
        b->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        item_watch(b);
        turn(f);
        assert_int_equal(b->n_calls, 1);
        assert_int_equal(write(b->fd, &(uint64_t){ 1 }, 8), 8);
        loop_until(f->event, &f->n_calls, 3);
        assert_int_equal(b->n_calls, 2);
}

static void test_change(void **state) {
        Fixture *f = *state;
        Item *a = &f->items[0];

        item_watch(a);
        assert_int_equal(poll_watch_change(&a->watch, EPOLLOUT), 0);
        turn(f);
        assert_int_equal(a->events, EPOLLOUT);
        assert_int_equal(poll_watch_change(&a->watch, 0), 0);
        turn(f);
        turn(f);
        assert_int_equal(a->n_calls, 1);
        assert_int_equal(poll_watch_change(&a->watch, EPOLLIN), 0);
        loop_until(f->event, &f->n_calls, 2);
        assert_int_equal(a->events, EPOLLIN);
}

static void test_errors(void **state) {
        Fixture *f = *state;
        PollWatch w = {};

        assert_int_equal(poll_watch_add(&w, f->set, -1, EPOLLIN, on_item, NULL), -EBADF);
        assert_false(poll_watch_is_on(&w));
        poll_watch_drop(&w);
        item_watch(&f->items[0]);
        assert_int_equal(poll_watch_add(&w, f->set, f->items[0].fd, EPOLLIN, on_item, NULL),
                         -EEXIST);
}

int main(void) {
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
                TEST(test_batches),        TEST(test_fairness), TEST(test_drop_in_handler),
                TEST(test_add_in_handler), TEST(test_change),   TEST(test_errors),
        };

        return cmocka_run_group_tests_name("poll-set", tests, NULL, NULL);
}
