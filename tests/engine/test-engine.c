/* SPDX-License-Identifier: MIT */
/* The engine with a driver that does what the test says, and a clock that the test moves. */

#include "../unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "check/engine-internal.h"
#include "model/schedule.h"

#define CHECKS_MAX 16
#define BEGIN_USEC                                                                    \
        (1000000 * USEC_PER_SEC) /* ahead of the real clock, whose timer stays silent \
                                  */

/* -- the driver -------------------------------------------------------------------------------- */

typedef struct FakeSettings {
        uint64_t number;
} FakeSettings;

typedef struct FakeInstance {
        bool is_open;
        CheckRun *run; /* borrowed: the active one */
} FakeInstance;

typedef struct FakeShared {
        bool is_attached;
} FakeShared;

/* What happened to the driver, for the test to look at. */
static struct Calls {
        unsigned attach, detach, open, close, start, stop;
        int open_result, start_result;
        bool finishes_at_once;
} calls;

static int fake_attach(Engine *engine, void *shared) {
        FakeShared *s = shared;

        assert_non_null(engine_resolver(engine));
        assert_non_null(engine_workers(engine));
        assert_false(s->is_attached);
        s->is_attached = true;
        calls.attach++;
        return 0;
}

static void fake_detach(void *shared) {
        FakeShared *s = shared;

        assert_true(s->is_attached);
        calls.detach++;
}

static int fake_open(Check *check) {
        FakeInstance *i = check_instance(check);
        FakeShared *s = check_shared(check);

        assert_true(s->is_attached);
        assert_false(i->is_open);
        i->is_open = true;
        calls.open++;
        return calls.open_result;
}

static void fake_close(Check *check) {
        FakeInstance *i = check_instance(check);

        assert_true(i->is_open);
        assert_null(i->run);
        calls.close++;
        check_trigger(check); /* must do nothing */
}

static int fake_start(CheckRun *run) {
        FakeInstance *i = check_run_instance(run);
        unsigned char *data = check_run_data(run);
        Result result;

        assert_null(i->run); /* no two runs of one check at once */
        assert_int_equal(data[0], 0);
        data[0] = 1;
        i->run = run;
        calls.start++;
        if (calls.start_result < 0)
                return calls.start_result;
        if (calls.finishes_at_once) {
                result_pass(&result, "at once");
                check_run_finish(run, &result);
        }
        return 0;
}

static void fake_stop(CheckRun *run) {
        FakeInstance *i = check_run_instance(run);

        assert_ptr_equal(i->run, run);
        i->run = NULL;
        calls.stop++;
}

static void fake_describe(const void *settings _unused_, CheckTarget *ret) {
        *ret = (CheckTarget){};
}

static int fake_report(Check *check, const Result *result, const Sender *sender _unused_) {
        check_report(check, result);
        return 0;
}

static const CheckDriver fake_driver = {
        .type = {
                .name = "fake",
                .timeout_usec = USEC_PER_SEC,
                .settings_size = sizeof(FakeSettings),
                .describe = fake_describe,
        },
        .shared_size = sizeof(FakeShared),
        .attach = fake_attach,
        .detach = fake_detach,
        .instance_size = sizeof(FakeInstance),
        .open = fake_open,
        .close = fake_close,
        .run_size = 64,
        .start = fake_start,
        .stop = fake_stop,
};

static const CheckDriver push_driver = {
        .type = {
                .name = "push",
                .flags = CHECK_TYPE_PUSH,
                .settings_size = sizeof(FakeSettings),
                .describe = fake_describe,
        },
        .report = fake_report,
};

/* -- the bench --------------------------------------------------------------------------------- */

typedef struct Bench {
        sd_event *event;
        Engine *engine;
        Config *config;
        unsigned n_results, n_turns, n_void, n_stalls;
        bool says_undecided;
        struct Seen {
                unsigned n;
                uint64_t serial;
                Result result;
        } seen[CHECKS_MAX];
} Bench;

static usec_t clock_monotonic, clock_suspended;

