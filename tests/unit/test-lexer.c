/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "base/strbuf.h"
#include "base/text.h"
#include "config/lexer.h"

/* "[Section argument]@1", "Key=value@2" and "!fault@3", joined by "|": all that a file says. */
static char *dump(const char *text, size_t size) {
        _cleanup_strbuf_ StrBuf b = {};
        LexedFile f = {};
        char *s;

        assert_int_equal(lex_file(text, size, &f), 0);
        for (size_t i = 0; i < f.n_entries; i++) {
                const LexEntry *e = &f.entries[i];

                if (e->key)
                        strbuf_printf(&b, "%s=%s@%u|", e->key, e->value, e->line);
                else if (e->argument)
                        strbuf_printf(&b, "[%s %s]@%u|", e->section, e->argument, e->line);
                else
                        strbuf_printf(&b, "[%s]@%u|", e->section, e->line);
        }
        for (size_t i = 0; i < f.n_faults; i++)
                strbuf_printf(&b, "!%s@%u|", f.faults[i].text, f.faults[i].line);
        strbuf_append(&b, "");
        lexed_file_done(&f);
        assert_int_equal(strbuf_finish(&b, &s), 0);
        return s;
}

static void assert_dump(const char *text, size_t size, const char *expected) {
        _cleanup_free_ char *s = dump(text, size);

        assert_string_equal(s, expected);
}

typedef struct Row {
        const char *text, *expected;
} Row;

static void assert_rows(const Row *rows, size_t n) {
        for (size_t i = 0; i < n; i++)
                assert_dump(rows[i].text, strlen(rows[i].text), rows[i].expected);
}

static void test_what_systemd_syntax_says(void **state _unused_) {
        static const Row rows[] = {
                { "", "" },
                { "\n\n \t\n", "" },
                { "[Service]", "[Service]@1|" },
                { "[Service]\nUnit=a.service\n", "[Service]@1|Unit=a.service@2|" },
                { "[Check database]\nType=redis\n[Check b]\nType = tcp \n",
                  "[Check database]@1|Type=redis@2|[Check b]@3|Type=tcp@4|" },
                { "  [ Check \t data base ] \n\t Key\t=\ta  b \t\n",
                  "[Check data base]@1|Key=a  b@2|" },
                { "[S]\nK=\n", "[S]@1|K=@2|" },
                { "[S]\nK=a=b==\n", "[S]@1|K=a=b==@2|" },
                { "[S]\nK=\"a b\" 'c' \\t [x] # no comment\n",
                  "[S]@1|K=\"a b\" 'c' \\t [x] # no comment@2|" },
                { "[S]\nK=\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\ta\n",
                  "[S]@1|K=\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\ta@2|" },
                { "# a\n; b\n  # [c]\n[S]\n#K=1\n", "[S]@4|" },
                /* the last line needs no line end */
                { "[S]\nK=v", "[S]@1|K=v@2|" },
                { "[S]\r\nK=v\r\n\r\nL=w\r", "[S]@1|K=v@2|L=w@4|" },
                { "\xef\xbb\xbf[S]\nK=v\n", "[S]@1|K=v@2|" },
                { "\xef\xbb\xbf", "" },
                { "[A]\n[A]\n[B]\n", "[A]@1|[A]@2|[B]@3|" },
        };

        assert_rows(rows, ELEMENTSOF(rows));
}

static void test_continuation(void **state _unused_) {
        static const Row rows[] = {
                { "[S]\nK=a\\\nb\nL=1\n", "[S]@1|K=a b@2|L=1@4|" },
                { "[S]\nK=a \\\n   b \\\n c\nL=1\n", "[S]@1|K=a     b   c@2|L=1@5|" },
                { "[S]\nK=a\\\r\nb\r\n", "[S]@1|K=a b@2|" },
                { "[S]\nK=a\\\n# no\n  ; neither\nb\nL=1\n", "[S]@1|K=a b@2|L=1@6|" },
                { "[S]\nK=a\\\n\nL=1\n", "[S]@1|K=a@2|L=1@4|" },
                { "[S]\nK=a\\\\\nL=1\n", "[S]@1|K=a\\\\@2|L=1@3|" },
                { "[S]\nK=a\\\\\\\nL=1\n", "[S]@1|K=a\\\\ L=1@2|" },
                { "[S]\nK\\\n=v\n", "[S]@1|K=v@2|" },
                { "[S\\\nx]\nK=v\n", "[S x]@1|K=v@3|" },
                { "[S]\n\\\n\\\nK=v\n", "[S]@1|K=v@2|" },
                /* a comment is not continued */
                { "[S]\n# a \\\nK=v\n", "[S]@1|K=v@3|" },
                { "[S]\nK=v\\\n", "[S]@1|!the line continues after the end of the file@2|" },
                { "[S]\nK=v\\\n# c", "[S]@1|!the line continues after the end of the file@2|" },
                { "\\", "!the line continues after the end of the file@1|" },
        };

        assert_rows(rows, ELEMENTSOF(rows));
}

