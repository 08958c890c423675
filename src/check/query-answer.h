/* SPDX-License-Identifier: MIT */
#pragma once

/* What a query of SQL gave, as values of a check and against what was expected: the same for all
 * databases. Pure. */

#include "model/config.h"
#include "model/result.h"

#define QUERY_VALUES_MAX 8 /* columns that can be values; with a driver's own they fit a result */
#define QUERY_SHOWN_MAX  80

/* All zero: nothing has come. */
typedef struct QueryAnswer {
        int n_rows, n_columns;
        bool is_null, is_expected; /* the first column of the only row */
        char shown[QUERY_SHOWN_MAX];
        bool has_number; /* it is the first of the values */
        size_t n_values; /* the columns of the only row that are numbers */
        Value values[QUERY_VALUES_MAX];
} QueryAnswer;

/* The first column of the only row; text NULL: it is null. expected: NULL if anything will do. */
void query_answer_set_first(QueryAnswer *a, const char *text, size_t n, const char *expected);

/* A column of the only row that is a number, in their order. Its name becomes the value's, "value"
 * if it begins with no letter or digit; unit NULL: as the name's end says, "_bytes". */
void query_answer_add(QueryAnswer *a, bool is_first, const char *name, double number,
                      const char *unit);

/* Whether Warn= or Fail= is for the number that the query gives: a limit without a name. */
bool query_wants_number(const CheckConfig *c);

/* Whether the rows are what is wanted: one, that has the expected text, and a number. Otherwise ret
 * is a fail. */
bool query_answer_judge(const QueryAnswer *a, const char *expected, bool wants_number, Result *ret);

/* Puts the values into a result, and any but those that it has already. */
void query_answer_add_values(const QueryAnswer *a, Result *r);
void result_add_new_value(Result *r, const char *name, double number, const char *unit);