static usec_t fake_clock(const Engine *e _unused_, clockid_t id) {
        return id == CLOCK_BOOTTIME ? clock_monotonic + clock_suspended : clock_monotonic;
}

static bool on_result(void *userdata, size_t check, uint64_t serial, const Result *result) {
        Bench *b = userdata;

        b->n_results++;
        b->seen[check].n++;
        b->seen[check].serial = serial;
        b->seen[check].result = *result;
        return b->says_undecided;
}

static void on_voided(void *userdata, size_t check _unused_) {
        ((Bench *) userdata)->n_void++;
}

static void on_turn(void *userdata) {
        ((Bench *) userdata)->n_turns++;
}

static void on_stalled(void *userdata, usec_t usec _unused_) {
        ((Bench *) userdata)->n_stalls++;
}

static const EngineHandler handler = {
        .result = on_result,
        .voided = on_voided,
        .turn = on_turn,
        .stalled = on_stalled,
};

static CheckConfig *make_check(const CheckDriver *driver, const char *name, unsigned version) {
        CheckConfig *c = calloc(1, sizeof(CheckConfig));
        char text[64];

        assert_non_null(c);
        c->n_ref = 1;
        c->type = &driver->type;
        c->settings = calloc(1, sizeof(FakeSettings));
        c->name = strdup(name);
        c->service = strdup("s");
        snprintf(text, sizeof(text), "s/%s", name);
        c->id = strdup(text);
        c->public_name = strdup(text);
        snprintf(text, sizeof(text), "version %u", version);
        c->canonical = strdup(text);
        c->interval_usec = 10 * USEC_PER_SEC;
        c->timeout_usec = USEC_PER_SEC;
        c->retry_interval_usec = 2 * USEC_PER_SEC;
        return c;
}

/* One service with these checks, named by single letters; a version of 0 leaves one out. */
static Config *make_config(const CheckDriver *driver, const unsigned versions[], size_t n) {
        Config *c = config_new();

        assert_non_null(c);
        c->services = calloc(1, sizeof(ServiceConfig));
        c->services[0].name = strdup("s");
        c->n_services = 1;
        c->checks = calloc(n, sizeof(CheckConfig *));
        for (size_t i = 0; i < n; i++) {
                char name[2] = { (char) ('a' + i), 0 };

                if (versions[i] > 0)
                        c->checks[c->n_checks++] = make_check(driver, name, versions[i]);
        }
        c->services[0].n_checks = c->n_checks;
        return c;
}

/* Lets everything happen that is due at the present time. */
static void settle(Bench *b) {
        engine_tick(b->engine);
        while (sd_event_run(b->event, 0) > 0)
                engine_tick(b->engine);
}

/* Time passes as the loop would see it: never a gap of more than the heartbeat. */
static void pass(Bench *b, usec_t usec) {
        for (usec_t end = clock_monotonic + usec; clock_monotonic < end;) {
                clock_monotonic = MIN(end, clock_monotonic + 10 * USEC_PER_MSEC);
                settle(b);
        }
}

static void take_config(Bench *b, Config *c) {
        assert_int_equal(engine_configure(b->engine, c), 0);
        config_unref(b->config);
        b->config = c;
        settle(b);
}

static void bench_new(Bench *b) {
        *b = (Bench){};
        calls = (struct Calls){};
        clock_monotonic = BEGIN_USEC;
        clock_suspended = 0;
        assert_true(sd_event_new(&b->event) >= 0);
        assert_int_equal(engine_new(b->event, &handler, b, &b->engine), 0);
        b->engine->clock = fake_clock;
        b->engine->seen_monotonic = b->engine->seen_boottime = BEGIN_USEC;
}

static void bench_done(Bench *b) {
        engine_free(b->engine);
        config_unref(b->config);
        sd_event_unref(b->event);
        assert_int_equal(calls.start, calls.stop);
        assert_int_equal(calls.open, calls.close);
        assert_int_equal(calls.attach, calls.detach);
}

static FakeInstance *instance(Bench *b, size_t check) {
        return check_instance(b->engine->checks[check]);
}

