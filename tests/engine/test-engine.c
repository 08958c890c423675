/* SPDX-License-Identifier: MIT */
/* What check/engine.h and check/driver.h promise. */

#include "fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "model/schedule.h"

static const unsigned one[] = { 1 }, two[] = { 1, 1 };

static void test_life_of_a_run(void **state _unused_) {
        Bench b;

        bench_new(&b);
        take_config(&b, make_config(&fake_driver, one, 1));
        assert_int_equal(calls.start, 1);
        assert_int_equal(b.n_results, 0);
        assert_int_equal(engine_next_run_usec(b.engine, 0), 0);

        finish(&b, 0, true);
        assert_int_equal(b.n_results, 1);
        assert_int_equal(b.n_turns, 1);
        assert_int_equal(b.seen[0].serial, 1);
        assert_int_equal(b.seen[0].result.outcome, OUTCOME_PASS);
        assert_true(b.seen[0].result.latency_usec != USEC_INFINITY);
        assert_int_equal(calls.stop, 1);
        assert_true(engine_next_run_usec(b.engine, 0) > clock_monotonic);
        assert_true(engine_next_run_usec(b.engine, 0) <= clock_monotonic + 10 * USEC_PER_SEC);

        pass(&b, 10 * USEC_PER_SEC);
        assert_int_equal(calls.start, 2);
        bench_done(&b);
}

static void test_deadline(void **state _unused_) {
        Bench b;

        bench_new(&b);
        take_config(&b, make_config(&fake_driver, one, 1));
        check_run_set_phase(instance(&b, 0)->run, "connecting to nowhere");
        pass(&b, USEC_PER_SEC - 10 * USEC_PER_MSEC);
        assert_int_equal(b.n_results, 0);
        pass(&b, 20 * USEC_PER_MSEC);
        assert_int_equal(b.n_results, 1);
        assert_int_equal(calls.stop, 1);
        assert_int_equal(b.seen[0].result.outcome, OUTCOME_FAIL);
        assert_int_equal(b.seen[0].result.reason, REASON_TIMEOUT);
        assert_string_equal(b.seen[0].result.message,
                            "Timeout after 1000ms, connecting to nowhere");
        bench_done(&b);
}

/* A reply that is read in the same turn of the loop, behind the deadline and before stop(). */
static void test_reply_behind_the_deadline(void **state _unused_) {
        Result late;
        Bench b;

        bench_new(&b);
        take_config(&b, make_config(&fake_driver, one, 1));
        pass(&b, USEC_PER_SEC - 10 * USEC_PER_MSEC);
        clock_monotonic += 20 * USEC_PER_MSEC;
        engine_tick(b.engine);
        assert_true(check_run_is_finished(instance(&b, 0)->run));
        result_pass(&late, "well");
        check_run_finish(instance(&b, 0)->run, &late);
        settle(&b);
        assert_int_equal(b.n_results, 1);
        assert_int_equal(calls.stop, 1);
        assert_int_equal(b.seen[0].result.reason, REASON_TIMEOUT);
        bench_done(&b);
}

static void test_retry_interval(void **state _unused_) {
        Bench b;

        bench_new(&b);
        take_config(&b, make_config(&fake_driver, one, 1));
        b.says_undecided = true;
        finish(&b, 0, false);
        pass(&b, 2 * USEC_PER_SEC + SCHEDULE_GRID_USEC);
        assert_int_equal(calls.start, 2);
        bench_done(&b);
}

static void test_concurrency(void **state _unused_) {
        static const unsigned ten[] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 };
        Config *c = make_config(&fake_driver, ten, 10);
        Bench b;

        bench_new(&b);
        c->daemon.max_concurrent_checks = 3;
        for (size_t i = 0; i < c->n_checks; i++)
                c->checks[i]->interval_usec = 3600 * USEC_PER_SEC;
        take_config(&b, c);
        assert_int_equal(calls.start, 3);
        finish(&b, 1, true);
        assert_int_equal(calls.start, 4);
        assert_non_null(instance(&b, 3)->run); /* first come, first served */
        pass(&b, USEC_PER_SEC + 20 * USEC_PER_MSEC);
        assert_int_equal(calls.start, 7); /* three deadlines made room for three */
        pass(&b, 2 * USEC_PER_SEC + 40 * USEC_PER_MSEC);
        assert_int_equal(calls.start, 10);
        assert_true(b.engine->n_running <= 3);
        bench_done(&b);
}

