/* SPDX-License-Identifier: MIT */
/* Type=unit: that a systemd unit is active, or in another state that is wanted, and how often it
 * was restarted of late. It is followed by systemd's signals; a run proves that they would arrive.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/text.h"
#include "check/restart-log.h"
#include "check/systemd-verdict.h"
#include "io/unit-watch.h"

/* What the manager said so short a time ago need not be asked again. */
#define FRESH_USEC (100 * USEC_PER_MSEC)

#define STATE_TEXT_MAX 128

typedef struct UnitSettings {
        char *unit;
        unsigned states; /* mask of state_words */
        char **sub_states;
        usec_t restart_window_usec;
} UnitSettings;

typedef struct UnitInstance {
        Check *check;
        UnitWatch *watch; /* owned; NULL without a bus */
        CheckRun *run;    /* that waits for an answer */
        RestartLog restarts;
        UnitStatus seen; /* what of it matters to the verdict, as it last changed */
} UnitInstance;

static const char *const state_words[] = { "active",   "activating", "deactivating",
                                           "inactive", "failed",     NULL };

/* -- verdict ----------------------------------------------------------------------------------- */

/* Whether a unit may be in this state. Reloading and refreshing are ways to be active. */
static bool state_is_wanted(const UnitSettings *s, const char *active) {
        if (str_equal(active, "reloading") || str_equal(active, "refreshing"))
                active = "active";
        for (unsigned i = 0; state_words[i]; i++)
                if (str_equal(state_words[i], active))
                        return s->states >> i & 1;
        return false;
}

/* How the unit's latest run ended badly: "exit status 3", "killed by SIGKILL", "start-limit-hit".
 */
static const char *end_format(char buf[static STATE_TEXT_MAX], const UnitStatus *u) {
        const char *name;

        if (str_equal(u->result, "exit-code") && u->exec_code == CLD_EXITED)
                snprintf(buf, STATE_TEXT_MAX, "exit status %d", u->exec_status);
        else if ((str_equal(u->result, "signal") || str_equal(u->result, "core-dump")) &&
                 (u->exec_code == CLD_KILLED || u->exec_code == CLD_DUMPED)) {
                name = sigabbrev_np(u->exec_status);
                snprintf(buf, STATE_TEXT_MAX, "%s by SIG%s",
                         u->exec_code == CLD_DUMPED ? "dumped core" : "killed", name ? name : "?");
        } else
                snprintf(buf, STATE_TEXT_MAX, "%s", u->result);
        return buf;
}

/* "active (running)", "failed (exit status 3)". */
static const char *state_format(char buf[static STATE_TEXT_MAX], const UnitStatus *u) {
        bool has_ended_badly = *u->result && !str_equal(u->result, "success");
        char end[STATE_TEXT_MAX];

        if (str_equal(u->active, "failed") && has_ended_badly)
                snprintf(buf, STATE_TEXT_MAX, "failed (%.100s)", end_format(end, u));
        else if (str_equal(u->sub, "auto-restart") && has_ended_badly)
                snprintf(buf, STATE_TEXT_MAX, "activating (auto-restart after %.80s)",
                         end_format(end, u));
        else
                snprintf(buf, STATE_TEXT_MAX, "%s (%s)", u->active, u->sub);
        return buf;
}

/* Whether there is a result already: the unit cannot be had. */
static bool load_judge(const UnitSettings *s, const UnitStatus *u, Result *ret) {
        if (str_equal(u->load, "not-found"))
                result_fail(ret, REASON_MISSING, "%s: no such unit", s->unit);
        else if (str_equal(u->load, "masked")) {
                result_fail(ret, REASON_MISSING, "%s: masked", s->unit);
                result_set_detail(ret, "masked");
        } else if (!str_equal(u->load, "loaded")) {
                result_fail(ret, REASON_STATUS, "%s: systemd cannot load it (%s)", s->unit,
                            u->load);
                result_set_detail(ret, u->load);
        } else
                return false;
        return true;
}

static bool sub_state_is_wanted(const UnitSettings *s, const UnitStatus *u) {
        return !s->sub_states || strv_contains(s->sub_states, u->sub);
}

static void state_judge(const UnitSettings *s, const UnitStatus *u, Result *ret) {
        bool is_gone = str_equal(u->load, "not-found") && str_equal(u->active, "inactive");
        char state[STATE_TEXT_MAX];

        state_format(state, u);
        if (!state_is_wanted(s, u->active) || is_gone) {
                if (str_equal(u->active, "inactive") && load_judge(s, u, ret))
                        return;
                result_fail(ret, REASON_STATUS, "%s: %s", s->unit, state);
                result_set_detail(ret, str_equal(u->sub, "auto-restart") ? u->sub : u->active);
        } else if (!sub_state_is_wanted(s, u))
                result_fail(ret, REASON_MISMATCH, "%s: %s, which SubState= does not name", s->unit,
                            state);
        else
                result_pass(ret, "%s: %s%s%s", s->unit, state,
                            str_equal(u->load, "loaded") ? "" : ", ",
                            str_equal(u->load, "loaded") ? "" : u->load);
}

