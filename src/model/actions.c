/* SPDX-License-Identifier: MIT */
#include "model/actions.h"

#include <errno.h>
#include <stdio.h>

#include "base/text.h"

const char *restart_state_to_string(RestartState s) {
        static const char *const words[] = {
                [RESTART_OFF] = "off",
                [RESTART_IDLE] = "idle",
                [RESTART_HELD] = "held",
                [RESTART_BACKOFF] = "backoff",
                [RESTART_BUDGET] = "budget",
                [RESTART_UNDER_WAY] = "restarting",
                [RESTART_WATCHED] = "watched",
                [RESTART_REFUSED] = "refused",
                [RESTART_FAIL_STATIC] = "fail-static",
        };

        return words[s];
}

const char *restart_hold_to_string(RestartHold h) {
        static const char *const words[] = {
                [RESTART_HOLD_NONE] = "",
                [RESTART_HOLD_SETTLING] = "settling",
                [RESTART_HOLD_DRAINED] = "drained",
                [RESTART_HOLD_NO_SYSTEMD] = "no-systemd",
        };

        return words[h];
}

static bool are_of_one_unit(const ServiceConfig *x, const ServiceConfig *y) {
        return x->unit && y->unit && str_equal(x->unit, y->unit);
}

/* Several services may stand for one unit: what is done to it is done to all of them. */
static bool is_same_unit(const Actions *a, size_t i, size_t k) {
        return i == k || are_of_one_unit(&a->config->services[i], &a->config->services[k]);
}

/* -- what is seen ------------------------------------------------------------------------------ */

/* A run that failed, and not so long ago that it says nothing any more. What has no runs of its own
 * stands until something else is said. */
static bool check_is_evidence(const Actions *a, const CheckState *c) {
        if (!check_type_has_runs(c->config->type))
                return true;
        return c->last.outcome == OUTCOME_FAIL && c->last_boottime > a->evidence_boottime;
}

static bool is_evidently_dead(const Actions *a, const Snapshot *s, size_t service) {
        CheckState *const *checks = snapshot_checks_of(s, service);

        if (!s->services[service].verdict.is_measured_dead)
                return false;
        for (size_t i = 0; i < s->config->services[service].n_checks; i++)
                if (check_config_counts(checks[i]->config, PROBE_LIVENESS) && checks[i]->is_dead &&
                    check_is_evidence(a, checks[i]))
                        return true;
        return false;
}

/* Too late, and not for want of anything but its own checks: those that fail, not those that wait
 * for others or have not been run. */
static bool has_evidently_not_started(const Actions *a, const Snapshot *s, size_t service) {
        const ServiceConfig *config = &s->config->services[service];
        CheckState *const *checks = snapshot_checks_of(s, service);

        if (s->services[service].verdict.started != STARTUP_FAILED ||
            s->time.boottime < usec_add(a->startup_boottime, config->startup_timeout_usec))
                return false;
        for (size_t i = 0; i < config->n_checks; i++)
                if (check_config_counts(checks[i]->config, PROBE_STARTUP) &&
                    !checks[i]->has_been_good && checks[i]->measured == HEALTH_UNHEALTHY &&
                    check_is_evidence(a, checks[i]))
                        return true;
        return false;
}

/* systemd has its own limit for a start, but not for one that waits for us (vitald-run). */
static RestartCause cause_of(const Actions *a, const Snapshot *s, size_t service) {
        const ServiceConfig *config = &s->config->services[service];
        UnitState unit = s->services[service].state->unit;

        if (config->on_liveness_failure == ON_LIVENESS_FAILURE_RESTART && unit == UNIT_ACTIVE &&
            is_evidently_dead(a, s, service))
                return RESTART_CAUSE_LIVENESS;
        if (config->on_startup_failure == ON_STARTUP_FAILURE_RESTART &&
            (unit == UNIT_ACTIVE || unit == UNIT_ACTIVATING) &&
            has_evidently_not_started(a, s, service))
                return RESTART_CAUSE_STARTUP;
        return RESTART_CAUSE_NONE;
}

/* The unit may be seen as it was for a moment after the job is done. */
static bool is_still_ending(const Restart *r, const Snapshot *s, size_t service, Time now) {
        return r->ended_boottime > 0 &&
               now.boottime < usec_add(r->ended_boottime, ACTIONS_SETTLE_USEC) &&
               str_equal(r->invocation_id, s->services[service].state->invocation_id);
}

