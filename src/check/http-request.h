/* SPDX-License-Identifier: MIT */
#pragma once

/* What an http check asks: its settings, set on a handle of libcurl. */

#include <curl/curl.h>

#include "check/http-settings.h"

/* Lists that a handle borrows; made once for all runs of a check. */
typedef struct HttpLists {
        struct curl_slist *headers;    /* owned, with secrets */
        struct curl_slist *connect_to; /* owned: Resolve= */
} HttpLists;

/* -ENOMEM, or -EINVAL if a credential holds a line break. */
int http_lists_make(const HttpSettings *s, HttpLists *ret);
void http_lists_done(HttpLists *l);

/* Leaves nothing of what was set before; copies what is not in the lists. False without memory. */
bool http_request_set(CURL *easy, const HttpSettings *s, const HttpLists *l);

/* libcurl (7.88 at least) cannot use a connection of HTTP/2 without TLS again when it is told that
 * the server speaks that, and will not begin one so unless it is told. */
static inline bool http_request_may_be_kept(const HttpSettings *s) {
        return !s->is_http2 || s->is_tls;
}
