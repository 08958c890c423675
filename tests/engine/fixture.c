/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#include <stdio.h>
#include <string.h>

/* -- the driver -------------------------------------------------------------------------------- */

typedef struct FakeSettings {
        uint64_t number;
} FakeSettings;

typedef struct FakeShared {
        bool is_attached;
} FakeShared;

Calls calls;
usec_t clock_monotonic, clock_suspended;

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

const CheckDriver fake_driver = {
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

const CheckDriver push_driver = {
        .type = {
                .name = "push",
                .flags = CHECK_TYPE_PUSH,
                .settings_size = sizeof(FakeSettings),
                .describe = fake_describe,
        },
        .shared_size = sizeof(FakeShared),
        .attach = fake_attach,
        .detach = fake_detach,
        .instance_size = sizeof(FakeInstance),
        .open = fake_open,
        .close = fake_close,
        .report = fake_report,
};

/* -- the bench --------------------------------------------------------------------------------- */

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

static void on_forgotten(void *userdata _unused_, size_t check _unused_) {}

static void on_voided(void *userdata, size_t check _unused_) {
        ((Bench *) userdata)->n_void++;
}

static void on_turn(void *userdata) {
        ((Bench *) userdata)->n_turns++;
}

static void on_stalled(void *userdata, usec_t usec _unused_) {
        ((Bench *) userdata)->n_stalls++;
}

static void on_woken(void *userdata, usec_t late_usec) {
        Bench *b = userdata;

        b->late_max_usec = MAX(b->late_max_usec, late_usec);
}

static const EngineHandler handler = {
        .result = on_result,
        .forgotten = on_forgotten,
        .voided = on_voided,
        .turn = on_turn,
        .stalled = on_stalled,
        .woken = on_woken,
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
        c->max_age_usec = 40 * USEC_PER_SEC;
        return c;
}

Config *make_config(const CheckDriver *driver, const unsigned versions[], size_t n) {
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

void settle(Bench *b) {
        engine_tick(b->engine);
        while (sd_event_run(b->event, 0) > 0)
                engine_tick(b->engine);
}

void pass(Bench *b, usec_t usec) {
        for (usec_t end = clock_monotonic + usec; clock_monotonic < end;) {
                clock_monotonic = MIN(end, clock_monotonic + 10 * USEC_PER_MSEC);
                settle(b);
        }
}

void take_config(Bench *b, Config *c) {
        assert_int_equal(engine_configure(b->engine, c), 0);
        config_unref(b->config);
        b->config = c;
        settle(b);
}

void bench_new(Bench *b) {
        *b = (Bench){};
        calls = (Calls){};
        clock_monotonic = BEGIN_USEC;
        clock_suspended = 0;
        assert_true(sd_event_new(&b->event) >= 0);
        assert_int_equal(engine_new(b->event, &handler, b, &b->engine), 0);
        b->engine->clock = fake_clock;
        b->engine->seen_monotonic = b->engine->seen_boottime = BEGIN_USEC;
}

void bench_done(Bench *b) {
        engine_free(b->engine);
        config_unref(b->config);
        sd_event_unref(b->event);
        assert_int_equal(calls.start, calls.stop);
        assert_int_equal(calls.open, calls.close);
        assert_int_equal(calls.attach, calls.detach);
}

FakeInstance *instance(Bench *b, size_t check) {
        return check_instance(b->engine->checks[check]);
}

void finish(Bench *b, size_t check, bool passes) {
        Result result;

        if (passes)
                result_pass(&result, "well");
        else
                result_fail(&result, REASON_REFUSED, "Connection refused");
        check_run_finish(instance(b, check)->run, &result);
        settle(b);
}
