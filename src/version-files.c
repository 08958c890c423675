/* SPDX-License-Identifier: MIT */
#include "version-files.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"

#define LOOK_USEC     (2 * USEC_PER_SEC)
#define ACCURACY_USEC (100 * USEC_PER_MSEC)

#define FILE_MAX 4096 /* bytes; the first line counts */

/* What tells one state of a file from another. */
typedef struct Stamp {
        dev_t device;
        ino_t inode;
        off_t size;
        struct timespec changed;
} Stamp;

/* A look, in a helper thread. */
typedef struct Look {
        char *path;   /* owned */
        Stamp before; /* what was there at the last look */

        int error; /* negative errno, 0, or -EALREADY: nothing has changed */
        Stamp stamp;
        char version[VERSION_MAX];
} Look;

typedef struct VersionFile {
        VersionFiles *owner; /* borrowed */
        size_t service;
        char *name, *path; /* owned */
        Job *job;          /* owned: the look under way; NULL: there is none */
        bool is_late;      /* the look takes longer than to the next, and is given up */
        Stamp stamp;
        int error; /* of the latest look */
} VersionFile;

struct VersionFiles {
        Workers *workers; /* borrowed */
        VersionHandler handler;
        void *userdata;         /* borrowed */
        sd_event_source *timer; /* owned */
        VersionFile *items;     /* owned */
        size_t n;
};

/* -- in a helper thread ------------------------------------------------------------------------ */

static bool stamp_equal(const Stamp *a, const Stamp *b) {
        return a->device == b->device && a->inode == b->inode && a->size == b->size &&
               a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

static int look_at(Look *l) {
        struct stat st;
        char *text;
        size_t n;
        int r;

        if (stat(l->path, &st) < 0)
                return -errno;
        l->stamp = (Stamp){ st.st_dev, st.st_ino, st.st_size, st.st_ctim };
        if (stamp_equal(&l->stamp, &l->before))
                return -EALREADY;

        r = file_read(l->path, FILE_MAX, &text, &n);
        if (r < 0)
                return r;
        text_sanitize(l->version, sizeof(l->version), text, strcspn(text, "\n"));
        free(text);
        return 0;
}

static void look_run(void *data) {
        Look *l = data;

        l->error = look_at(l);
}

/* -- in the loop ------------------------------------------------------------------------------- */

static void file_take(VersionFile *f, const Look *l) {
        if (l->error == -EALREADY)
                return;
        if (l->error < 0 && l->error != f->error)
                log_warning("%s: VersionFile=%s cannot be read: %s", f->name, f->path,
                            strerror(-l->error));
        f->error = l->error;
        f->stamp = l->error < 0 ? (Stamp){} : l->stamp;
        f->owner->handler(f->owner->userdata, f->service, l->version);
}

static void on_looked(void *userdata, void *data) {
        VersionFile *f = userdata;

        f->job = job_free(f->job);
        file_take(f, data);
}

/* The path lies behind the struct, so that one free() is enough wherever the look ends. */
static Look *look_new(const VersionFile *f) {
        size_t n;
        Look *l;

        assert(f->path);
        n = strlen(f->path) + 1;
        l = malloc(sizeof(Look) + n);
        if (!l)
                return NULL;
        *l = (Look){ .path = (char *) (l + 1), .before = f->stamp };
        memcpy(l->path, f->path, n);
        return l;
}

/* A look that hangs is not waited for, and not joined by another. */
static void file_look(VersionFile *f) {
        Look *l;

        if (f->job && job_is_running(f->job)) {
                if (!f->is_late)
                        job_abandon(f->job);
                f->is_late = true;
                return;
        }

        f->job = job_free(f->job);
        f->is_late = false;
        l = look_new(f);
        if (l && workers_submit(f->owner->workers, look_run, l, on_looked, f, &f->job) < 0)
                f->job = NULL; /* the next time, then */
}

static int on_timer(sd_event_source *s, usec_t usec _unused_, void *userdata) {
        VersionFiles *f = userdata;

        for (size_t i = 0; i < f->n; i++)
                file_look(&f->items[i]);
        sd_event_source_set_time_relative(s, LOOK_USEC);
        sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
        return 0;
}

/* -- life -------------------------------------------------------------------------------------- */

static void version_files_clear(VersionFiles *f) {
        for (size_t i = 0; i < f->n; i++) {
                job_free(f->items[i].job);
                free(f->items[i].name);
                free(f->items[i].path);
        }
        free(f->items);
        f->items = NULL;
        f->n = 0;
}

static int version_files_add(VersionFiles *f, const Config *config, size_t service) {
        VersionFile *file = &f->items[f->n++];

        *file = (VersionFile){
                .owner = f,
                .service = service,
                .name = strdup(config->services[service].name),
                .path = strdup(config->services[service].version_file),
        };
        return file->name && file->path ? 0 : -ENOMEM;
}

int version_files_configure(VersionFiles *f, const Config *config) {
        int r = 0;

        version_files_clear(f);
        f->items = calloc(MAX(config->n_services, (size_t) 1), sizeof(VersionFile));
        if (!f->items)
                return -ENOMEM;
        for (size_t i = 0; i < config->n_services && r >= 0; i++)
                if (config->services[i].version_file)
                        r = version_files_add(f, config, i);
        if (r < 0)
                return r;

        sd_event_source_set_enabled(f->timer, SD_EVENT_OFF);
        if (f->n > 0)
                on_timer(f->timer, 0, f);
        return 0;
}

VersionFiles *version_files_free(VersionFiles *f) {
        if (!f)
                return NULL;

        version_files_clear(f);
        sd_event_source_disable_unref(f->timer);
        free(f);
        return NULL;
}

int version_files_new(sd_event *event, Workers *workers, VersionHandler handler, void *userdata,
                      VersionFiles **ret) {
        _cleanup_(version_files_freep) VersionFiles *f = calloc(1, sizeof(VersionFiles));
        int r;

        if (!f)
                return -ENOMEM;
        f->workers = workers;
        f->handler = handler;
        f->userdata = userdata;
        r = sd_event_add_time(event, &f->timer, CLOCK_MONOTONIC, 0, ACCURACY_USEC, on_timer, f);
        if (r < 0)
                return r;
        sd_event_source_set_enabled(f->timer, SD_EVENT_OFF);

        *ret = TAKE(f);
        return 0;
}
