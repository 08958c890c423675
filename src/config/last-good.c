/* SPDX-License-Identifier: MIT */
#include "config/last-good.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

#include "base/parse.h"
#include "base/text.h"
#include "config/lexer.h"

#define KEY_MAX (NAME_LENGTH_MAX + 16)

/* Entries of one configuration: services, shared checks and vitald.conf. */
#define ENTRIES_MAX (2 * TREE_FILES_MAX + 2)

#define ENTRY_LINE_MAX (KEY_MAX + 48)

#define REALTIME_MAX (253402300799 * USEC_PER_SEC) /* the year 9999 */

static void entry_done(GoodEntry *e) {
        for (size_t i = 0; i < e->n_files; i++)
                file_text_done(&e->files[i]);
        free(e->files);
        free(e->key);
        *e = (GoodEntry){};
}

void last_good_done(LastGood *l) {
        for (size_t i = 0; i < l->n; i++)
                entry_done(&l->items[i]);
        free(l->items);
        *l = (LastGood){};
}

static int last_good_reserve(LastGood *l) {
        size_t n = MAX(l->n_allocated * 2, (size_t) 16);
        GoodEntry *items;

        if (l->n < l->n_allocated)
                return 0;
        items = reallocarray(l->items, n, sizeof(GoodEntry));
        if (!items)
                return -ENOMEM;
        l->items = items;
        l->n_allocated = n;
        return 0;
}

/* -- finding ----------------------------------------------------------------------------------- */

static const char *key_format(char buf[static KEY_MAX], const char *folder, const char *name) {
        snprintf(buf, KEY_MAX, "%s%s%s", folder, *folder ? "/" : "",
                 *folder ? name : LAST_GOOD_MAIN);
        return buf;
}

