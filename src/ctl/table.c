/* SPDX-License-Identifier: MIT */
#include "ctl/table.h"

#include <string.h>

#define GAP 2 /* blanks between columns; one behind a column of single characters */

typedef struct Cell {
        char *text; /* owned */
        Tone tone;
} Cell;

struct TableLine {
        size_t note_column;            /* SIZE_MAX for a row */
        Cell cells[TABLE_COLUMNS_MAX]; /* a note has the first alone */
};

void table_done(Table *t) {
        for (size_t i = 0; i < t->n_lines; i++)
                for (size_t j = 0; j < TABLE_COLUMNS_MAX; j++)
                        free(t->lines[i].cells[j].text);
        free(t->lines);
        t->lines = NULL;
}

static TableLine *append_line(Table *t, size_t note_column) {
        TableLine *lines = reallocarray(t->lines, t->n_lines + 1, sizeof(*lines));

        if (!lines) {
                t->failed = true;
                return NULL;
        }
        t->lines = lines;
        lines[t->n_lines] = (TableLine){ .note_column = note_column };
        return &lines[t->n_lines++];
}

_printf_(4, 0) static void set_cell(Table *t, Cell *cell, Tone tone, const char *format,
                                    va_list ap) {
        _cleanup_strbuf_ StrBuf b = {};

        strbuf_append(&b, "");
        strbuf_vprintf(&b, format, ap);
        cell->tone = tone;
        if (strbuf_finish(&b, &cell->text) < 0)
                t->failed = true;
}

void table_cell(Table *t, Tone tone, const char *format, ...) {
        size_t column = t->n_cells % t->n_columns;
        TableLine *line;
        va_list ap;

        assert(t->n_columns <= TABLE_COLUMNS_MAX);
        line = column == 0 ? append_line(t, SIZE_MAX) : &t->lines[t->n_lines - 1];
        if (t->failed)
                return;
        t->n_cells++;
        va_start(ap, format);
        set_cell(t, &line->cells[column], tone, format, ap);
        va_end(ap);
}

void table_note(Table *t, size_t column, Tone tone, const char *format, ...) {
        TableLine *line;
        va_list ap;

        assert(t->n_cells % t->n_columns == 0 && column < t->n_columns);
        line = append_line(t, column);
        if (!line)
                return;
        va_start(ap, format);
        set_cell(t, &line->cells[0], tone, format, ap);
        va_end(ap);
}

void table_heading(Table *t, const char *const words[]) {
        for (size_t i = 0; i < t->n_columns; i++)
                table_cell(t, TONE_FAINT, "%s", words[i]);
}

/* Where each column begins. */
static void measure(const Table *t, size_t starts[static TABLE_COLUMNS_MAX]) {
        size_t widths[TABLE_COLUMNS_MAX] = {};

        for (size_t i = 0; i < t->n_lines; i++)
                if (t->lines[i].note_column == SIZE_MAX)
                        for (size_t j = 0; j < t->n_columns; j++)
                                widths[j] = MAX(widths[j], text_width(t->lines[i].cells[j].text));
        starts[0] = 0;
        for (size_t j = 1; j < t->n_columns; j++)
                starts[j] =
                        starts[j - 1] + widths[j - 1] + (widths[j - 1] > 1 ? GAP : widths[j - 1]);
}

static void print_row(const Table *t, const TableLine *line, const size_t *starts,
                      const Screen *s) {
        size_t last = t->n_columns - 1, at = 0;

        while (last > 0 && !*line->cells[last].text)
                last--;
        for (size_t j = 0; j < last; j++) {
                const Cell *c = &line->cells[j];

                fprintf(s->file, "%*s%s%s%s", (int) (starts[j] - at), "", tone_begin(s, c->tone),
                        c->text, tone_end(s, c->tone));
                at = starts[j] + text_width(c->text);
        }
        fprintf(s->file, "%*s", (int) (starts[last] - at), "");
        screen_wrap(s, line->cells[last].tone, line->cells[last].text, starts[last], starts[last]);
}

void table_print(const Table *t, const Screen *s) {
        size_t starts[TABLE_COLUMNS_MAX];

        if (t->failed) {
                fputs("vitalctl: out of memory\n", stderr);
                return;
        }
        measure(t, starts);
        for (size_t i = 0; i < t->n_lines; i++) {
                const TableLine *line = &t->lines[i];
                size_t at;

                if (line->note_column == SIZE_MAX) {
                        print_row(t, line, starts, s);
                        continue;
                }
                at = starts[line->note_column];
                fprintf(s->file, "%*s", (int) at, "");
                screen_wrap(s, line->cells[0].tone, line->cells[0].text, at, at);
        }
}
