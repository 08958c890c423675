/* SPDX-License-Identifier: MIT */
#include "check/engine.h"

#include <errno.h>

#include "base/log.h"
#include "base/text.h"
#include "check/engine-internal.h"
#include "model/schedule.h"

/* The loop is seen to turn at least so often; a gap of more than this on top is a stall. */
#define HEARTBEAT_USEC USEC_PER_SEC
#define STALL_USEC     USEC_PER_SEC

/* How far behind its deadline a run or a start may be before the watchdog is told. */
#define OVERDUE_GRACE_USEC (5 * USEC_PER_SEC)

#define TIMER_ACCURACY_USEC USEC_PER_MSEC

/* Written-off threads are bounded, so that dead mounts cannot eat the machine. */
#define WORKERS_MAX      8
#define WORKERS_LOST_MAX 64

usec_t engine_now(const Engine *e) {
        return e->clock(e, CLOCK_MONOTONIC);
}

void engine_arm(Engine *e, usec_t usec) {
        if (usec >= e->armed_usec)
                return;
        e->armed_usec = usec;
        sd_event_source_set_time(e->timer, usec);
}

void engine_notice_stall(Engine *e) {
        usec_t monotonic = engine_now(e), boottime = e->clock(e, CLOCK_BOOTTIME), gap;

        gap = MAX(usec_sub(monotonic, e->seen_monotonic), usec_sub(boottime, e->seen_boottime));
        e->seen_monotonic = monotonic;
        e->seen_boottime = boottime;
        if (gap <= HEARTBEAT_USEC + STALL_USEC)
                return;
        for (size_t i = 0; i < e->n_checks; i++)
                if (e->checks[i]->run)
                        e->checks[i]->run->is_void = true;
        e->handler->stalled(e->userdata, gap);
}

/* -- checks ------------------------------------------------------------------------------------ */

/* Finds or makes what all checks of a type share. */
static int shared_get(Engine *e, const CheckDriver *driver, Shared **ret) {
        Shared *s;
        int r = 0;

        LIST_FOREACH(i, &e->shared) {
                s = list_item(i, Shared, link);
                if (s->driver == driver) {
                        s->n_users++;
                        *ret = s;
                        return 0;
                }
        }
        s = calloc(1, sizeof(Shared));
        if (!s)
                return -ENOMEM;
        s->driver = driver;
        s->n_users = 1;
        s->memory = calloc(1, MAX(driver->shared_size, (size_t) 1));
        if (!s->memory)
                r = -ENOMEM;
        else if (driver->attach)
                r = driver->attach(e, s->memory);
        if (r < 0) {
                free(s->memory);
                free(s);
                return r;
        }
        list_append(&e->shared, &s->link);
        *ret = s;
        return 0;
}

static void shared_put(Shared *s) {
        if (!s || --s->n_users > 0)
                return;
        if (s->driver->detach)
                s->driver->detach(s->memory);
        list_unlink(&s->link);
        free(s->memory);
        free(s);
}

static Check *check_free(Check *c) {
        if (!c)
                return NULL;
        c->is_closing = true;
        check_cancel(c);
        if (c->is_open && c->driver->close)
                c->driver->close(c);
        shared_put(c->shared);
        check_config_unref(c->opened_with);
        check_config_unref(c->config);
        free(c->instance);
        free(c);
        return NULL;
}

static Check *check_new(Engine *e, CheckConfig *config) {
        Check *c = calloc(1, sizeof(Check));

        if (!c)
                return NULL;
        c->engine = e;
        c->driver = container_of(config->type, const CheckDriver, type);
        c->config = check_config_ref(config);
        c->opened_with = check_config_ref(config);
        c->instance = calloc(1, MAX(c->driver->instance_size, (size_t) 1));
        return c->instance ? c : check_free(c);
}

/* Lets the driver set the check up. What goes wrong is told by each of its runs. */
static void check_open(Check *c) {
        int r;

        if (c->config->defect_reason != REASON_NONE)
                return;
        r = shared_get(c->engine, c->driver, &c->shared);
        if (r >= 0 && c->driver->open)
                r = c->driver->open(c);
        c->open_error = r;
        c->is_open = r >= 0;
        if (r < 0)
                log_errno(LOG_WARNING, r, "%s: cannot set up the check", c->config->id);
}

