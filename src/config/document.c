/* SPDX-License-Identifier: MIT */
#include "config/document.h"

#include <errno.h>

#include "base/text.h"

/* A section of one file: a header and what follows it. */
typedef struct Fragment {
        const char *kind, *argument; /* borrowed */
        size_t file, entry, n;       /* n assignments behind the header */
        size_t order;                /* of all fragments, as read */
        size_t group;                /* the order of the first fragment of the same name */
} Fragment;

void file_text_done(FileText *f) {
        free(f->path);
        free(f->text);
}

void document_done(Document *d) {
        for (size_t i = 0; i < d->n_files; i++) {
                file_text_done(&d->files[i].file);
                lexed_file_done(&d->files[i].lexed);
        }
        free(d->files);
        free(d->assignments);
        free(d->sections);
        *d = (Document){};
}

/* Takes the text over. */
static int document_add_text(Document *d, const char *path, char *text, size_t size,
                             Diagnostics *diagnostics) {
        DocumentFile *f = &d->files[d->n_files++];
        int r;

        f->file = (FileText){ .path = strdup(path), .text = text, .size = size };
        if (!f->file.path || !text)
                return -ENOMEM;
        r = lex_file(text, size, &f->lexed);
        if (r < 0)
                return r;
        for (size_t i = 0; i < f->lexed.n_faults; i++)
                diagnostics_add(diagnostics, path, f->lexed.faults[i].line, "%s",
                                f->lexed.faults[i].text);
        return 0;
}

static int document_add_file(Document *d, const char *path, Diagnostics *diagnostics) {
        size_t size;
        char *text;
        int r;

        r = tree_read(path, diagnostics, &text, &size);
        if (r < 0)
                return r;
        if (!text)
                text = strdup("");
        return document_add_text(d, path, text, size, diagnostics);
}

static int fragment_compare_name(const void *a, const void *b) {
        const Fragment *x = a, *y = b;
        int r;

        r = strcmp(x->kind, y->kind);
        if (r == 0)
                r = strcmp(x->argument ? x->argument : "", y->argument ? y->argument : "");
        return r != 0 ? r : x->order < y->order ? -1 : 1;
}

static int fragment_compare_group(const void *a, const void *b) {
        const Fragment *x = a, *y = b;

        if (x->group != y->group)
                return x->group < y->group ? -1 : 1;
        return x->order < y->order ? -1 : 1;
}

static bool fragment_same_name(const Fragment *a, const Fragment *b) {
        return str_equal(a->kind, b->kind) &&
               str_equal(a->argument ? a->argument : "", b->argument ? b->argument : "");
}

/* Lists the fragments of all files, those of one name side by side. */
static int document_fragments(const Document *d, Fragment **ret, size_t *ret_n, size_t *ret_total) {
        _cleanup_free_ Fragment *fragments = NULL;
        size_t n = 0, total = 0;

        for (size_t i = 0; i < d->n_files; i++)
                total += d->files[i].lexed.n_entries;
        fragments = calloc(MAX(total, (size_t) 1), sizeof(Fragment));
        if (!fragments)
                return -ENOMEM;
        for (size_t i = 0; i < d->n_files; i++)
                for (size_t j = 0; j < d->files[i].lexed.n_entries; j++) {
                        const LexEntry *e = &d->files[i].lexed.entries[j];

                        if (e->key)
                                fragments[n - 1].n++;
                        else {
                                fragments[n] = (Fragment){
                                        .kind = e->section,
                                        .argument = e->argument,
                                        .file = i,
                                        .entry = j,
                                        .order = n,
                                };
                                n++;
                        }
                }
        qsort(fragments, n, sizeof(Fragment), fragment_compare_name);
        for (size_t i = 0; i < n; i++)
                fragments[i].group = i > 0 && fragment_same_name(&fragments[i], &fragments[i - 1])
                                             ? fragments[i - 1].group
                                             : fragments[i].order;
        qsort(fragments, n, sizeof(Fragment), fragment_compare_group);
        *ret = TAKE(fragments);
        *ret_n = n;
        *ret_total = total;
        return 0;
}

/* Adds the assignments of a fragment to the section that they belong to. */
static size_t document_take(Document *d, const Fragment *f, Section *s, size_t n_taken) {
        const FileText *file = &d->files[f->file].file;
        const LexedFile *lexed = &d->files[f->file].lexed;

        for (size_t i = 0; i < f->n; i++) {
                const LexEntry *e = &lexed->entries[f->entry + 1 + i];

                d->assignments[n_taken + i] = (Assignment){
                        .file = file->path,
                        .line = e->line,
                        .key = e->key,
                        .value = e->value,
                };
        }
        s->n += f->n;
        return n_taken + f->n;
}

