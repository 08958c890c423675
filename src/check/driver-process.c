/* SPDX-License-Identifier: MIT */
/* Type=process: that processes run, found by PID file, by their unit's control group or by name.
 *
 * They are looked for in a helper thread; while they live their pidfds are held, so that an end is
 * seen when it happens. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/text.h"
#include "check/driver.h"
#include "check/process-call.h"
#include "check/process-watch.h"

typedef struct ProcessSettings {
        char *pid_file, *unit, *name;
} ProcessSettings;

typedef struct ProcessInstance {
        Job *job; /* owned; after a run only while its call is stuck */
        ProcessWatch watch;
} ProcessInstance;

static const char *process_what(const ProcessSettings *s) {
        return s->pid_file ? s->pid_file : s->unit ? s->unit : s->name;
}

/* -- verdict ----------------------------------------------------------------------------------- */

static void process_describe_found(const ProcessCall *c, const char *what, Result *ret) {
        char memory[BYTES_TEXT_MAX];

        if (c->has_memory)
                result_pass(ret, "%s: %" PRIu64 " process%s, %s", what, c->count,
                            c->count == 1 ? "" : "es", bytes_format(memory, c->memory_bytes));
        else
                result_pass(ret, "%s: %" PRIu64 " process%s", what, c->count,
                            c->count == 1 ? "" : "es");
        result_add_value(ret, "count", (double) c->count, "");
        if (c->has_memory)
                result_add_value(ret, "memory", (double) c->memory_bytes, "bytes");
        if (c->has_threads)
                result_add_value(ret, "threads", (double) c->threads, "");
        if (c->has_files)
                result_add_value(ret, "files", (double) c->files, "");
}

static void process_describe_error(const ProcessCall *c, const char *what, Result *ret) {
        if (c->error == EACCES || c->error == EPERM)
                result_error(ret, REASON_CONFIGURATION, "%s: vitald may not read it", what);
        else
                result_own_errno(ret, c->error, "%s", what);
}

static void process_judge(const ProcessSettings *s, const ProcessCall *c, Result *ret) {
        const char *what = process_what(s);

        switch (c->fault) {
        case PROCESS_FOUND:
                process_describe_found(c, what, ret);
                return;
        case PROCESS_NO_FILE:
                result_fail(ret, REASON_MISSING, "%s: no such PID file", what);
                return;
        case PROCESS_BAD_FILE:
                result_fail(ret, REASON_MISMATCH, "%s: holds no PID", what);
                return;
        case PROCESS_OTHER:
                result_fail(ret, REASON_MISMATCH, "%s: its process is not %s", what, s->name);
                return;
        case PROCESS_GONE:
                result_fail(ret, REASON_MISSING, "%s: no such process", what);
                result_add_value(ret, "count", 0, "");
                return;
        case PROCESS_HIDDEN:
                result_error(ret, REASON_CONFIGURATION,
                             "%s: the sandbox hides the processes of others, and with them their "
                             "names; the drop-in process.conf shows them",
                             s->name);
                return;
        case PROCESS_ERROR:
                process_describe_error(c, what, ret);
                return;
        }
}

/* -- runs -------------------------------------------------------------------------------------- */

/* A unit's processes may come and go; what counts is the first one and the last one's end. */
static void process_watch(const ProcessSettings *s, ProcessWatch *w, ProcessCall *c) {
        size_t n_watched = s->unit ? MIN(c->n_pids, 1U) : c->n_pids, n_ended;

        if (s->pid_file)
                process_watch_path(w, s->pid_file);
        if (*c->cgroup)
                process_watch_cgroup(w, c->cgroup);
        n_ended = process_watch_set(w, c->pids, n_watched);
        c->count -= MIN(n_ended, c->count);
        if (c->fault == PROCESS_FOUND && c->count == 0)
                c->fault = PROCESS_GONE;
}

static void process_called(void *userdata, void *data) {
        CheckRun *run = userdata;
        const ProcessSettings *s = check_run_settings(run);
        ProcessInstance *i = check_run_instance(run);
        Result result;

        process_watch(s, &i->watch, data);
        process_judge(s, data, &result);
        check_run_finish(run, &result);
}

static int process_start(CheckRun *run) {
        const ProcessSettings *s = check_run_settings(run);
        ProcessInstance *i = check_run_instance(run);
        ProcessCall *call;
        Result result;

        if (i->job && job_is_running(i->job)) {
                result_fail(&result, REASON_STUCK, "%s: the last look has not ended yet",
                            process_what(s));
                check_run_finish(run, &result);
                return 0;
        }
        i->job = job_free(i->job);
        call = process_call_new(s->pid_file, s->unit, s->name);
        if (!call)
                return -ENOMEM;
        check_run_set_phase(run, "looking for processes");
        return workers_submit(engine_workers(check_engine(check_run_check(run))), process_call,
                              call, process_called, run, &i->job);
}

static void process_stop(CheckRun *run) {
        ProcessInstance *i = check_run_instance(run);

        if (!i->job)
                return;
        job_abandon(i->job);
        if (!job_is_running(i->job))
                i->job = job_free(i->job);
}

static int process_open(Check *check) {
        ProcessInstance *i = check_instance(check);

        process_watch_begin(&i->watch, check);
        return 0;
}

static void process_close(Check *check) {
        ProcessInstance *i = check_instance(check);

        i->job = job_free(i->job);
        process_watch_end(&i->watch);
}

/* -- settings ---------------------------------------------------------------------------------- */

static int process_validate(void *settings, const char **ret_key, char why[static OPTION_WHY_MAX]) {
        const ProcessSettings *s = settings;

        if (s->pid_file && s->unit) {
                *ret_key = "PIDFile";
                snprintf(why, OPTION_WHY_MAX, "PIDFile= and Unit= exclude each other");
                return -EINVAL;
        }
        if (s->name && strlen(s->name) > NAME_MAX) {
                *ret_key = "Name";
                snprintf(why, OPTION_WHY_MAX, "Name= is too long");
                return -EINVAL;
        }
        if (s->pid_file || s->unit || s->name)
                return 0;
        *ret_key = "Name";
        snprintf(why, OPTION_WHY_MAX, "PIDFile=, Unit= or Name= is needed");
        return -EINVAL;
}

static void process_describe(const void *settings, CheckTarget *ret) {
        *ret = (CheckTarget){};
        snprintf(ret->text, sizeof(ret->text), "%s", process_what(settings));
}

static const Option process_options[] = {
        {
                .key = "PIDFile",
                .type = &option_path,
                .offset = offsetof(ProcessSettings, pid_file),
        },
        {
                .key = "Unit",
                .type = &option_unit,
                .offset = offsetof(ProcessSettings, unit),
        },
        {
                .key = "Name",
                .type = &option_string,
                .offset = offsetof(ProcessSettings, name),
        },
};

const CheckDriver process_driver = {
        .type = {
                .name = "process",
                .timeout_usec = 2 * USEC_PER_SEC,
                .schema = SCHEMA(process_options),
                .settings_size = sizeof(ProcessSettings),
                .validate = process_validate,
                .describe = process_describe,
        },
        .instance_size = sizeof(ProcessInstance),
        .open = process_open,
        .close = process_close,
        .start = process_start,
        .stop = process_stop,
};
