/* SPDX-License-Identifier: MIT */
#include "check/push-store.h"

#include <errno.h>
#include <stdio.h>
#include <systemd/sd-id128.h>
#include <time.h>

#include "base/kept-file.h"
#include "base/list.h"
#include "base/log.h"
#include "base/text.h"

#define KIND             "vitald-push"
#define FORMAT_VERSION   1
#define FILE_MAX_BYTES   ((size_t) 4 << 20)
#define WRITE_PAUSE_USEC (200 * USEC_PER_MSEC) /* what comes meanwhile goes along */
#define WRITE_AGAIN_USEC (30 * USEC_PER_SEC)   /* after a failure */
#define FLUSH_MAX_USEC   USEC_PER_SEC
#define FLUSH_LOOK_USEC  USEC_PER_MSEC
#define TIMER_ACCURACY   (10 * USEC_PER_MSEC)
#define BOOT_KEY         "BOOT="
/* Clocks are set; what seems to come from further ahead, or is older than anybody keeps anything,
 * has a time that says nothing. */
#define FUTURE_MAX_USEC  USEC_PER_MINUTE
#define AGE_MAX_USEC     (400 * USEC_PER_DAY)

typedef struct Entry {
        ListLink link;
        bool is_of_another_boot;
        PushReport report;
} Entry;

struct PushStore {
        sd_event *event;  /* borrowed */
        Workers *workers; /* borrowed */
        char *path;       /* owned */
        bool is_lasting;
        char boot[SD_ID128_STRING_MAX];
        List entries; /* of Entry, owned */
        size_t n_entries;
        bool is_dirty, has_failed;
        Job *job;               /* owned; a write on its way */
        sd_event_source *timer; /* owned: writes what is dirty */
};

/* -- writing ----------------------------------------------------------------------------------- */

/* For the helper thread. */
typedef struct Write {
        char *path, *text; /* owned by one block of memory with this */
        size_t n;
        int r;
} Write;

static void write_call(void *data) {
        Write *w = data;

        w->r = kept_file_write(w->path, KIND, FORMAT_VERSION, w->text, w->n);
}

static Write *write_new(const PushStore *s) {
        _cleanup_strbuf_ StrBuf b = {};
        size_t n_path = strlen(s->path) + 1;
        Write *w;

        strbuf_printf(&b, BOOT_KEY "%s\n", s->boot);
        LIST_FOREACH(i, &s->entries) {
                const Entry *e = list_item(i, Entry, link);

                strbuf_append(&b, "\n");
                push_report_format_kept(&b, &e->report);
                if (e->is_of_another_boot)
                        strbuf_append(&b, "EARLIER=1\n");
        }
        if (b.failed)
                return NULL;
        w = calloc(1, sizeof(Write) + n_path + b.length);
        if (!w)
                return NULL;
        w->path = (char *) (w + 1);
        w->text = w->path + n_path;
        w->n = b.length;
        memcpy(w->path, s->path, n_path);
        memcpy(w->text, b.text, b.length);
        return w;
}

static void store_plan(PushStore *s, usec_t pause) {
        sd_event_source_set_time_relative(s->timer, pause);
        sd_event_source_set_enabled(s->timer, SD_EVENT_ONESHOT);
}

/* The first failure is told, and the end of the trouble. */
static void store_note(PushStore *s, int r) {
        if (r < 0 && !s->has_failed)
                log_errno(LOG_WARNING, r, "Cannot keep reports in %s", s->path);
        else if (r >= 0 && s->has_failed)
                log_notice("Reports are kept in %s again", s->path);
        s->has_failed = r < 0;
        if (r >= 0)
                return;
        s->is_dirty = true;
        store_plan(s, WRITE_AGAIN_USEC);
}

static void on_written(void *userdata, void *data) {
        PushStore *s = userdata;
        const Write *w = data;

        s->job = job_free(s->job);
        store_note(s, w->r);
        if (s->is_dirty && !s->has_failed)
                store_plan(s, WRITE_PAUSE_USEC);
}

static void store_write(PushStore *s) {
        Write *w = write_new(s);
        int r;

        r = w ? workers_submit(s->workers, write_call, w, on_written, s, &s->job) : -ENOMEM;
        if (r >= 0)
                s->is_dirty = false;
        else
                store_note(s, r);
}

static int on_timer(_unused_ sd_event_source *source, _unused_ usec_t usec, void *userdata) {
        PushStore *s = userdata;

        if (s->is_dirty && !s->job)
                store_write(s);
        return 0;
}

static void store_touch(PushStore *s) {
        int enabled = SD_EVENT_OFF;

        s->is_dirty = true;
        sd_event_source_get_enabled(s->timer, &enabled);
        if (!s->job && enabled == SD_EVENT_OFF)
                store_plan(s, WRITE_PAUSE_USEC);
}

/* A disk that hangs must not keep us from ending. */
static void store_wait(PushStore *s) {
        usec_t until = clock_usec(CLOCK_MONOTONIC) + FLUSH_MAX_USEC;

        while (s->job && job_is_running(s->job) && clock_usec(CLOCK_MONOTONIC) < until)
                (void) nanosleep(&(struct timespec){ .tv_nsec = 1000 * FLUSH_LOOK_USEC }, NULL);
        s->job = job_free(s->job);
}

/* -- reading ----------------------------------------------------------------------------------- */