static bool check_has_runs(const Check *c) {
        return !c->is_served && check_type_has_runs(c->config->type);
}

/* -- reload ------------------------------------------------------------------------------------ */

/* The checks of a configuration in the making. */
typedef struct Lineup {
        Check **checks;   /* owned: the new ones; those taken over are borrowed until the swap */
        usec_t *due_usec; /* owned */
        size_t n;
        size_t *taken_from; /* owned: index of the check taken over, or INDEX_NONE */
} Lineup;

static void lineup_done(Lineup *l) {
        for (size_t i = 0; l->checks && i < l->n; i++)
                if (l->taken_from[i] == INDEX_NONE)
                        check_free(l->checks[i]);
        free(l->checks);
        free(l->due_usec);
        free(l->taken_from);
}

/* The check of that name that tests the same thing, or INDEX_NONE. */
static size_t engine_find_same(const Engine *e, const CheckConfig *config) {
        size_t i = e->config ? config_find_check(e->config, config->service, config->name)
                             : INDEX_NONE;

        if (i == INDEX_NONE || !check_config_same_target(e->config->checks[i], config))
                return INDEX_NONE;
        return i;
}

/* Whether a check is served that was not there before. */
static bool engine_serves_more(const Engine *e, const Config *config, size_t check) {
        CONFIG_FOREACH_SERVED(i, config, check)
        if (engine_find_same(e, config->checks[i]) == INDEX_NONE)
                return true;
        return false;
}

/* The check whose runs go on as those of this one. Those that are shared follow the shared check,
 * whichever service's check runs for it. */
static size_t engine_find_running(const Engine *e, const Config *config, size_t check) {
        const CheckConfig *c = config->checks[check];
        size_t i;

        if (!e->config || config_runs_as(config, check) != check)
                return INDEX_NONE;
        if (!c->shared) {
                i = engine_find_same(e, c);
                return i != INDEX_NONE && e->config->checks[i]->shared ? INDEX_NONE : i;
        }
        i = config_find_shared(e->config, c->shared);
        if (i == INDEX_NONE || !check_config_same_target(e->config->checks[i], c))
                return INDEX_NONE;
        /* There is no run to tell the new one what was reported: that is recalled for all. */
        if (check_config_is_pushed(c) && engine_serves_more(e, config, check))
                return INDEX_NONE;
        return i;
}

static int lineup_make(Lineup *l, Engine *e, Config *config) {
        size_t n = MAX(config->n_checks, (size_t) 1);

        l->checks = calloc(n, sizeof(Check *));
        l->due_usec = calloc(n, sizeof(usec_t));
        l->taken_from = calloc(n, sizeof(size_t));
        if (!l->checks || !l->due_usec || !l->taken_from)
                return -ENOMEM;
        for (size_t i = 0; i < config->n_checks; i++) {
                l->taken_from[i] = engine_find_running(e, config, i);
                l->checks[i] = l->taken_from[i] == INDEX_NONE ? check_new(e, config->checks[i])
                                                              : e->checks[l->taken_from[i]];
                if (!l->checks[i])
                        return -ENOMEM;
                l->n++;
        }
        return 0;
}

/* A check taken over keeps its schedule, unless its interval is another one now. */
static void lineup_take_over(Lineup *l, size_t i, Engine *e, CheckConfig *config) {
        size_t from = l->taken_from[i];
        Check *c = l->checks[i];
        bool is_rescheduled = c->config->interval_usec != config->interval_usec;

        l->due_usec[i] = e->due_usec[from];
        check_config_unref(c->config);
        c->config = check_config_ref(config);
        c->index = i;
        if (is_rescheduled && !c->run && l->due_usec[i] != USEC_INFINITY)
                l->due_usec[i] = schedule_next(config, false, 0, engine_now(e));
        e->checks[from] = NULL;
}

/* Opens a new check and plans its first run. */
static void lineup_open(Lineup *l, size_t i, const Config *config, usec_t now) {
        Check *c = l->checks[i];

        c->is_served = config_runs_as(config, i) != i;
        l->due_usec[i] = check_has_runs(c) ? schedule_first(c->config, now) : USEC_INFINITY;
        c->index = i;
}