static bool is_proven_healthy(const Snapshot *s, size_t service) {
        CheckState *const *checks = snapshot_checks_of(s, service);
        const ServiceView *v = &s->services[service];

        if (v->verdict.started != STARTUP_STARTED || v->state->unit != UNIT_ACTIVE)
                return false;
        for (size_t i = 0; i < s->config->services[service].n_checks; i++)
                if (check_config_counts(checks[i]->config, PROBE_LIVENESS) &&
                    !health_is_good(checks[i]->measured))
                        return false;
        return true;
}

static usec_t settled_at(const Actions *a, const Restart *r) {
        return MAX(a->settled_boottime, usec_add(r->due_boottime, ACTIONS_GRACE_USEC));
}

static bool is_drained(const Actions *a, const Snapshot *s, size_t service) {
        for (size_t i = 0; i < a->n; i++)
                if (s->services[i].state->drain.is_active && is_same_unit(a, service, i))
                        return true;
        return s->drain.is_active;
}

static RestartHold hold_of(const Actions *a, const Snapshot *s, size_t service, bool has_systemd,
                           Time now) {
        if (is_drained(a, s, service))
                return RESTART_HOLD_DRAINED;
        if (!has_systemd)
                return RESTART_HOLD_NO_SYSTEMD;
        return now.boottime < settled_at(a, &a->restarts[service]) ? RESTART_HOLD_SETTLING
                                                                   : RESTART_HOLD_NONE;
}

/* -- what follows ------------------------------------------------------------------------------ */

static void say(Actions *a, ActionType type, size_t service) {
        Action *out = a->out;

        if (a->n_out == a->n_allocated) {
                size_t n = MAX(a->n_allocated * 2, (size_t) 16);

                out = reallocarray(a->out, n, sizeof(Action));
                if (!out)
                        return;
                a->out = out;
                a->n_allocated = n;
        }
        out[a->n_out++] = (Action){ .type = type, .service = service };
}

/* Once in an episode. */
static void say_once(Actions *a, ActionType type, size_t service) {
        Restart *r = &a->restarts[service];

        if (r->told & 1U << type)
                return;
        r->told |= 1U << type;
        say(a, type, service);
}

static void end_episode(Restart *r) {
        r->cause = RESTART_CAUSE_NONE;
        r->hold = RESTART_HOLD_NONE;
        r->due_boottime = 0;
        r->is_refused = false;
        r->told = 0;
}

static void see_health(Actions *a, const Snapshot *s, size_t service, Time now) {
        usec_t reset_after = s->config->services[service].restart_reset_after_usec;
        Restart *r = &a->restarts[service];

        if (!is_proven_healthy(s, service)) {
                r->good_boottime = 0;
                return;
        }
        if (r->good_boottime == 0)
                r->good_boottime = now.boottime;
        if (r->counts.n_in_row == 0 || now.boottime < usec_add(r->good_boottime, reset_after))
                return;
        say(a, ACTION_TELL_CURED, service);
        r->counts.n_in_row = 0;
        r->counts.static_boottime = r->counts.static_realtime = 0;
        r->next_boottime = 0;
        a->is_dirty = true;
}

static void give_up(Actions *a, size_t service, Time now) {
        Restart *r = &a->restarts[service];

        if (r->counts.static_boottime == 0) {
                r->counts.static_boottime = MAX(now.boottime, (usec_t) 1);
                r->counts.static_realtime = MAX(now.realtime, (usec_t) 1);
                a->is_dirty = true;
                say(a, ACTION_TELL_STATIC, service);
        }
        r->state = RESTART_FAIL_STATIC;
}

/* Everything but the budget. True: it wants a token. */
static bool look(Actions *a, const Snapshot *s, size_t service, bool has_systemd, Time now) {
        const ServiceConfig *config = &s->config->services[service];
        Restart *r = &a->restarts[service];

        if (!service_config_restarts(config)) {
                end_episode(r);
                r->state = RESTART_OFF;
                return false;
        }
        if (r->state == RESTART_UNDER_WAY)
                return false;
        see_health(a, s, service, now);
        r->cause =
                is_still_ending(r, s, service, now) ? RESTART_CAUSE_NONE : cause_of(a, s, service);
        if (r->cause == RESTART_CAUSE_NONE) {
                end_episode(r);
                r->state = r->counts.static_boottime > 0 ? RESTART_FAIL_STATIC
                           : r->counts.n_in_row > 0      ? RESTART_WATCHED
                                                         : RESTART_IDLE;
                return false;
        }
        if (r->due_boottime == 0)
                r->due_boottime = MAX(now.boottime, (usec_t) 1);
        if (r->counts.static_boottime > 0 || r->counts.n_in_row >= config->restart_limit) {
                give_up(a, service, now);
                return false;
        }
        r->hold = hold_of(a, s, service, has_systemd, now);
        if (r->hold != RESTART_HOLD_NONE) {
                r->state = r->is_refused ? RESTART_REFUSED : RESTART_HELD;
                if (r->hold == RESTART_HOLD_NO_SYSTEMD)
                        say_once(a, ACTION_TELL_HELD, service);
                return false;
        }
        if (now.boottime >= r->next_boottime)
                return true;
        r->state = r->is_refused ? RESTART_REFUSED : RESTART_BACKOFF;
        if (!r->is_refused)
                say_once(a, ACTION_TELL_DELAY, service);
        return false;
}

