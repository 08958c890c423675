/* SPDX-License-Identifier: MIT */
#pragma once

/* A rendered HTTP answer: status line, fields and body as they go out, all but what depends on the
 * moment and the connection (Date, Connection and the empty line), which the server puts between
 * head and body. Immutable and ref-counted, so that a cached answer is sent without a copy. */

#include "base/macro.h"

typedef struct HttpAnswer {
        unsigned n_ref;
        unsigned status;
        bool is_stream; /* the body is only its beginning: http_server_broadcast() */
        size_t head_bytes, body_bytes;
        char bytes[]; /* head, then body */
} HttpAnswer;

/* body: borrowed, n bytes. fields: whole lines, each ended by CRLF, or NULL. Says Content-Type,
 * Content-Length and Cache-Control: no-store itself; 204 and 304 have neither type, length nor
 * body. NULL without memory. */
HttpAnswer *http_answer_new(unsigned status, const char *content_type, const char *fields,
                            const void *body, size_t n);

/* The beginning of a stream: 200 without a length, the body being what is sent first. */
HttpAnswer *http_answer_new_stream(const char *content_type, const char *body);

/* The status and its name as plain text. */
HttpAnswer *http_answer_new_status(unsigned status, const char *fields);

HttpAnswer *http_answer_ref(HttpAnswer *a);
HttpAnswer *http_answer_unref(HttpAnswer *a);
DEFINE_CLEANUP(HttpAnswer *, http_answer_unref);

/* "Not Found"; "Unknown" for a status that is never sent here. */
const char *http_status_to_string(unsigned status);
