/* SPDX-License-Identifier: MIT */
/* Type=systemd: that this host's systemd runs, that no unit has failed that matters, that jobs do
 * not pile up and, if asked for, that the clock is synchronised. Signals say when to look. */

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>

#include "base/text.h"
#include "check/clock-reading.h"
#include "check/systemd-verdict.h"
#include "io/manager-watch.h"

typedef struct SystemdSettings {
        char **exclude_units;
        uint64_t max_failed;
        bool needs_clock;
} SystemdSettings;

typedef struct SystemdInstance {
        Check *check;
        ManagerWatch *watch; /* owned; NULL without a bus */
        CheckRun *run;       /* that waits for an answer */
} SystemdInstance;

/* -- verdict ----------------------------------------------------------------------------------- */

static bool is_excluded(const SystemdSettings *s, const char *unit) {
        STRV_FOREACH(i, s->exclude_units)
                if (fnmatch(*i, unit, 0) == 0)
                        return true;
        return false;
}

/* Those that count, and the names of as many as a message takes: "a.service, b.mount". */
static size_t failed_gather(const SystemdSettings *s, const ManagerStatus *m,
                            char names[static RESULT_MESSAGE_MAX]) {
        size_t n = 0, used = 0;
        int r;

        *names = 0;
        STRV_FOREACH(i, m->failed) {
                if (is_excluded(s, *i))
                        continue;
                n++;
                if (used >= RESULT_MESSAGE_MAX)
                        continue;
                r = snprintf(names + used, RESULT_MESSAGE_MAX - used, "%s%s", n > 1 ? ", " : "",
                             *i);
                used += (size_t) MAX(r, 0);
        }
        return n;
}

/* Whether there is a result already: the clock is wrong, or nobody tells. */
static bool clock_judge(const SystemdSettings *s, Result *ret) {
        ClockReading reading = {};
        int r;

        if (!s->needs_clock)
                return false;
        r = clock_read(true, &reading);
        if (r == -EPERM)
                result_error(ret, REASON_CONFIGURATION,
                             "The kernel may not be asked about the clock, and systemd-timesyncd "
                             "has not set it; the drop-in clock.conf allows it");
        else if (r < 0)
                result_own_errno(ret, r, "adjtimex");
        else if (!reading.is_synchronized) {
                result_fail(ret, REASON_STATUS, "The clock is not synchronised");
                result_set_detail(ret, "unsynchronised");
        } else
                return false;
        return true;
}

static void systemd_judge(const SystemdSettings *s, const ManagerStatus *m, Result *ret) {
        bool is_up = str_equal(m->state, "running") || str_equal(m->state, "degraded");
        char names[RESULT_MESSAGE_MAX];
        size_t n_failed = failed_gather(s, m, names);
        const char *plural = n_failed == 1 ? "" : "s";

        if (!is_up) {
                result_fail(ret, REASON_STATUS, "The system is %s", m->state);
                result_set_detail(ret, m->state);
        } else if (n_failed > s->max_failed) {
                result_fail(ret, REASON_STATUS, "%zu failed unit%s: %s", n_failed, plural, names);
                result_set_detail(ret, "failed");
        } else if (clock_judge(s, ret)) {
                /* said already */
        } else if (n_failed > 0)
                result_pass(ret, "%s, %zu failed unit%s: %s", m->state, n_failed, plural, names);
        else
                result_pass(ret, "%s, no failed unit%s", m->state,
                            s->exclude_units ? " that counts" : "");
        result_add_value(ret, "failed", (double) n_failed, "");
        result_add_value(ret, "jobs", (double) m->n_jobs, "");
}

/* -- runs -------------------------------------------------------------------------------------- */

static void on_changed(void *userdata) {
        SystemdInstance *i = userdata;

        check_trigger(i->check);
}

static void on_asked(void *userdata, int error) {
        SystemdInstance *i = userdata;
        CheckRun *run = TAKE(i->run);
        Result result;

        /* Nobody waited for it: it was asked because it is there again. */
        if (!run && error >= 0)
                check_trigger(i->check);
        if (!run || check_run_is_finished(run))
                return;
        if (error < 0)
                systemd_describe_errno(check_engine(i->check), error, &result);
        else
                systemd_judge(check_run_settings(run), manager_watch_status(i->watch), &result);
        check_run_finish(run, &result);
}

static int systemd_start(CheckRun *run) {
        SystemdInstance *i = check_run_instance(run);
        Result result;

        if (systemd_refuse(check_engine(i->check), &result)) {
                check_run_finish(run, &result);
                return 0;
        }
        i->run = run;
        manager_watch_ask(i->watch);
        return 0;
}

static void systemd_stop(CheckRun *run) {
        SystemdInstance *i = check_run_instance(run);

        i->run = NULL;
}

static int systemd_open(Check *check) {
        static const ManagerWatchHandlers handlers = { .changed = on_changed, .asked = on_asked };
        SystemdInstance *i = check_instance(check);
        SystemdLink *l = engine_systemd(check_engine(check));

        i->check = check;
        return l ? manager_watch_new(l, &handlers, i, &i->watch) : 0;
}

static void systemd_close(Check *check) {
        SystemdInstance *i = check_instance(check);

        i->watch = manager_watch_free(i->watch);
}

/* -- settings ---------------------------------------------------------------------------------- */

static void systemd_describe(const void *settings _unused_, CheckTarget *ret) {
        *ret = (CheckTarget){ .text = "systemd" };
}

static const CheckValue systemd_values[] = { { "failed", "" }, { "jobs", "" }, {} };

static const Option systemd_options[] = {
        {
                .key = "ExcludeUnit",
                .type = &option_strv,
                .offset = offsetof(SystemdSettings, exclude_units),
        },
        {
                .key = "MaxFailed",
                .type = &option_unsigned,
                .offset = offsetof(SystemdSettings, max_failed),
                .fallback = "0",
                .max = 1000000,
        },
        {
                .key = "ClockSynchronized",
                .type = &option_bool,
                .offset = offsetof(SystemdSettings, needs_clock),
                .fallback = "no",
        },
};

const CheckDriver systemd_driver = {
        .type = {
                .name = "systemd",
                .timeout_usec = 2 * USEC_PER_SEC,
                .values = systemd_values,
                .schema = SCHEMA(systemd_options),
                .settings_size = sizeof(SystemdSettings),
                .describe = systemd_describe,
        },
        .instance_size = sizeof(SystemdInstance),
        .open = systemd_open,
        .close = systemd_close,
        .start = systemd_start,
        .stop = systemd_stop,
        .expire = systemd_expire,
};
