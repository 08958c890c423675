/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check/json-expect.h"

static const char document[] =
        "{\"status\":\"UP\",\"n\":5,\"x\":5.0,\"big\":18446744073709551615,\"no\":null,\"yes\":"
        "true,"
        "\"list\":[{\"id\":\"a\"},{\"id\":\"b/c\"}],\"a/b\":{\"m~n\":1},\"two words\":2,\"\":3,"
        "\"empty\":[],\"text\":\"12abc\",\"o\":{\"k\":[1,2]}}";

static void test_expectations(void **state _unused_) {
        static const struct {
                const char *text;
                const char *why; /* NULL: holds */
        } table[] = {
                { "/status = \"UP\"", NULL },
                { "/status\t=\t\"UP\"", NULL },
                { "/status = \"DOWN\"", "/status is \"UP\", expected = \"DOWN\"" },
                { "/status != \"DOWN\"", NULL },
                { "/status != \"UP\"", "/status is \"UP\", expected != \"UP\"" },
                { "/status ~ ^(UP|OK)$", NULL },
                { "/status ~ ^P", "/status is \"UP\", expected ~ ^P" },
                { "/n = 5", NULL },
                { "/n = 5.0", NULL },
                { "/x = 5", NULL },
                { "/n = \"5\"", "/n is 5, expected = \"5\"" },
                { "/n < 6", NULL },
                { "/n < 5", "/n is 5, expected < 5" },
                { "/n <= 5", NULL },
                { "/n > 4.5", NULL },
                { "/n >= 5", NULL },
                { "/n >= 5.1", "/n is 5, expected >= 5.1" },
                { "/n ~ ^5$", NULL },
                { "/big = 18446744073709551615", NULL },
                { "/big = 18446744073709551614",
                  "/big is 18446744073709551615, expected = 1844674407370955161" },
                { "/text > 1", "/text is \"12abc\", expected > 1" },
                { "/no = null", NULL },
                { "/no exists", NULL },
                { "/no = 0", "/no is null, expected = 0" },
                { "/yes = true", NULL },
                { "/yes = 1", "/yes is true, expected = 1" },
                { "/list/1/id = \"b/c\"", NULL },
                { "/list/2 missing", NULL },
                { "/list/2 exists", "/list/2 is not there" },
                { "/list/01 exists", "/list/01 is not there" },
                { "/list/-1 exists", "/list/-1 is not there" },
                { "/list = [{\"id\":\"a\"},{\"id\":\"b/c\"}]", NULL },
                { "/list = []", "/list is an array, expected = []" },
                { "/o = {\"k\":[1,2]}", NULL },
                { "/o ~ k", "/o is an object, expected ~ k" },
                { "/a~1b/m~0n = 1", NULL },
                { "\"/two words\" = 2", NULL },
                { "\"/two\\u0020words\" = 2", NULL },
                { "/ = 3", NULL },
                { "/empty/0 missing", NULL },
                { "/status missing", "/status is \"UP\", expected missing" },
                { "/none = null", "/none is not there" },
                { "/status/deeper exists", "/status/deeper is not there" },
        };
        JsonFault fault;
        json_object *tree;

        assert_int_equal(json_tree_parse(document, strlen(document), &tree, &fault), 0);
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                char why[OPTION_WHY_MAX] = "";
                JsonExpectations l = {};

                if (json_expectations_add(&l, table[i].text, why) < 0)
                        fail_msg("%s: %s", table[i].text, why);
                if (json_expectations_hold(&l, tree, why) != !table[i].why)
                        fail_msg("%s: %s", table[i].text, why);
                if (table[i].why && !strstr(why, table[i].why))
                        fail_msg("%s: %s", table[i].text, why);
                option_json_expectations.clear(&l);
        }
        json_object_put(tree);
}

/* The first that does not hold is told; without a tree nothing is there. */
static void test_several(void **state _unused_) {
        char why[OPTION_WHY_MAX] = "";
        JsonExpectations l = {};
        json_object *tree = json_tokener_parse("[1,2]");

        assert_int_equal(json_expectations_add(&l, "/0 = 1", why), 0);
        assert_int_equal(json_expectations_add(&l, "/1 = 3", why), 0);
        assert_int_equal(json_expectations_add(&l, "/2 = 3", why), 0);
        assert_int_equal(json_expectations_hold(&l, tree, why), 0);
        assert_string_equal(why, "/1 is 2, expected = 3");
        assert_int_equal(json_expectations_hold(&l, NULL, why), 0);
        assert_string_equal(why, "/0 is not there");
        while (l.n < JSON_EXPECTATIONS_MAX)
                assert_int_equal(json_expectations_add(&l, "/x exists", why), 0);
        assert_int_equal(json_expectations_add(&l, "/x exists", why), -ERANGE);
        json_object_put(tree);
        option_json_expectations.clear(&l);
}

static void test_bad(void **state _unused_) {
        static const struct {
                const char *text, *words;
        } table[] = {
                { "status = 1", "JSON pointer" },
                { "= 1", "JSON pointer" },
                { "/a~2 = 1", "JSON pointer" },
                { "/a~ = 1", "JSON pointer" },
                { "\"/a = 1", "the pointer in quotes: the text ends within a string" },
                { "\"a\" = 1", "JSON pointer" },
                { "/a", "one of = != <" },
                { "/a == 1", "one of = != <" },
                { "/a =1", "one of = != <" },
                { "/a is 1", "one of = != <" },
                { "/a =", "behind = something is missing" },
                { "/a = UP", "JSON value such as" },
                { "/a = 'UP'", "JSON value such as" },
                { "/a = 01", "JSON value such as" },
                { "/a = 1 2", "JSON value such as" },
                { "/a < \"1\"", "behind < stands a number" },
                { "/a < x", "behind < stands a number" },
                { "/a ~ (", "not a regular expression" },
                { "/a ~", "behind ~ something is missing" },
                { "/a exists 1", "nothing stands behind exists" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                char why[OPTION_WHY_MAX] = "";
                JsonExpectations l = {};

                if (json_expectations_add(&l, table[i].text, why) != -EINVAL)
                        fail_msg("%s was taken", table[i].text);
                if (!strstr(why, table[i].words))
                        fail_msg("%s: %s", table[i].text, why);
                assert_int_equal(l.n, 0);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_expectations),
                cmocka_unit_test(test_several),
                cmocka_unit_test(test_bad),
        };

        return cmocka_run_group_tests_name("json-expect", tests, NULL, NULL);
}
