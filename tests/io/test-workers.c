/* SPDX-License-Identifier: MIT */
#include "../unit/unit.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "io/workers.h"
#include "loop.h"

#define THREADS_MAX 2
#define LOST_MAX    2

typedef struct Fixture {
        sd_event *event;
        Workers *workers;
        int gate[2]; /* a call that reads the gate is stuck until somebody writes */
} Fixture;

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        assert_int_equal(pipe(f->gate), 0);
        assert_int_equal(sd_event_new(&f->event), 0);
        assert_int_equal(workers_new(f->event, THREADS_MAX, LOST_MAX, &f->workers), 0);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        workers_free(f->workers);
        sd_event_unref(f->event);
        fd_close(f->gate[0]);
        fd_close(f->gate[1]);
        free(f);
        return 0;
}

typedef struct Work {
        int gate; /* -1: none */
        atomic_uint *begun;
        unsigned number, result;
        bool signals_blocked;
} Work;

static Work *work_new(int gate, atomic_uint *begun, unsigned number) {
        Work *w = calloc(1, sizeof(*w));

        assert_non_null(w);
        *w = (Work){ .gate = gate, .begun = begun, .number = number };
        return w;
}

static void work(void *data) {
        Work *w = data;
        sigset_t mask;
        char byte;

        if (w->begun)
                (*w->begun)++;
        if (w->gate >= 0)
                (void) !read(w->gate, &byte, 1);
        pthread_sigmask(SIG_BLOCK, NULL, &mask);
        w->signals_blocked = sigismember(&mask, SIGTERM) && sigismember(&mask, SIGCHLD);
        w->result = w->number * 2;
}

typedef struct Outcome {
        unsigned done, sum;
        bool signals_blocked;
        Job *job; /* released by the handler if set */
} Outcome;

static void on_done(void *userdata, void *data) {
        Outcome *o = userdata;
        Work *w = data;

        o->done++;
        o->sum += w->result;
        o->signals_blocked = w->signals_blocked;
        o->job = job_free(o->job);
}

static void wait_for(atomic_uint *counter, unsigned n) {
        usec_t end = clock_usec(CLOCK_MONOTONIC) + LOOP_DEADLINE_USEC;

        while (*counter < n) {
                assert_true(clock_usec(CLOCK_MONOTONIC) < end);
                usleep(1000);
        }
}

static void wait_for_lost(const Workers *w, unsigned n) {
        usec_t end = clock_usec(CLOCK_MONOTONIC) + LOOP_DEADLINE_USEC;

        while (workers_lost(w) != n) {
                assert_true(clock_usec(CLOCK_MONOTONIC) < end);
                usleep(1000);
        }
}

static void test_jobs(void **state) {
        Fixture *f = *state;
        Job *jobs[100];
        Outcome o = {};

        for (unsigned i = 0; i < ELEMENTSOF(jobs); i++)
                assert_int_equal(workers_submit(f->workers, work, work_new(-1, NULL, i), on_done,
                                                &o, &jobs[i]),
                                 0);
        loop_until(f->event, &o.done, ELEMENTSOF(jobs));
        assert_int_equal(o.sum, 9900);
        assert_true(o.signals_blocked);
        for (unsigned i = 0; i < ELEMENTSOF(jobs); i++) {
                assert_false(job_is_running(jobs[i]));
                jobs[i] = job_free(jobs[i]);
        }
        assert_int_equal(workers_lost(f->workers), 0);
}

static void test_release_in_handler(void **state) {
        Fixture *f = *state;
        Outcome o = {};

        assert_int_equal(
                workers_submit(f->workers, work, work_new(-1, NULL, 1), on_done, &o, &o.job), 0);
        loop_until(f->event, &o.done, 1);
        assert_null(o.job);
}

/* Stuck calls are written off, others go on, at the bound there are no more, and once the calls
 * return everything is as before. */
static void test_stuck(void **state) {
        Fixture *f = *state;
        atomic_uint begun = 0;
        Job *stuck[LOST_MAX], *queued;
        Outcome silent = {}, o = {};

        for (unsigned i = 0; i < LOST_MAX; i++) {
                assert_int_equal(workers_submit(f->workers, work, work_new(f->gate[0], &begun, 1),
                                                on_done, &silent, &stuck[i]),
                                 0);
                wait_for(&begun, i + 1);
        }
        /* All threads are stuck, but none is written off: this one waits. */
        assert_int_equal(
                workers_submit(f->workers, work, work_new(-1, NULL, 4), on_done, &o, &queued), 0);
        loop_for(f->event, 20 * USEC_PER_MSEC);
        assert_int_equal(o.done, 0);
        assert_true(job_is_running(queued));

        job_abandon(stuck[0]);
        assert_int_equal(workers_lost(f->workers), 1);
        loop_until(f->event, &o.done, 1);
        queued = job_free(queued);

        job_abandon(stuck[1]);
        job_abandon(stuck[1]);
        assert_int_equal(workers_lost(f->workers), LOST_MAX);
        assert_int_equal(
                workers_submit(f->workers, work, work_new(-1, NULL, 4), on_done, &o, &queued),
                -EAGAIN);
        assert_true(job_is_running(stuck[0]));

        stuck[1] = job_free(stuck[1]);
        assert_int_equal(write(f->gate[1], "xx", 2), 2);
        wait_for_lost(f->workers, 0);
        assert_false(job_is_running(stuck[0]));
        stuck[0] = job_free(stuck[0]);
        assert_int_equal(
                workers_submit(f->workers, work, work_new(-1, NULL, 4), on_done, &o, &queued), 0);
        loop_until(f->event, &o.done, 2);
        queued = job_free(queued);
        assert_int_equal(silent.done, 0);
}

