/* SPDX-License-Identifier: MIT */
#include "check/json-expect.h"

#include <errno.h>
#include <json-c/json_pointer.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "check/pattern.h"

#define SHOWN_MAX 80 /* bytes of a value in a message */

typedef enum Operator {
        OPERATOR_EQUAL,
        OPERATOR_NOT_EQUAL,
        OPERATOR_LESS,
        OPERATOR_AT_MOST,
        OPERATOR_MORE,
        OPERATOR_AT_LEAST,
        OPERATOR_MATCHES,
        OPERATOR_EXISTS,
        OPERATOR_MISSING,
} Operator;

typedef enum Operand { OPERAND_NONE, OPERAND_ANY, OPERAND_NUMBER, OPERAND_PATTERN } Operand;

static const struct {
        const char *word;
        Operand operand;
} operators[] = {
        [OPERATOR_EQUAL] = { "=", OPERAND_ANY },
        [OPERATOR_NOT_EQUAL] = { "!=", OPERAND_ANY },
        [OPERATOR_LESS] = { "<", OPERAND_NUMBER },
        [OPERATOR_AT_MOST] = { "<=", OPERAND_NUMBER },
        [OPERATOR_MORE] = { ">", OPERAND_NUMBER },
        [OPERATOR_AT_LEAST] = { ">=", OPERAND_NUMBER },
        [OPERATOR_MATCHES] = { "~", OPERAND_PATTERN },
        [OPERATOR_EXISTS] = { "exists", OPERAND_NONE },
        [OPERATOR_MISSING] = { "missing", OPERAND_NONE },
};

struct JsonExpectation {
        char *text;    /* owned: all of it */
        char *pointer; /* owned */
        Operator op;
        const char *operand; /* into text: as it was written */
        json_object *value;  /* owned; NULL: null, or there is none */
        Pattern pattern;
};

static void expectation_done(JsonExpectation *e) {
        free(e->text);
        free(e->pointer);
        json_object_put(e->value);
        pattern_done(&e->pattern);
        *e = (JsonExpectation){};
}

/* -- reading them ------------------------------------------------------------------------------ */

/* In front of a blank, or between double quotes; *rest is what comes behind. */
static int pointer_parse(const char *text, JsonExpectation *e, const char **rest,
                         char why[static OPTION_WHY_MAX]) {
        size_t n = strcspn(text, " \t");
        JsonFault fault;
        int r;

        if (text[0] == '"') {
                json_object *o = NULL;

                n = 1;
                while (text[n] && text[n] != '"')
                        n += text[n] == '\\' && text[n + 1] ? 2 : 1;
                n += text[n] == '"';
                r = json_tree_parse(text, n, &o, &fault);
                e->pointer = r < 0 ? NULL : strdup(json_object_get_string(o));
                json_object_put(o);
                if (r == -EINVAL) {
                        snprintf(why, OPTION_WHY_MAX, "the pointer in quotes: %s", fault.text);
                        return r;
                }
        } else
                e->pointer = strndup(text, n);
        if (!e->pointer)
                return -ENOMEM;
        *rest = text + n + strspn(text + n, " \t");
        for (const char *p = e->pointer; (p = strchr(p, '~')); p++)
                if (p[1] != '0' && p[1] != '1')
                        e->pointer[0] = 0; /* none */
        if (e->pointer[0] == '/')
                return 0;
        snprintf(why, OPTION_WHY_MAX,
                 "it does not begin with a JSON pointer such as /status or /items/0/name");
        return -EINVAL;
}

static int operator_parse(JsonExpectation *e, const char *text, const char **rest,
                          char why[static OPTION_WHY_MAX]) {
        size_t n = strcspn(text, " \t");

        for (size_t i = 0; i < ELEMENTSOF(operators); i++)
                if (strlen(operators[i].word) == n && strncmp(text, operators[i].word, n) == 0) {
                        e->op = (Operator) i;
                        *rest = text + n + strspn(text + n, " \t");
                        return 0;
                }
        snprintf(why, OPTION_WHY_MAX,
                 "behind the pointer and a blank stands one of = != < <= > >= ~ exists missing");
        return -EINVAL;
}

