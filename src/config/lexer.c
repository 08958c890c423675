/* SPDX-License-Identifier: MIT */
#include "config/lexer.h"

#include <errno.h>

#include "base/text.h"

#define TEXT_OF_(x) #x
#define TEXT_OF(x)  TEXT_OF_(x)

typedef enum LexSection {
        LEX_SECTION_NONE,
        LEX_SECTION_GOOD,
        LEX_SECTION_BAD, /* its header is at fault; its lines are not, and are skipped */
} LexSection;

typedef struct Lexer {
        LexedFile file;
        unsigned line; /* the one being read */

        LexSection section;
        const char *section_name, *section_argument; /* borrowed from file.text */

        /* The line with what continues it, gathered in place inside file.text. */
        char *logical; /* NULL between lines */
        size_t logical_size;
        unsigned logical_line;
        bool logical_bad; /* a part of it was at fault; already listed */
} Lexer;

static int lexer_fault(Lexer *x, unsigned line, const char *text) {
        LexedFile *f = &x->file;

        if (f->n_faults >= LEX_FAULTS_MAX)
                return 0;
        if (f->n_faults == LEX_FAULTS_MAX - 1)
                text = "more faults follow, which are not listed";
        if (f->n_faults == f->n_faults_allocated) {
                size_t n = MAX(f->n_faults_allocated * 2, (size_t) 8);
                LexFault *faults = reallocarray(f->faults, n, sizeof(LexFault));

                if (!faults)
                        return -ENOMEM;
                f->faults = faults;
                f->n_faults_allocated = n;
        }
        f->faults[f->n_faults++] = (LexFault){ .text = text, .line = line };
        return 0;
}

static int lexer_entry(Lexer *x, const char *key, const char *value) {
        LexedFile *f = &x->file;

        if (f->n_entries == f->n_entries_allocated) {
                size_t n = MAX(f->n_entries_allocated * 2, (size_t) 32);
                LexEntry *entries = reallocarray(f->entries, n, sizeof(LexEntry));

                if (!entries)
                        return -ENOMEM;
                f->entries = entries;
                f->n_entries_allocated = n;
        }
        f->entries[f->n_entries++] = (LexEntry){
                .section = x->section_name,
                .argument = x->section_argument,
                .key = key,
                .value = value,
                .line = x->logical_line,
        };
        return 0;
}

static bool is_blank(char c) {
        return c == ' ' || c == '\t';
}

/* Ends the text before its trailing blanks and returns the place after the leading ones. */
static char *trim(char *s) {
        size_t n;

        while (is_blank(*s))
                s++;
        n = strlen(s);
        while (n > 0 && is_blank(s[n - 1]))
                n--;
        s[n] = 0;
        return s;
}

/* Keys and section names. */
static bool word_is_valid(const char *s) {
        if (!*s)
                return false;
        for (; *s; s++)
                if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') ||
                      (*s >= '0' && *s <= '9') || *s == '-'))
                        return false;
        return true;
}

/* "[Name]" or "[Name argument]", blanks around it gone. */
static int lexer_section(Lexer *x, char *s) {
        size_t n = strlen(s);
        char *name, *argument;

        x->section = LEX_SECTION_BAD;
        if (n < 2 || s[n - 1] != ']')
                return lexer_fault(x, x->logical_line, "section header does not end in \"]\"");
        s[n - 1] = 0;
        name = trim(s + 1);
        if (strpbrk(name, "[]"))
                return lexer_fault(x, x->logical_line, "bracket inside a section header");
        argument = strpbrk(name, " \t");
        if (argument) {
                *argument++ = 0;
                argument = trim(argument);
        }
        if (!*name)
                return lexer_fault(x, x->logical_line, "section header without a name");
        if (!word_is_valid(name))
                return lexer_fault(
                        x, x->logical_line,
                        "section name with other characters than letters, digits and \"-\"");
        x->section = LEX_SECTION_GOOD;
        x->section_name = name;
        x->section_argument = argument;
        return lexer_entry(x, NULL, NULL);
}

static int lexer_assignment(Lexer *x, char *s) {
        char *equals = strchr(s, '='), *key;

        if (!equals)
                return lexer_fault(x, x->logical_line,
                                   "neither a section nor an assignment, "
                                   "\"=\" is missing");
        *equals = 0;
        key = trim(s);
        if (!*key)
                return lexer_fault(x, x->logical_line, "assignment without a key");
        if (!word_is_valid(key))
                return lexer_fault(x, x->logical_line,
                                   "key with other characters than letters, digits and \"-\"");
        switch (x->section) {
        case LEX_SECTION_NONE:
                return lexer_fault(x, x->logical_line, "assignment before the first section");
        case LEX_SECTION_BAD:
                return 0;
        case LEX_SECTION_GOOD:
                return lexer_entry(x, key, trim(equals + 1));
        }
        assert(false);
        return 0;
}

