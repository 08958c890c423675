/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#include "model/schedule.h"

/* check_trigger(): what is looked at at once, and what is left in peace. */

static const unsigned one[] = { 1 };

static void test_trigger(void **state _unused_) {
        Bench b;

        bench_new(&b);
        take_config(&b, make_config(&fake_driver, one, 1));
        finish(&b, 0, true);

        check_trigger(b.engine->checks[0]);
        settle(&b);
        assert_int_equal(calls.start, 2); /* at once */

        /* During the run: one more, behind a first short pause. */
        check_trigger(b.engine->checks[0]);
        check_trigger(b.engine->checks[0]);
        finish(&b, 0, true);
        assert_int_equal(calls.start, 2);
        pass(&b, 10 * USEC_PER_MSEC);
        assert_int_equal(calls.start, 3);
        finish(&b, 0, true);

        /* A storm of triggers: the pauses double up to RetryInterval=, two seconds. */
        for (int i = 0; i < 1000; i++) {
                check_trigger(b.engine->checks[0]);
                if (instance(&b, 0)->run)
                        finish(&b, 0, true);
                pass(&b, 10 * USEC_PER_MSEC);
        }
        assert_in_range(calls.start - 3, 10, 13);

        /* After some peace the next one is at once again. */
        for (int i = 0; i < 400; i++) {
                pass(&b, 10 * USEC_PER_MSEC);
                if (instance(&b, 0)->run)
                        finish(&b, 0, true);
        }
        calls.start = calls.stop = 0;
        check_trigger(b.engine->checks[0]);
        settle(&b);
        assert_int_equal(calls.start, 1);
        bench_done(&b);
}

/* Neither the schedule nor a trigger disturbs a peer that asked for a pause; a person may. */
static void test_pause(void **state _unused_) {
        Result result;
        uint64_t serial;
        Bench b;

        bench_new(&b);
        take_config(&b, make_config(&fake_driver, one, 1));
        result_warn(&result, REASON_STATUS, "HTTP 429");
        result.retry_after_usec = 25 * USEC_PER_SEC;
        check_trigger(b.engine->checks[0]); /* during the run, too */
        check_run_finish(instance(&b, 0)->run, &result);
        settle(&b);
        check_trigger(b.engine->checks[0]);
        pass(&b, 24 * USEC_PER_SEC);
        check_trigger(b.engine->checks[0]);
        settle(&b);
        assert_int_equal(calls.start, 1);
        pass(&b, USEC_PER_SEC + SCHEDULE_GRID_USEC);
        assert_int_equal(calls.start, 2);
        check_run_finish(instance(&b, 0)->run, &result);
        settle(&b);

        engine_run(b.engine, 0, &serial);
        settle(&b);
        assert_int_equal(calls.start, 3);
        finish(&b, 0, true); /* without a pause: triggers count again */
        check_trigger(b.engine->checks[0]);
        pass(&b, 10 * USEC_PER_MSEC);
        assert_int_equal(calls.start, 4);
        bench_done(&b);
}

/* Ten deaths and recoveries in a row, each of them seen at once. */
static void test_trigger_after_recovery(void **state _unused_) {
        uint64_t serial;
        Bench b;

        bench_new(&b);
        take_config(&b, make_config(&fake_driver, one, 1));
        finish(&b, 0, true);
        for (unsigned i = 1; i <= 10; i++) {
                check_trigger(b.engine->checks[0]);
                settle(&b);
                assert_int_equal(calls.start, 2 * i);
                finish(&b, 0, false);
                pass(&b, USEC_PER_MSEC);
                engine_run(b.engine, 0, &serial);
                settle(&b);
                finish(&b, 0, true);
        }
        bench_done(&b);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_trigger),
                cmocka_unit_test(test_trigger_after_recovery),
                cmocka_unit_test(test_pause),
        };

        return cmocka_run_group_tests_name("trigger", tests, NULL, NULL);
}