static void test_reload(void **state _unused_) {
        static const unsigned before[] = { 1, 1, 1, 0 }, after[] = { 0, 1, 2, 1 };
        CheckRun *kept;
        Bench b;

        bench_new(&b);
        take_config(&b, make_config(&fake_driver, before, 4));
        assert_int_equal(calls.open, 3);
        kept = instance(&b, 1)->run;
        take_config(&b, make_config(&fake_driver, after, 4));

        /* b goes on undisturbed, a and the old c are closed, the new c and d are opened and run. */
        assert_ptr_equal(instance(&b, 0)->run, kept);
        assert_int_equal(calls.close, 2);
        assert_int_equal(calls.open, 5);
        assert_int_equal(calls.stop, 2);
        assert_int_equal(calls.start, 5);
        assert_int_equal(calls.attach, 1);
        assert_int_equal(b.n_results, 0);

        finish(&b, 0, true);
        assert_int_equal(b.seen[0].n, 1);
        assert_int_equal(b.seen[0].serial, 1);
        bench_done(&b);
}

static void test_reload_keeps_schedule(void **state _unused_) {
        usec_t due;
        Config *c;
        Bench b;

        bench_new(&b);
        take_config(&b, make_config(&fake_driver, one, 1));
        finish(&b, 0, true);
        due = engine_next_run_usec(b.engine, 0);
        take_config(&b, make_config(&fake_driver, one, 1));
        assert_int_equal(engine_next_run_usec(b.engine, 0), due);
        c = make_config(&fake_driver, one, 1);
        c->checks[0]->interval_usec = 3600 * USEC_PER_SEC;
        take_config(&b, c);
        assert_int_equal(engine_next_run_usec(b.engine, 0),
                         schedule_next(c->checks[0], false, 0, clock_monotonic));
        bench_done(&b);
}

/* All of them are taken from one shared check. */
static Config *make_shared(const unsigned versions[], size_t n) {
        Config *c = make_config(&fake_driver, versions, n);

        for (size_t i = 0; i < c->n_checks; i++)
                c->checks[i]->shared = strdup("db");
        assert_int_equal(config_share(c), 0);
        return c;
}

static void test_shared_checks_run_once(void **state _unused_) {
        static const unsigned three[] = { 1, 1, 1 };
        uint64_t serial;
        Bench b;

        bench_new(&b);
        take_config(&b, make_shared(three, 3));
        assert_int_equal(calls.open, 1);
        assert_int_equal(calls.start, 1);
        finish(&b, 0, true);
        assert_int_equal(b.n_results, 1);
        assert_int_equal(b.seen[0].n, 1);
        for (size_t i = 0; i < 3; i++)
                assert_int_equal(engine_next_run_usec(b.engine, i),
                                 engine_next_run_usec(b.engine, 0));

        assert_int_equal(engine_run(b.engine, 2, &serial), 0);
        assert_int_equal(serial, 2);
        settle(&b);
        assert_int_equal(calls.start, 2);
        finish(&b, 0, true);
        assert_int_equal(b.seen[0].serial, 2);
        pass(&b, 100 * USEC_PER_SEC);
        assert_int_equal(calls.open, 1);
        bench_done(&b);
}

static void test_shared_checks_reload(void **state _unused_) {
        static const unsigned before[] = { 0, 1, 1 }, fewer[] = { 0, 0, 1 }, more[] = { 1, 1, 1 };
        usec_t due;
        Bench b;

        bench_new(&b);
        take_config(&b, make_shared(before, 3));
        finish(&b, 0, true);
        due = engine_next_run_usec(b.engine, 0);

        /* The one that ran for all goes: its run and connection stay. */
        take_config(&b, make_shared(fewer, 3));
        assert_int_equal(calls.open, 1);
        assert_int_equal(calls.close, 0);
        assert_int_equal(engine_next_run_usec(b.engine, 0), due);

        /* Others come: the run is at once. */
        take_config(&b, make_shared(more, 3));
        assert_int_equal(calls.open, 1);
        assert_int_equal(calls.start, 2);
        finish(&b, 0, true);
        assert_int_equal(b.n_results, 2);

        /* From now on each for itself: nobody takes over what was shared. */
        take_config(&b, make_config(&fake_driver, more, 3));
        assert_int_equal(calls.close, 1);
        assert_int_equal(calls.open, 4);
        take_config(&b, make_shared(more, 3));
        assert_int_equal(calls.close, 4);
        assert_int_equal(calls.open, 5);
        bench_done(&b);
}

