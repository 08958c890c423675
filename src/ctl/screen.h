/* SPDX-License-Identifier: MIT */
#pragma once

/* Where text for people goes: how wide it is, and whether colours are seen there. */

#include <stdio.h>

#include "base/clock.h"

typedef enum Tone { TONE_PLAIN, TONE_BOLD, TONE_FAINT, TONE_GOOD, TONE_WARNING, TONE_BAD } Tone;

typedef struct Screen {
        FILE *file;     /* borrowed */
        size_t columns; /* SIZE_MAX where lines are not to be broken: no terminal */
        bool is_terminal, has_color;
} Screen;

/* Colours only on a terminal that is not dumb, and never with NO_COLOR. */
Screen screen_of(FILE *file);

/* The bytes that begin and end a tone; "" without colours. */
const char *tone_begin(const Screen *s, Tone tone);
const char *tone_end(const Screen *s, Tone tone);

/* Columns that a text of UTF-8 takes: its characters. */
size_t text_width(const char *text);

/* Prints the text, whose first line begins at column at, broken at blanks where the screen ends;
 * further lines begin at column indent. Ends the line. */
void screen_wrap(const Screen *s, Tone tone, const char *text, size_t at, size_t indent);
