/* SPDX-License-Identifier: MIT */
#pragma once

/* Text in columns as wide as their widest cell. The last column takes what is left of the line, and
 * on a terminal is broken within it. A row may be followed by notes: lines that begin below one of
 * its columns. A table of one command lives as long as its printing. */

#include "base/strbuf.h"
#include "ctl/screen.h"

typedef struct TableLine TableLine;

typedef struct Table {
        size_t n_columns;
        TableLine *lines; /* owned */
        size_t n_lines, n_cells;
        bool failed; /* out of memory at some cell */
} Table;

#define TABLE_COLUMNS_MAX 8

void table_done(Table *t);
#define _cleanup_table_ _cleanup_(table_done)

/* The next cell; the first one of a row begins it, and after n_columns it is full. */
void table_cell(Table *t, Tone tone, const char *format, ...) _printf_(3, 4);

/* A line of its own below the column of the rows. */
void table_note(Table *t, size_t column, Tone tone, const char *format, ...) _printf_(4, 5);

/* The heading, faint: all words separated by blanks, one a column. */
void table_heading(Table *t, const char *const words[]);

void table_print(const Table *t, const Screen *s);
