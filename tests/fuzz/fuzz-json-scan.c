/* SPDX-License-Identifier: MIT */

/* Whatever the bytes: of what the scanner lets through json-c's own parser makes the same tree, and
 * writes it as a text that the scanner lets through again; what it refuses has a place within the
 * text. */

#include "fuzz.h"

#include <string.h>

#include "io/json-tree.h"

/* json-c counts what is in the innermost brackets, too. */
#define TOKENER_DEPTH (JSON_DEPTH_MAX + 2)

static json_object *tokener_parse(const uint8_t *data, size_t size) {
        json_tokener *t = json_tokener_new_ex(TOKENER_DEPTH);
        json_object *o = json_tokener_parse_ex(t, (const char *) data, (int) size);

        /* A number or a word at the very end may go on, as far as json-c can tell. */
        if (json_tokener_get_error(t) == json_tokener_continue)
                o = json_tokener_parse_ex(t, "", 1);
        FUZZ_ASSERT(json_tokener_get_error(t) == json_tokener_success);
        json_tokener_free(t);
        return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        JsonFault fault = {};
        json_object *o = NULL, *theirs;
        const char *again;
        size_t n;

        if (json_tree_parse((const char *) data, size, &o, &fault) < 0) {
                FUZZ_ASSERT(!o && fault.text && fault.line > 0 && fault.column > 0);
                FUZZ_ASSERT(fault.line <= size + 1 && fault.column <= size + 1);
                FUZZ_ASSERT(json_scan((const char *) data, size, &fault) < 0);
                return 0;
        }
        again = json_object_to_json_string_length(o, JSON_C_TO_STRING_PLAIN, &n);
        FUZZ_ASSERT(again && json_scan(again, n, &fault) == 0);
        theirs = tokener_parse(data, size);
        FUZZ_ASSERT(json_object_equal(o, theirs));
        FUZZ_ASSERT(strcmp(json_object_to_json_string_ext(theirs, JSON_C_TO_STRING_PLAIN), again) ==
                    0);
        json_object_put(theirs);
        json_object_put(o);
        return 0;
}
