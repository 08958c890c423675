/* SPDX-License-Identifier: MIT */
#include "check/query-answer.h"

#include <ctype.h>
#include <stdio.h>

#include "base/text.h"

/* -- values ------------------------------------------------------------------------------------ */

static void value_set_name(Value *v, const char *column) {
        static const char *const units[] = { "bytes", "seconds", "percent" };
        const char *last;

        if (!isalnum((unsigned char) column[0]) && column[0] != '_')
                column = "value";
        snprintf(v->name, sizeof(v->name), "%s", column);
        for (char *p = v->name; *p; p++)
                if (!isalnum((unsigned char) *p))
                        *p = '_';
        last = strrchr(v->name, '_');
        for (size_t i = 0; last && i < ELEMENTSOF(units); i++)
                if (str_equal(last + 1, units[i]))
                        snprintf(v->unit, sizeof(v->unit), "%s", units[i]);
}

static bool is_taken(const Value *values, size_t n, const char *name) {
        for (size_t i = 0; i < n; i++)
                if (str_equal(values[i].name, name))
                        return true;
        return false;
}

void query_answer_set_first(QueryAnswer *a, const char *text, size_t n, const char *expected) {
        a->is_null = !text;
        a->is_expected = text && expected && str_equal(text, expected);
        text_sanitize(a->shown, sizeof(a->shown), text ? text : "", text ? n : 0);
}

void query_answer_add(QueryAnswer *a, bool is_first, const char *name, double number,
                      const char *unit) {
        Value v = { .number = number };

        value_set_name(&v, name);
        if (unit)
                snprintf(v.unit, sizeof(v.unit), "%s", unit);
        if (a->n_values == QUERY_VALUES_MAX || is_taken(a->values, a->n_values, v.name))
                return;
        a->has_number |= is_first;
        a->values[a->n_values++] = v;
}

void result_add_new_value(Result *r, const char *name, double number, const char *unit) {
        if (!is_taken(r->values, r->n_values, name))
                result_add_value(r, name, number, unit);
}

void query_answer_add_values(const QueryAnswer *a, Result *r) {
        for (size_t i = 0; i < a->n_values; i++)
                result_add_new_value(r, a->values[i].name, a->values[i].number, a->values[i].unit);
}

/* -- what it means ----------------------------------------------------------------------------- */

static bool limits_have_nameless(const Limits *l) {
        for (size_t i = 0; i < l->n; i++)
                if (!*l->items[i].name)
                        return true;
        return false;
}

bool query_wants_number(const CheckConfig *c) {
        return limits_have_nameless(&c->warn) || limits_have_nameless(&c->fail);
}

bool query_answer_judge(const QueryAnswer *a, const char *expected, bool wants_number,
                        Result *ret) {
        char shown[QUERY_SHOWN_MAX];
        const char *word;

        if (a->n_rows != 1) {
                result_fail(ret, REASON_MISMATCH, "The query gave %d rows instead of one",
                            a->n_rows);
                word = a->n_rows == 0 ? "no-rows" : "rows";
        } else if (a->n_columns == 0 || (expected && a->n_columns != 1)) {
                result_fail(ret, REASON_MISMATCH, "The query gave %d columns instead of one",
                            a->n_columns);
                word = "columns";
        } else if (a->is_null) {
                result_fail(ret, REASON_MISMATCH, "The query gave NULL");
                word = "null";
        } else if (expected && !a->is_expected) {
                text_sanitize(shown, sizeof(shown), expected, strlen(expected));
                result_fail(ret, REASON_MISMATCH, "The query gave \"%s\" instead of \"%s\"",
                            a->shown, shown);
                word = "value";
        } else if (wants_number && !a->has_number) {
                result_fail(ret, REASON_MISMATCH, "The query gave \"%s\", which is no number",
                            a->shown);
                word = "no-number";
        } else
                return true;
        result_set_detail(ret, word);
        return false;
}