static void unit_judge(CheckRun *run, Result *ret) {
        const UnitSettings *s = check_run_settings(run);
        UnitInstance *i = check_run_instance(run);
        uint64_t n_restarts =
                restart_log_sum(&i->restarts, s->restart_window_usec, clock_usec(CLOCK_MONOTONIC));

        state_judge(s, unit_watch_status(i->watch), ret);
        result_add_value(ret, "restarts", (double) n_restarts, "");
}

/* -- runs -------------------------------------------------------------------------------------- */

static void unit_finish(UnitInstance *i, int error) {
        CheckRun *run = TAKE(i->run);
        Result result;

        if (!run || check_run_is_finished(run))
                return;
        if (error >= 0 && !unit_watch_is_current(i->watch))
                error = -ENOTCONN;
        if (error < 0)
                systemd_describe_errno(check_engine(i->check), error, &result);
        else
                unit_judge(run, &result);
        check_run_finish(run, &result);
}

/* Whether the verdict may be another. A queued job changes nothing yet. */
static bool unit_has_news(UnitInstance *i) {
        UnitStatus now;

        if (!unit_watch_is_current(i->watch)) {
                i->seen = (UnitStatus){};
                return true;
        }
        now = *unit_watch_status(i->watch);
        now.job = now.main_pid = 0;
        if (memcmp(&now, &i->seen, sizeof(now)) == 0)
                return false;
        i->seen = now;
        return true;
}

static void on_changed(void *userdata) {
        UnitInstance *i = userdata;
        const UnitSettings *s = check_settings(i->check);

        if (unit_watch_is_current(i->watch))
                restart_log_note(&i->restarts, unit_watch_status(i->watch)->n_restarts,
                                 s->restart_window_usec, clock_usec(CLOCK_MONOTONIC));
        if (unit_has_news(i) && !i->run)
                check_trigger(i->check);
}

static void on_asked(void *userdata, int error) {
        unit_finish(userdata, error);
}

static bool unit_is_fresh(const UnitInstance *i) {
        usec_t heard = unit_watch_heard_usec(i->watch);

        return unit_watch_is_current(i->watch) &&
               usec_sub(clock_usec(CLOCK_MONOTONIC), heard) < FRESH_USEC;
}

static int unit_start(CheckRun *run) {
        UnitInstance *i = check_run_instance(run);
        Result result;

        if (systemd_refuse(check_engine(i->check), &result)) {
                check_run_finish(run, &result);
                return 0;
        }
        i->run = run;
        if (unit_is_fresh(i))
                unit_finish(i, 0);
        else
                unit_watch_ask(i->watch);
        return 0;
}

static void unit_stop(CheckRun *run) {
        UnitInstance *i = check_run_instance(run);

        i->run = NULL;
}

static int unit_open(Check *check) {
        static const UnitWatchHandlers handlers = { .changed = on_changed, .asked = on_asked };
        const UnitSettings *s = check_settings(check);
        UnitInstance *i = check_instance(check);
        SystemdLink *l = engine_systemd(check_engine(check));

        i->check = check;
        return l ? unit_watch_new(l, s->unit, &handlers, i, &i->watch) : 0;
}

static void unit_close(Check *check) {
        UnitInstance *i = check_instance(check);

        i->watch = unit_watch_free(i->watch);
}

/* -- settings ---------------------------------------------------------------------------------- */

static void unit_describe(const void *settings, CheckTarget *ret) {
        const UnitSettings *s = settings;

        *ret = (CheckTarget){};
        snprintf(ret->text, sizeof(ret->text), "%s", s->unit);
}

static const CheckValue unit_values[] = { { "restarts", "" }, {} };

static const Option unit_options[] = {
        {
                .key = "Unit",
                .type = &option_unit,
                .offset = offsetof(UnitSettings, unit),
                .flags = OPTION_REQUIRED,
        },
        {
                .key = "State",
                .type = &option_words,
                .offset = offsetof(UnitSettings, states),
                .words = state_words,
                .fallback = "active",
        },
        {
                .key = "SubState",
                .type = &option_strv,
                .offset = offsetof(UnitSettings, sub_states),
        },
        {
                .key = "RestartWindow",
                .type = &option_timespan,
                .offset = offsetof(UnitSettings, restart_window_usec),
                .fallback = "10min",
                .min = USEC_PER_SEC,
                .max = 7 * USEC_PER_DAY,
        },
};

const CheckDriver unit_driver = {
        .type = {
                .name = "unit",
                .timeout_usec = 2 * USEC_PER_SEC,
                .values = unit_values,
                .schema = SCHEMA(unit_options),
                .settings_size = sizeof(UnitSettings),
                .describe = unit_describe,
        },
        .instance_size = sizeof(UnitInstance),
        .open = unit_open,
        .close = unit_close,
        .start = unit_start,
        .stop = unit_stop,
        .expire = systemd_expire,
};
