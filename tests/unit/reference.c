/* SPDX-License-Identifier: MIT */
#include "reference.h"

/* -- one check --------------------------------------------------------------------------------- */

static bool feeds(const CheckConfig *c, Probe p) {
        return !c->is_shadow && c->probes & 1U << p;
}

static bool is_success(char letter) {
        return letter == 'p' || letter == 'w';
}

static bool is_fail(char letter) {
        return letter == 'f';
}

/* The end of the last streak of so many letters of a kind, not counting errors; -1: there is none.
 */
static int last_streak(const RefCheck *c, size_t n, bool (*is_kind)(char), uint64_t threshold) {
        uint64_t streak = 0;
        int last = -1;

        for (size_t i = 0; i < n; i++) {
                if (c->history[i] == 'e')
                        continue;
                streak = is_kind(c->history[i]) ? streak + 1 : 0;
                if (streak >= threshold)
                        last = (int) i;
        }
        return last;
}

static int last_letter(const RefCheck *c, size_t n, const char *letters) {
        int last = -1;

        for (size_t i = 0; i < n; i++)
                if (strchr(letters, c->history[i]))
                        last = (int) i;
        return last;
}

/* The state after the first n letters: the last full streak decides. */
static char measured_after(const RefCheck *c, size_t n) {
        int up = last_streak(c, n, is_success, c->config->success_threshold);
        int down = last_streak(c, n, is_fail, c->config->failure_threshold);
        int success = last_letter(c, n, "pw");

        if (down > up)
                return 'U';
        if (up < 0 && c->base != 'H' && c->base != 'D')
                return c->base == 'P' && last_letter(c, n, "e") >= 0 ? '?' : c->base;
        if (success < 0)
                return c->base;
        return c->history[success] == 'w' ? 'D' : 'H';
}

static bool is_dead_after(const RefCheck *c, size_t n) {
        int dead = last_streak(c, n, is_fail, c->config->liveness_failure_threshold);
        int up = last_streak(c, n, is_success, c->config->success_threshold);
        int unknown = last_letter(c, n, "e");

        if (!feeds(c->config, PROBE_LIVENESS))
                return false;
        if (dead < 0 && up < 0 && unknown < 0)
                return c->is_base_dead;
        return dead > up && dead > unknown;
}

char reference_own_measured(const RefCheck *c) {
        return measured_after(c, c->n);
}

bool reference_own_is_dead(const RefCheck *c) {
        return is_dead_after(c, c->n);
}

void reference_cut(RefCheck *c, char base) {
        c->n = 0;
        c->base = base;
        c->is_base_dead = false;
}

/* Where the history can be cut without cutting a streak that is not full yet. */
static size_t where_to_cut(const RefCheck *c) {
        size_t half = sizeof(c->history) / 2;

        for (size_t n = half; n > 0; n--)
                if ((is_success(c->history[n - 1]) && is_fail(c->history[n])) ||
                    (is_fail(c->history[n - 1]) && is_success(c->history[n])))
                        return n;
        return half;
}

static void remember(RefCheck *c, char letter) {
        if (c->n == sizeof(c->history)) {
                size_t n = where_to_cut(c);
                char base = measured_after(c, n);
                bool is_dead = is_dead_after(c, n);

                memmove(c->history, c->history + n, c->n - n);
                c->n -= n;
                c->base = base;
                c->is_base_dead = is_dead;
        }
        c->history[c->n++] = letter;
}

static void take_result(RefCheck *c, const Result *result, Time now) {
        static const char letters[] = "pwfe";
        char state = reference_own_measured(c);

        c->had_result = true;
        if (c->is_waiting)
                return;
        if (result->outcome == OUTCOME_ERROR) {
                if (state == 'P' || state == '?')
                        remember(c, 'e');
                return;
        }
        c->fresh_boottime = now.boottime;
        c->pause_usec = MIN(result->retry_after_usec, USEC_PER_HOUR);
        remember(c, letters[result->outcome]);
        state = reference_own_measured(c);
        if (state == 'H' || state == 'D')
                c->was_good = true;
}

