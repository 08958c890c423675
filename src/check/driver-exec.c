/* SPDX-License-Identifier: MIT */
/* Type=exec: a monitoring plug-in, or any program that speaks by its exit status.
 *
 * A program that does not end in time is ended with all that it has started, and the next run waits
 * for that. One that cannot be ended makes the check fail as `stuck` as long as it lives, and no
 * second one is started beside it. */

#include <errno.h>
#include <stdio.h>

#include "base/text.h"
#include "check/driver.h"
#include "check/exec-settings.h"
#include "check/plugin-verdict.h"
#include "io/process.h"

typedef struct ExecSettings {
        char **command;     /* owned */
        char **environment; /* owned */
        char *user;         /* owned; NULL: as vitald is */
        uint64_t memory_max_bytes;
} ExecSettings;

typedef struct ExecShared {
        Processes *processes; /* owned */
        ProcessHandlers handlers;
} ExecShared;

typedef struct ExecInstance {
        Check *check;          /* borrowed */
        Process *process;      /* owned; after a run only until it has ended */
        usec_t began_realtime; /* of that process */
        CheckRun *run;         /* borrowed; NULL: none waits for a process */
        bool is_waiting;       /* the run waits for the end of an earlier one's process */
} ExecInstance;

/* What every program gets; what is configured comes later and wins. */
static const char *const standard_environment[] = {
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG=C.UTF-8",
};

static void exec_finish(ExecInstance *i, const Result *result) {
        CheckRun *run = TAKE(i->run);

        i->is_waiting = false;
        check_run_finish(run, result);
}

static void exec_finish_stuck(ExecInstance *i) {
        const ExecSettings *s = check_settings(i->check);
        char since[TIMESTAMP_MAX];
        Result result;

        timestamp_format_short(since, i->began_realtime, clock_usec(CLOCK_REALTIME));
        result_fail(&result, REASON_STUCK, "%s cannot be ended, still stuck since %s",
                    s->command[0], since);
        exec_finish(i, &result);
}

/* -- one process ------------------------------------------------------------------------------- */

/* Without the variables that are configured as well: which of two counts is nowhere said. */
static int exec_environment(const ExecSettings *s, char ***ret) {
        _cleanup_strv_ char **environment = NULL;
        int r;

        for (size_t k = 0; k < ELEMENTSOF(standard_environment); k++) {
                const char *variable = standard_environment[k];
                size_t n = strcspn(variable, "=") + 1;
                bool is_replaced = false;

                STRV_FOREACH(e, s->environment)
                        is_replaced |= strncmp(*e, variable, n) == 0;
                r = is_replaced ? 0 : strv_append(&environment, variable);
                if (r < 0)
                        return r;
        }
        STRV_FOREACH(e, s->environment) {
                r = strv_append(&environment, *e);
                if (r < 0)
                        return r;
        }
        *ret = TAKE(environment);
        return 0;
}

static int exec_spawn(ExecInstance *i) {
        const ExecSettings *s = check_settings(i->check);
        const ExecShared *shared = check_shared(i->check);
        _cleanup_strv_ char **environment = NULL;
        ProcessRequest request;
        int r;

        r = exec_environment(s, &environment);
        if (r < 0)
                return r;
        request = (ProcessRequest){
                .argv = s->command,
                .environment = environment,
                .user = s->user,
                .memory_max_bytes = s->memory_max_bytes,
        };
        i->began_realtime = clock_usec(CLOCK_REALTIME);
        check_run_set_phase(i->run, "waiting for the program to end");
        return process_start(shared->processes, &request, &shared->handlers, i, &i->process);
}

/* The process of an earlier run has ended at last. */
static void exec_go_on(ExecInstance *i) {
        bool was_stuck = process_is_stuck(i->process);
        Result result;
        int r;

        i->process = process_free(i->process);
        if (was_stuck)
                check_trigger(i->check);
        if (!i->run)
                return;
        i->is_waiting = false;
        r = exec_spawn(i);
        if (r >= 0)
                return;
        result_errno(&result, r, "Cannot start the check");
        result.outcome = OUTCOME_ERROR;
        exec_finish(i, &result);
}

