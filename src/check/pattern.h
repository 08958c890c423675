/* SPDX-License-Identifier: MIT */
#pragma once

/* A regular expression that a peer's text is searched for, as a field of a check type's options.
 * Perl-compatible (PCRE2), because its matching can be bounded: whatever expression and text, a
 * search ends after PATTERN_STEPS_MAX steps, some milliseconds, which the event loop can afford.
 * Pure. */

#include "model/option.h"

#define PATTERN_STEPS_MAX 500000
#define PATTERN_TEXT_MAX  4096 /* bytes of an expression */

typedef struct Pattern {
        char *text; /* owned; NULL: none */
        void *code; /* owned: PCRE2's */
} Pattern;

/* Whether it is anywhere in the text; ^ and $ stand for the ends of lines, too, and bytes that are
 * no UTF-8 match nothing. 1 or 0, -E2BIG: undecided after so many steps, or -ENOMEM. */
int pattern_search(const Pattern *p, const char *text, size_t n);

/* For who keeps one outside of settings: -EINVAL with why set, or -ENOMEM. */
int pattern_compile(const char *text, Pattern *ret, char why[static OPTION_WHY_MAX]);
void pattern_done(Pattern *p);

extern const OptionType option_pattern; /* Pattern */
