/* SPDX-License-Identifier: MIT */
#pragma once

/* Reads an object that should be as we once wrote it, and may be anything. Errors are sticky: read
 * freely, test `what` once at the end; what cannot be read is 0, false or "". */

#include "io/json-tree.h"

/* All zero at first. */
typedef struct JsonReader {
        const char *what; /* borrowed: the first member that is not as it should be; NULL: none */
} JsonReader;

#define JSON_WHY_MAX 128

/* An object, which is the caller's; or with why not -EBADMSG or -ENOMEM. */
int json_parse_object(const char *text, size_t n, json_object **ret,
                      char ret_why[static JSON_WHY_MAX]);

/* key stays borrowed. */
void json_refuse(JsonReader *r, const char *key);

/* Borrowed; NULL if it is not there, which is no error. */
json_object *json_get(JsonReader *r, json_object *o, const char *key, json_type type);

/* From 0 to JSON_NUMBER_MAX; absent: what it is where it is not there. */
uint64_t json_get_number(JsonReader *r, json_object *o, const char *key, uint64_t absent);

/* An array of exactly so many, or none at all, which leaves them as they are. */
void json_get_numbers(JsonReader *r, json_object *o, const char *key, uint64_t *ret, size_t n);

/* Finite, and there. */
double json_get_double(JsonReader *r, json_object *o, const char *key);

/* Where they are not there, false and "". */
bool json_get_flag(JsonReader *r, json_object *o, const char *key);
const char *json_get_string(JsonReader *r, json_object *o, const char *key);

/* A string that fits, as text_sanitize() leaves it. */
void json_get_text(JsonReader *r, json_object *o, const char *key, char *buf, size_t size);
#define JSON_GET_TEXT(r, o, key, field) json_get_text(r, o, key, field, sizeof(field))

/* The index of the string among words, which end with NULL. */
unsigned json_get_word(JsonReader *r, json_object *o, const char *key, const char *const words[]);

/* As json_get_number() of what is no member. */
uint64_t json_number_of(JsonReader *r, json_object *value, const char *key);