static bool is_number(json_object *o) {
        return json_object_is_type(o, json_type_int) || json_object_is_type(o, json_type_double);
}

static int operand_parse(JsonExpectation *e, const char *text, char why[static OPTION_WHY_MAX]) {
        const char *word = operators[e->op].word;
        Operand operand = operators[e->op].operand;
        JsonFault fault;
        int r;

        e->operand = text;
        if (operand == OPERAND_NONE && !*text)
                return 0;
        if (operand == OPERAND_PATTERN && *text)
                return pattern_compile(text, &e->pattern, why);
        if (operand == OPERAND_NONE)
                snprintf(why, OPTION_WHY_MAX, "nothing stands behind %s", word);
        else if (!*text)
                snprintf(why, OPTION_WHY_MAX, "behind %s something is missing", word);
        else {
                r = json_tree_parse(text, strlen(text), &e->value, &fault);
                if (r == -ENOMEM)
                        return r;
                if (r >= 0 && (operand == OPERAND_ANY || is_number(e->value)))
                        return 0;
                if (operand == OPERAND_NUMBER)
                        snprintf(why, OPTION_WHY_MAX, "behind %s stands a number", word);
                else
                        snprintf(why, OPTION_WHY_MAX,
                                 "behind %s stands a JSON value such as 5, true or \"text\" in its "
                                 "quotes: %s",
                                 word, fault.text);
        }
        return -EINVAL;
}

static int expectation_parse(const char *text, JsonExpectation *e,
                             char why[static OPTION_WHY_MAX]) {
        const char *rest;
        int r;

        e->text = strdup(text);
        if (!e->text)
                return -ENOMEM;
        r = pointer_parse(e->text, e, &rest, why);
        if (r >= 0)
                r = operator_parse(e, rest, &rest, why);
        return r < 0 ? r : operand_parse(e, rest, why);
}

int json_expectations_add(JsonExpectations *l, const char *text, char why[static OPTION_WHY_MAX]) {
        JsonExpectation e = {}, *items;
        int r;

        if (l->n >= JSON_EXPECTATIONS_MAX) {
                snprintf(why, OPTION_WHY_MAX, "more than %d of them", JSON_EXPECTATIONS_MAX);
                return -ERANGE;
        }
        r = expectation_parse(text, &e, why);
        if (r >= 0) {
                items = reallocarray(l->items, l->n + 1, sizeof(*items));
                r = items ? 0 : -ENOMEM;
        }
        if (r < 0) {
                expectation_done(&e);
                return r;
        }
        l->items = items;
        items[l->n++] = e;
        return 0;
}

/* -- holding them against a tree --------------------------------------------------------------- */

static bool numbers_compare(Operator op, double a, double b) {
        switch (op) {
        case OPERATOR_LESS:
                return a < b;
        case OPERATOR_AT_MOST:
                return a <= b;
        case OPERATOR_MORE:
                return a > b;
        case OPERATOR_AT_LEAST:
                return a >= b;
        case OPERATOR_EQUAL:
        case OPERATOR_NOT_EQUAL:
        case OPERATOR_MATCHES:
        case OPERATOR_EXISTS:
        case OPERATOR_MISSING:
                break;
        }
        return !(a < b) && !(a > b);
}

/* 1 and 1.0 are equal; whole numbers are so to the last digit. */
static bool values_equal(json_object *a, json_object *b) {
        if (is_number(a) && is_number(b) && json_object_get_type(a) != json_object_get_type(b))
                return numbers_compare(OPERATOR_EQUAL, json_object_get_double(a),
                                       json_object_get_double(b));
        return json_object_equal(a, b);
}

static int value_matches(const Pattern *pattern, json_object *value) {
        const char *text;

        if (json_object_is_type(value, json_type_object) ||
            json_object_is_type(value, json_type_array))
                return 0;
        text = value ? json_object_get_string(value) : "null";
        if (!text)
                return -ENOMEM;
        return pattern_search(pattern, text,
                              json_object_is_type(value, json_type_string)
                                      ? (size_t) json_object_get_string_len(value)
                                      : strlen(text));
}