static void on_failed(void *userdata, const ProcessFailure *failure) {
        ExecInstance *i = userdata;
        const ExecSettings *s = check_settings(i->check);
        Result result;

        if (!i->run || i->is_waiting) {
                exec_go_on(i);
                return;
        }
        plugin_judge_failure(&result, s->command[0], s->user, failure);
        i->process = process_free(i->process);
        exec_finish(i, &result);
}

static void on_ended(void *userdata, const ProcessEnd *end) {
        ExecInstance *i = userdata;
        Result result;

        if (!i->run || i->is_waiting) {
                exec_go_on(i);
                return;
        }
        plugin_judge(&result, end);
        i->process = process_free(i->process);
        exec_finish(i, &result);
}

static void on_stuck(void *userdata) {
        ExecInstance *i = userdata;

        if (i->run)
                exec_finish_stuck(i);
}

/* -- the check --------------------------------------------------------------------------------- */

static int exec_attach(Engine *engine, void *memory) {
        ExecShared *shared = memory;

        shared->handlers = (ProcessHandlers){
                .failed = on_failed,
                .ended = on_ended,
                .stuck = on_stuck,
        };
        return processes_new(engine_poll_set(engine), engine_workers(engine), &shared->processes);
}

static void exec_detach(void *memory) {
        ExecShared *shared = memory;

        processes_free(shared->processes);
}

static int exec_open(Check *check) {
        ExecInstance *i = check_instance(check);

        i->check = check;
        return 0;
}

static void exec_close(Check *check) {
        ExecInstance *i = check_instance(check);

        i->process = process_free(i->process);
}

static int exec_start(CheckRun *run) {
        ExecInstance *i = check_run_instance(run);

        i->run = run;
        if (i->process && process_is_gone(i->process))
                i->process = process_free(i->process);
        if (!i->process)
                return exec_spawn(i);
        if (process_is_stuck(i->process))
                exec_finish_stuck(i);
        else {
                i->is_waiting = true;
                check_run_set_phase(run, "waiting for the end of the program of the run before");
        }
        return 0;
}

static void exec_stop(CheckRun *run) {
        ExecInstance *i = check_run_instance(run);

        if (i->run != run)
                return;
        i->run = NULL;
        if (i->process && !i->is_waiting)
                process_terminate(i->process);
        i->is_waiting = false;
}

/* Nothing tells where a program looks: to be on the safe side, elsewhere. Arguments may be secret.
 */
static void exec_describe(const void *settings, CheckTarget *ret) {
        const ExecSettings *s = settings;

        *ret = (CheckTarget){ .is_remote = true };
        snprintf(ret->text, sizeof(ret->text), "%s", s->command[0]);
}

static const Option exec_options[] = {
        {
                .key = "Command",
                .type = &option_command,
                .offset = offsetof(ExecSettings, command),
                .flags = OPTION_REQUIRED,
        },
        {
                .key = "Environment",
                .type = &option_variables,
                .offset = offsetof(ExecSettings, environment),
        },
        {
                .key = "User",
                .type = &option_string,
                .offset = offsetof(ExecSettings, user),
                .flags = OPTION_POWER,
        },
        {
                .key = "MaxMemory",
                .type = &option_size,
                .offset = offsetof(ExecSettings, memory_max_bytes),
        },
};

const CheckDriver exec_driver = {
        .type = {
                .name = "exec",
                .timeout_usec = 5 * USEC_PER_SEC,
                .schema = SCHEMA(exec_options),
                .settings_size = sizeof(ExecSettings),
                .describe = exec_describe,
        },
        .shared_size = sizeof(ExecShared),
        .attach = exec_attach,
        .detach = exec_detach,
        .instance_size = sizeof(ExecInstance),
        .open = exec_open,
        .close = exec_close,
        .start = exec_start,
        .stop = exec_stop,
};