static int document_merge(Document *d, Diagnostics *diagnostics) {
        _cleanup_free_ Fragment *fragments = NULL;
        size_t n, total, taken = 0;
        int r;

        r = document_fragments(d, &fragments, &n, &total);
        if (r < 0)
                return r;
        d->assignments = calloc(MAX(total, (size_t) 1), sizeof(Assignment));
        d->sections = calloc(MAX(n, (size_t) 1), sizeof(Section));
        if (!d->assignments || !d->sections)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                const Fragment *f = &fragments[i], *before = i > 0 ? f - 1 : NULL;
                const DocumentFile *file = &d->files[f->file];
                unsigned line = file->lexed.entries[f->entry].line;
                char title[SECTION_TITLE_MAX];

                if (!before || before->group != f->group)
                        d->sections[d->n_sections++] = (Section){
                                .kind = f->kind,
                                .argument = f->argument,
                                .file = file->file.path,
                                .line = line,
                                .items = d->assignments + taken,
                        };
                else if (before->file == f->file)
                        diagnostics_add(diagnostics, file->file.path, line,
                                        "%s stands in this file twice, first in line %u",
                                        section_title(title, &d->sections[d->n_sections - 1]),
                                        file->lexed.entries[before->entry].line);
                taken = document_take(d, f, &d->sections[d->n_sections - 1], taken);
        }
        return 0;
}

static int document_read(Document *d, const char *path, const char *text, const TreeList *drop_ins,
                         Diagnostics *diagnostics) {
        size_t n = MIN(drop_ins->n, (size_t) DROP_INS_MAX);
        int r;

        d->files = calloc(n + 1, sizeof(DocumentFile));
        if (!d->files)
                return -ENOMEM;
        if (text)
                r = document_add_text(d, path, strdup(text), strlen(text), diagnostics);
        else
                r = path ? document_add_file(d, path, diagnostics) : 0;
        if (r < 0)
                return r;
        if (n < drop_ins->n)
                diagnostics_add(diagnostics, drop_ins->items[n].path, 0, "more than %d drop-ins",
                                DROP_INS_MAX);
        for (size_t i = 0; i < n; i++) {
                if (drop_ins->items[i].is_masked)
                        continue;
                r = document_add_file(d, drop_ins->items[i].path, diagnostics);
                if (r < 0)
                        return r;
        }
        return document_merge(d, diagnostics);
}

static int document_read_texts(Document *d, const FileText texts[], size_t n,
                               Diagnostics *diagnostics) {
        d->files = calloc(n + 1, sizeof(DocumentFile));
        if (!d->files)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                char *text = malloc(texts[i].size + 1);
                int r;

                if (text)
                        memcpy(text, texts[i].text, texts[i].size + 1);
                r = document_add_text(d, texts[i].path, text, texts[i].size, diagnostics);
                if (r < 0)
                        return r;
        }
        return document_merge(d, diagnostics);
}

int document_load(const char *path, const char *text, const TreeList *drop_ins,
                  Diagnostics *diagnostics, Document *ret) {
        Document d = {};
        int r;

        r = document_read(&d, path, text, drop_ins, diagnostics);
        if (r < 0) {
                document_done(&d);
                return r;
        }
        *ret = d;
        return 0;
}

int document_load_texts(const FileText texts[], size_t n, Diagnostics *diagnostics, Document *ret) {
        Document d = {};
        int r;

        r = document_read_texts(&d, texts, n, diagnostics);
        if (r < 0) {
                document_done(&d);
                return r;
        }
        *ret = d;
        return 0;
}

const Section *document_find_named(const Document *d, const char *kind, const char *name) {
        for (size_t i = 0; i < d->n_sections; i++) {
                const Section *s = &d->sections[i];

                if (str_equal(s->kind, kind) && s->argument && str_equal(s->argument, name))
                        return s;
        }
        return NULL;
}

const Section *document_find(const Document *d, const char *kind) {
        for (size_t i = 0; i < d->n_sections; i++)
                if (str_equal(d->sections[i].kind, kind))
                        return &d->sections[i];
        return NULL;
}

const char *section_title(char buf[static SECTION_TITLE_MAX], const Section *s) {
        char argument[NAME_SHOWN_MAX];

        if (s->argument)
                snprintf(buf, SECTION_TITLE_MAX, "[%.20s %s]", s->kind,
                         text_sanitize(argument, sizeof(argument), s->argument,
                                       strlen(s->argument)));
        else
                snprintf(buf, SECTION_TITLE_MAX, "[%.60s]", s->kind);
        return buf;
}