/* value is NULL for null. 1 or 0, -ENOMEM, -E2BIG: a pattern came to no end. */
static int value_holds(const JsonExpectation *e, json_object *value) {
        switch (e->op) {
        case OPERATOR_EQUAL:
                return values_equal(e->value, value);
        case OPERATOR_NOT_EQUAL:
                return !values_equal(e->value, value);
        case OPERATOR_LESS:
        case OPERATOR_AT_MOST:
        case OPERATOR_MORE:
        case OPERATOR_AT_LEAST:
                return is_number(value) && numbers_compare(e->op, json_object_get_double(value),
                                                           json_object_get_double(e->value));
        case OPERATOR_MATCHES:
                return value_matches(&e->pattern, value);
        case OPERATOR_EXISTS:
                return 1;
        case OPERATOR_MISSING:
                return 0;
        }
        assert(false);
        return 0;
}

static void value_show(json_object *value, size_t size, char *buf) {
        const char *text = "null";

        if (json_object_is_type(value, json_type_object))
                text = "an object";
        else if (json_object_is_type(value, json_type_array))
                text = "an array";
        else if (value)
                text = json_object_to_json_string_ext(
                        value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
        text_sanitize(buf, size, text ? text : "", text ? strlen(text) : 0);
}

static void explain(const JsonExpectation *e, json_object *value, int holds,
                    char why[static JSON_EXPECT_WHY_MAX]) {
        char shown[SHOWN_MAX];

        value_show(value, sizeof(shown), shown);
        if (holds == -E2BIG)
                snprintf(why, JSON_EXPECT_WHY_MAX, "%.40s ~ %.60s takes too many steps", e->pointer,
                         e->operand);
        else
                snprintf(why, JSON_EXPECT_WHY_MAX, "%.40s is %s, expected %s%s%.60s", e->pointer,
                         shown, operators[e->op].word, *e->operand ? " " : "", e->operand);
}

static int expectation_holds(const JsonExpectation *e, json_object *tree,
                             char why[static JSON_EXPECT_WHY_MAX]) {
        json_object *value = NULL;
        int r;

        if (!tree || json_pointer_get(tree, e->pointer, &value) < 0) {
                if (tree && errno == ENOMEM)
                        return -ENOMEM;
                if (e->op == OPERATOR_MISSING)
                        return 1;
                snprintf(why, JSON_EXPECT_WHY_MAX, "%.80s is not there", e->pointer);
                return 0;
        }
        r = value_holds(e, value);
        if (r > 0 || r == -ENOMEM)
                return r;
        explain(e, value, r, why);
        return 0;
}

int json_expectations_hold(const JsonExpectations *l, json_object *tree,
                           char why[static JSON_EXPECT_WHY_MAX]) {
        for (size_t i = 0; i < l->n; i++) {
                int r = expectation_holds(&l->items[i], tree, why);

                if (r <= 0)
                        return r;
        }
        return 1;
}

/* -- the field type ---------------------------------------------------------------------------- */

static int expectations_parse(const Option *o _unused_, const char *value, void *field,
                              char why[static OPTION_WHY_MAX]) {
        return json_expectations_add(field, value, why);
}

static void expectations_clear(void *field) {
        JsonExpectations *l = field;

        for (size_t i = 0; i < l->n; i++)
                expectation_done(&l->items[i]);
        free(l->items);
        *l = (JsonExpectations){};
}

static void expectations_canonical(const Option *o _unused_, const void *field, StrBuf *out) {
        const JsonExpectations *l = field;

        for (size_t i = 0; i < l->n; i++)
                strbuf_printf(out, "%s\n", l->items[i].text);
}

const OptionType option_json_expectations = {
        .expected = "a JSON pointer, an operator and a value, such as /status = \"UP\"",
        .is_list = true,
        .parse = expectations_parse,
        .clear = expectations_clear,
        .canonical = expectations_canonical,
        .size = sizeof(JsonExpectations),
};
