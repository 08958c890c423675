/* SPDX-License-Identifier: MIT */
/* Type=disk: free space and inodes of the file systems that hold some paths, and whether they can
 * be written to.
 *
 * Calls on a mount whose server is gone never return, so each path's are made in a helper thread.
 * One that is stuck is written off; while it still is, no other is started for that path and the
 * check fails as `stuck`. */

#include <errno.h>
#include <stdio.h>

#include "base/text.h"
#include "check/disk-call.h"
#include "check/driver.h"

#define DISK_PATHS_MAX 64
#define PHASE_MAX      128

typedef struct DiskSettings {
        char **paths;
        Amount min_free, min_free_inodes;
        bool may_be_read_only, is_write_wanted;
} DiskSettings;

typedef struct DiskPath {
        Check *check;
        Job *job;              /* owned; after a run only while its call is stuck */
        usec_t began_realtime; /* of that call */
        bool is_waited_for;    /* by the run */
} DiskPath;

typedef struct DiskInstance {
        CheckRun *run; /* borrowed: the present one */
        size_t n;
        DiskPath paths[DISK_PATHS_MAX];
} DiskInstance;

typedef struct DiskRun {
        Result worst;
        double share; /* of the worst that passes: free room */
        unsigned n_bad;
        bool has_worst;
        char phase[PHASE_MAX];
} DiskRun;

/* -- one path ---------------------------------------------------------------------------------- */

/* What root may have beyond all others does not count, as in df(1). */
static void disk_judge(const DiskSettings *s, const DiskCall *c, Result *ret) {
        const struct statvfs *st = &c->st;
        uint64_t free = st->f_bavail * st->f_frsize;
        uint64_t total = (st->f_blocks - st->f_bfree + st->f_bavail) * st->f_frsize;
        uint64_t wanted = amount_of(&s->min_free, total);
        uint64_t wanted_inodes = amount_of(&s->min_free_inodes, st->f_files);
        char free_text[BYTES_TEXT_MAX], total_text[BYTES_TEXT_MAX], wanted_text[BYTES_TEXT_MAX];

        bytes_format(free_text, free);
        bytes_format(total_text, total);
        if (free < wanted)
                result_fail(ret, REASON_THRESHOLD, "%s: %s of %s free, less than MinFree= (%s)",
                            c->path, free_text, total_text, bytes_format(wanted_text, wanted));
        else if (st->f_files > 0 && st->f_favail < wanted_inodes)
                result_fail(ret, REASON_THRESHOLD,
                            "%s: %llu of %llu inodes free, less than MinFreeInodes= (%llu)",
                            c->path, (unsigned long long) st->f_favail,
                            (unsigned long long) st->f_files, (unsigned long long) wanted_inodes);
        else
                result_pass(ret, "%s: %s of %s free", c->path, free_text, total_text);
        result_add_value(ret, "free", (double) free, "bytes");
        result_add_value(ret, "total", (double) total, "bytes");
        if (st->f_files > 0) {
                result_add_value(ret, "free_inodes", (double) st->f_favail, "");
                result_add_value(ret, "total_inodes", (double) st->f_files, "");
        }
}

/* EROFS here is our sandbox's: the file system itself is not read-only. */
static void disk_judge_write(const DiskCall *c, Result *ret) {
        if (c->write_error == EROFS)
                result_error(ret, REASON_CONFIGURATION,
                             "%s: the sandbox keeps it from being written to; the drop-in "
                             "disk-write.conf allows it",
                             c->path);
        else if (c->write_error == EACCES || c->write_error == EPERM)
                result_error(ret, REASON_CONFIGURATION,
                             "%s: vitald may not write there; see the drop-in disk-write.conf",
                             c->path);
        else {
                result_fail(ret, REASON_STATUS, "%s: cannot be written to: %s", c->path,
                            strerror(c->write_error));
                result_set_detail(ret, "write");
        }
}

static void disk_judge_call(const DiskSettings *s, const DiskCall *c, Result *ret) {
        if (c->error > 0)
                result_errno(ret, c->error, "%s", c->path);
        else if (c->is_read_only && !s->may_be_read_only) {
                result_fail(ret, REASON_STATUS, "%s: the file system is read-only", c->path);
                result_set_detail(ret, "read-only");
        } else if (c->write_error > 0)
                disk_judge_write(c, ret);
        else
                disk_judge(s, c, ret);
}

static void disk_judge_stuck(const DiskPath *p, const char *path, Result *ret) {
        char since[TIMESTAMP_MAX];

        timestamp_format_short(since, p->began_realtime, clock_usec(CLOCK_REALTIME));
        result_fail(ret, REASON_STUCK, "%s: the file system does not answer, still stuck since %s",
                    path, since);
}

/* -- all paths --------------------------------------------------------------------------------- */

static int severity(const Result *r) {
        static const int severities[] = {
                [OUTCOME_PASS] = 0,
                [OUTCOME_WARN] = 1,
                [OUTCOME_ERROR] = 2,
                [OUTCOME_FAIL] = 3,
        };

        return severities[r->outcome];
}

