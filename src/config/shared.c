/* SPDX-License-Identifier: MIT */
#include "config/shared.h"

#include <errno.h>
#include <limits.h>

#include "base/text.h"

#define FOLDER "checks"

void shared_checks_done(SharedChecks *s) {
        for (size_t i = 0; i < s->n; i++) {
                free(s->items[i].name);
                free(s->items[i].path);
                document_done(&s->items[i].document);
        }
        free(s->items);
        *s = (SharedChecks){};
}

/* What assigns a key last, or NULL. */
static const Assignment *section_find(const Section *s, const char *key) {
        const Assignment *found = NULL;

        for (size_t i = 0; i < s->n; i++)
                if (str_equal(s->items[i].key, key))
                        found = &s->items[i];
        return found;
}

/* The one [Check] that the file may hold. */
static const Section *shared_find_section(const SharedCheck *s, Diagnostics *d) {
        const Section *found = NULL;

        for (size_t i = 0; i < s->document.n_sections; i++) {
                const Section *section = &s->document.sections[i];
                char title[SECTION_TITLE_MAX];

                if (str_equal(section->kind, "Check") && !section->argument)
                        found = section;
                else
                        diagnostics_add(d, section->file, section->line,
                                        "unknown section %s; a shared check stands in [Check]",
                                        section_title(title, section));
        }
        if (!found)
                diagnostics_add(d, s->path, 0, "no section [Check]");
        return found;
}

static int shared_load_document(SharedCheck *s, const char *root, Diagnostics *d) {
        _cleanup_(tree_list_done) TreeList drop_ins = {};
        _cleanup_strbuf_ StrBuf folder = {};
        int r;

        strbuf_printf(&folder, FOLDER "/%s.conf.d", s->name);
        if (folder.failed)
                return -ENOMEM;
        r = tree_list(root, folder.text, d, &drop_ins);
        if (r < 0)
                return r;
        return document_load(s->path, NULL, &drop_ins, d, &s->document);
}

/* Makes a check of it, as a service would that adds nothing, to find its faults. */
static int shared_judge(SharedCheck *s, const CheckSources *sources, Diagnostics *d) {
        _cleanup_(check_config_unrefp) CheckConfig *check = NULL;
        CheckSources own = *sources;
        const Assignment *from;
        int r;

        own.service = FOLDER;
        own.name = s->name;
        own.section = &s->section;
        from = section_find(&s->section, "From");
        if (from && *from->value) {
                diagnostics_add(d, from->file, from->line,
                                "From= in [Check]: a shared check is not taken from another");
                return 0;
        }
        r = check_load(&own, d, &check);
        if (r < 0)
                return r;
        if (check && check_config_is_combined(check))
                diagnostics_add(d, s->section.file, s->section.line,
                                "a check of type %s is made of checks of its service and cannot be "
                                "shared",
                                check->type->name);
        s->is_good = !!check;
        return 0;
}

static int shared_load(SharedCheck *s, const CheckSources *sources, size_t n_before,
                       Diagnostics *d) {
        const Section *section;
        int r;

        section = shared_find_section(s, d);
        if (!section)
                return 0;
        s->section = *section;
        r = shared_judge(s, sources, d);
        if (d->n + d->n_left_out > n_before)
                s->is_good = false;
        return r;
}

/* "db" of "db.conf", or NULL with a diagnostic; -ENOMEM. */
static int shared_name(const TreeFile *file, Diagnostics *d, char **ret) {
        char *name = strndup(file->name, strlen(file->name) - strlen(".conf"));

        if (!name)
                return -ENOMEM;
        if (!name_is_valid(name)) {
                diagnostics_add(d, file->path, 0,
                                "a shared check's name has at most %d letters, digits and "
                                "\"_.@:-\" and does not begin with a dot",
                                NAME_LENGTH_MAX);
                free(name);
                name = NULL;
        }
        *ret = name;
        return 0;
}

