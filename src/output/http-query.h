/* SPDX-License-Identifier: MIT */
#pragma once

/* What a request asks for behind the question mark. Pure; what it finds are slices of the caller's
 * bytes. */

#include "output/http-parse.h"

#define HTTP_EXCLUDED_MAX 16

typedef struct HttpQuery {
        HttpSlice format; /* start is NULL without one */
        bool is_verbose;
        HttpSlice excluded[HTTP_EXCLUDED_MAX]; /* names of checks, percent-coded */
        size_t n_excluded;
} HttpQuery;

/* Reads "format=NAME&exclude=CHECK&verbose" into the query; what it says of more than one format is
 * that the last one counts. Other parameters are none of ours. False if there are too many. */
bool http_query_parse(HttpSlice text, HttpQuery *query);

/* Without percent-codes, which must be whole. False if it has a NUL, or does not fit in. */
bool http_slice_decode(HttpSlice s, char *ret, size_t size);