static void check_expire(RefCheck *c, Time now) {
        if (c->fresh_boottime > 0 &&
            now.boottime >= usec_add(c->fresh_boottime, c->config->max_age_usec + c->pause_usec))
                reference_cut(c, '?');
        if (c->override.is_active && now.boottime >= c->override.until_boottime)
                c->override = (Override){};
}

static void check_restart(RefCheck *c) {
        reference_cut(c, 'P');
        c->is_waiting = c->is_combined_dead = false;
        c->had_result = c->was_good = false;
        c->fresh_boottime = 0;
}

/* -- one service ------------------------------------------------------------------------------- */

bool reference_is_up(UnitState u) {
        return u == UNIT_UNFOLLOWED || u == UNIT_ACTIVATING || u == UNIT_ACTIVE ||
               u == UNIT_RELOADING;
}

/* All that the start waits for has come. */
static bool is_start_over(const Reference *r, const RefService *s) {
        bool all_good = true, all_seen = true, any = false;

        for (size_t i = 0; i < s->config->n_checks; i++) {
                const RefCheck *c = r->checks + s->config->first_check + i;

                if (feeds(c->config, PROBE_STARTUP)) {
                        any = true;
                        all_good = all_good && c->was_good;
                }
                if (feeds(c->config, PROBE_READINESS))
                        all_seen = all_seen && c->had_result;
        }
        return any ? all_good : all_seen;
}

static void service_expire(RefService *s, Time now) {
        if (!s->is_started && !s->config->defect && s->clock_boottime != USEC_INFINITY &&
            now.boottime >= usec_add(s->clock_boottime, s->config->startup_timeout_usec))
                s->has_failed = true;
        if (s->drain.is_active && now.boottime >= s->drain.until_boottime)
                s->drain = (Drain){};
}

static void take_unit(Reference *r, const Event *e, Time now) {
        RefService *s = r->services + e->service;
        bool was_seen = s->unit != UNIT_UNFOLLOWED || s->invocation_id[0];

        if (e->invocation_id[0] && !str_equal(e->invocation_id, s->invocation_id)) {
                snprintf(s->invocation_id, sizeof(s->invocation_id), "%s", e->invocation_id);
                if (was_seen) {
                        s->is_started = s->has_failed = false;
                        s->clock_boottime = USEC_INFINITY;
                        if (s->drain.ends_with_invocation)
                                s->drain = (Drain){};
                        for (size_t i = 0; i < s->config->n_checks; i++)
                                check_restart(r->checks + s->config->first_check + i);
                }
        }
        s->unit = e->unit;
        if (reference_is_up(s->unit) && s->clock_boottime == USEC_INFINITY)
                s->clock_boottime = now.boottime;
        if (!reference_is_up(s->unit) && s->unit != UNIT_DEACTIVATING)
                s->clock_boottime = USEC_INFINITY;
}

/* -- all --------------------------------------------------------------------------------------- */

void reference_init(Reference *r, Config *config, Time now) {
        assert(config->n_checks <= REFERENCE_MAX && config->n_services <= REFERENCE_MAX);
        *r = (Reference){ .config = config_ref(config) };
        for (size_t i = 0; i < config->n_checks; i++)
                r->checks[i] = (RefCheck){ .config = config->checks[i], .base = 'P' };
        for (size_t i = 0; i < config->n_services; i++)
                r->services[i] = (RefService){
                        .config = config->services + i,
                        .clock_boottime = now.boottime,
                };
        for (size_t i = 0; i < config->n_services; i++)
                r->services[i].is_started =
                        !config->services[i].defect && is_start_over(r, r->services + i);
}

void reference_done(Reference *r) {
        config_unref(r->config);
}

static bool is_same_unit(const ServiceConfig *a, const ServiceConfig *b) {
        return str_equal(a->unit ? a->unit : "", b->unit ? b->unit : "");
}