/* Others get a thread, and the owner gets the end all the same, also twice written off; or gives up
 * at last. */
static void test_written_off(void **state) {
        Fixture *f = *state;
        Outcome o = {}, late = {}, silent = {};
        Job *stuck[THREADS_MAX], *queued;
        atomic_uint begun = 0;

        for (unsigned i = 0; i < THREADS_MAX; i++)
                assert_int_equal(workers_submit(f->workers, work, work_new(f->gate[0], &begun, 1),
                                                on_done, i == 0 ? &late : &silent, &stuck[i]),
                                 0);
        wait_for(&begun, THREADS_MAX);
        assert_int_equal(
                workers_submit(f->workers, work, work_new(-1, NULL, 4), on_done, &o, &queued), 0);
        job_write_off(queued); /* waits for a thread: there is none to write off */
        assert_int_equal(workers_lost(f->workers), 0);
        for (unsigned i = 0; i < THREADS_MAX; i++) {
                job_write_off(stuck[i]);
                job_write_off(stuck[i]);
        }
        assert_int_equal(workers_lost(f->workers), THREADS_MAX);
        loop_until(f->event, &o.done, 1);
        queued = job_free(queued);
        assert_true(job_is_running(stuck[0]));

        stuck[1] = job_free(stuck[1]);
        assert_int_equal(workers_lost(f->workers), THREADS_MAX);
        assert_int_equal(write(f->gate[1], "xx", 2), 2);
        loop_until(f->event, &late.done, 1);
        assert_int_equal(late.sum, 2);
        wait_for_lost(f->workers, 0);
        stuck[0] = job_free(stuck[0]);
        assert_int_equal(silent.done, 0);
}

/* A job given up before it began, or after it ended and before its handler was called. */
static void test_abandon_early_and_late(void **state) {
        Fixture *f = *state;
        Job *busy[THREADS_MAX], *early;
        Outcome o = {}, silent = {};
        atomic_uint begun = 0;

        for (unsigned i = 0; i < THREADS_MAX; i++)
                assert_int_equal(workers_submit(f->workers, work, work_new(f->gate[0], &begun, 1),
                                                on_done, &o, &busy[i]),
                                 0);
        assert_int_equal(
                workers_submit(f->workers, work, work_new(-1, &begun, 1), on_done, &silent, &early),
                0);
        early = job_free(early);
        wait_for(&begun, THREADS_MAX);
        assert_int_equal(write(f->gate[1], "xx", 2), 2);
        for (usec_t end = clock_usec(CLOCK_MONOTONIC) + LOOP_DEADLINE_USEC;
             job_is_running(busy[0]) || job_is_running(busy[1]);)
                assert_true(clock_usec(CLOCK_MONOTONIC) < end);
        busy[0] = job_free(busy[0]);
        loop_until(f->event, &o.done, 1);
        loop_for(f->event, 20 * USEC_PER_MSEC);
        assert_int_equal(o.done, 1);
        assert_int_equal(silent.done, 0);
        assert_int_equal(begun, THREADS_MAX);
        assert_int_equal(workers_lost(f->workers), 0);
        busy[1] = job_free(busy[1]);
}

static unsigned count_threads(void) {
        DIR *d = opendir("/proc/self/task");
        unsigned n = 0;

        assert_non_null(d);
        for (const struct dirent *e; (e = readdir(d));)
                n += e->d_name[0] != '.';
        closedir(d);
        return n;
}

/* The end does not wait for a stuck call; its memory is freed when it returns after all. */
static void test_end_with_stuck_call(void **state) {
        Fixture *f = *state;
        atomic_uint begun = 0;
        Outcome o = {};
        Job *stuck;
        usec_t before;

        assert_int_equal(workers_submit(f->workers, work, work_new(f->gate[0], &begun, 1), on_done,
                                        &o, &stuck),
                         0);
        wait_for(&begun, 1);
        stuck = job_free(stuck);
        before = clock_usec(CLOCK_MONOTONIC);
        f->workers = workers_free(f->workers);
        assert_true(clock_usec(CLOCK_MONOTONIC) - before < 5 * USEC_PER_SEC);
        assert_int_equal(write(f->gate[1], "x", 1), 1);
        assert_int_equal(o.done, 0);
        while (count_threads() > 1)
                assert_true(clock_usec(CLOCK_MONOTONIC) - before < LOOP_DEADLINE_USEC);
}

int main(void) {
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
                TEST(test_jobs),
                TEST(test_release_in_handler),
                TEST(test_stuck),
                TEST(test_written_off),
                TEST(test_abandon_early_and_late),
                TEST(test_end_with_stuck_call),
        };

        return cmocka_run_group_tests_name("workers", tests, NULL, NULL);
}