static void test_faults(void **state _unused_) {
        static const Row rows[] = {
                { "K=v\n[S]\nL=w\n", "[S]@2|L=w@3|!assignment before the first section@1|" },
                { "[S]\nnonsense\nK=v\n", "[S]@1|K=v@3|!neither a section nor an assignment, "
                                          "\"=\" is missing@2|" },
                { "[S]\n=v\n", "[S]@1|!assignment without a key@2|" },
                { "[S]\nK K=v\nK:=v\nK\xc3\xa4=v\n",
                  "[S]@1|!key with other characters than letters, digits and \"-\"@2|"
                  "!key with other characters than letters, digits and \"-\"@3|"
                  "!key with other characters than letters, digits and \"-\"@4|" },
                /* the lines of a section with a bad header are nobody's */
                { "[S]\nK=1\n[T\nL=2\n[U]\nM=3\n",
                  "[S]@1|K=1@2|[U]@5|M=3@6|!section header does not end in \"]\"@3|" },
                { "[", "!section header does not end in \"]\"@1|" },
                { "[S] x", "!section header does not end in \"]\"@1|" },
                { "[]\nK=v\n[ ]\n", "!section header without a name@1|"
                                    "!section header without a name@3|" },
                { "[S [x]]\n[]]\n", "!bracket inside a section header@1|"
                                    "!bracket inside a section header@2|" },
                { "[S/x y]\n",
                  "!section name with other characters than letters, digits and \"-\"@1|" },
                { "[S]\nK=\x01\nL=\x7f\nM=\x1b[0m\nN=\xc2\x9bm\nO=a\rb\nP=1\n",
                  "[S]@1|P=1@7|!control character@2|!control character@3|!control character@4|"
                  "!control character@5|!control character@6|" },
                { "[S]\nK=\xff\nL=\xc3\nM=\xed\xa0\x80\n# \xe4\nN=1\n",
                  "[S]@1|N=1@6|!not valid UTF-8@2|!not valid UTF-8@3|!not valid UTF-8@4|"
                  "!not valid UTF-8@5|" },
                /* a part at fault spoils the line that it continues, and that alone */
                { "[S]\nK=a\\\n\x01\\\nb\nL=1\n", "[S]@1|L=1@5|!control character@3|" },
                { "[S]\nK=\xff\\\nb=1\nL=1\n", "[S]@1|L=1@4|!not valid UTF-8@2|" },
        };

        assert_rows(rows, ELEMENTSOF(rows));
}

static void test_fault_4_nul_bytes(void **state _unused_) {
        static const char in_value[] = "[S]\nK=a\0b\nL=1\n", in_comment[] = "#\0\n[S]\n";

        assert_dump(in_value, sizeof(in_value) - 1, "[S]@1|L=1@3|!NUL byte@2|");
        assert_dump(in_comment, sizeof(in_comment) - 1, "[S]@2|!NUL byte@1|");
        assert_dump("\0", 1, "!NUL byte@1|");
}

/* n times the text, behind a header. */
static char *repeated(const char *header, const char *text, size_t n, size_t *ret_size) {
        _cleanup_strbuf_ StrBuf b = {};
        char *s;

        strbuf_append(&b, header);
        for (size_t i = 0; i < n; i++)
                strbuf_append(&b, text);
        *ret_size = b.length;
        assert_int_equal(strbuf_finish(&b, &s), 0);
        return s;
}

static void assert_last_fault(const char *text, size_t size, size_t n_entries, size_t n_faults,
                              const char *fault, unsigned line) {
        LexedFile f = {};

        assert_int_equal(lex_file(text, size, &f), 0);
        assert_int_equal(f.n_entries, n_entries);
        assert_int_equal(f.n_faults, n_faults);
        if (n_faults > 0) {
                assert_string_equal(f.faults[n_faults - 1].text, fault);
                assert_int_equal(f.faults[n_faults - 1].line, line);
        }
        lexed_file_done(&f);
}

static void test_limits(void **state _unused_) {
        static const struct {
                const char *header, *text;
                size_t n, n_entries, n_faults;
                const char *fault;
                unsigned line;
        } table[] = {
                { "", "#", LEX_FILE_MAX + 1, 0, 1, "larger than 1 MiB", 0 },
                { "#", "x", LEX_FILE_MAX - 1, 0, 0, NULL, 0 },
                { "[S]\n", "K=v\n", LEX_LINES_MAX - 1, LEX_LINES_MAX, 0, NULL, 0 },
                { "[S]\n", "K=v\n", LEX_LINES_MAX, LEX_LINES_MAX, 1, "more than 100000 lines",
                  LEX_LINES_MAX },
                { "[S]\nK=", "x", LEX_LINE_MAX - 2, 2, 0, NULL, 0 },
                { "[S]\nK=", "x", LEX_LINE_MAX - 1, 1, 1, "line is longer than 16384 bytes", 2 },
                { "[S]\nK=", "x\\\n", LEX_LINE_MAX, 1, 2,
                  "the line continues after the end of the file", 2 },
                { "[S]\n", "x\n", LEX_FAULTS_MAX - 1, 1, LEX_FAULTS_MAX - 1,
                  "neither a section nor an assignment, \"=\" is missing", LEX_FAULTS_MAX },
                { "[S]\n", "x\n", LEX_FAULTS_MAX * 10, 1, LEX_FAULTS_MAX,
                  "more faults follow, which are not listed", LEX_FAULTS_MAX + 1 },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                size_t size;
                _cleanup_free_ char *s =
                        repeated(table[i].header, table[i].text, table[i].n, &size);

                assert_last_fault(s, size, table[i].n_entries, table[i].n_faults, table[i].fault,
                                  table[i].line);
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_systemd_syntax_says),
                cmocka_unit_test(test_continuation),
                cmocka_unit_test(test_faults),
                cmocka_unit_test(test_fault_4_nul_bytes),
                cmocka_unit_test(test_limits),
        };

        return cmocka_run_group_tests_name("lexer", tests, NULL, NULL);
}