/* What is new among those that a run serves must not wait for a run that may be far off. */
static void lineup_hurry(Lineup *l, const Engine *e, const Config *config, usec_t now) {
        for (size_t i = 0; config->shares && i < l->n; i++) {
                size_t runs_as = config_runs_as(config, i);

                if (config->checks[i]->shared && check_has_runs(l->checks[runs_as]) &&
                    !l->checks[runs_as]->run &&
                    engine_find_same(e, config->checks[i]) == INDEX_NONE)
                        l->due_usec[runs_as] = MIN(l->due_usec[runs_as], now);
        }
}

/* What the new configuration no longer holds. */
static void engine_close_leftovers(Engine *e) {
        for (size_t i = 0; i < e->n_checks; i++)
                e->checks[i] = check_free(e->checks[i]);
}

int engine_configure(Engine *e, Config *config) {
        _cleanup_(lineup_done) Lineup l = {};
        usec_t now = engine_now(e);
        int r;

        r = lineup_make(&l, e, config);
        if (r < 0)
                return r;
        /* Nothing fails from here on. Take over before the rest is closed, close before the new
         * ones are opened. */
        for (size_t i = 0; i < l.n; i++)
                if (l.taken_from[i] == INDEX_NONE)
                        lineup_open(&l, i, config, now);
                else
                        lineup_take_over(&l, i, e, config->checks[i]);
        lineup_hurry(&l, e, config, now);
        engine_close_leftovers(e);

        free(e->checks);
        free(e->due_usec);
        e->checks = TAKE(l.checks);
        e->due_usec = TAKE(l.due_usec);
        e->n_checks = l.n;
        config_unref(e->config);
        e->config = config_ref(config);

        for (size_t i = 0; i < e->n_checks; i++)
                if (l.taken_from[i] == INDEX_NONE && !e->checks[i]->is_served)
                        check_open(e->checks[i]);
        engine_arm(e, now);
        return 0;
}

/* -- the engine -------------------------------------------------------------------------------- */

static int on_deferred(sd_event_source *s _unused_, void *userdata) {
        Engine *e = userdata;

        if (e->is_kicked) {
                e->is_kicked = false;
                e->has_progressed = true;
        }
        engine_drain(e);
        return 0;
}

/* Whether nobody wants the check's runs at present. */
static bool check_is_held(const Check *c) {
        const Engine *e = c->engine;

        CONFIG_FOREACH_SERVED(i, e->config, c->index)
        if (!e->checks[i]->is_held)
                return false;
        return true;
}

/* Something is due for the check: its run ends or begins. */
static void check_wake(Check *c) {
        usec_t *due = &c->engine->due_usec[c->index];

        if (!c->run)
                c->planned_usec = *due;
        *due = USEC_INFINITY;
        if (c->run)
                check_run_expire(c->run);
        else if (!check_is_held(c))
                check_begin(c);
}

void engine_tick(Engine *e) {
        usec_t now = engine_now(e), next = usec_add(now, HEARTBEAT_USEC);

        engine_notice_stall(e);
        e->armed_usec = next; /* meanwhile engine_arm() may make it earlier */
        for (size_t i = 0; i < e->n_checks; i++) {
                if (e->due_usec[i] <= now)
                        check_wake(e->checks[i]);
                next = MIN(next, e->due_usec[i]);
        }
        if (e->is_kicked)
                sd_event_source_set_enabled(e->deferred, SD_EVENT_ONESHOT);
        e->armed_usec = MIN(next, e->armed_usec);
        sd_event_source_set_time(e->timer, e->armed_usec);
}

static int on_timer(sd_event_source *s _unused_, usec_t usec _unused_, void *userdata) {
        engine_tick(userdata);
        return 0;
}

/* The time at which the present turn of the loop began. */
static usec_t loop_clock(const Engine *e, clockid_t id) {
        usec_t now = 0;

        sd_event_now(e->event, id, &now);
        return now;
}

Engine *engine_free(Engine *e) {
        if (!e)
                return NULL;
        engine_close_leftovers(e);
        free(e->checks);
        free(e->due_usec);
        config_unref(e->config);
        sd_event_source_disable_unref(e->timer);
        sd_event_source_disable_unref(e->deferred);
        poll_set_free(e->poll_set);
        workers_free(e->workers);
        resolver_free(e->resolver);
        sd_event_unref(e->event);
        free(e);
        return NULL;
}

