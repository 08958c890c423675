/* SPDX-License-Identifier: MIT */
#include "base/strbuf.h"

#include <errno.h>
#include <string.h>

void strbuf_done(StrBuf *b) {
        free(b->text);
        *b = (StrBuf){};
}

/* Makes room for n more bytes and the final NUL. */
static bool strbuf_reserve(StrBuf *b, size_t n) {
        size_t need, size;
        char *text;

        if (b->failed || __builtin_add_overflow(b->length, n + 1, &need)) {
                b->failed = true;
                return false;
        }
        if (need <= b->allocated)
                return true;
        size = MAX(need, MAX(b->allocated * 2, (size_t) 64));
        text = realloc(b->text, size);
        if (!text) {
                b->failed = true;
                return false;
        }
        b->text = text;
        b->allocated = size;
        return true;
}

void strbuf_append_bytes(StrBuf *b, const void *bytes, size_t n) {
        if (!strbuf_reserve(b, n))
                return;
        memcpy(b->text + b->length, bytes, n);
        b->length += n;
        b->text[b->length] = 0;
}

void strbuf_append(StrBuf *b, const char *s) {
        strbuf_append_bytes(b, s, strlen(s));
}

void strbuf_vprintf(StrBuf *b, const char *format, va_list ap) {
        size_t room = b->allocated - b->length;
        va_list again;
        int n;

        /* What fits, as most does, is formatted once. */
        va_copy(again, ap);
        n = vsnprintf(room > 0 ? b->text + b->length : NULL, room, format, again);
        va_end(again);
        if (n < 0 || !strbuf_reserve(b, (size_t) n)) {
                b->failed = true;
                if (room > 0)
                        b->text[b->length] = 0;
                return;
        }
        if ((size_t) n >= room)
                vsnprintf(b->text + b->length, (size_t) n + 1, format, ap);
        b->length += (size_t) n;
}

void strbuf_printf(StrBuf *b, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        strbuf_vprintf(b, format, ap);
        va_end(ap);
}

void strbuf_reset(StrBuf *b) {
        b->length = 0;
        b->failed = false;
        if (b->text)
                b->text[0] = 0;
}

int strbuf_finish(StrBuf *b, char **ret) {
        char *text;

        strbuf_append_bytes(b, "", 0);
        if (b->failed)
                return -ENOMEM;
        text = realloc(b->text, b->length + 1);
        *ret = text ? text : b->text;
        *b = (StrBuf){};
        return 0;
}