static void carry_service(Reference *r, size_t i, const Reference *old, size_t j, Time now) {
        const RefService *before = old->services + j;
        const ServiceConfig *config = r->config->services + i;
        RefService *s = r->services + i;
        Drain drain;

        if (!before->drain.ends_with_invocation ||
            (!before->config->defect && is_same_unit(before->config, config)))
                s->drain = before->drain;
        if (before->config->defect)
                return;
        if (!is_same_unit(before->config, config) && !reference_is_up(before->unit)) {
                for (size_t k = 0; k < config->n_checks; k++) {
                        RefCheck *c = r->checks + config->first_check + k;

                        *c = (RefCheck){ .config = c->config, .base = 'P' };
                }
                return;
        }
        drain = s->drain;
        *s = *before;
        s->config = config;
        s->drain = drain;
        if (is_same_unit(before->config, config))
                return;
        s->unit = UNIT_UNFOLLOWED;
        s->invocation_id[0] = 0;
        if (s->clock_boottime == USEC_INFINITY)
                s->clock_boottime = now.boottime;
}

static void take_config(Reference *r, Config *config, Time now) {
        Reference old = *r;

        reference_init(r, config, now);
        r->drain = old.drain;
        r->is_going_down = old.is_going_down;
        for (size_t i = 0; i < config->n_checks; i++) {
                size_t j = config_find_check(old.config, config->checks[i]->service,
                                             config->checks[i]->name);

                if (j == INDEX_NONE)
                        continue;
                if (!str_equal(config->checks[i]->canonical, old.checks[j].config->canonical))
                        continue;
                r->checks[i] = old.checks[j];
                r->checks[i].config = config->checks[i];
                if (config->checks[i]->n_needs == 0)
                        r->checks[i].is_waiting = false;
        }
        for (size_t i = 0; i < config->n_services; i++) {
                size_t j = config_find_service(old.config, config->services[i].name);

                if (j != INDEX_NONE)
                        carry_service(r, i, &old, j, now);
        }
        reference_done(&old);
}

static void expire(Reference *r, Time now) {
        for (size_t i = 0; i < r->config->n_checks; i++)
                check_expire(r->checks + i, now);
        for (size_t i = 0; i < r->config->n_services; i++)
                service_expire(r->services + i, now);
        if (r->drain.is_active && now.boottime >= r->drain.until_boottime)
                r->drain = (Drain){};
}

void reference_apply(Reference *r, const Event *e, Time now) {
        expire(r, now);
        reference_derive(r, NULL);
        switch (e->type) {
        case EVENT_RESULT:
                take_result(r->checks + e->check, e->result, now);
                break;
        case EVENT_UNIT:
                take_unit(r, e, now);
                break;
        case EVENT_DRAIN:
                *(e->service == INDEX_NONE ? &r->drain : &r->services[e->service].drain) =
                        *e->drain;
                break;
        case EVENT_SHUTDOWN:
                r->is_going_down = e->drain->is_active;
                break;
        case EVENT_OVERRIDE:
                r->checks[e->check].override = *e->override;
                break;
        case EVENT_FORGET:
                check_restart(r->checks + e->check);
                break;
        case EVENT_CONFIG:
                if (e->config)
                        take_config(r, e->config, now);
                break;
        case EVENT_VOID:
        case EVENT_VERSION:
        case EVENT_TICK:
        case EVENT_RESTORE:
                break;
        }
        expire(r, now);
        reference_derive(r, e->type == EVENT_RESULT && e->result->outcome == OUTCOME_FAIL
                                    ? r->checks[e->check].config->service
                                    : NULL);
        for (size_t i = 0; i < r->config->n_services; i++) {
                RefService *s = r->services + i;

                if (s->config->defect || !reference_is_up(s->unit) || !is_start_over(r, s))
                        continue;
                s->is_started = true;
                s->has_failed = false;
        }
}

/* -- verdicts ---------------------------------------------------------------------------------- */

bool verdict_equal(const Verdict *a, const Verdict *b) {
        return a->live == b->live && a->ready == b->ready && a->started == b->started &&
               a->is_degraded == b->is_degraded && a->is_inactive == b->is_inactive &&
               a->is_joining == b->is_joining && a->is_measured_dead == b->is_measured_dead &&
               a->reason == b->reason;
}

char reference_letter(Health h) {
        static const char letters[] = {
                [HEALTH_PENDING] = 'P',   [HEALTH_HEALTHY] = 'H', [HEALTH_DEGRADED] = 'D',
                [HEALTH_UNHEALTHY] = 'U', [HEALTH_UNKNOWN] = '?', [HEALTH_SKIPPED] = 'S',
        };

        return letters[h];
}

