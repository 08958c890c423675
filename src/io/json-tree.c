/* SPDX-License-Identifier: MIT */
#include "io/json-tree.h"

#include <errno.h>

/* json-c counts what is in the innermost brackets, too. */
#define TOKENER_DEPTH (JSON_DEPTH_MAX + 2)

int json_tree_parse(const char *text, size_t n, json_object **ret, JsonFault *ret_fault) {
        json_tokener *t;
        json_object *o;
        enum json_tokener_error error;
        int r;

        if (n >= INT32_MAX) {
                *ret_fault = (JsonFault){ "the text is too long", 1, 1 };
                return -EINVAL;
        }
        r = json_scan(text, n, ret_fault);
        if (r < 0)
                return r;
        *ret_fault = (JsonFault){ "out of memory", 1, 1 };
        t = json_tokener_new_ex(TOKENER_DEPTH);
        if (!t)
                return -ENOMEM;
        o = json_tokener_parse_ex(t, text, (int) n);
        error = json_tokener_get_error(t);
        /* A number or a word at the very end may go on, as far as json-c can tell. */
        if (error == json_tokener_continue) {
                o = json_tokener_parse_ex(t, "", 1);
                error = json_tokener_get_error(t);
        }
        json_tokener_free(t);
        if (error != json_tokener_success)
                return -ENOMEM;
        *ret = o;
        return 0;
}
