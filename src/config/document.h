/* SPDX-License-Identifier: MIT */
#pragma once

/* A configuration file with its drop-ins, merged into sections: what the loader gives its meaning
 * to. A section of the same name in a later file adds to it. */

#include "config/lexer.h"
#include "config/tree.h"

/* Drop-ins of one file; more are a fault. */
#define DROP_INS_MAX 256

typedef struct Assignment {
        const char *file; /* borrowed; the same pointer for all of one file */
        unsigned line;
        const char *key, *value; /* borrowed; the value may be empty */
} Assignment;

/* Everything in it is borrowed from the document. */
typedef struct Section {
        const char *kind;     /* "Check" */
        const char *argument; /* "database", or NULL */
        const char *file;     /* of its first header */
        unsigned line;
        const Assignment *items; /* in the order in which they count */
        size_t n;
} Section;

/* A file as it was read. */
typedef struct FileText {
        char *path, *text; /* owned; the text ends with NUL */
        size_t size;
} FileText;

void file_text_done(FileText *f);

typedef struct DocumentFile {
        FileText file;
        LexedFile lexed;
} DocumentFile;

/* Zero-initialise; document_done() takes it in any state. */
typedef struct Document {
        DocumentFile *files; /* owned */
        size_t n_files;
        Assignment *assignments; /* owned */
        Section *sections;       /* owned; in the order of their first headers */
        size_t n_sections;
} Document;

void document_done(Document *d);

/* Reads path (NULL: no main file) or, when text is given, that text under the name path; then the
 * drop-ins. All faults of syntax, of reading, and sections that stand twice in one file are
 * diagnostics. 0 or -ENOMEM. */
int document_load(const char *path, const char *text, const TreeList *drop_ins,
                  Diagnostics *diagnostics, Document *ret);

/* The same of texts that were read at another time: the main file, if there was one, and its
 * drop-ins in their order. */
int document_load_texts(const FileText texts[], size_t n, Diagnostics *diagnostics, Document *ret);

/* The section of that kind, or NULL. */
const Section *document_find(const Document *d, const char *kind);

/* That of [KIND NAME]. */
const Section *document_find_named(const Document *d, const char *kind, const char *name);

/* "[Check database]", for messages. Returns buf. */
#define SECTION_TITLE_MAX 128
#define NAME_SHOWN_MAX    80
const char *section_title(char buf[static SECTION_TITLE_MAX], const Section *s);
