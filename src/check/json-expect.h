/* SPDX-License-Identifier: MIT */
#pragma once

/* What is expected of a JSON text: "POINTER OPERATOR VALUE", as a field of a check type's options,
 * a list. Pure.
 *
 *     /status = "UP"          POINTER is a JSON pointer (RFC 6901); one with blanks stands in
 *     /queue/depth < 1000     double quotes, as a JSON text
 *     /version ~ ^2\.         = and != take any JSON value, < <= > >= a number, ~ a regular
 *     /data/0 exists          expression, exists and missing nothing */

#include "io/json-tree.h"
#include "model/option.h"

#define JSON_EXPECTATIONS_MAX 32
#define JSON_EXPECT_WHY_MAX   256

typedef struct JsonExpectation JsonExpectation;

typedef struct JsonExpectations {
        JsonExpectation *items; /* owned */
        size_t n;
} JsonExpectations;

extern const OptionType option_json_expectations;

/* Appends one: for who has texts of its own. -EINVAL with why, -ERANGE, -ENOMEM. */
int json_expectations_add(JsonExpectations *l, const char *text, char why[static OPTION_WHY_MAX]);

/* Whether all of them hold of the tree (NULL: null); if not, why says which does not: "/status is
 * \"DOWN\", not = \"UP\"". -ENOMEM. */
int json_expectations_hold(const JsonExpectations *l, json_object *tree,
                           char why[static JSON_EXPECT_WHY_MAX]);
