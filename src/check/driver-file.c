/* SPDX-License-Identifier: MIT */
/* Type=file: a file that is there, not too old, of the right size, with the right content.
 *
 * All that may hang on a dead mount happens in a helper thread, as for Type=disk. The file, or the
 * directory in which it should be, is watched by inotify(7), so that a run follows at once when it
 * goes, comes or is written. */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/list.h"
#include "base/text.h"
#include "check/driver.h"
#include "check/file-verdict.h"

/* One for files and directories: a second watch on the same thing replaces the first. */
#define WATCH_MASK \
        (IN_ATTRIB | IN_CLOSE_WRITE | IN_DELETE_SELF | IN_MOVE_SELF | IN_CREATE | IN_MOVED_TO)

#define EVENTS_BYTES 16384

typedef struct FileShared {
        int inotify; /* owned; -1: there are too many, and the interval must do */
        PollWatch watch;
        List instances;     /* of FileInstance */
        uint64_t n_unknown; /* events so far of watches that no check is known to have */
} FileShared;

typedef struct FileInstance {
        Check *check; /* borrowed */
        ListLink link;
        Job *job;               /* owned; after a run only while its call is stuck */
        usec_t began_realtime;  /* of that call */
        uint64_t n_unknown;     /* when it began */
        int file_wd, parent_wd; /* inotify's watches; -1: none */
} FileInstance;

/* What the helper thread works on. One block of memory. */
typedef struct FileCall {
        FileFacts facts;
        int inotify; /* borrowed: outlives all but stuck calls */
        int file_wd, parent_wd;
        const char *pattern; /* NULL: the content does not matter */
        char *parent;
        char path[];
} FileCall;

/* -- in the thread ----------------------------------------------------------------------------- */

/* First the watch, then the look: what changes between them is seen twice and not missed. */
static void file_watch(FileCall *call) {
        call->file_wd = inotify_add_watch(call->inotify, call->path, WATCH_MASK);
        if (call->file_wd >= 0 || errno != ENOENT)
                return;
        call->parent_wd = inotify_add_watch(call->inotify, call->parent, WATCH_MASK | IN_ONLYDIR);
        call->file_wd = inotify_add_watch(call->inotify, call->path, WATCH_MASK);
}

static int file_read_start(const char *path, char buf[static FILE_CONTENT_MAX], size_t *ret_n) {
        _cleanup_fd_ int fd = -1;
        size_t used = 0;
        struct stat st;

        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -EINVAL;
        while (used < FILE_CONTENT_MAX) {
                ssize_t n = read(fd, buf + used, FILE_CONTENT_MAX - used);

                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                used += (size_t) n;
        }
        *ret_n = used;
        return 0;
}

/* In a thread of its own, which may outlive the settings: so it has an expression of its own, too.
 */
static int file_match(const char *path, const char *expression, bool *ret) {
        _cleanup_free_ char *content = malloc(FILE_CONTENT_MAX);
        char why[OPTION_WHY_MAX];
        Pattern pattern = {};
        size_t n = 0;
        int r;

        if (!content)
                return -ENOMEM;
        r = file_read_start(path, content, &n);
        if (r >= 0)
                r = pattern_compile(expression, &pattern, why);
        if (r < 0)
                return r;
        r = pattern_search(&pattern, content, n);
        pattern_done(&pattern);
        *ret = r > 0;
        return MIN(r, 0);
}

static void file_call(void *data) {
        FileCall *call = data;
        FileFacts *f = &call->facts;
        struct stat st;

        if (call->inotify >= 0)
                file_watch(call);
        if (stat(call->path, &st) < 0) {
                f->error = errno;
                return;
        }
        f->size_bytes = (uint64_t) MAX(st.st_size, (off_t) 0);
        f->changed_realtime = (usec_t) MAX(st.st_mtim.tv_sec, (time_t) 0) * USEC_PER_SEC +
                              (usec_t) st.st_mtim.tv_nsec / 1000;
        if (call->pattern)
                f->error = -file_match(call->path, call->pattern, &f->is_matching);
}