static Entry *store_find(const PushStore *s, const char *check) {
        LIST_FOREACH(i, &s->entries) {
                Entry *e = list_item(i, Entry, link);

                if (str_equal(e->report.check, check))
                        return e;
        }
        return NULL;
}

static void entry_free(PushStore *s, Entry *e) {
        list_unlink(&e->link);
        s->n_entries--;
        free(e);
}

static Entry *store_add(PushStore *s, const PushReport *report) {
        Entry *e = store_find(s, report->check);

        if (!e && s->n_entries < PUSH_STORE_MAX) {
                e = calloc(1, sizeof(Entry));
                if (!e)
                        return NULL;
                list_append(&s->entries, &e->link);
                s->n_entries++;
        }
        if (e)
                e->report = *report;
        return e;
}

static int store_take_block(PushStore *s, char *block, bool is_this_boot) {
        char *earlier = strstr(block, "\nEARLIER=1\n");
        PushReport report;
        Entry *e;

        if (push_report_parse_kept(block, strlen(block), &report) < 0)
                return -EBADMSG;
        e = store_add(s, &report);
        if (e)
                e->is_of_another_boot = !is_this_boot || earlier;
        return e ? 0 : -ENOMEM;
}

/* A line with the boot, then blocks of lines, each behind an empty one. */
static int store_take_text(PushStore *s, char *text) {
        char *next = strstr(text, "\n\n");
        bool is_this_boot;

        if (!str_starts_with(text, BOOT_KEY))
                return -EBADMSG;
        text[strcspn(text, "\n")] = 0;
        is_this_boot = str_equal(text + strlen(BOOT_KEY), s->boot);
        if (!is_this_boot && !s->is_lasting)
                return 0;
        while (next) {
                char *block = next + 2;
                int r;

                next = strstr(block, "\n\n");
                if (next)
                        next[1] = 0;
                r = store_take_block(s, block, is_this_boot);
                if (r < 0)
                        return r;
        }
        return 0;
}

static void store_read(PushStore *s) {
        _cleanup_free_ char *text = NULL;
        size_t n;
        int r;

        r = kept_file_read(s->path, KIND, FORMAT_VERSION, FILE_MAX_BYTES, &text, &n);
        if (r == -ENOENT)
                return;
        if (r >= 0)
                r = store_take_text(s, text);
        if (r >= 0)
                return;
        log_errno(LOG_WARNING, r, "%s is no use, so it is left aside", s->path);
        LIST_FOREACH_SAFE(i, &s->entries)
                entry_free(s, list_item(i, Entry, link));
}

/* -- the store --------------------------------------------------------------------------------- */

void push_store_put(PushStore *s, const PushReport *report) {
        Entry *e = store_add(s, report);

        if (!e)
                return;
        e->is_of_another_boot = false;
        store_touch(s);
}

void push_store_drop(PushStore *s, const char *check) {
        Entry *e = store_find(s, check);

        if (!e)
                return;
        entry_free(s, e);
        store_touch(s);
}

/* Within a boot the age is exact, whatever was done to the clock. */
const PushReport *push_store_find(PushStore *s, const char *check, usec_t *ret_age_usec) {
        const Entry *e = store_find(s, check);
        usec_t now = clock_usec(e && e->is_of_another_boot ? CLOCK_REALTIME : CLOCK_BOOTTIME), then;

        if (!e)
                return NULL;
        then = e->is_of_another_boot ? e->report.realtime : e->report.boottime;
        if (then > usec_add(now, FUTURE_MAX_USEC) || usec_sub(now, then) > AGE_MAX_USEC) {
                log_warning("%s: the report that was kept is not from now, so it is left aside",
                            check);
                push_store_drop(s, check);
                return NULL;
        }
        *ret_age_usec = usec_sub(now, then);
        return &e->report;
}

void push_store_prune(PushStore *s, bool (*is_wanted)(void *userdata, const char *check),
                      void *userdata) {
        LIST_FOREACH_SAFE(i, &s->entries) {
                Entry *e = list_item(i, Entry, link);

                if (is_wanted(userdata, e->report.check))
                        continue;
                entry_free(s, e);
                store_touch(s);
        }
}

PushStore *push_store_free(PushStore *s) {
        if (!s)
                return NULL;
        store_wait(s);
        if (s->is_dirty) {
                store_write(s);
                store_wait(s);
        }
        LIST_FOREACH_SAFE(i, &s->entries)
                entry_free(s, list_item(i, Entry, link));
        sd_event_source_disable_unref(s->timer);
        free(s->path);
        free(s);
        return NULL;
}

int push_store_new(sd_event *event, Workers *workers, const char *path, bool is_lasting,
                   PushStore **ret) {
        _cleanup_(push_store_freep) PushStore *s = calloc(1, sizeof(PushStore));
        sd_id128_t boot;
        int r;

        if (!s)
                return -ENOMEM;
        list_init(&s->entries);
        s->event = event;
        s->workers = workers;
        s->is_lasting = is_lasting;
        s->path = strdup(path);
        if (!s->path)
                return -ENOMEM;
        r = sd_id128_get_boot(&boot);
        if (r < 0)
                return r;
        sd_id128_to_string(boot, s->boot);
        r = sd_event_add_time(event, &s->timer, CLOCK_MONOTONIC, 0, TIMER_ACCURACY, on_timer, s);
        if (r >= 0)
                r = sd_event_source_set_enabled(s->timer, SD_EVENT_OFF);
        if (r < 0)
                return r;
        store_read(s);
        *ret = TAKE(s);
        return 0;
}