int engine_new(sd_event *event, const EngineHandler *handler, void *userdata, Engine **ret) {
        _cleanup_(engine_freep) Engine *e = NULL;
        int r;

        e = calloc(1, sizeof(Engine));
        if (!e)
                return -ENOMEM;
        e->event = sd_event_ref(event);
        e->handler = handler;
        e->userdata = userdata;
        e->clock = loop_clock;
        e->seen_monotonic = clock_usec(CLOCK_MONOTONIC);
        e->seen_boottime = clock_usec(CLOCK_BOOTTIME);
        list_init(&e->shared);
        list_init(&e->ready);
        list_init(&e->waiting);
        r = poll_set_new(event, &e->poll_set);
        if (r < 0)
                return r;
        r = resolver_new(event, NULL, &e->resolver);
        if (r < 0)
                return r;
        r = workers_new(event, WORKERS_MAX, WORKERS_LOST_MAX, &e->workers);
        if (r < 0)
                return r;
        e->armed_usec = USEC_INFINITY;
        r = sd_event_add_time(event, &e->timer, CLOCK_MONOTONIC, e->seen_monotonic,
                              TIMER_ACCURACY_USEC, on_timer, e);
        if (r < 0)
                return r;
        sd_event_source_set_enabled(e->timer, SD_EVENT_ON);
        r = sd_event_add_defer(event, &e->deferred, on_deferred, e);
        if (r < 0)
                return r;
        r = sd_event_source_set_enabled(e->deferred, SD_EVENT_OFF);
        if (r < 0)
                return r;
        *ret = TAKE(e);
        return 0;
}

void engine_set_directories(Engine *e, const char *runtime, const char *state) {
        e->runtime_directory = runtime;
        e->state_directory = state;
}

/* The check whose runs are this one's. */
static Check *engine_running(const Engine *e, size_t check) {
        return e->checks[config_runs_as(e->config, check)];
}

int engine_run(Engine *e, size_t check, uint64_t *ret_serial) {
        Check *c = engine_running(e, check);

        if (!check_has_runs(c))
                return -EOPNOTSUPP;
        if (check_is_held(c))
                return -EAGAIN;
        *ret_serial = c->serial + 1;
        if (c->run) {
                c->is_wanted_again = true;
                c->trigger_usec = 0;
        } else {
                e->due_usec[c->index] = MIN(e->due_usec[c->index], engine_now(e));
                engine_arm(e, 0);
        }
        return 0;
}

bool engine_hold(Engine *e, size_t check, bool is_held) {
        Check *c;

        if (check >= e->n_checks || e->checks[check]->is_held == is_held)
                return false;
        e->checks[check]->is_held = is_held;
        c = engine_running(e, check);
        if (is_held || !check_has_runs(c))
                return true;
        if (c->run)
                c->is_wanted_again = true;
        else
                e->due_usec[c->index] = engine_now(e);
        engine_arm(e, engine_now(e));
        return true;
}

int engine_report(Engine *e, size_t check, const Result *result, const Sender *sender) {
        Check *c = engine_running(e, check);

        if (!c->driver->report || !c->is_open)
                return -EOPNOTSUPP;
        return c->driver->report(c, result, sender);
}

void engine_renew(Engine *e, size_t check) {
        Check *c = engine_running(e, check);

        if (c->driver->renew && c->is_open)
                c->driver->renew(c);
}

usec_t engine_next_run_usec(const Engine *e, size_t check) {
        const Check *c = engine_running(e, check);

        return c->run ? 0 : check_is_held(c) ? USEC_INFINITY : e->due_usec[c->index];
}

void engine_kick(Engine *e) {
        e->is_kicked = true;
        e->has_progressed = false;
        engine_arm(e, 0);
}

bool engine_has_progressed(const Engine *e) {
        return e->has_progressed;
}

const char *engine_overdue(const Engine *e) {
        usec_t limit = usec_sub(clock_usec(CLOCK_MONOTONIC), OVERDUE_GRACE_USEC);

        for (size_t i = 0; i < e->n_checks; i++)
                if (e->due_usec[i] < limit)
                        return e->checks[i]->config->id;
        return NULL;
}
