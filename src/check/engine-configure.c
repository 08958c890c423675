/* SPDX-License-Identifier: MIT */
/* The checks of the engine: how they are made and closed, and how those of one configuration follow
 * those of another. */

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "check/engine-internal.h"
#include "model/schedule.h"

/* When a check without runs is set up again that could not be. */
#define OPEN_AGAIN_USEC USEC_PER_SEC

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

/* All is as it was before, for the next time. */
static void check_note_not_open(Check *c, int error) {
        Engine *e = c->engine;

        if (error != c->open_error)
                log_errno(LOG_WARNING, error, "%s: cannot set up the check", c->config->id);
        shared_put(TAKE(c->shared));
        memset(c->instance, 0, c->driver->instance_size);
        if (!check_has_runs(c)) {
                e->due_usec[c->index] = usec_add(engine_now(e), OPEN_AGAIN_USEC);
                engine_arm(e, e->due_usec[c->index]);
        }
}

void check_open(Check *c) {
        int r;

        if (c->config->defect_reason != REASON_NONE)
                return;
        r = shared_get(c->engine, c->driver, &c->shared);
        if (r >= 0 && c->driver->open)
                r = c->driver->open(c);
        if (r < 0)
                check_note_not_open(c, r);
        else if (c->open_error < 0)
                log_info("%s: the check is set up now", c->config->id);
        c->is_open = r >= 0;
        c->open_error = r < 0 ? r : 0;
}

/* -- reload ------------------------------------------------------------------------------------ */

/* The checks of a configuration in the making. */
struct Lineup {
        Check **checks;   /* owned: the new ones; those taken over are borrowed until the swap */
        usec_t *due_usec; /* owned */
        size_t n;
        size_t *taken_from; /* owned: index of the check taken over, or INDEX_NONE */
};

Lineup *lineup_free(Lineup *l) {
        if (!l)
                return NULL;
        for (size_t i = 0; l->checks && i < l->n; i++)
                if (l->taken_from[i] == INDEX_NONE)
                        check_free(l->checks[i]);
        free(l->checks);
        free(l->due_usec);
        free(l->taken_from);
        free(l);
        return NULL;
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

void engine_close_checks(Engine *e) {
        for (size_t i = 0; i < e->n_checks; i++)
                e->checks[i] = check_free(e->checks[i]);
}

int engine_prepare(Engine *e, Config *config, Lineup **ret) {
        _cleanup_(lineup_freep) Lineup *l = calloc(1, sizeof(*l));
        int r;

        if (!l)
                return -ENOMEM;
        r = lineup_make(l, e, config);
        if (r < 0)
                return r;
        *ret = TAKE(l);
        return 0;
}

void engine_take(Engine *e, Config *config, Lineup *lineup) {
        _cleanup_(lineup_freep) Lineup *l = lineup;
        usec_t now = engine_now(e);

        /* Take over before the rest is closed, close before the new ones are opened. */
        for (size_t i = 0; i < l->n; i++)
                if (l->taken_from[i] == INDEX_NONE)
                        lineup_open(l, i, config, now);
                else
                        lineup_take_over(l, i, e, config->checks[i]);
        lineup_hurry(l, e, config, now);
        /* How long it took to get so far is no stall of what is only beginning. */
        if (!e->config)
                engine_see_loop(e);
        engine_close_checks(e); /* what the new configuration no longer holds */

        free(e->checks);
        free(e->due_usec);
        e->checks = TAKE(l->checks);
        e->due_usec = TAKE(l->due_usec);
        e->n_checks = l->n;
        config_unref(e->config);
        e->config = config_ref(config);

        for (size_t i = 0; i < e->n_checks; i++)
                if (l->taken_from[i] == INDEX_NONE && !e->checks[i]->is_served)
                        check_open(e->checks[i]);
        engine_arm(e, now);
}

int engine_configure(Engine *e, Config *config) {
        Lineup *l;
        int r;

        r = engine_prepare(e, config, &l);
        if (r < 0)
                return r;
        engine_take(e, config, l);
        return 0;
}