/* Not run while it waits for another check, and at once when it no longer does. */
static void test_hold(void **state _unused_) {
        uint64_t serial;
        Bench b;

        bench_new(&b);
        take_config(&b, make_config(&fake_driver, two, 2));
        finish(&b, 0, true);
        finish(&b, 1, true);
        assert_true(engine_hold(b.engine, 1, true));
        assert_false(engine_hold(b.engine, 1, true));
        pass(&b, 100 * USEC_PER_SEC);
        assert_int_equal(b.seen[1].n, 1);
        assert_true(calls.start > 2);
        assert_int_equal(engine_run(b.engine, 1, &serial), -EAGAIN);
        assert_null(engine_overdue(b.engine));

        assert_null(instance(&b, 1)->run);
        assert_true(engine_hold(b.engine, 1, false));
        settle(&b);
        assert_non_null(instance(&b, 1)->run);

        /* A run that is under way ends; the next one waits. */
        engine_hold(b.engine, 1, true);
        finish(&b, 1, true);
        assert_int_equal(b.seen[1].n, 2);
        pass(&b, 30 * USEC_PER_SEC);
        assert_null(instance(&b, 1)->run);
        bench_done(&b);
}

static void test_defects(void **state _unused_) {
        Config *c = make_config(&fake_driver, one, 1);
        Bench b;

        /* A credential that is not there: fails without the driver. */
        bench_new(&b);
        c->checks[0]->defect_reason = REASON_CREDENTIAL;
        c->checks[0]->defect = strdup("Credential x not configured");
        take_config(&b, c);
        assert_int_equal(calls.open + calls.start, 0);
        assert_int_equal(b.seen[0].result.outcome, OUTCOME_FAIL);
        assert_int_equal(b.seen[0].result.reason, REASON_CREDENTIAL);
        assert_string_equal(b.seen[0].result.message, "Credential x not configured");
        bench_done(&b);

        /* A driver that cannot start says nothing about the thing checked. */
        bench_new(&b);
        calls.start_result = -EMFILE;
        take_config(&b, make_config(&fake_driver, one, 1));
        assert_int_equal(b.seen[0].result.outcome, OUTCOME_ERROR);
        assert_int_equal(b.seen[0].result.reason, REASON_RESOURCE);
        bench_done(&b);

        bench_new(&b);
        calls.open_result = -ENOMEM;
        take_config(&b, make_config(&fake_driver, one, 1));
        assert_int_equal(calls.start, 0);
        assert_int_equal(b.seen[0].result.outcome, OUTCOME_ERROR);
        calls.close += calls.open; /* what could not be opened is not closed */
        bench_done(&b);
}

/* What was short when a check was set up does not keep it down. */
static void test_fault_42_set_up_again(void **state _unused_) {
        Result result;
        Bench b;

        bench_new(&b);
        calls.open_result = -EMFILE;
        take_config(&b, make_config(&fake_driver, one, 1));
        assert_int_equal(calls.attach, calls.detach);
        for (unsigned n = 0; n < 3; n++) {
                pass(&b, 10 * USEC_PER_SEC);
                assert_int_equal(b.seen[0].result.outcome, OUTCOME_ERROR);
                assert_int_equal(b.seen[0].result.reason, REASON_RESOURCE);
        }
        assert_int_equal(calls.start, 0);
        calls.close = calls.open;
        calls.open_result = 0;
        for (unsigned n = 0; n < 1000 && calls.start == 0; n++)
                pass(&b, 10 * USEC_PER_MSEC);
        assert_int_equal(calls.start, 1);
        finish(&b, 0, true);
        assert_int_equal(b.seen[0].result.outcome, OUTCOME_PASS);
        bench_done(&b);

        bench_new(&b);
        calls.open_result = -EMFILE;
        take_config(&b, make_config(&push_driver, one, 1));
        result_pass(&result, "well");
        pass(&b, 10 * USEC_PER_SEC);
        assert_int_equal(engine_report(b.engine, 0, &result, NULL), -EOPNOTSUPP);
        calls.close = calls.open;
        calls.open_result = 0;
        pass(&b, USEC_PER_SEC);
        assert_int_equal(engine_report(b.engine, 0, &result, NULL), 0);
        pass(&b, 10 * USEC_PER_SEC);
        assert_int_equal(calls.open, calls.close + 1);
        bench_done(&b);
}

