/* SPDX-License-Identifier: MIT */
/* Type=disk: free space and inodes of the file system that holds a path.
 *
 * statvfs(2) on a mount whose server is gone never returns, so it is made in a helper thread. One
 * that is stuck is written off; while it still is, no other is started and the check fails as
 * `stuck`. */

#include <errno.h>
#include <stdio.h>
#include <sys/statvfs.h>

#include "base/text.h"
#include "check/driver.h"

typedef struct DiskSettings {
        char *path;
        Amount min_free, min_free_inodes;
} DiskSettings;

/* What the helper thread works on. */
typedef struct DiskCall {
        struct statvfs st;
        int error;
        char path[];
} DiskCall;

typedef struct DiskInstance {
        Job *job;              /* owned; after a run only while its call is stuck */
        usec_t began_realtime; /* of that call */
} DiskInstance;

static void disk_call(void *data) {
        DiskCall *call = data;

        if (statvfs(call->path, &call->st) < 0)
                call->error = errno;
}

/* What root may have beyond all others does not count, as in df(1). */
static void disk_judge(const DiskSettings *s, const struct statvfs *st, Result *ret) {
        uint64_t free = st->f_bavail * st->f_frsize;
        uint64_t total = (st->f_blocks - st->f_bfree + st->f_bavail) * st->f_frsize;
        uint64_t wanted = amount_of(&s->min_free, total);
        uint64_t wanted_inodes = amount_of(&s->min_free_inodes, st->f_files);
        char free_text[BYTES_TEXT_MAX], total_text[BYTES_TEXT_MAX], wanted_text[BYTES_TEXT_MAX];

        bytes_format(free_text, free);
        bytes_format(total_text, total);
        if (free < wanted)
                result_fail(ret, REASON_THRESHOLD, "%s: %s of %s free, less than MinFree= (%s)",
                            s->path, free_text, total_text, bytes_format(wanted_text, wanted));
        else if (st->f_files > 0 && st->f_favail < wanted_inodes)
                result_fail(ret, REASON_THRESHOLD,
                            "%s: %llu of %llu inodes free, less than MinFreeInodes= (%llu)",
                            s->path, (unsigned long long) st->f_favail,
                            (unsigned long long) st->f_files, (unsigned long long) wanted_inodes);
        else
                result_pass(ret, "%s: %s of %s free", s->path, free_text, total_text);
        result_add_value(ret, "free", (double) free, "bytes");
        result_add_value(ret, "total", (double) total, "bytes");
        if (st->f_files > 0) {
                result_add_value(ret, "free_inodes", (double) st->f_favail, "");
                result_add_value(ret, "total_inodes", (double) st->f_files, "");
        }
}

static void disk_called(void *userdata, void *data) {
        CheckRun *run = userdata;
        const DiskSettings *settings = check_run_settings(run);
        const DiskCall *call = data;
        Result result;

        if (call->error > 0)
                result_errno(&result, call->error, "%s", settings->path);
        else
                disk_judge(settings, &call->st, &result);
        check_run_finish(run, &result);
}

static void disk_finish_stuck(CheckRun *run) {
        const DiskSettings *settings = check_run_settings(run);
        const DiskInstance *instance = check_run_instance(run);
        char since[TIMESTAMP_MAX];
        Result result;

        timestamp_format_short(since, instance->began_realtime, clock_usec(CLOCK_REALTIME));
        result_fail(&result, REASON_STUCK,
                    "%s: the file system does not answer, still stuck since %s", settings->path,
                    since);
        check_run_finish(run, &result);
}

static int disk_start(CheckRun *run) {
        const DiskSettings *settings = check_run_settings(run);
        DiskInstance *instance = check_run_instance(run);
        size_t n = strlen(settings->path) + 1;
        DiskCall *call;

        if (instance->job && job_is_running(instance->job)) {
                disk_finish_stuck(run);
                return 0;
        }
        instance->job = job_free(instance->job);
        call = calloc(1, sizeof(DiskCall) + n);
        if (!call)
                return -ENOMEM;
        memcpy(call->path, settings->path, n);
        instance->began_realtime = clock_usec(CLOCK_REALTIME);
        check_run_set_phase(run, "waiting for the file system");
        return workers_submit(engine_workers(check_engine(check_run_check(run))), disk_call, call,
                              disk_called, run, &instance->job);
}

static void disk_stop(CheckRun *run) {
        DiskInstance *instance = check_run_instance(run);

        if (!instance->job)
                return;
        job_abandon(instance->job);
        if (!job_is_running(instance->job))
                instance->job = job_free(instance->job);
}

static void disk_close(Check *check) {
        DiskInstance *instance = check_instance(check);

        instance->job = job_free(instance->job);
}

static void disk_describe(const void *settings, CheckTarget *ret) {
        const DiskSettings *s = settings;

        *ret = (CheckTarget){};
        snprintf(ret->text, sizeof(ret->text), "%s", s->path);
}

static const Option disk_options[] = {
        {
                .key = "Path",
                .type = &option_path,
                .offset = offsetof(DiskSettings, path),
                .fallback = "/",
        },
        {
                .key = "MinFree",
                .type = &option_amount,
                .offset = offsetof(DiskSettings, min_free),
                .fallback = "5%",
        },
        {
                .key = "MinFreeInodes",
                .type = &option_amount,
                .offset = offsetof(DiskSettings, min_free_inodes),
                .fallback = "1%",
        },
};

static const CheckValue disk_values[] = {
        { "free", "bytes" },
        { "total", "bytes" },
        { "free_inodes", "" },
        { "total_inodes", "" },
        {},
};

const CheckDriver disk_driver = {
        .type = {
                .name = "disk",
                .timeout_usec = 2 * USEC_PER_SEC,
                .values = disk_values,
                .schema = SCHEMA(disk_options),
                .settings_size = sizeof(DiskSettings),
                .describe = disk_describe,
        },
        .instance_size = sizeof(DiskInstance),
        .close = disk_close,
        .start = disk_start,
        .stop = disk_stop,
};