static char *call_put(char **place, const char *s, size_t n) {
        char *copy = *place;

        memcpy(copy, s, n);
        copy[n] = 0;
        *place += n + 1;
        return copy;
}

static FileCall *file_call_new(const FileSettings *s, int inotify) {
        size_t n_path = strlen(s->path), n_pattern = s->content.text ? strlen(s->content.text) : 0;
        const char *slash = strrchr(s->path, '/');
        FileCall *call;
        char *place;

        call = calloc(1, sizeof(*call) + 2 * n_path + n_pattern + 4);
        if (!call)
                return NULL;
        call->inotify = inotify;
        call->file_wd = call->parent_wd = -1;
        place = call->path;
        call_put(&place, s->path, n_path);
        call->parent = call_put(&place, s->path, MAX((size_t) (slash - s->path), (size_t) 1));
        if (s->content.text)
                call->pattern = call_put(&place, s->content.text, n_pattern);
        return call;
}

/* -- watches ----------------------------------------------------------------------------------- */

static bool file_uses(const FileInstance *i, int wd) {
        return i->file_wd == wd || i->parent_wd == wd;
}

/* Ends a watch that no check has any more. */
static void file_drop_watch(const FileShared *shared, int wd) {
        if (wd < 0)
                return;
        LIST_FOREACH(k, &shared->instances)
                if (file_uses(list_item(k, FileInstance, link), wd))
                        return;
        (void) inotify_rm_watch(shared->inotify, wd);
}

static void file_set_watches(FileInstance *i, int file_wd, int parent_wd) {
        const FileShared *shared = check_shared(i->check);
        int old_file_wd = i->file_wd, old_parent_wd = i->parent_wd;

        i->file_wd = file_wd;
        i->parent_wd = parent_wd;
        file_drop_watch(shared, old_file_wd);
        file_drop_watch(shared, old_parent_wd);
}

/* In the directory only the file's own name counts. */
static bool file_is_meant(const FileInstance *i, const struct inotify_event *e) {
        const FileSettings *s = check_settings(i->check);

        if (e->mask & IN_Q_OVERFLOW)
                return true;
        if (e->mask & IN_IGNORED)
                return false;
        return i->file_wd == e->wd || (i->parent_wd == e->wd && e->len > 0 &&
                                       str_equal(e->name, strrchr(s->path, '/') + 1));
}

/* Whether any check has this watch. */
static bool file_tell(const FileShared *shared, const struct inotify_event *e) {
        bool is_known = false;

        LIST_FOREACH(k, &shared->instances) {
                const FileInstance *i = list_item(k, FileInstance, link);

                is_known |= file_uses(i, e->wd);
                if (file_is_meant(i, e))
                        check_trigger(i->check);
        }
        return is_known;
}

static void on_events(void *userdata, uint32_t events _unused_) {
        FileShared *shared = userdata;
        _Alignas(struct inotify_event) char buf[EVENTS_BYTES];
        ssize_t n;

        n = read(shared->inotify, buf, sizeof(buf));
        for (ssize_t at = 0; at < n;) {
                const struct inotify_event *e = (const void *) (buf + at);

                if (!file_tell(shared, e) && !(e->mask & IN_IGNORED))
                        shared->n_unknown++;
                at += (ssize_t) (sizeof(*e) + e->len);
        }
}

/* -- one run ----------------------------------------------------------------------------------- */

static void file_called(void *userdata, void *data) {
        CheckRun *run = userdata;
        FileInstance *i = check_run_instance(run);
        const FileShared *shared = check_shared(i->check);
        const FileCall *call = data;
        Result result;

        /* It was not known yet whose events these were: look once more. */
        if (shared->n_unknown != i->n_unknown)
                check_trigger(i->check);
        file_set_watches(i, call->file_wd, call->parent_wd);
        file_judge(&result, check_run_settings(run), &call->facts, clock_usec(CLOCK_REALTIME));
        check_run_finish(run, &result);
}