static void finish(Bench *b, size_t check, bool passes) {
        Result result;

        if (passes)
                result_pass(&result, "well");
        else
                result_fail(&result, REASON_REFUSED, "Connection refused");
        check_run_finish(instance(b, check)->run, &result);
        settle(b);
}

/* -- tests ------------------------------------------------------------------------------------- */

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

static void test_trigger(void **state _unused_) {
        Bench b;

        bench_new(&b);
        take_config(&b, make_config(&fake_driver, one, 1));
        finish(&b, 0, true);

        check_trigger(b.engine->checks[0]);
        settle(&b);
        assert_int_equal(calls.start, 2); /* at once */

        /* During the run: one more, but not sooner than RetryInterval= behind the trigger. */
        check_trigger(b.engine->checks[0]);
        check_trigger(b.engine->checks[0]);
        finish(&b, 0, false);
        assert_int_equal(calls.start, 2);
        pass(&b, 2 * USEC_PER_SEC + SCHEDULE_GRID_USEC);
        assert_int_equal(calls.start, 3);
        finish(&b, 0, true);

        /* A storm of triggers makes one run a RetryInterval=. */
        for (int i = 0; i < 400; i++) {
                check_trigger(b.engine->checks[0]);
                if (instance(&b, 0)->run)
                        finish(&b, 0, true);
                pass(&b, 10 * USEC_PER_MSEC);
        }
        assert_true(calls.start >= 4);
        assert_true(calls.start <= 6);
        bench_done(&b);
}

static void test_no_burst_after_stall(void **state _unused_) {
        Bench b;

        bench_new(&b);
        take_config(&b, make_config(&fake_driver, one, 1));
        finish(&b, 0, true);
        clock_monotonic += 300 * USEC_PER_SEC; /* thirty intervals */
        settle(&b);
        assert_int_equal(b.n_stalls, 1);
        assert_int_equal(calls.start, 2);
        finish(&b, 0, true);
        pass(&b, 100 * USEC_PER_MSEC);
        assert_true(calls.start <= 3);
        bench_done(&b);
}

static void test_stall_voids_failures(void **state _unused_) {
        Bench b;

        bench_new(&b);
        take_config(&b, make_config(&fake_driver, two, 2));
        assert_int_equal(calls.start, 2);
        clock_suspended += 30 * USEC_PER_SEC; /* a suspend: only BOOTTIME goes on */
        finish(&b, 0, true);                  /* a success is one all the same */
        assert_int_equal(b.n_stalls, 1);
        assert_int_equal(b.n_results, 1);
        pass(&b, USEC_PER_SEC + 20 * USEC_PER_MSEC); /* the other passes its deadline */
        assert_int_equal(b.n_void, 1);
        assert_int_equal(b.n_results, 1);
        assert_int_equal(calls.start, 3); /* and was run again at once */
        finish(&b, 1, false);
        assert_int_equal(b.n_results, 2); /* which counts */
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

static void test_defects(void **state _unused_) {
        Config *c = make_config(&fake_driver, one, 1);
        Bench b;

        /* A credential that is not there: fails without the driver. */
        bench_new(&b);
        c->checks[0]->defect_reason = REASON_CREDENTIAL;
        snprintf(c->checks[0]->defect, sizeof(c->checks[0]->defect), "Credential x not configured");
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
        calls.close++; /* what could not be opened is not closed */
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
                cmocka_unit_test(test_retry_interval),
                cmocka_unit_test(test_concurrency),
                cmocka_unit_test(test_trigger),
                cmocka_unit_test(test_no_burst_after_stall),
                cmocka_unit_test(test_stall_voids_failures),
                cmocka_unit_test(test_reload),
                cmocka_unit_test(test_reload_keeps_schedule),
                cmocka_unit_test(test_defects),
                cmocka_unit_test(test_run_on_request),
                cmocka_unit_test(test_report),
                cmocka_unit_test(test_signs_of_life),
                cmocka_unit_test(test_random),
        };

        return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
