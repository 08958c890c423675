/* SPDX-License-Identifier: MIT */
/* Stalls of the host and of this process: what was not looked at in time is nobody's failure. */

#include "fixture.h"

#include <string.h>

#include "model/schedule.h"

static const unsigned one[] = { 1 }, two[] = { 1, 1 };
static const unsigned ten[] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 };

/* The timer fires only now, so much later than the loop was last seen. */
static void stand_still(Bench *b, usec_t usec) {
        clock_monotonic += usec;
        settle(b);
}

static void finish_all(Bench *b) {
        for (size_t i = 0; i < b->engine->n_checks; i++)
                if (instance(b, i)->run)
                        finish(b, i, true);
}

static void begin_all(Bench *b) {
        bench_new(b);
        take_config(b, make_config(&fake_driver, ten, 10));
        assert_int_equal(calls.start, 10);
        finish_all(b);
        pass(b, 100 * USEC_PER_MSEC);
        finish_all(b);
        calls.start = calls.stop = 0;
}

/* Runs what is begun in the next half second; each check once, and not all at once. */
static void verify_catching_up(Bench *b) {
        unsigned began[CHECKS_MAX] = {}, at_once = calls.start, most = 0;

        for (int i = 0; i < 52; i++) {
                unsigned before = calls.start;

                for (size_t c = 0; c < 10; c++)
                        began[c] += instance(b, c)->run ? 1 : 0;
                finish_all(b);
                pass(b, SCHEDULE_GRID_USEC);
                most = MAX(most, calls.start - before);
        }
        assert_in_range(calls.start, 10, 12); /* one or two are due anyway */
        for (size_t c = 0; c < 10; c++)
                assert_in_range(began[c], 1, 2);
        assert_true(at_once <= 3 && most <= 5);
}

static void test_fault_10_each_check_runs_once(void **state _unused_) {
        Bench b;

        begin_all(&b);
        stand_still(&b, 300 * USEC_PER_SEC); /* thirty intervals */
        assert_int_equal(b.n_stalls, 1);
        assert_true(b.late_max_usec > 280 * USEC_PER_SEC);
        verify_catching_up(&b);
        assert_int_equal(b.n_void, 0);

        /* Then each goes on in its phase: once in an interval, on average. */
        calls.start = calls.stop = 0;
        for (int i = 0; i < 500; i++) {
                pass(&b, 100 * USEC_PER_MSEC);
                finish_all(&b);
        }
        assert_in_range(calls.start, 50, 60);
        assert_int_equal(b.n_stalls, 1);
        bench_done(&b);
}

/* Only CLOCK_BOOTTIME goes on. The schedule's clock has not moved, but what is known is old. */
static void test_fault_51_suspend(void **state _unused_) {
        Bench b;

        begin_all(&b);
        clock_suspended += 3600 * USEC_PER_SEC;
        settle(&b);
        assert_int_equal(b.n_stalls, 1);
        verify_catching_up(&b);
        bench_done(&b);
}

/* What is not due by then is due so much earlier, and nothing runs for the suspend itself. */
static void test_fault_51_short_suspend(void **state _unused_) {
        usec_t due;
        Bench b;

        bench_new(&b);
        take_config(&b, make_config(&fake_driver, one, 1));
        finish(&b, 0, true);
        while (engine_next_run_usec(b.engine, 0) < clock_monotonic + 5 * USEC_PER_SEC) {
                pass(&b, 100 * USEC_PER_MSEC);
                finish_all(&b);
        }
        due = engine_next_run_usec(b.engine, 0);
        clock_suspended += 4 * USEC_PER_SEC;
        settle(&b);
        assert_int_equal(b.n_stalls, 1);
        assert_int_equal(engine_next_run_usec(b.engine, 0), due - 4 * USEC_PER_SEC);
        bench_done(&b);
}