/* The gathered line is whole. */
static int lexer_flush(Lexer *x) {
        char *s = x->logical;

        x->logical = NULL;
        if (x->logical_bad)
                return 0;
        /* There is room: the line end, or the byte behind the text. */
        s[x->logical_size] = 0;
        s = trim(s);
        if (!*s)
                return 0;
        return *s == '[' ? lexer_section(x, s) : lexer_assignment(x, s);
}

/* What is wrong with the bytes of one line, or NULL. */
static const char *line_fault(const char *s, size_t n) {
        if (memchr(s, 0, n))
                return "NUL byte";
        if (!utf8_is_valid(s, n))
                return "not valid UTF-8";
        for (size_t i = 0; i < n; i++) {
                unsigned char c = (unsigned char) s[i];

                if ((c < 0x20 && c != '\t') || c == 0x7f)
                        return "control character";
                if (c == 0xc2 && (unsigned char) s[i + 1] < 0xa0)
                        return "control character";
        }
        return NULL;
}

static bool line_is_comment(const char *s, size_t n) {
        while (n > 0 && is_blank(*s)) {
                s++;
                n--;
        }
        return n > 0 && (*s == '#' || *s == ';');
}

/* Whether an uneven number of backslashes ends the line. */
static bool line_continues(const char *s, size_t n) {
        bool odd = false;

        while (n > 0 && s[n - 1] == '\\') {
                odd = !odd;
                n--;
        }
        return odd;
}

/* One line of the file, without its line end. */
static int lexer_line(Lexer *x, char *s, size_t n) {
        const char *fault = line_fault(s, n);
        bool continues;
        int r;

        if (line_is_comment(s, n))
                return fault ? lexer_fault(x, x->line, fault) : 0;

        if (!x->logical) {
                x->logical = s;
                x->logical_size = 0;
                x->logical_line = x->line;
                x->logical_bad = false;
        }
        if (!fault && !x->logical_bad && x->logical_size + n > LEX_LINE_MAX)
                fault = "line is longer than " TEXT_OF(LEX_LINE_MAX) " bytes";
        if (fault) {
                x->logical_bad = true;
                r = lexer_fault(x, x->line, fault);
                if (r < 0)
                        return r;
        }
        continues = line_continues(s, n);
        if (!x->logical_bad) {
                memmove(x->logical + x->logical_size, s, n);
                x->logical_size += n;
                if (continues)
                        x->logical[x->logical_size - 1] = ' ';
        }
        return continues ? 0 : lexer_flush(x);
}

static int lexer_run(Lexer *x, char *s, size_t n) {
        int r;

        if (n >= 3 && memcmp(s, "\xef\xbb\xbf", 3) == 0) {
                s += 3;
                n -= 3;
        }
        while (n > 0) {
                char *end = memchr(s, '\n', n);
                size_t taken = end ? (size_t) (end - s) + 1 : n, size = end ? taken - 1 : n;

                if (x->line == LEX_LINES_MAX)
                        return lexer_fault(x, x->line,
                                           "more than " TEXT_OF(LEX_LINES_MAX) " lines");
                x->line++;
                if (size > 0 && s[size - 1] == '\r')
                        size--;
                r = lexer_line(x, s, size);
                if (r < 0)
                        return r;
                s += taken;
                n -= taken;
        }
        if (x->logical)
                return lexer_fault(x, x->logical_line,
                                   "the line continues after the end of the file");
        return 0;
}

void lexed_file_done(LexedFile *f) {
        free(f->text);
        free(f->entries);
        free(f->faults);
        *f = (LexedFile){};
}

int lex_file(const char *text, size_t size, LexedFile *ret) {
        Lexer x = {};
        int r;

        if (size > LEX_FILE_MAX)
                r = lexer_fault(&x, 0, "larger than 1 MiB");
        else {
                x.file.text = malloc(size + 1);
                if (!x.file.text)
                        return -ENOMEM;
                if (size > 0)
                        memcpy(x.file.text, text, size);
                x.file.text[size] = 0;
                r = lexer_run(&x, x.file.text, size);
        }
        if (r < 0) {
                lexed_file_done(&x.file);
                return r;
        }
        *ret = x.file;
        return 0;
}
