/* SPDX-License-Identifier: MIT */
#pragma once

/* A growing text. Errors are sticky: append freely, test once at the end. */

#include <stdarg.h>
#include <stdio.h>

#include "base/macro.h"

typedef struct StrBuf {
        char *text; /* owned; NULL while empty, else ends with NUL */
        size_t length, allocated;
        bool failed; /* out of memory at some append; text is what came before */
} StrBuf;

void strbuf_done(StrBuf *b);
#define _cleanup_strbuf_ _cleanup_(strbuf_done)

void strbuf_append_bytes(StrBuf *b, const void *bytes, size_t n);
void strbuf_append(StrBuf *b, const char *s);
void strbuf_printf(StrBuf *b, const char *format, ...) _printf_(2, 3);
void strbuf_vprintf(StrBuf *b, const char *format, va_list ap) _printf_(2, 0);

/* Empties the text and keeps the memory. */
void strbuf_reset(StrBuf *b);

/* Hands over the text (never NULL on success), without room for more, and empties b. -ENOMEM if any
 * append failed. */
int strbuf_finish(StrBuf *b, char **ret);
