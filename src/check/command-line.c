/* SPDX-License-Identifier: MIT */
#include "check/command-line.h"

#include <errno.h>

#include "base/parse.h"
#include "base/strbuf.h"
#include "base/text.h"

#define BLANKS " \t\r\n"

/* One word with its escapes as they are and its quotes taken away; moves *s behind it. */
static int word_read(const char **s, StrBuf *word, const char **ret_why) {
        char quote = 0;
        const char *p;

        for (p = *s; *p && (quote || !strchr(BLANKS, *p)); p++)
                if (*p == '\\' && p[1] == 's') {
                        strbuf_append(word, " ");
                        p++;
                } else if (*p == '\\' && p[1])
                        strbuf_append_bytes(word, p++, 2);
                else if (*p == quote)
                        quote = 0;
                else if (!quote && (*p == '"' || *p == '\''))
                        quote = *p;
                else
                        strbuf_append_bytes(word, p, 1);
        *s = p;
        *ret_why = "a quote is not closed";
        return quote ? -EINVAL : 0;
}

static int word_append(char ***words, const StrBuf *word, const char **ret_why) {
        _cleanup_free_ char *bytes = NULL;
        size_t n;
        int r;

        r = parse_escaped(word->text ? word->text : "", &bytes, &n);
        *ret_why = "there is an unknown escape behind a backslash";
        if (r < 0)
                return r;
        *ret_why = "a word holds a NUL byte";
        return strlen(bytes) == n ? strv_append(words, bytes) : -EINVAL;
}

int command_line_split(const char *s, char ***ret, const char **ret_why) {
        _cleanup_strv_ char **words = NULL;
        int r;

        while (*(s += strspn(s, BLANKS))) {
                _cleanup_strbuf_ StrBuf word = {};

                r = word_read(&s, &word, ret_why);
                if (r < 0)
                        return r;
                if (word.failed)
                        return -ENOMEM;
                r = word_append(&words, &word, ret_why);
                if (r < 0)
                        return r;
        }
        *ret = TAKE(words);
        return 0;
}
