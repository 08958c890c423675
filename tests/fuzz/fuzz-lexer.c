/* SPDX-License-Identifier: MIT */
#include "fuzz.h"

#include "base/text.h"
#include "config/lexer.h"

/* Whatever the bytes: each entry keeps the promises of lexer.h. */

static void check_text(const LexedFile *f, size_t size, const char *s) {
        size_t n = strlen(s);

        FUZZ_ASSERT(s >= f->text && s + n <= f->text + size);
        FUZZ_ASSERT(utf8_is_valid(s, n));
        for (const char *p = s; *p; p++)
                FUZZ_ASSERT((unsigned char) *p >= 0x20 || *p == '\t');
        FUZZ_ASSERT(n == 0 || (*s != ' ' && s[n - 1] != ' ' && *s != '\t' && s[n - 1] != '\t'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        LexedFile f = {};
        unsigned line = 0;

        FUZZ_ASSERT(lex_file((const char *) data, size, &f) == 0);
        for (size_t i = 0; i < f.n_entries; i++) {
                const LexEntry *e = &f.entries[i];

                FUZZ_ASSERT(e->line > line && e->line <= LEX_LINES_MAX);
                line = e->line;
                check_text(&f, size, e->section);
                FUZZ_ASSERT(*e->section);
                if (e->argument)
                        check_text(&f, size, e->argument);
                FUZZ_ASSERT(!e->key == !e->value);
                if (e->key) {
                        check_text(&f, size, e->key);
                        FUZZ_ASSERT(*e->key && !strpbrk(e->key, "= \t[]"));
                        check_text(&f, size, e->value);
                }
        }
        FUZZ_ASSERT(f.n_faults <= LEX_FAULTS_MAX);
        for (size_t i = 0; i < f.n_faults; i++)
                FUZZ_ASSERT(f.faults[i].text && f.faults[i].line <= LEX_LINES_MAX);
        lexed_file_done(&f);
        return 0;
}