static void test_run_on_request(void **state _unused_) {
        uint64_t serial = 0;
        Bench b;

        bench_new(&b);
        take_config(&b, make_config(&fake_driver, one, 1));

        /* During a run: the next one answers, since the present one began before the request. */
        assert_int_equal(engine_run(b.engine, 0, &serial), 0);
        assert_int_equal(serial, 2);
        finish(&b, 0, true);
        assert_int_equal(calls.start, 2);
        finish(&b, 0, true);
        assert_int_equal(b.seen[0].serial, 2);

        assert_int_equal(engine_run(b.engine, 0, &serial), 0);
        assert_int_equal(serial, 3);
        settle(&b);
        assert_int_equal(calls.start, 3);
        bench_done(&b);
}

static void test_report(void **state _unused_) {
        uint64_t serial;
        Result result;
        Bench b;

        bench_new(&b);
        take_config(&b, make_config(&push_driver, one, 1));
        assert_int_equal(engine_run(b.engine, 0, &serial), -EOPNOTSUPP);
        result_warn(&result, REASON_NONE, "queue is long");
        assert_int_equal(engine_report(b.engine, 0, &result, &(Sender){}), 0);
        settle(&b);
        assert_int_equal(b.seen[0].result.outcome, OUTCOME_WARN);
        assert_int_equal(b.n_turns, 1);
        bench_done(&b);

        bench_new(&b);
        take_config(&b, make_config(&fake_driver, one, 1));
        assert_int_equal(engine_report(b.engine, 0, &result, &(Sender){}), -EOPNOTSUPP);
        bench_done(&b);
}

static void test_signs_of_life(void **state _unused_) {
        Bench b;

        bench_new(&b);
        take_config(&b, make_config(&fake_driver, one, 1));
        engine_kick(b.engine);
        assert_false(engine_has_progressed(b.engine));
        settle(&b);
        assert_true(engine_has_progressed(b.engine));

        engine_kick(b.engine);
        engine_tick(b.engine); /* the timer alone is not enough */
        assert_false(engine_has_progressed(b.engine));
        settle(&b);
        assert_true(engine_has_progressed(b.engine));
        bench_done(&b);
}

/* Thousands of random acts; the driver and bench_done() assert that every start has its one stop.
 */
static void test_random(void **state _unused_) {
        unsigned seed = 42, versions[CHECKS_MAX];
        Bench b;

        bench_new(&b);
        for (size_t i = 0; i < CHECKS_MAX; i++)
                versions[i] = 1;
        take_config(&b, make_config(&fake_driver, versions, CHECKS_MAX));
        for (unsigned n = 0; n < 20000; n++) {
                size_t i = (size_t) rand_r(&seed) % b.engine->n_checks;
                int act = rand_r(&seed) % 100;

                calls.finishes_at_once = rand_r(&seed) % 3 == 0;
                if (act < 40)
                        pass(&b, (usec_t) (rand_r(&seed) % 300) * USEC_PER_MSEC);
                else if (act < 80 && instance(&b, i)->run &&
                         !check_run_is_finished(instance(&b, i)->run))
                        finish(&b, i, act % 2);
                else if (act < 95)
                        check_trigger(b.engine->checks[i]);
                else if (act < 97)
                        clock_monotonic += 7 * USEC_PER_SEC;
                else if (act < 98) {
                        versions[rand_r(&seed) % CHECKS_MAX] = (unsigned) rand_r(&seed) % 3;
                        versions[0] = 1;
                        take_config(&b, make_config(&fake_driver, versions, CHECKS_MAX));
                }
                assert_int_equal(calls.start - calls.stop, b.engine->n_running);
        }
        assert_true(b.n_results > 1000);
        bench_done(&b);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_life_of_a_run),
                cmocka_unit_test(test_deadline),
                cmocka_unit_test(test_reply_behind_the_deadline),
                cmocka_unit_test(test_retry_interval),
                cmocka_unit_test(test_concurrency),
                cmocka_unit_test(test_reload),
                cmocka_unit_test(test_reload_keeps_schedule),
                cmocka_unit_test(test_shared_checks_run_once),
                cmocka_unit_test(test_shared_checks_reload),
                cmocka_unit_test(test_hold),
                cmocka_unit_test(test_defects),
                cmocka_unit_test(test_fault_42_set_up_again),
                cmocka_unit_test(test_run_on_request),
                cmocka_unit_test(test_report),
                cmocka_unit_test(test_signs_of_life),
                cmocka_unit_test(test_random),
        };

        return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
