/* SPDX-License-Identifier: MIT */
#pragma once

/* Reads JSON that came from outside: looked through by base/json-scan.h first, then made a tree of
 * json-c's objects. Types must be asked for before values: json_object_get_int() of the text
 * "12abc" is 12. */

#include <json-c/json.h>

#include "base/json-scan.h"
#include "base/macro.h"

static inline void json_tree_freep(json_object **o) {
        (void) json_object_put(*o);
}
#define _cleanup_json_ _cleanup_(json_tree_freep)

/* The tree is the caller's; *ret is NULL for the value null. ret_fault is set with -EINVAL (no such
 * text) and -ENOMEM. */
int json_tree_parse(const char *text, size_t n, json_object **ret, JsonFault *ret_fault);