static void test_stall_voids_failures(void **state _unused_) {
        Bench b;

        bench_new(&b);
        take_config(&b, make_config(&fake_driver, two, 2));
        assert_int_equal(calls.start, 2);
        clock_suspended += 30 * USEC_PER_SEC; /* a suspend: only BOOTTIME goes on */
        finish(&b, 0, true);                  /* a success is one all the same, but an old one */
        assert_int_equal(b.n_stalls, 1);
        assert_int_equal(b.n_results, 1);
        assert_int_equal(b.seen[0].result.age_usec, 30 * USEC_PER_SEC);
        assert_true(b.seen[0].result.latency_usec == USEC_INFINITY);
        pass(&b, USEC_PER_SEC + 20 * USEC_PER_MSEC); /* the other passes its deadline */
        assert_int_equal(b.n_void, 1);
        assert_int_equal(b.n_results, 1);
        assert_non_null(instance(&b, 1)->run); /* and was run again at once */
        finish(&b, 1, false);
        assert_int_equal(b.n_results, 2); /* which counts */
        assert_int_equal(b.seen[1].result.age_usec, 0);
        bench_done(&b);
}

/* The answer had come before the suspend; in the hour since, anything may have happened. */
static void test_fault_51_a_success_from_before_is_none(void **state _unused_) {
        Bench b;

        bench_new(&b);
        take_config(&b, make_config(&fake_driver, one, 1));
        clock_suspended += 3600 * USEC_PER_SEC;
        finish(&b, 0, true);
        assert_int_equal(b.n_results, 0);
        assert_int_equal(b.n_void, 1);
        assert_int_equal(calls.start, 2);
        finish(&b, 0, true);
        assert_int_equal(b.n_results, 1);
        assert_int_equal(b.seen[0].result.age_usec, 0);
        bench_done(&b);
}

/* Shorter than what is called a stall, longer than the check's Timeout=. */
static void test_fault_48_a_deadline_noticed_late(void **state _unused_) {
        Bench b;

        bench_new(&b);
        take_config(&b, make_config(&fake_driver, one, 1));
        check_run_set_phase(instance(&b, 0)->run, "connecting to nowhere");
        stand_still(&b, 1900 * USEC_PER_MSEC);
        assert_int_equal(b.n_stalls, 0);
        assert_int_equal(b.n_results, 0); /* what has come meanwhile may still be read */
        pass(&b, 110 * USEC_PER_MSEC);
        assert_int_equal(b.n_results, 1);
        assert_int_equal(b.seen[0].result.outcome, OUTCOME_ERROR);
        assert_int_equal(b.seen[0].result.reason, REASON_LATE);
        assert_string_equal(b.seen[0].result.message,
                            "No result within 1000ms, but vitald itself was late by 1.6s, "
                            "connecting to nowhere");
        assert_int_equal(calls.start, 1); /* short of time, it is not asked for more at once */

        /* The next run, after RetryInterval=, has its time, and its timeout is one. */
        pass(&b, 3200 * USEC_PER_MSEC);
        assert_int_equal(b.seen[0].n, 2);
        assert_int_equal(b.seen[0].result.outcome, OUTCOME_FAIL);
        assert_int_equal(b.seen[0].result.reason, REASON_TIMEOUT);
        bench_done(&b);
}

static void test_fault_48_what_has_come_meanwhile(void **state _unused_) {
        Bench b;

        bench_new(&b);
        take_config(&b, make_config(&fake_driver, one, 1));
        stand_still(&b, 1900 * USEC_PER_MSEC);
        pass(&b, 50 * USEC_PER_MSEC);
        finish(&b, 0, true);
        assert_int_equal(b.n_results, 1);
        assert_int_equal(b.seen[0].result.outcome, OUTCOME_PASS);
        /* How long it took, nobody knows; no limit of latency may be applied to it. */
        assert_true(b.seen[0].result.latency_usec == USEC_INFINITY);
        bench_done(&b);
}

/* Late again and again, as with CPUQuota=. */
static Result run_out_of_time(usec_t turn) {
        Result result;
        Bench b;

        bench_new(&b);
        take_config(&b, make_config(&fake_driver, one, 1));
        for (int i = 0; i < 30 && b.n_results == 0; i++)
                stand_still(&b, turn);
        result = b.seen[0].result;
        bench_done(&b);
        return result;
}

