/* SPDX-License-Identifier: MIT */
#include "io/kept-writer.h"

#include <errno.h>
#include <string.h>

#include "base/kept-file.h"
#include "base/log.h"

#define WRITE_AGAIN_USEC (30 * USEC_PER_SEC) /* after a failure */
#define HANGS_AFTER_SEC  10
#define TIMER_ACCURACY   (10 * USEC_PER_MSEC)

struct KeptWriter {
        Workers *workers; /* borrowed */
        KeptFile file;
        char *path; /* owned */
        KeptText text;
        void *userdata; /* borrowed */
        bool is_dirty, has_failed;
        uint64_t n_failures;
        usec_t due_usec;        /* of what is dirty, CLOCK_MONOTONIC */
        Job *job;               /* owned; a write on its way */
        sd_event_source *timer; /* owned: writes what is dirty, or looks after the job */
};

/* For the helper thread. */
typedef struct Write {
        const char *kind; /* constant */
        unsigned version;
        char *path, *text; /* owned by one block of memory with this */
        size_t n;
        int r;
} Write;

static void write_call(void *data) {
        Write *w = data;

        w->r = kept_file_write(w->path, w->kind, w->version, w->text, w->n);
}

static Write *write_new(const KeptWriter *k) {
        _cleanup_strbuf_ StrBuf b = {};
        size_t n_path = strlen(k->path) + 1;
        Write *w;

        k->text(k->userdata, &b);
        if (b.failed)
                return NULL;
        w = calloc(1, sizeof(Write) + n_path + b.length);
        if (!w)
                return NULL;
        w->kind = k->file.kind;
        w->version = k->file.version;
        w->path = (char *) (w + 1);
        w->text = w->path + n_path;
        w->n = b.length;
        memcpy(w->path, k->path, n_path);
        if (b.length > 0)
                memcpy(w->text, b.text, b.length);
        return w;
}

static void writer_wake(KeptWriter *k, usec_t at) {
        sd_event_source_set_time(k->timer, at);
        sd_event_source_set_enabled(k->timer, SD_EVENT_ONESHOT);
}

static void writer_plan(KeptWriter *k, usec_t at) {
        k->due_usec = at;
        writer_wake(k, at);
}

/* The first failure is told, and the end of the trouble. */
static void writer_note(KeptWriter *k, int r) {
        if (r < 0 && !k->has_failed)
                log_errno(LOG_WARNING, r, "%s cannot be kept in %s", k->file.what, k->path);
        else if (r >= 0 && k->has_failed)
                log_notice("%s are kept in %s again", k->file.what, k->path);
        k->has_failed = r < 0;
        if (r >= 0)
                return;
        k->n_failures++;
        k->is_dirty = true;
        writer_plan(k, usec_add(clock_usec(CLOCK_MONOTONIC), WRITE_AGAIN_USEC));
}

static void on_written(void *userdata, void *data) {
        KeptWriter *k = userdata;
        const Write *w = data;

        k->job = job_free(k->job);
        sd_event_source_set_enabled(k->timer, SD_EVENT_OFF);
        writer_note(k, w->r);
        if (k->is_dirty && !k->has_failed)
                writer_plan(k, k->due_usec);
}

static void writer_write(KeptWriter *k) {
        Write *w = write_new(k);
        int r;

        r = w ? workers_submit(k->workers, write_call, w, on_written, k, &k->job) : -ENOMEM;
        if (r < 0) {
                writer_note(k, r);
                return;
        }
        k->is_dirty = false;
        writer_wake(k, usec_add(clock_usec(CLOCK_MONOTONIC), HANGS_AFTER_SEC * USEC_PER_SEC));
}

/* A file server that is gone, say. The write is waited for, as another would be in its way, but
 * nobody else waits for its thread. It counts as often as one that fails. */
static void writer_note_hang(KeptWriter *k) {
        if (!job_is_running(k->job))
                return;
        if (!k->has_failed)
                log_warning("%s cannot be kept in %s: writing hangs, for %ds so far; does the disk "
                            "or file server answer?",
                            k->file.what, k->path, HANGS_AFTER_SEC);
        job_write_off(k->job);
        k->has_failed = true;
        k->n_failures++;
        writer_wake(k, usec_add(clock_usec(CLOCK_MONOTONIC), WRITE_AGAIN_USEC));
}

static int on_timer(_unused_ sd_event_source *source, _unused_ usec_t usec, void *userdata) {
        KeptWriter *k = userdata;

        if (k->job)
                writer_note_hang(k);
        else if (k->is_dirty)
                writer_write(k);
        return 0;
}

/* While the disk fails, nothing is tried sooner. */
void kept_writer_touch(KeptWriter *k, usec_t pause_usec) {
        usec_t at = usec_add(clock_usec(CLOCK_MONOTONIC), pause_usec);

        if (k->is_dirty && (k->has_failed || k->due_usec <= at))
                return;
        k->is_dirty = true;
        k->due_usec = at;
        if (!k->job)
                writer_plan(k, at);
}

uint64_t kept_writer_n_failures(const KeptWriter *k) {
        return k->n_failures;
}

/* A disk that hangs must not keep us from ending. Returns whether the write is over. */
static bool writer_wait(KeptWriter *k) {
        bool is_over = !k->job || job_wait(k->job);

        k->job = job_free(k->job);
        return is_over;
}

KeptWriter *kept_writer_free(KeptWriter *k) {
        if (!k)
                return NULL;
        /* Behind one that hangs there is nothing to be had, and two would be in each other's way.
         */
        if (writer_wait(k) && k->is_dirty) {
                writer_write(k);
                (void) writer_wait(k);
        }
        sd_event_source_disable_unref(k->timer);
        free(k->path);
        free(k);
        return NULL;
}

int kept_writer_new(sd_event *event, Workers *workers, const KeptFile *file, KeptText text,
                    void *userdata, KeptWriter **ret) {
        _cleanup_(kept_writer_freep) KeptWriter *k = calloc(1, sizeof(KeptWriter));
        int r;

        if (!k)
                return -ENOMEM;
        k->workers = workers;
        k->file = *file;
        k->text = text;
        k->userdata = userdata;
        k->path = strdup(file->path);
        if (!k->path)
                return -ENOMEM;
        k->file.path = k->path;
        r = sd_event_add_time(event, &k->timer, CLOCK_MONOTONIC, 0, TIMER_ACCURACY, on_timer, k);
        if (r >= 0)
                r = sd_event_source_set_enabled(k->timer, SD_EVENT_OFF);
        if (r < 0)
                return r;
        *ret = TAKE(k);
        return 0;
}
