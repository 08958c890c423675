/* SPDX-License-Identifier: MIT */
#include "check/push-store.h"

#include <errno.h>
#include <systemd/sd-id128.h>

#include "base/kept-file.h"
#include "base/list.h"
#include "base/log.h"
#include "base/text.h"
#include "io/kept-writer.h"

#define KIND             "vitald-push"
#define FORMAT_VERSION   1
#define FILE_MAX_BYTES   ((size_t) 4 << 20)
#define WRITE_PAUSE_USEC (200 * USEC_PER_MSEC) /* what comes meanwhile goes along */
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
        KeptWriter *writer; /* owned */
        bool is_lasting;
        char boot[SD_ID128_STRING_MAX];
        List entries; /* of Entry, owned */
        size_t n_entries;
};

/* -- writing ----------------------------------------------------------------------------------- */

static void store_format(void *userdata, StrBuf *out) {
        const PushStore *s = userdata;

        strbuf_printf(out, BOOT_KEY "%s\n", s->boot);
        LIST_FOREACH(i, &s->entries) {
                const Entry *e = list_item(i, Entry, link);

                strbuf_append(out, "\n");
                push_report_format_kept(out, &e->report);
                if (e->is_of_another_boot)
                        strbuf_append(out, "EARLIER=1\n");
        }
}

static void store_touch(PushStore *s) {
        kept_writer_touch(s->writer, WRITE_PAUSE_USEC);
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

static void store_read(PushStore *s, const char *path) {
        _cleanup_free_ char *text = NULL;
        size_t n;
        int r;

        r = kept_file_read(path, KIND, FORMAT_VERSION, FILE_MAX_BYTES, &text, &n);
        if (r == -ENOENT)
                return;
        if (r >= 0)
                r = store_take_text(s, text);
        if (r >= 0)
                return;
        log_errno(LOG_WARNING, r, "%s is no use, so it is left aside", path);
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
        kept_writer_free(s->writer);
        LIST_FOREACH_SAFE(i, &s->entries)
                entry_free(s, list_item(i, Entry, link));
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
        s->is_lasting = is_lasting;
        r = sd_id128_get_boot(&boot);
        if (r < 0)
                return r;
        sd_id128_to_string(boot, s->boot);
        r = kept_writer_new(event, workers,
                            &(KeptFile){ .path = path,
                                         .kind = KIND,
                                         .version = FORMAT_VERSION,
                                         .what = "Reports of checks" },
                            store_format, s, &s->writer);
        if (r < 0)
                return r;
        store_read(s, path);
        *ret = TAKE(s);
        return 0;
}