static void test_fault_48_little_by_little(void **state _unused_) {
        /* Where there were a dozen chances to see an answer, there was none. */
        assert_int_equal(run_out_of_time(80 * USEC_PER_MSEC).reason, REASON_TIMEOUT);
        assert_int_equal(run_out_of_time(400 * USEC_PER_MSEC).reason, REASON_LATE);
}

/* What a stall has moved stays within what the loop can be late by itself. */
static void test_in_time_enough(void **state _unused_) {
        Bench b;

        bench_new(&b);
        take_config(&b, make_config(&fake_driver, one, 1));
        for (int i = 0; i < 70 && b.n_results == 0; i++)
                stand_still(&b, 15 * USEC_PER_MSEC);
        assert_int_equal(b.seen[0].result.reason, REASON_TIMEOUT);
        assert_true(clock_monotonic < BEGIN_USEC + USEC_PER_SEC + 30 * USEC_PER_MSEC);
        bench_done(&b);
}

/* A slow start is no stall. */
static void test_stall_at_the_start(void **state _unused_) {
        Bench b;

        bench_new(&b);
        clock_monotonic += 10 * USEC_PER_SEC;
        take_config(&b, make_config(&fake_driver, one, 1));
        assert_int_equal(b.n_stalls, 0);
        assert_int_equal(calls.start, 1);
        bench_done(&b);
}

static void test_held_connections_are_told(void **state _unused_) {
        Bench b;

        bench_new(&b);
        take_config(&b, make_config(&fake_driver, one, 1));
        finish(&b, 0, true);
        assert_int_equal(engine_stalled_usec(b.engine), 0);
        stand_still(&b, 5 * USEC_PER_SEC);
        assert_int_equal(engine_stalled_usec(b.engine), clock_monotonic);
        bench_done(&b);
}

/* The loop turns, but the engine's timer is gone. */
static void test_fault_57_dead_timer(void **state _unused_) {
        Bench b;

        bench_new(&b);
        take_config(&b, make_config(&fake_driver, one, 1));
        engine_kick(b.engine);
        while (sd_event_run(b.event, 0) > 0)
                ;
        assert_true(engine_has_progressed(b.engine));

        sd_event_source_set_enabled(b.engine->timer, SD_EVENT_OFF);
        engine_kick(b.engine);
        while (sd_event_run(b.event, 0) > 0)
                ;
        assert_false(engine_has_progressed(b.engine));
        bench_done(&b);
}

/* Due long ago is a fault only if the engine has been there since. */
static void test_overdue(void **state _unused_) {
        Bench b;

        bench_new(&b);
        take_config(&b, make_config(&fake_driver, two, 2));
        assert_null(engine_overdue(b.engine));
        clock_monotonic += 60 * USEC_PER_SEC;
        assert_null(engine_overdue(b.engine));
        engine_see_loop(b.engine);
        assert_string_equal(engine_overdue(b.engine), "s/a");
        bench_done(&b);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_fault_10_each_check_runs_once),
                cmocka_unit_test(test_fault_51_suspend),
                cmocka_unit_test(test_fault_51_short_suspend),
                cmocka_unit_test(test_stall_voids_failures),
                cmocka_unit_test(test_fault_51_a_success_from_before_is_none),
                cmocka_unit_test(test_fault_48_a_deadline_noticed_late),
                cmocka_unit_test(test_fault_48_what_has_come_meanwhile),
                cmocka_unit_test(test_fault_48_little_by_little),
                cmocka_unit_test(test_in_time_enough),
                cmocka_unit_test(test_stall_at_the_start),
                cmocka_unit_test(test_held_connections_are_told),
                cmocka_unit_test(test_fault_57_dead_timer),
                cmocka_unit_test(test_overdue),
        };

        return cmocka_run_group_tests_name("stall", tests, NULL, NULL);
}
