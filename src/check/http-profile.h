/* SPDX-License-Identifier: MIT */
#pragma once

/* What is known of APIs of language models: where they list their models, which costs no tokens,
 * and how they say no. A table; settings of the check stand over it. Pure. */

#include "io/json-tree.h"
#include "model/option.h"

#define HTTP_PROFILE_HEADERS_MAX 2
#define HTTP_PROFILE_EXPECT_MAX  2

typedef struct HttpProfile {
        const char *url;        /* of the usual server; NULL: it must be given */
        const char *path;       /* of the list, with its query */
        const char *key_header; /* that takes the key; NULL: "Authorization: Bearer" */
        const char *headers[HTTP_PROFILE_HEADERS_MAX];    /* "Name: value" */
        const char *expect_json[HTTP_PROFILE_EXPECT_MAX]; /* of the list */
} HttpProfile;

extern const char *const http_profile_words[]; /* of Profile=, the first for none */

/* The profile of a word by its index, NULL for none. */
const HttpProfile *http_profile(unsigned word);

/* What the body of an error says, in the words of the server, into buf; "" if it says nothing. */
void http_error_text(const char *body, size_t n, size_t size, char *buf);
