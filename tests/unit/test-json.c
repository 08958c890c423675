/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "base/json.h"

static void test_json(void **state _unused_) {
        _cleanup_strbuf_ StrBuf b = {};
        JsonWriter w = { .out = &b };

        json_open(&w, NULL, '{');
        json_string(&w, "a\"b", "\\ \x01\n\x7f/\xc3\xa4");
        json_open(&w, "empty", '{');
        json_close(&w, '}');
        json_open(&w, "list", '[');
        json_string(&w, NULL, "");
        json_bool(&w, NULL, true);
        json_open(&w, NULL, '[');
        json_number(&w, NULL, "%d", -1);
        json_close(&w, ']');
        json_close(&w, ']');
        json_number(&w, "n", "%.1f", 2.5);
        json_bool(&w, "no", false);
        json_close(&w, '}');
        assert_string_equal(b.text, "{\"a\\\"b\":\"\\\\ \\u0001\\u000a\x7f/\xc3\xa4\",\"empty\":{},"
                                    "\"list\":[\"\",true,[-1]],\"n\":2.5,\"no\":false}");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_json),
        };

        return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