static bool is_published_dead(const Reference *r, size_t check) {
        const RefCheck *c = r->checks + check;

        if (c->override.is_active)
                return c->override.state == HEALTH_UNHEALTHY;
        if (check_config_is_combined(c->config) && reference_published(r, check) != 'U')
                return false;
        return reference_is_dead(r, check);
}

static Reason obstacle(const Reference *r, const RefService *s) {
        if (s->config->defect)
                return REASON_CONFIGURATION;
        if (s->unit == UNIT_INACTIVE || s->unit == UNIT_FAILED || s->unit == UNIT_AUTO_RESTART)
                return REASON_INACTIVE;
        if (s->drain.is_active || r->drain.is_active || r->is_going_down)
                return REASON_DRAINED;
        return s->unit == UNIT_DEACTIVATING ? REASON_INACTIVE : REASON_NONE;
}

Verdict reference_service(const Reference *r, size_t service, const Snapshot *snapshot) {
        const RefService *s = r->services + service;
        Verdict v = { .reason = obstacle(r, s), .is_inactive = s->unit == UNIT_INACTIVE };

        v.started = s->config->defect ? STARTUP_STARTING
                    : s->is_started   ? STARTUP_STARTED
                    : s->has_failed   ? STARTUP_FAILED
                                      : STARTUP_STARTING;
        v.is_joining =
                snapshot->services[service].state->joins_until_boottime > snapshot->time.boottime;
        if (v.reason != REASON_NONE || v.started != STARTUP_STARTED)
                v.ready = READINESS_NOT_READY;
        for (size_t i = 0; i < s->config->n_checks; i++) {
                size_t check = s->config->first_check + i;
                const RefCheck *c = r->checks + check;
                const CheckState *state = snapshot->checks[check];
                char shown = reference_published(r, check);
                bool is_good = shown == 'H' || shown == 'D';
                bool is_needed = c->config->is_critical &&
                                 state->joins_until_boottime <= snapshot->time.boottime;

                if (v.started == STARTUP_STARTED && !v.is_inactive &&
                    feeds(c->config, PROBE_LIVENESS)) {
                        if (is_published_dead(r, check))
                                v.live = LIVENESS_DEAD;
                        v.is_measured_dead = v.is_measured_dead || reference_is_dead(r, check);
                }
                if (!feeds(c->config, PROBE_READINESS))
                        continue;
                if (is_needed && !is_good)
                        v.ready = READINESS_NOT_READY;
                if (shown == 'D' || (!is_needed && !is_good && (shown != 'P' || c->had_result)))
                        v.is_degraded = true;
        }
        return v;
}

/* The services that make up the host, first without those to be left out, then with them. */
static size_t host_members(const Reference *r, const Snapshot *s, bool with_all,
                           Verdict ret[REFERENCE_MAX]) {
        size_t n = 0;

        for (size_t i = 0; i < r->config->n_services; i++) {
                Verdict v = reference_service(r, i, s);

                if (r->config->services[i].counts_for_host &&
                    (with_all || (!v.is_inactive && !v.is_joining)))
                        ret[n++] = v;
        }
        return n;
}

Verdict reference_host(const Reference *r, const Snapshot *s) {
        Verdict members[REFERENCE_MAX], host = {};
        size_t n = host_members(r, s, false, members);

        if (n == 0)
                n = host_members(r, s, true, members);
        if (n == 0)
                return (Verdict){ .ready = READINESS_NOT_READY,
                                  .started = STARTUP_STARTING,
                                  .reason = REASON_UNCONFIGURED };
        for (size_t i = 0; i < n; i++) {
                if (members[i].ready == READINESS_NOT_READY)
                        host.ready = READINESS_NOT_READY;
                if (members[i].live == LIVENESS_DEAD)
                        host.live = LIVENESS_DEAD;
                if (members[i].started > host.started)
                        host.started = members[i].started;
        }
        if (r->drain.is_active || r->is_going_down)
                host.ready = READINESS_NOT_READY;
        return host;
}
