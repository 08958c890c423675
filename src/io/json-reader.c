/* SPDX-License-Identifier: MIT */
#include "io/json-reader.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

int json_parse_object(const char *text, size_t n, json_object **ret,
                      char ret_why[static JSON_WHY_MAX]) {
        _cleanup_json_ json_object *o = NULL;
        JsonFault fault;
        int r;

        snprintf(ret_why, JSON_WHY_MAX, "out of memory");
        r = json_tree_parse(text, n, &o, &fault);
        if (r == -EINVAL) {
                snprintf(ret_why, JSON_WHY_MAX, "line %zu, column %zu: %s", fault.line,
                         fault.column, fault.text);
                return -EBADMSG;
        }
        if (r < 0)
                return r;
        if (!json_object_is_type(o, json_type_object)) {
                snprintf(ret_why, JSON_WHY_MAX, "it is no object");
                return -EBADMSG;
        }
        *ret = TAKE(o);
        return 0;
}

void json_refuse(JsonReader *r, const char *key) {
        if (!r->what)
                r->what = key;
}

json_object *json_get(JsonReader *r, json_object *o, const char *key, json_type type) {
        json_object *value;

        if (!json_object_is_type(o, json_type_object)) {
                json_refuse(r, key);
                return NULL;
        }
        if (!json_object_object_get_ex(o, key, &value))
                return NULL;
        if (json_object_is_type(value, type))
                return value;
        json_refuse(r, key);
        return NULL;
}

uint64_t json_number_of(JsonReader *r, json_object *value, const char *key) {
        int64_t number =
                json_object_is_type(value, json_type_int) ? json_object_get_int64(value) : -1;

        if (number >= 0 && (uint64_t) number <= JSON_NUMBER_MAX)
                return (uint64_t) number;
        json_refuse(r, key);
        return 0;
}

uint64_t json_get_number(JsonReader *r, json_object *o, const char *key, uint64_t absent) {
        json_object *value;

        return json_object_object_get_ex(o, key, &value) ? json_number_of(r, value, key) : absent;
}

void json_get_numbers(JsonReader *r, json_object *o, const char *key, uint64_t *ret, size_t n) {
        json_object *array = json_get(r, o, key, json_type_array);

        if (!array)
                return;
        if (json_object_array_length(array) != n) {
                json_refuse(r, key);
                return;
        }
        for (size_t i = 0; i < n; i++)
                ret[i] = json_number_of(r, json_object_array_get_idx(array, i), key);
}

double json_get_double(JsonReader *r, json_object *o, const char *key) {
        json_object *value;
        double number = NAN;

        if (json_object_object_get_ex(o, key, &value) &&
            (json_object_is_type(value, json_type_double) ||
             json_object_is_type(value, json_type_int)))
                number = json_object_get_double(value);
        if (isfinite(number))
                return number;
        json_refuse(r, key);
        return 0;
}

bool json_get_flag(JsonReader *r, json_object *o, const char *key) {
        json_object *value = json_get(r, o, key, json_type_boolean);

        return value && json_object_get_boolean(value);
}

const char *json_get_string(JsonReader *r, json_object *o, const char *key) {
        json_object *value = json_get(r, o, key, json_type_string);

        return value ? json_object_get_string(value) : "";
}

void json_get_text(JsonReader *r, json_object *o, const char *key, char *buf, size_t size) {
        const char *text = json_get_string(r, o, key);

        if (strlen(text) >= size)
                json_refuse(r, key);
        text_sanitize(buf, size, text, strlen(text));
}

unsigned json_get_word(JsonReader *r, json_object *o, const char *key, const char *const words[]) {
        const char *text = json_get_string(r, o, key);

        for (unsigned i = 0; words[i]; i++)
                if (str_equal(words[i], text))
                        return i;
        json_refuse(r, key);
        return 0;
}