static int shared_add(SharedChecks *l, const TreeFile *file, const char *root,
                      const CheckSources *sources, Diagnostics *d) {
        SharedCheck *s = &l->items[l->n];
        size_t n_before = d->n + d->n_left_out;
        int r;

        r = shared_name(file, d, &s->name);
        if (r < 0 || !s->name)
                return r;
        l->n++;
        s->path = strdup(file->path);
        r = s->path ? shared_load_document(s, root, d) : -ENOMEM;
        return r < 0 ? r : shared_load(s, sources, n_before, d);
}

static int shared_compare(const void *a, const void *b) {
        const SharedCheck *x = a, *y = b;

        return strcmp(x->name, y->name);
}

int shared_checks_load(const char *root, const CheckSources *sources, Diagnostics *d,
                       SharedChecks *ret) {
        _cleanup_(tree_list_done) TreeList files = {};
        int r;

        r = tree_list(root, FOLDER, d, &files);
        if (r < 0)
                return r;
        ret->items = calloc(MAX(files.n, (size_t) 1), sizeof(SharedCheck));
        if (!ret->items)
                return -ENOMEM;
        for (size_t i = 0; i < files.n; i++) {
                if (files.items[i].is_masked)
                        continue;
                r = shared_add(ret, &files.items[i], root, sources, d);
                if (r < 0)
                        return r;
        }
        qsort(ret->items, ret->n, sizeof(SharedCheck), shared_compare);
        return 0;
}

static int shared_add_copy(SharedChecks *l, const GoodEntry *copy, const CheckSources *sources,
                           Diagnostics *d) {
        SharedCheck *s = &l->items[l->n++];
        size_t n_before = d->n + d->n_left_out;
        int r;

        s->name = strdup(copy->key + strlen(FOLDER "/"));
        s->path = strdup(copy->n_files > 0 ? copy->files[0].path : copy->key);
        if (!s->name || !s->path)
                return -ENOMEM;
        r = document_load_texts(copy->files, copy->n_files, d, &s->document);
        return r < 0 ? r : shared_load(s, sources, n_before, d);
}

int shared_checks_load_copies(const LastGood *last_good, const CheckSources *sources,
                              Diagnostics *d, SharedChecks *ret) {
        ret->items = calloc(last_good->n + 1, sizeof(SharedCheck));
        if (!ret->items)
                return -ENOMEM;
        for (size_t i = 0; i < last_good->n; i++) {
                int r = str_starts_with(last_good->items[i].key, FOLDER "/")
                                ? shared_add_copy(ret, &last_good->items[i], sources, d)
                                : 0;

                if (r < 0)
                        return r;
        }
        return 0;
}

static int shared_find(const void *name, const void *item) {
        const SharedCheck *s = item;

        return strcmp(name, s->name);
}

static void shared_missing(const SharedChecks *l, const Section *section, const Assignment *from,
                           Diagnostics *d) {
        char title[SECTION_TITLE_MAX], shown[NAME_SHOWN_MAX];
        const char *nearest = NULL;
        unsigned best = UINT_MAX;

        for (size_t i = 0; i < l->n; i++)
                if (typo_distance(from->value, l->items[i].name) < best) {
                        best = typo_distance(from->value, l->items[i].name);
                        nearest = l->items[i].name;
                }
        text_sanitize(shown, sizeof(shown), from->value, strlen(from->value));
        diagnostics_add(d, from->file, from->line, "From= in %s: there is no checks/%s.conf%s%s%s",
                        section_title(title, section), shown, nearest ? "; did you mean " : "",
                        nearest ? nearest : "", nearest ? "?" : "");
}

int shared_checks_find(const SharedChecks *l, const Section *section, Diagnostics *d,
                       const SharedCheck **ret) {
        const Assignment *from = section_find(section, "From");
        const SharedCheck *found;
        char title[SECTION_TITLE_MAX];

        *ret = NULL;
        if (!from || !*from->value)
                return 0;
        found = l->n == 0 ? NULL
                          : bsearch(from->value, l->items, l->n, sizeof(SharedCheck), shared_find);
        if (!found) {
                shared_missing(l, section, from, d);
                return -EBADMSG;
        }
        if (!found->is_good) {
                diagnostics_add(d, from->file, from->line, "From= in %s: %s is at fault",
                                section_title(title, section), found->path);
                return -EBADMSG;
        }
        *ret = found;
        return 1;
}
