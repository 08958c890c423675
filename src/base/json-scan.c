/* SPDX-License-Identifier: MIT */
#include "base/json-scan.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define NUMBER_MAX 4096 /* bytes; more digits than that say nothing */

/* A name of an object that is still open, by its hash: two names with the same hash are taken for
 * one, which refuses a text that somebody made for that. */
typedef struct Scan {
        const char *text, *at, *end;
        const char *fault; /* NULL: none so far */
        bool lacks_memory;
        uint64_t *names; /* owned: of all open objects, the innermost last */
        size_t n_names, n_allocated;
        char brackets[JSON_DEPTH_MAX];
        size_t first_name[JSON_DEPTH_MAX]; /* of the object at this depth */
        size_t depth;
} Scan;

static bool fail(Scan *s, const char *fault) {
        if (!s->fault)
                s->fault = fault;
        return false;
}

static bool is_digit(const Scan *s) {
        return s->at < s->end && *s->at >= '0' && *s->at <= '9';
}

static bool take(Scan *s, char c) {
        if (s->at >= s->end || *s->at != c)
                return false;
        s->at++;
        return true;
}

static void skip_blanks(Scan *s) {
        while (s->at < s->end && memchr(" \t\r\n", *s->at, 4))
                s->at++;
}

/* -- strings ----------------------------------------------------------------------------------- */

static void hash_rune(uint64_t *hash, unsigned rune) {
        char bytes[UTF8_MAX];

        *hash = hash_bytes(*hash, bytes, utf8_encode(bytes, rune));
}

/* The four digits behind \u. */
static bool scan_unit(Scan *s, unsigned *ret) {
        unsigned unit = 0;

        for (int i = 0; i < 4; i++) {
                static const char digits[] = "0123456789abcdef";
                const char *digit;

                if (s->at >= s->end || !*s->at)
                        return fail(s, "not four hexadecimal digits behind \\u");
                digit = strchr(digits, *s->at | 0x20);
                if (!digit || (*s->at < '0'))
                        return fail(s, "not four hexadecimal digits behind \\u");
                unit = unit << 4 | (unsigned) (digit - digits);
                s->at++;
        }
        *ret = unit;
        return true;
}

static bool scan_rune(Scan *s, unsigned *ret) {
        unsigned high, low;

        if (!scan_unit(s, &high))
                return false;
        *ret = high;
        if (high < 0xd800 || high > 0xdfff)
                return true;
        if (high > 0xdbff || !take(s, '\\') || !take(s, 'u'))
                return fail(s, "half of a surrogate pair");
        if (!scan_unit(s, &low))
                return false;
        if (low < 0xdc00 || low > 0xdfff)
                return fail(s, "half of a surrogate pair");
        *ret = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
        return true;
}

/* Behind the backslash. */
static bool scan_escape(Scan *s, uint64_t *hash, bool *has_nul) {
        static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
        const char *letter;
        unsigned rune;

        if (take(s, 'u')) {
                if (!scan_rune(s, &rune))
                        return false;
                *has_nul |= rune == 0;
                hash_rune(hash, rune);
                return true;
        }
        letter = s->at < s->end ? memchr(letters, *s->at, sizeof(letters) - 1) : NULL;
        if (!letter)
                return fail(s, "no such escape");
        *hash = hash_bytes(*hash, meanings + (letter - letters), 1);
        s->at++;
        return true;
}

/* The hash is that of what is meant, however it is written. */
static bool scan_string(Scan *s, uint64_t *ret_hash, bool *ret_has_nul) {
        uint64_t hash = HASH_INIT;
        bool has_nul = false;

        s->at++;
        while (!take(s, '"')) {
                const char *start = s->at;

                while (s->at < s->end && *s->at != '"' && *s->at != '\\' &&
                       (unsigned char) *s->at >= 0x20)
                        s->at++;
                if (!utf8_is_valid(start, (size_t) (s->at - start))) {
                        s->at = start;
                        return fail(s, "the text is not UTF-8");
                }
                hash = hash_bytes(hash, start, (size_t) (s->at - start));
                if (s->at >= s->end)
                        return fail(s, "the text ends within a string");
                if ((unsigned char) *s->at < 0x20)
                        return fail(s, "a control character in a string");
                if (take(s, '\\') && !scan_escape(s, &hash, &has_nul))
                        return false;
        }
        *ret_hash = hash;
        *ret_has_nul = has_nul;
        return true;
}

/* -- numbers and words ------------------------------------------------------------------------- */

/* What has no fraction and no exponent becomes an integer of 64 bits. */
static bool number_fits(const char *number, bool is_whole) {
        if (!is_whole)
                return isfinite(strtod(number, NULL));
        errno = 0;
        if (number[0] == '-')
                (void) strtoll(number, NULL, 10);
        else
                (void) strtoull(number, NULL, 10);
        return errno != ERANGE;
}

static bool scan_digits(Scan *s) {
        if (!is_digit(s))
                return fail(s, "a digit is missing");
        while (is_digit(s))
                s->at++;
        return true;
}