static usec_t delay_of(const ServiceConfig *config, uint64_t n_in_row) {
        usec_t delay = config->restart_backoff_usec;

        for (uint64_t i = 1; i < n_in_row && delay < config->restart_backoff_max_usec; i++)
                delay = usec_mul(delay, 2);
        return MIN(delay, config->restart_backoff_max_usec);
}

static void begin(Actions *a, const Snapshot *s, size_t service, Time now) {
        Restart *r = &a->restarts[service];

        r->before = r->counts;
        r->counts.n_total++;
        r->counts.n_in_row++;
        r->counts.last_boottime = r->taken_boottime = now.boottime;
        r->counts.last_realtime = now.realtime;
        r->next_boottime =
                usec_add(now.boottime, delay_of(&s->config->services[service], r->counts.n_in_row));
        for (size_t i = 0; i < a->n; i++)
                if (is_same_unit(a, service, i))
                        a->restarts[i].next_boottime =
                                MAX(a->restarts[i].next_boottime, r->next_boottime);
        r->state = RESTART_UNDER_WAY;
        r->hold = RESTART_HOLD_NONE;
        memcpy(r->invocation_id, s->services[service].state->invocation_id,
               sizeof(r->invocation_id));
        a->is_dirty = true;
        say(a, ACTION_RESTART, service);
}

static bool is_unit_busy(const Actions *a, size_t service) {
        for (size_t i = 0; i < a->n; i++)
                if (a->restarts[i].state == RESTART_UNDER_WAY && is_same_unit(a, service, i))
                        return true;
        return false;
}

/* Who has had fewest goes first, and then who has waited longest. */
static bool goes_before(const Restart *x, const Restart *y) {
        if (x->counts.n_in_row != y->counts.n_in_row)
                return x->counts.n_in_row < y->counts.n_in_row;
        return x->due_boottime < y->due_boottime;
}

static size_t next_of(const Actions *a, const bool wants[]) {
        size_t best = INDEX_NONE;

        for (size_t i = 0; i < a->n; i++)
                if (wants[i] &&
                    (best == INDEX_NONE || goes_before(&a->restarts[i], &a->restarts[best])))
                        best = i;
        return best;
}

static void hand_out(Actions *a, const Snapshot *s, bool wants[], Time now) {
        size_t i;

        while ((i = next_of(a, wants)) != INDEX_NONE) {
                Restart *r = &a->restarts[i];

                wants[i] = false;
                if (is_unit_busy(a, i))
                        r->state = RESTART_IDLE;
                else if (restart_budget_take(&a->budget, now.boottime))
                        begin(a, s, i, now);
                else {
                        r->state = r->is_refused ? RESTART_REFUSED : RESTART_BUDGET;
                        say_once(a, ACTION_TELL_BUDGET, i);
                }
        }
}

/* When something is different without anything happening. */
static usec_t next_look(const Actions *a, const Restart *r, const ServiceConfig *config, Time now) {
        usec_t at = USEC_INFINITY;

        if (r->counts.n_in_row > 0 && r->good_boottime > 0)
                at = usec_add(r->good_boottime, config->restart_reset_after_usec);
        if (r->ended_boottime > 0 &&
            now.boottime < usec_add(r->ended_boottime, ACTIONS_SETTLE_USEC))
                at = MIN(at, usec_add(r->ended_boottime, ACTIONS_SETTLE_USEC));
        if (r->hold == RESTART_HOLD_SETTLING)
                at = MIN(at, settled_at(a, r));
        if (r->state == RESTART_BACKOFF || r->state == RESTART_REFUSED)
                at = MIN(at, MAX(r->next_boottime, usec_add(now.boottime, USEC_PER_SEC)));
        if (r->state == RESTART_BUDGET)
                at = MIN(at, restart_budget_next(&a->budget, now.boottime));
        return at;
}

usec_t actions_decide(Actions *a, const Snapshot *s, bool has_systemd, Time now) {
        _cleanup_free_ bool *wants = NULL;
        usec_t at = USEC_INFINITY;

        a->n_out = 0;
        assert(s->config == a->config);
        wants = calloc(MAX(a->n, (size_t) 1), sizeof(bool));
        if (!wants)
                return usec_add(now.boottime, USEC_PER_SEC);
        for (size_t i = 0; i < a->n; i++)
                wants[i] = look(a, s, i, has_systemd, now);
        hand_out(a, s, wants, now);
        for (size_t i = 0; i < a->n; i++)
                at = MIN(at, next_look(a, &a->restarts[i], &s->config->services[i], now));
        return at;
}