/* Where the key stands or would stand. */
static size_t last_good_place(const LastGood *l, const char *key, bool *ret_is_there) {
        size_t low = 0, high = l->n;

        *ret_is_there = false;
        while (low < high) {
                size_t middle = low + (high - low) / 2;
                int order = strcmp(l->items[middle].key, key);

                *ret_is_there |= order == 0;
                if (order < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static GoodEntry *last_good_find_key(const LastGood *l, const char *key) {
        bool is_there;
        size_t i = last_good_place(l, key, &is_there);

        return is_there ? &l->items[i] : NULL;
}

const GoodEntry *last_good_find(const LastGood *l, const char *folder, const char *name) {
        char key[KEY_MAX];

        return l ? last_good_find_key(l, key_format(key, folder, name)) : NULL;
}

/* Takes the entry over, in any case. */
static int last_good_insert(LastGood *l, GoodEntry *e) {
        bool is_there;
        size_t i;

        if (last_good_reserve(l) < 0) {
                entry_done(e);
                return -ENOMEM;
        }
        i = last_good_place(l, e->key, &is_there);
        assert(!is_there);
        memmove(&l->items[i + 1], &l->items[i], (l->n - i) * sizeof(GoodEntry));
        l->items[i] = *e;
        l->n++;
        *e = (GoodEntry){};
        return 0;
}

/* -- noting ------------------------------------------------------------------------------------ */

static int file_text_copy(const char *path, size_t path_length, const char *text, size_t size,
                          FileText *ret) {
        char *copy = malloc(size + 1);

        ret->path = strndup(path, path_length);
        ret->text = copy;
        ret->size = size;
        if (!ret->path || !copy)
                return -ENOMEM;
        memcpy(copy, text, size);
        copy[size] = 0;
        return 0;
}

static int entry_take_document(GoodEntry *e, const Document *d) {
        e->files = calloc(MAX(d->n_files, (size_t) 1), sizeof(FileText));
        if (!e->key || !e->files)
                return -ENOMEM;
        for (size_t i = 0; i < d->n_files; i++) {
                const FileText *f = &d->files[i].file;

                e->n_files++;
                if (file_text_copy(f->path, strlen(f->path), f->text, f->size, &e->files[i]) < 0)
                        return -ENOMEM;
        }
        return 0;
}

int last_good_add(LastGood *l, const char *folder, const char *name, const Document *d) {
        GoodEntry e = {};
        char key[KEY_MAX];
        int r;

        if (!l)
                return 0;
        e.key = strdup(key_format(key, folder, name));
        r = entry_take_document(&e, d);
        if (r < 0) {
                entry_done(&e);
                return r;
        }
        return last_good_insert(l, &e);
}

/* -- merging ----------------------------------------------------------------------------------- */

static bool entry_equal(const GoodEntry *a, const GoodEntry *b) {
        if (a->n_files != b->n_files)
                return false;
        for (size_t i = 0; i < a->n_files; i++)
                if (!str_equal(a->files[i].path, b->files[i].path) ||
                    a->files[i].size != b->files[i].size ||
                    memcmp(a->files[i].text, b->files[i].text, a->files[i].size) != 0)
                        return false;
        return true;
}

/* "orders" of "services/orders", or NULL. */
static const char *key_service(const char *key) {
        return str_starts_with(key, "services/") ? key + strlen("services/") : NULL;
}

/* Whether what is kept stays, although the load has found nothing good of that name. */
static bool entry_outlasts(const GoodEntry *e, const Config *config) {
        const char *service = key_service(e->key);

        if (!service)
                return !diagnostics_is_empty(&config->diagnostics);
        return config->defect || config_find_service(config, service) != INDEX_NONE;
}

/* In loaded: what stays as it was. The number of entries of which that is true. */
static size_t last_good_carry(LastGood *kept, LastGood *loaded, const Config *config) {
        ConfigCopy copy;
        bool is_bound = config_find_copy(config, 0, &copy) != INDEX_NONE;
        size_t n = 0;

        for (size_t i = 0; i < kept->n; i++) {
                GoodEntry *old = &kept->items[i], *new = last_good_find_key(loaded, old->key);

                if (!new) {
                        /* Without memory for it, the next start has one copy less. */
                        if (entry_outlasts(old, config) && last_good_insert(loaded, old) >= 0)
                                n++;
                } else if ((is_bound && !key_service(old->key)) || entry_equal(old, new)) {
                        GoodEntry swap = *new;

                        *new = *old;
                        *old = swap;
                        n++;
                }
        }
        return n;
}

bool last_good_merge(LastGood *kept, LastGood *loaded, const Config *config, usec_t now_realtime) {
        size_t n_before = kept->n, n_carried;

        for (size_t i = 0; i < loaded->n; i++)
                loaded->items[i].since_realtime = now_realtime;
        n_carried = last_good_carry(kept, loaded, config);
        last_good_done(kept);
        *kept = *loaded;
        *loaded = (LastGood){};
        return n_carried < kept->n || n_carried < n_before;
}

/* -- as bytes ---------------------------------------------------------------------------------- */

/* An entry is a line "KEY SINCE NUMBER-OF-FILES", a file a line "LENGTH-OF-PATH SIZE", its path,
 * its text and an empty line. */
void last_good_format(const LastGood *l, StrBuf *out) {
        for (size_t i = 0; i < l->n; i++) {
                const GoodEntry *e = &l->items[i];

                strbuf_printf(out, "%s %" PRIu64 " %zu\n", e->key, e->since_realtime, e->n_files);
                for (size_t j = 0; j < e->n_files; j++) {
                        const FileText *f = &e->files[j];

                        strbuf_printf(out, "%zu %zu\n%s\n", strlen(f->path), f->size, f->path);
                        strbuf_append_bytes(out, f->text, f->size);
                        strbuf_append(out, "\n\n");
                }
        }
}

size_t last_good_size(const LastGood *l) {
        size_t n = 0;

        for (size_t i = 0; i < l->n; i++) {
                n += ENTRY_LINE_MAX;
                for (size_t j = 0; j < l->items[i].n_files; j++)
                        n += ENTRY_LINE_MAX + strlen(l->items[i].files[j].path) +
                             l->items[i].files[j].size;
        }
        return n;
}

/* What is left to read. */
typedef struct Reader {
        const char *at, *end;
} Reader;

/* Cuts off a word that ends with that byte. */
static int read_word(Reader *r, char end, char *buf, size_t size) {
        const char *p = memchr(r->at, end, MIN((size_t) (r->end - r->at), size));

        if (!p || memchr(r->at, 0, (size_t) (p - r->at)))
                return -EBADMSG;
        memcpy(buf, r->at, (size_t) (p - r->at));
        buf[p - r->at] = 0;
        r->at = p + 1;
        return 0;
}

static int read_number(Reader *r, char end, uint64_t max, uint64_t *ret) {
        char word[24];

        if (read_word(r, end, word, sizeof(word)) < 0 || parse_uint64(word, ret) < 0 || *ret > max)
                return -EBADMSG;
        return 0;
}

static int read_size(Reader *r, char end, size_t max, size_t *ret) {
        uint64_t n = 0;
        int q = read_number(r, end, max, &n);

        *ret = (size_t) n;
        return q;
}

/* So many bytes and what stands behind them. */
static const char *read_bytes(Reader *r, size_t n, const char *behind) {
        size_t n_behind = strlen(behind);
        const char *p = r->at;

        if ((size_t) (r->end - r->at) < n + n_behind || memcmp(p + n, behind, n_behind) != 0)
                return NULL;
        r->at += n + n_behind;
        return p;
}

static int read_file(Reader *r, FileText *ret) {
        size_t path_length, size;
        const char *path, *text;

        if (read_size(r, ' ', PATH_MAX, &path_length) < 0 ||
            read_size(r, '\n', LEX_FILE_MAX, &size) < 0)
                return -EBADMSG;
        path = read_bytes(r, path_length, "\n");
        text = path ? read_bytes(r, size, "\n\n") : NULL;
        if (!text || !utf8_is_valid(path, path_length) || memchr(path, 0, path_length))
                return -EBADMSG;
        return file_text_copy(path, path_length, text, size, ret);
}

static bool key_is_valid(const char *key) {
        const char *slash = strchr(key, '/');

        if (!slash)
                return str_equal(key, LAST_GOOD_MAIN);
        return (str_starts_with(key, "services/") || str_starts_with(key, "checks/")) &&
               name_is_valid(slash + 1);
}

static int read_entry(Reader *r, GoodEntry *e) {
        char key[KEY_MAX];
        size_t n;

        if (read_word(r, ' ', key, sizeof(key)) < 0 || !key_is_valid(key) ||
            read_number(r, ' ', REALTIME_MAX, &e->since_realtime) < 0 ||
            read_size(r, '\n', DROP_INS_MAX + 1, &n) < 0)
                return -EBADMSG;
        e->key = strdup(key);
        e->files = calloc(MAX(n, (size_t) 1), sizeof(FileText));
        if (!e->key || !e->files)
                return -ENOMEM;
        while (e->n_files < n) {
                int q = read_file(r, &e->files[e->n_files++]);

                if (q < 0)
                        return q;
        }
        return 0;
}

int last_good_parse(const char *bytes, size_t n, LastGood *ret) {
        Reader r = { bytes, bytes + n };
        LastGood l = {};
        int q = 0;

        while (r.at < r.end && q >= 0) {
                GoodEntry e = {};

                q = l.n < ENTRIES_MAX ? read_entry(&r, &e) : -EBADMSG;
                /* In their order, so that none stands there twice. */
                if (q >= 0 && l.n > 0 && strcmp(l.items[l.n - 1].key, e.key) >= 0)
                        q = -EBADMSG;
                if (q >= 0)
                        q = last_good_insert(&l, &e);
                else
                        entry_done(&e);
        }
        if (q < 0) {
                last_good_done(&l);
                return q;
        }
        *ret = l;
        return 0;
}