static bool scan_number(Scan *s) {
        const char *start = s->at;
        bool is_whole = true;
        char number[NUMBER_MAX + 1];
        size_t n;

        (void) take(s, '-');
        if (take(s, '0')) {
                if (is_digit(s))
                        return fail(s, "a number begins with 0");
        } else if (!scan_digits(s))
                return false;
        if (take(s, '.')) {
                is_whole = false;
                if (!scan_digits(s))
                        return false;
        }
        if (take(s, 'e') || take(s, 'E')) {
                is_whole = false;
                if (!take(s, '-'))
                        (void) take(s, '+');
                if (!scan_digits(s))
                        return false;
        }
        n = (size_t) (s->at - start);
        if (n > NUMBER_MAX)
                return fail(s, "a number is too long");
        memcpy(number, start, n);
        number[n] = 0;
        return number_fits(number, is_whole) || fail(s, "a number is too large");
}

static bool scan_word(Scan *s) {
        static const char *const words[] = { "true", "false", "null" };

        for (size_t i = 0; i < ELEMENTSOF(words); i++) {
                size_t n = strlen(words[i]);

                if ((size_t) (s->end - s->at) >= n && memcmp(s->at, words[i], n) == 0) {
                        s->at += n;
                        return true;
                }
        }
        return fail(s, s->at < s->end ? "not a value" : "the text ends where a value should stand");
}

/* -- objects and arrays ------------------------------------------------------------------------ */

static bool name_add(Scan *s, uint64_t hash) {
        if (s->n_names == s->n_allocated) {
                size_t n = 2 * s->n_allocated + 64;
                uint64_t *names = reallocarray(s->names, n, sizeof(*names));

                if (!names) {
                        s->lacks_memory = true;
                        return fail(s, "out of memory");
                }
                s->names = names;
                s->n_allocated = n;
        }
        s->names[s->n_names++] = hash;
        return true;
}

static int hash_compare(const void *a, const void *b) {
        const uint64_t *x = a, *y = b;

        return (*x > *y) - (*x < *y);
}

static bool object_has_twice(const Scan *s, size_t first) {
        size_t n = s->n_names - first;
        uint64_t *names;

        if (n < 2)
                return false;
        names = s->names + first;
        qsort(names, n, sizeof(*names), hash_compare);
        for (size_t i = 1; i < n; i++)
                if (names[i] == names[i - 1])
                        return true;
        return false;
}

static bool scan_name(Scan *s) {
        uint64_t hash;
        bool has_nul;

        skip_blanks(s);
        if (s->at >= s->end || *s->at != '"')
                return fail(s, s->at < s->end ? "a name must stand here, in double quotes"
                                              : "the text ends within an object");
        if (!scan_string(s, &hash, &has_nul))
                return false;
        if (has_nul)
                return fail(s, "a name with a NUL");
        skip_blanks(s);
        if (!take(s, ':'))
                return fail(s, "a colon must stand behind the name");
        return name_add(s, hash);
}

/* Returns whether a value must follow: not in an empty array or object. */
static bool scan_open(Scan *s, char bracket) {
        if (s->depth == JSON_DEPTH_MAX)
                return fail(s, "nested too deeply");
        s->at++;
        s->brackets[s->depth] = bracket;
        s->first_name[s->depth] = s->n_names;
        s->depth++;
        skip_blanks(s);
        if (s->at < s->end && *s->at == (bracket == '{' ? '}' : ']'))
                return false;
        return bracket == '[' || scan_name(s);
}

/* Closes what ends here. Returns whether another value must follow. */
static bool scan_behind_value(Scan *s) {
        while (s->depth > 0) {
                char bracket = s->brackets[s->depth - 1];

                skip_blanks(s);
                if (take(s, ','))
                        return bracket == '[' || scan_name(s);
                if (!take(s, bracket == '{' ? '}' : ']'))
                        return fail(s, s->at < s->end ? "a comma or the end must stand here"
                                                      : "the text ends too soon");
                s->depth--;
                if (bracket == '{' && object_has_twice(s, s->first_name[s->depth]))
                        return fail(s, "a name stands twice in one object");
                s->n_names = s->first_name[s->depth];
        }
        return false;
}

/* One value, or the beginning of one; false as well where an empty one begins. */
static bool scan_value(Scan *s) {
        uint64_t hash;
        bool has_nul;

        skip_blanks(s);
        if (s->at < s->end && (*s->at == '{' || *s->at == '['))
                return scan_open(s, *s->at);
        if (s->at < s->end && *s->at == '"')
                (void) scan_string(s, &hash, &has_nul);
        else if (is_digit(s) || (s->at < s->end && *s->at == '-'))
                (void) scan_number(s);
        else
                (void) scan_word(s);
        return false;
}

static void scan_all(Scan *s) {
        bool goes_on;

        do {
                goes_on = scan_value(s);
                if (!goes_on && !s->fault)
                        goes_on = scan_behind_value(s);
        } while (goes_on && !s->fault);
        if (s->fault)
                return;
        skip_blanks(s);
        if (s->at < s->end)
                fail(s, "more behind the value");
}

/* -- entry point ------------------------------------------------------------------------------- */

static void fault_set_place(JsonFault *fault, const Scan *s) {
        fault->line = fault->column = 1;
        for (const char *p = s->text; p < s->at; p++)
                if (*p == '\n') {
                        fault->line++;
                        fault->column = 1;
                } else
                        fault->column++;
}

int json_scan(const char *text, size_t n, JsonFault *ret_fault) {
        Scan s = { .text = text, .at = text, .end = text + n };

        scan_all(&s);
        free(s.names);
        if (!s.fault)
                return 0;
        ret_fault->text = s.fault;
        fault_set_place(ret_fault, &s);
        return s.lacks_memory ? -ENOMEM : -EINVAL;
}
