/* SPDX-License-Identifier: MIT */
#pragma once

/* Strings: lists of them, comparison, and making foreign bytes fit to show. */

#include <string.h>

#include "base/macro.h"

static inline bool str_equal(const char *a, const char *b) {
        return strcmp(a, b) == 0;
}

static inline bool str_is_empty(const char *s) {
        return !s || !*s;
}

static inline bool str_starts_with(const char *s, const char *prefix) {
        return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* Copies bytes from a peer (n of them) into buf as one line of valid UTF-8: control characters and
 * line breaks become one blank, invalid bytes '?', too much ends in "...". Blanks at both ends are
 * dropped. Always ends with NUL. Returns buf. */
char *text_sanitize(char *buf, size_t size, const void *bytes, size_t n);

/* A text that takes no more memory than it needs: owned unless it is empty, and never NULL. Begins
 * as "". text_keep() copies s into its place, and leaves it empty if there is no memory: -ENOMEM.
 */
int text_keep(const char **text, const char *s);
void text_drop(const char **text);

/* An amount of memory or disk for people: "512B", "3.2G", to the base 1024. Returns buf. */
#define BYTES_TEXT_MAX 16
const char *bytes_format(char buf[static BYTES_TEXT_MAX], uint64_t bytes);

bool utf8_is_valid(const char *s, size_t n);

/* The bytes of a code point, and how many they are. */
#define UTF8_MAX 4
size_t utf8_encode(char buf[static UTF8_MAX], unsigned rune);

/* A list of strings that ends with NULL; a NULL pointer is the empty list. The list and its
 * strings are owned by the holder. */
char **strv_free(char **l);
DEFINE_CLEANUP(char **, strv_free);
#define _cleanup_strv_ _cleanup_(strv_freep)

size_t strv_length(char *const *l);

/* Appends a copy of s. -ENOMEM leaves the list as it was. */
int strv_append(char ***l, const char *s);

bool strv_contains(char *const *l, const char *s);

/* The same strings in the same order. */
bool strv_equal(char *const *a, char *const *b);

#define STRV_FOREACH(i, l) for (char *const *i = (l); i && *i; i++)

/* 64 bits of FNV-1a over n bytes, continued from h; begin with HASH_INIT. For phases and digests of
 * our own data, never against an adversary. */
#define HASH_INIT 14695981039346656037ULL
uint64_t hash_bytes(uint64_t h, const void *bytes, size_t n);

/* Number of edits (a letter more, less or other, two neighbours swapped) between two words, no more
 * than limit + 1. Used for "did you mean". */
unsigned edit_distance(const char *a, const char *b, unsigned limit);

/* How far a typed word is from a known one: 0 when only the case differs, UINT_MAX when it is too
 * far to be meant. */
unsigned typo_distance(const char *typed, const char *known);
