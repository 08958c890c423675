/* SPDX-License-Identifier: MIT */

/* Whatever the bytes: what the scanner lets through json-c takes as well, and writes as a text that
 * the scanner lets through again; what it refuses has a place within the text. */

#include "fuzz.h"

#include "io/json-tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        JsonFault fault = {};
        json_object *o = NULL;
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
        json_object_put(o);
        return 0;
}
