/* SPDX-License-Identifier: MIT */
#pragma once

/* The syntax of a configuration file, as in systemd.syntax(7), and nothing of its meaning: sections
 * "[Service]" and "[Check database]", assignments "Key=Value", comments, continuation lines. Pure;
 * the loader calls it once a file and gives the words their meaning.
 *
 * As systemd reads them: "#" and ";" begin a comment only as a line's first character, also between
 * continued lines; an uneven number of backslashes at the end of a line continues it, the last one
 * becomes a blank; blanks around keys and values are dropped, quotes and other backslashes kept.
 * A byte order mark at the start and CRLF line ends are accepted. */

#include "base/macro.h"

/* What one file may hold at most. Each entry takes a line, so the lines bound the entries too. */
#define LEX_FILE_MAX   (1024 * 1024) /* bytes */
#define LEX_LINES_MAX  100000
#define LEX_LINE_MAX   16384 /* bytes of a line with its continuations */
#define LEX_FAULTS_MAX 50    /* later ones are not listed, and the last one says so */

/* A section's header (key and value are NULL) or an assignment. An assignment of the empty text is
 * an assignment: it resets. All pointers are borrowed from the LexedFile. */
typedef struct LexEntry {
        const char *section;  /* "Check" */
        const char *argument; /* "database", or NULL; any text without brackets */
        const char *key;      /* letters, digits and "-" only */
        const char *value;    /* valid UTF-8 without control characters, tabs excepted */
        unsigned line;        /* where it begins, from 1 */
} LexEntry;

typedef struct LexFault {
        const char *text; /* a constant */
        unsigned line;    /* 0: the file as a whole */
} LexFault;

/* Zero-initialise; lexed_file_done() takes it in any state. */
typedef struct LexedFile {
        char *text;        /* owned; what the entries point into */
        LexEntry *entries; /* owned; in the order of the file */
        size_t n_entries, n_entries_allocated;
        LexFault *faults; /* owned; in the order of the lines */
        size_t n_faults, n_faults_allocated;
} LexedFile;

void lexed_file_done(LexedFile *f);

/* Reads a whole file's text. Lines with faults are left out, a section with a bad header with all
 * its lines, and all faults are listed. 0 also when there are faults; -ENOMEM. */
int lex_file(const char *text, size_t size, LexedFile *ret);
