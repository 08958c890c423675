/* SPDX-License-Identifier: MIT */
#include "output/http-query.h"

#include <string.h>

static int hex_digit(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        return (c | 0x20) - 'a' + 10; /* the parser has seen to it that it is one */
}

bool http_slice_decode(HttpSlice s, char *ret, size_t size) {
        size_t n = 0;

        if (s.length == 0)
                s.start = ""; /* where there is none at all, too */

        /* Hardly anybody sends any. */
        if (!memchr(s.start, '%', s.length)) {
                if (s.length >= size)
                        return false;
                memcpy(ret, s.start, s.length);
                ret[s.length] = 0;
                return true;
        }

        for (size_t i = 0; i < s.length; i++) {
                char c = s.start[i];

                if (c == '%') {
                        c = (char) (hex_digit(s.start[i + 1]) << 4 | hex_digit(s.start[i + 2]));
                        i += 2;
                }
                if (c == 0 || n + 1 >= size)
                        return false;
                ret[n++] = c;
        }

        ret[n] = 0;
        return true;
}

static HttpSlice take_until(HttpSlice *s, char end) {
        const char *at = memchr(s->start, end, s->length);
        HttpSlice taken = { s->start, at ? (size_t) (at - s->start) : s->length };
        size_t used = taken.length + (at ? 1 : 0);

        *s = (HttpSlice){ s->start + used, s->length - used };
        return taken;
}

static bool slice_is(HttpSlice s, const char *word) {
        return s.length == strlen(word) && memcmp(s.start, word, s.length) == 0;
}

bool http_query_parse(HttpSlice text, HttpQuery *query) {
        while (text.length > 0) {
                HttpSlice value = take_until(&text, '&'), name = take_until(&value, '=');

                if (slice_is(name, "format"))
                        query->format = value;
                else if (slice_is(name, "verbose"))
                        query->is_verbose = true;
                else if (slice_is(name, "exclude")) {
                        if (query->n_excluded == HTTP_EXCLUDED_MAX)
                                return false;
                        query->excluded[query->n_excluded++] = value;
                }
        }

        return true;
}