/* Free room of a judged path; the values begin with free and total. */
static double share_of(const Result *r) {
        return r->n_values >= 2 && r->values[1].number > 0
                       ? r->values[0].number / r->values[1].number
                       : 1;
}

static void disk_take(DiskRun *d, const Result *r) {
        double share = share_of(r);

        if (!outcome_is_success(r->outcome))
                d->n_bad++;
        if (d->has_worst && severity(r) <= severity(&d->worst) &&
            (severity(r) < severity(&d->worst) || severity(r) > 0 || share >= d->share))
                return;
        d->worst = *r;
        d->share = share;
        d->has_worst = true;
}

/* Says what is waited for, or ends the run with the worst when nothing is. */
static void disk_continue(CheckRun *run) {
        const DiskSettings *s = check_run_settings(run);
        const DiskInstance *i = check_run_instance(run);
        DiskRun *d = check_run_data(run);
        size_t n;

        for (size_t k = 0; k < i->n; k++)
                if (i->paths[k].is_waited_for) {
                        snprintf(d->phase, sizeof(d->phase), "waiting for the file system of %s",
                                 s->paths[k]);
                        check_run_set_phase(run, d->phase);
                        return;
                }
        n = strlen(d->worst.message);
        if (d->n_bad > 1)
                snprintf(d->worst.message + n, sizeof(d->worst.message) - n, " (and %u more)",
                         d->n_bad - 1);
        check_run_finish(run, &d->worst);
}

static void disk_called(void *userdata, void *data) {
        DiskPath *p = userdata;
        DiskInstance *i = check_instance(p->check);
        Result result;

        p->is_waited_for = false;
        disk_judge_call(check_settings(p->check), data, &result);
        disk_take(check_run_data(i->run), &result);
        disk_continue(i->run);
}

static int disk_path_start(DiskPath *p, const char *path, bool is_write_wanted, DiskRun *d) {
        DiskCall *call;
        Result result;
        int r;

        if (p->job && job_is_running(p->job)) {
                disk_judge_stuck(p, path, &result);
                disk_take(d, &result);
                return 0;
        }
        p->job = job_free(p->job);
        call = disk_call_new(path, is_write_wanted);
        if (!call)
                return -ENOMEM;
        p->began_realtime = clock_usec(CLOCK_REALTIME);
        r = workers_submit(engine_workers(check_engine(p->check)), disk_call, call, disk_called, p,
                           &p->job);
        if (r >= 0)
                p->is_waited_for = true;
        return r;
}

static int disk_start(CheckRun *run) {
        const DiskSettings *s = check_run_settings(run);
        DiskInstance *i = check_run_instance(run);
        int r;

        i->run = run;
        i->n = strv_length(s->paths);
        for (size_t k = 0; k < i->n; k++) {
                i->paths[k].check = check_run_check(run);
                r = disk_path_start(&i->paths[k], s->paths[k], s->is_write_wanted,
                                    check_run_data(run));
                if (r < 0)
                        return r;
        }
        disk_continue(run);
        return 0;
}

static void disk_stop(CheckRun *run) {
        DiskInstance *i = check_run_instance(run);

        for (size_t k = 0; k < i->n; k++) {
                DiskPath *p = &i->paths[k];

                p->is_waited_for = false;
                if (p->job)
                        job_abandon(p->job);
                if (p->job && !job_is_running(p->job))
                        p->job = job_free(p->job);
        }
        i->run = NULL;
}

static void disk_close(Check *check) {
        DiskInstance *i = check_instance(check);

        for (size_t k = 0; k < i->n; k++)
                i->paths[k].job = job_free(i->paths[k].job);
}

/* -- settings ---------------------------------------------------------------------------------- */

static int disk_validate(void *settings, const char **ret_key, char why[static OPTION_WHY_MAX]) {
        const DiskSettings *s = settings;

        if (strv_length(s->paths) <= DISK_PATHS_MAX)
                return 0;
        *ret_key = "Path";
        snprintf(why, OPTION_WHY_MAX, "more than %d paths", DISK_PATHS_MAX);
        return -EINVAL;
}

static void disk_describe(const void *settings, CheckTarget *ret) {
        const DiskSettings *s = settings;
        size_t n = 0;

        *ret = (CheckTarget){};
        STRV_FOREACH(path, s->paths)
                if (n < sizeof(ret->text))
                        n += (size_t) snprintf(ret->text + n, sizeof(ret->text) - n, "%s%s",
                                               n > 0 ? " " : "", *path);
}

static const Option disk_options[] = {
        {
                .key = "Path",
                .type = &option_paths,
                .offset = offsetof(DiskSettings, paths),
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
        {
                .key = "AllowReadOnly",
                .type = &option_bool,
                .offset = offsetof(DiskSettings, may_be_read_only),
                .fallback = "no",
        },
        {
                .key = "WriteTest",
                .type = &option_bool,
                .offset = offsetof(DiskSettings, is_write_wanted),
                .fallback = "no",
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
                .validate = disk_validate,
                .describe = disk_describe,
        },
        .instance_size = sizeof(DiskInstance),
        .close = disk_close,
        .run_size = sizeof(DiskRun),
        .start = disk_start,
        .stop = disk_stop,
};
