/* SPDX-License-Identifier: MIT */
#pragma once

/* Writes JSON into a StrBuf, without a tree in between and without blanks. Errors are the buffer's:
 * write freely, test once at the end. By hand, because json-c would allocate an object for every
 * value of every body, and does not tell when its writer lacks memory half-way; whatever reads JSON
 * uses json-c. */

#include "base/strbuf.h"

typedef struct JsonWriter {
        StrBuf *out; /* borrowed */
        bool needs_comma;
} JsonWriter;

/* key (of a member of an object) is NULL for an item of an array and for the whole. bracket is '{'
 * or '['. */
void json_open(JsonWriter *w, const char *key, char bracket);
void json_close(JsonWriter *w, char bracket);

/* value must be UTF-8. */
void json_string(JsonWriter *w, const char *key, const char *value);
void json_bool(JsonWriter *w, const char *key, bool value);

void json_unsigned(JsonWriter *w, const char *key, uint64_t value);

/* The format must make a JSON number. */
void json_number(JsonWriter *w, const char *key, const char *format, ...) _printf_(3, 4);
