/* SPDX-License-Identifier: MIT */
#include "check/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8

#include <errno.h>
#include <pcre2.h>
#include <stdio.h>
#include <string.h>

#define HEAP_MAX_KIB 8192
#define ERROR_MAX    128

/* PCRE2's own limit of steps begins anew at each place of the text: with a callout before each item
 * of the expression all of them are counted. */
static int count_step(pcre2_callout_block *block _unused_, void *userdata) {
        unsigned *n_steps = userdata;

        return ++*n_steps > PATTERN_STEPS_MAX ? PCRE2_ERROR_MATCHLIMIT : 0;
}

int pattern_search(const Pattern *p, const char *text, size_t n) {
        pcre2_match_context *context = pcre2_match_context_create(NULL);
        pcre2_match_data *data = pcre2_match_data_create(1, NULL);
        unsigned n_steps = 0;
        int r = PCRE2_ERROR_NOMEMORY;

        if (context && data) {
                pcre2_set_callout(context, count_step, &n_steps);
                pcre2_set_heap_limit(context, HEAP_MAX_KIB);
                r = pcre2_match(p->code, (PCRE2_SPTR) text, n, 0, 0, data, context);
        }
        pcre2_match_data_free(data);
        pcre2_match_context_free(context);
        if (r == PCRE2_ERROR_NOMEMORY)
                return -ENOMEM;
        if (r == PCRE2_ERROR_NOMATCH)
                return 0;
        return r < 0 ? -E2BIG : 1;
}

int pattern_compile(const char *text, Pattern *ret, char why[static OPTION_WHY_MAX]) {
        const uint32_t flags = PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C |
                               PCRE2_MULTILINE | PCRE2_AUTO_CALLOUT;
        pcre2_compile_context *context = pcre2_compile_context_create(NULL);
        unsigned char words[ERROR_MAX] = "";
        size_t at = 0;
        int error = 0;
        Pattern p = {};

        if (context) {
                (void) pcre2_set_newline(context, PCRE2_NEWLINE_ANYCRLF);
                pcre2_set_max_pattern_length(context, PATTERN_TEXT_MAX);
                p.code =
                        pcre2_compile((PCRE2_SPTR) text, strlen(text), flags, &error, &at, context);
        }
        pcre2_compile_context_free(context);
        if (!p.code && error > 0 && error != PCRE2_ERROR_HEAP_FAILED) {
                (void) pcre2_get_error_message(error, words, sizeof(words));
                snprintf(why, OPTION_WHY_MAX, "not a regular expression: %s, at character %zu",
                         words, at + 1);
                return -EINVAL;
        }
        p.text = p.code ? strdup(text) : NULL;
        if (!p.text) {
                pattern_done(&p);
                return -ENOMEM;
        }
        *ret = p;
        return 0;
}

void pattern_done(Pattern *p) {
        pcre2_code_free(p->code);
        free(p->text);
        *p = (Pattern){};
}

/* -- the field type ---------------------------------------------------------------------------- */

static int option_pattern_parse(const Option *o _unused_, const char *value, void *field,
                                char why[static OPTION_WHY_MAX]) {
        return pattern_compile(value, field, why);
}

static void option_pattern_clear(void *field) {
        pattern_done(field);
}

static void option_pattern_canonical(const Option *o _unused_, const void *field, StrBuf *out) {
        const Pattern *p = field;

        strbuf_append(out, p->text ? p->text : "");
}

const OptionType option_pattern = {
        .expected = "a regular expression",
        .parse = option_pattern_parse,
        .clear = option_pattern_clear,
        .canonical = option_pattern_canonical,
        .size = sizeof(Pattern),
};