void actions_ended(Actions *a, size_t service, Time now) {
        Restart *r = &a->restarts[service];

        end_episode(r);
        r->state = RESTART_WATCHED;
        r->good_boottime = 0;
        for (size_t i = 0; i < a->n; i++) {
                if (!is_same_unit(a, service, i))
                        continue;
                a->restarts[i].ended_boottime = MAX(now.boottime, (usec_t) 1);
                memmove(a->restarts[i].invocation_id, r->invocation_id, sizeof(r->invocation_id));
        }
}

void actions_refused(Actions *a, size_t service, bool is_passing, Time now) {
        const ServiceConfig *config = &a->config->services[service];
        Restart *r = &a->restarts[service];

        restart_budget_give_back(&a->budget, r->taken_boottime);
        r->counts = r->before;
        r->is_refused = true;
        r->state = RESTART_REFUSED;
        r->next_boottime = usec_add(now.boottime, is_passing ? config->restart_backoff_usec
                                                             : config->restart_backoff_max_usec);
        a->is_dirty = true;
}

void actions_reset(Actions *a, size_t service) {
        Restart *r = &a->restarts[service];

        a->is_dirty = true;
        r->counts.n_in_row = r->before.n_in_row = 0;
        r->counts.static_boottime = r->counts.static_realtime = 0;
        if (r->state == RESTART_UNDER_WAY) {
                r->counts.n_in_row = 1;
                r->next_boottime =
                        usec_add(r->taken_boottime, delay_of(&a->config->services[service], 1));
                return;
        }
        end_episode(r);
        r->state = RESTART_IDLE;
        r->next_boottime = 0;
}

void actions_stalled(Actions *a, Time now) {
        actions_connected(a, now);
        a->startup_boottime = now.boottime;
}

void actions_connected(Actions *a, Time now) {
        a->evidence_boottime = now.boottime;
        a->settled_boottime = usec_add(now.boottime, ACTIONS_SETTLE_USEC);
}

/* -- life -------------------------------------------------------------------------------------- */

static void restarts_free(Restart *restarts, size_t n) {
        for (size_t i = 0; i < n; i++)
                free(restarts[i].name);
        free(restarts);
}

static Restart *find(const Actions *a, const char *name) {
        for (size_t i = 0; i < a->n; i++)
                if (str_equal(a->restarts[i].name, name))
                        return &a->restarts[i];
        return NULL;
}

static void forget_config(Actions *a) {
        restarts_free(a->restarts, a->n);
        config_unref(a->config);
        a->restarts = NULL;
        a->n = 0;
}

int actions_configure(Actions *a, Config *config) {
        size_t n = config->n_services;
        Restart *restarts = calloc(MAX(n, (size_t) 1), sizeof(Restart));

        if (!restarts)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                const Restart *old = find(a, config->services[i].name);

                if (old &&
                    are_of_one_unit(&a->config->services[old - a->restarts], &config->services[i]))
                        restarts[i] = *old;
                restarts[i].name = strdup(config->services[i].name);
                if (!restarts[i].name) {
                        restarts_free(restarts, i);
                        return -ENOMEM;
                }
        }
        forget_config(a);
        a->restarts = restarts;
        a->n = n;
        a->config = config_ref(config);
        restart_budget_set(&a->budget, (unsigned) config->daemon.restart_budget_burst,
                           config->daemon.restart_budget_interval_usec);
        return 0;
}

void actions_restore(Actions *a, const char *name, const RestartCounts *counts, Time now) {
        Restart *r = find(a, name);
        RestartCounts *c;

        if (!r)
                return;
        c = &r->counts;
        *c = *counts;
        c->n_total = MAX(c->n_total, c->n_in_row);
        c->last_boottime = MIN(c->last_boottime, now.boottime);
        c->static_boottime = MIN(c->static_boottime, now.boottime);
        if (c->n_in_row > 0)
                r->next_boottime =
                        usec_add(c->last_boottime,
                                 delay_of(&a->config->services[r - a->restarts], c->n_in_row));
}

Actions *actions_free(Actions *a) {
        if (!a)
                return NULL;
        forget_config(a);
        free(a->out);
        free(a);
        return NULL;
}

Actions *actions_new(Time now) {
        Actions *a = calloc(1, sizeof(Actions));

        if (!a)
                return NULL;
        actions_stalled(a, now);
        return a;
}