static void file_finish_stuck(CheckRun *run) {
        const FileSettings *settings = check_run_settings(run);
        const FileInstance *i = check_run_instance(run);
        char since[TIMESTAMP_MAX];
        Result result;

        timestamp_format_short(since, i->began_realtime, clock_usec(CLOCK_REALTIME));
        result_fail(&result, REASON_STUCK,
                    "%s: the file system does not answer, still stuck since %s", settings->path,
                    since);
        check_run_finish(run, &result);
}

static int file_start(CheckRun *run) {
        FileInstance *i = check_run_instance(run);
        const FileShared *shared = check_shared(i->check);
        FileCall *call;

        if (i->job && job_is_running(i->job)) {
                file_finish_stuck(run);
                return 0;
        }
        i->job = job_free(i->job);
        call = file_call_new(check_run_settings(run), shared->inotify);
        if (!call)
                return -ENOMEM;
        i->began_realtime = clock_usec(CLOCK_REALTIME);
        i->n_unknown = shared->n_unknown;
        check_run_set_phase(run, "waiting for the file system");
        return workers_submit(engine_workers(check_engine(i->check)), file_call, call, file_called,
                              run, &i->job);
}

static void file_stop(CheckRun *run) {
        FileInstance *i = check_run_instance(run);

        if (!i->job)
                return;
        job_abandon(i->job);
        if (!job_is_running(i->job))
                i->job = job_free(i->job);
}

/* -- the check --------------------------------------------------------------------------------- */

static int file_attach(Engine *engine, void *memory) {
        FileShared *shared = memory;

        list_init(&shared->instances);
        shared->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (shared->inotify < 0)
                return 0;
        return poll_watch_add(&shared->watch, engine_poll_set(engine), shared->inotify, EPOLLIN,
                              on_events, shared);
}

static void file_detach(void *memory) {
        FileShared *shared = memory;

        poll_watch_drop(&shared->watch);
        fd_close(shared->inotify);
}

static int file_open(Check *check) {
        FileInstance *i = check_instance(check);
        FileShared *shared = check_shared(check);

        i->check = check;
        i->file_wd = i->parent_wd = -1;
        list_append(&shared->instances, &i->link);
        return 0;
}

static void file_close(Check *check) {
        FileInstance *i = check_instance(check);

        list_unlink(&i->link);
        file_set_watches(i, -1, -1);
        i->job = job_free(i->job);
}

static void file_describe(const void *settings, CheckTarget *ret) {
        const FileSettings *s = settings;

        *ret = (CheckTarget){};
        snprintf(ret->text, sizeof(ret->text), "%s", s->path);
}

static const Option file_options[] = {
        { "Path", &option_path, offsetof(FileSettings, path), .flags = OPTION_REQUIRED },
        { "Exists", &option_bool, offsetof(FileSettings, exists), "yes" },
        { "MaxFileAge", &option_timespan, offsetof(FileSettings, max_age_usec),
          .max = USEC_INFINITY, .min = USEC_PER_SEC },
        { "MinSize", &option_size, offsetof(FileSettings, min_size_bytes) },
        { "MaxSize", &option_size, offsetof(FileSettings, max_size_bytes) },
        { "Content", &option_pattern, offsetof(FileSettings, content) },
};

const CheckDriver file_driver = {
        .type = {
                .name = "file",
                .timeout_usec = 2 * USEC_PER_SEC,
                .schema = SCHEMA(file_options),
                .settings_size = sizeof(FileSettings),
                .describe = file_describe,
        },
        .shared_size = sizeof(FileShared),
        .attach = file_attach,
        .detach = file_detach,
        .instance_size = sizeof(FileInstance),
        .open = file_open,
        .close = file_close,
        .start = file_start,
        .stop = file_stop,
};
