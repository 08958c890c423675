/* SPDX-License-Identifier: MIT */
#include "check/exec-settings.h"

#include <errno.h>
#include <stdio.h>

#include "base/text.h"
#include "check/command-line.h"

static void words_clear(void *field) {
        char ***words = field;

        *words = strv_free(*words);
}

static void words_canonical(const Option *o _unused_, const void *field, StrBuf *out) {
        char *const *const *words = field;

        STRV_FOREACH(word, *words)
                strbuf_printf(out, "%zu:%s ", strlen(*word), *word);
}

static int words_split(const char *value, char ***ret, char why[static OPTION_WHY_MAX]) {
        const char *fault;
        int r;

        r = command_line_split(value, ret, &fault);
        if (r == -EINVAL)
                snprintf(why, OPTION_WHY_MAX, "%s", fault);
        return r;
}

static int command_parse(const Option *o _unused_, const char *value, void *field,
                         char why[static OPTION_WHY_MAX]) {
        _cleanup_strv_ char **words = NULL;
        char ***command = field;
        int r;

        r = words_split(value, &words, why);
        if (r < 0)
                return r;
        if (!words || words[0][0] != '/') {
                snprintf(why, OPTION_WHY_MAX,
                         "the program must be given by its absolute path; there is no shell");
                return -EINVAL;
        }
        if (strv_length(words) > EXEC_WORDS_MAX) {
                snprintf(why, OPTION_WHY_MAX, "there are more than %d words", EXEC_WORDS_MAX);
                return -ERANGE;
        }
        *command = TAKE(words);
        return 0;
}

static bool is_variable(const char *s) {
        static const char first[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
        size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789");

        return n > 0 && strchr(first, s[0]) && s[n] == '=';
}

static int variables_parse(const Option *o _unused_, const char *value, void *field,
                           char why[static OPTION_WHY_MAX]) {
        _cleanup_strv_ char **words = NULL;
        int r;

        r = words_split(value, &words, why);
        if (r < 0)
                return r;
        STRV_FOREACH(word, words)
                if (!is_variable(*word)) {
                        snprintf(why, OPTION_WHY_MAX, "each word must be NAME=value");
                        return -EINVAL;
                }
        STRV_FOREACH(word, words) {
                r = strv_append(field, *word);
                if (r < 0)
                        return r;
        }
        return 0;
}

const OptionType option_command = {
        .expected = "a program with its absolute path and its arguments",
        .parse = command_parse,
        .clear = words_clear,
        .canonical = words_canonical,
        .size = sizeof(char **),
};

const OptionType option_variables = {
        .expected = "variables such as LANG=C \"TZ=Europe/Berlin\"",
        .is_list = true,
        .parse = variables_parse,
        .clear = words_clear,
        .canonical = words_canonical,
        .size = sizeof(char **),
};
