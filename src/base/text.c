/* SPDX-License-Identifier: MIT */
#include "base/text.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <strings.h>

/* The length of the UTF-8 sequence at p (at most n bytes), or 0 if it is invalid. */
static size_t utf8_sequence(const unsigned char *p, size_t n) {
        static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
        uint32_t c;
        size_t len;

        if (p[0] < 0x80)
                return 1;
        if ((p[0] & 0xe0) == 0xc0) {
                len = 2;
                c = p[0] & 0x1f;
        } else if ((p[0] & 0xf0) == 0xe0) {
                len = 3;
                c = p[0] & 0x0f;
        } else if ((p[0] & 0xf8) == 0xf0) {
                len = 4;
                c = p[0] & 0x07;
        } else
                return 0;
        if (len > n)
                return 0;
        for (size_t i = 1; i < len; i++) {
                if ((p[i] & 0xc0) != 0x80)
                        return 0;
                c = c << 6 | (p[i] & 0x3f);
        }
        if (c < smallest[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
                return 0;
        return len;
}

size_t utf8_encode(char buf[static UTF8_MAX], unsigned rune) {
        size_t n = 0;

        if (rune < 0x80)
                buf[n++] = (char) rune;
        else if (rune < 0x800)
                buf[n++] = (char) (0xc0 | rune >> 6);
        else if (rune < 0x10000)
                buf[n++] = (char) (0xe0 | rune >> 12);
        else
                buf[n++] = (char) (0xf0 | rune >> 18);
        if (rune >= 0x10000)
                buf[n++] = (char) (0x80 | (rune >> 12 & 0x3f));
        if (rune >= 0x800)
                buf[n++] = (char) (0x80 | (rune >> 6 & 0x3f));
        if (rune >= 0x80)
                buf[n++] = (char) (0x80 | (rune & 0x3f));
        return n;
}

bool utf8_is_valid(const char *s, size_t n) {
        const unsigned char *p = (const unsigned char *) s;

        while (n > 0) {
                size_t len = utf8_sequence(p, n);

                if (len == 0)
                        return false;
                p += len;
                n -= len;
        }
        return true;
}

void text_drop(const char **text) {
        if (**text)
                free((void *) (uintptr_t) *text);
        *text = "";
}

int text_keep(const char **text, const char *s) {
        char *copy;

        if (str_equal(*text, s))
                return 0;
        copy = *s ? strdup(s) : NULL;
        text_drop(text);
        if (!copy)
                return *s ? -ENOMEM : 0;
        *text = copy;
        return 0;
}

/* C0, DEL and the two-byte C1 controls, which some terminals obey. */
static bool is_control(const unsigned char *p, size_t len) {
        return p[0] < 0x20 || p[0] == 0x7f || (len == 2 && p[0] == 0xc2 && p[1] < 0xa0);
}

char *text_sanitize(char *buf, size_t size, const void *bytes, size_t n) {
        const unsigned char *p = bytes;
        bool truncated = false;
        size_t out = 0;

        assert(size >= 4);
        while (n > 0) {
                size_t len = utf8_sequence(p, n), take = MAX(len, (size_t) 1);
                bool blank = len > 0 && (is_control(p, len) || p[0] == ' ');

                if (out + take >= size) {
                        truncated = true;
                        break;
                }
                if (blank) {
                        if (out > 0 && buf[out - 1] != ' ')
                                buf[out++] = ' ';
                } else if (len == 0)
                        buf[out++] = '?';
                else {
                        memcpy(buf + out, p, len);
                        out += len;
                }
                p += take;
                n -= take;
        }
        if (truncated) {
                /* Cut back to a whole character that leaves room for the dots. */
                if (out > size - 4) {
                        out = size - 4;
                        while (out > 0 && ((unsigned char) buf[out] & 0xc0) == 0x80)
                                out--;
                }
                memcpy(buf + out, "...", 3);
                out += 3;
        }
        while (out > 0 && buf[out - 1] == ' ')
                out--;
        buf[out] = 0;
        return buf;
}

const char *bytes_format(char buf[static BYTES_TEXT_MAX], uint64_t bytes) {
        static const char suffixes[] = "BKMGTPE";
        double amount = (double) bytes;
        size_t i = 0;

        for (; amount >= 1024 && suffixes[i + 1]; i++)
                amount /= 1024;
        snprintf(buf, BYTES_TEXT_MAX, i > 0 && amount < 10 ? "%.1f%c" : "%.0f%c", amount,
                 suffixes[i]);
        return buf;
}

char **strv_free(char **l) {
        for (char **i = l; i && *i; i++)
                free(*i);
        free(l);
        return NULL;
}

size_t strv_length(char *const *l) {
        size_t n = 0;

        STRV_FOREACH(i, l)
                n++;
        return n;
}

int strv_append(char ***l, const char *s) {
        size_t n = strv_length(*l);
        char **list, *copy;

        copy = strdup(s);
        if (!copy)
                return -ENOMEM;
        list = reallocarray(*l, n + 2, sizeof(char *));
        if (!list) {
                free(copy);
                return -ENOMEM;
        }
        list[n] = copy;
        list[n + 1] = NULL;
        *l = list;
        return 0;
}

bool strv_contains(char *const *l, const char *s) {
        STRV_FOREACH(i, l)
                if (str_equal(*i, s))
                        return true;
        return false;
}

bool strv_equal(char *const *a, char *const *b) {
        size_t n = strv_length(a);

        if (strv_length(b) != n)
                return false;
        for (size_t i = 0; i < n; i++)
                if (!str_equal(a[i], b[i]))
                        return false;
        return true;
}

uint64_t hash_bytes(uint64_t h, const void *bytes, size_t n) {
        const unsigned char *p = bytes;

        for (size_t i = 0; i < n; i++)
                h = (h ^ p[i]) * 1099511628211ULL;
        return h;
}

#define DISTANCE_MAX 64

unsigned edit_distance(const char *a, const char *b, unsigned limit) {
        size_t na = strlen(a), nb = strlen(b);
        unsigned rows[3][DISTANCE_MAX + 1];

        if (na > DISTANCE_MAX || nb > DISTANCE_MAX)
                return limit + 1;
        for (size_t j = 0; j <= nb; j++)
                rows[0][j] = (unsigned) j;
        for (size_t i = 1; i <= na; i++) {
                unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3],
                         *two_above = rows[(i + 1) % 3];

                row[0] = (unsigned) i;
                for (size_t j = 1; j <= nb; j++) {
                        row[j] = MIN(above[j - 1] + (a[i - 1] != b[j - 1]),
                                     MIN(above[j], row[j - 1]) + 1);
                        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                                row[j] = MIN(row[j], two_above[j - 2] + 1);
                }
        }
        return MIN(rows[na % 3][nb], limit + 1);
}

unsigned typo_distance(const char *typed, const char *known) {
        size_t n = MIN(strlen(typed), strlen(known));
        unsigned limit = n >= 9 ? 3 : n >= 5 ? 2 : 1, distance;

        if (strcasecmp(typed, known) == 0)
                return 0;
        distance = edit_distance(typed, known, limit);
        return distance > limit ? UINT_MAX : distance;
}
