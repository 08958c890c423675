/* SPDX-License-Identifier: MIT */
#pragma once

/* One HTTP/1.x request head, read to the letter of RFC 9112: CRLF only, no folding, no blank before
 * the colon, token names, no control bytes, one valid Host. Pure; keeps no state and copies
 * nothing: everything found is a slice of the caller's bytes and lives as long as they do.
 *
 * A request never has a body here. The order of refusals is fixed: first whatever makes the framing
 * doubtful (400, 414, 431, 501, 505), then the method (405), then the body (413). After a refusal
 * the rest of the stream has no meaning: the connection must be closed. */

#include "base/macro.h"

typedef struct HttpSlice {
        const char *start; /* borrowed; NULL when the field was not sent */
        size_t length;
} HttpSlice;

typedef enum HttpMethod {
        HTTP_METHOD_OTHER, /* well-formed, but none of ours */
        HTTP_GET,
        HTTP_HEAD,
        HTTP_OPTIONS,
} HttpMethod;

#define HTTP_ALLOW "GET, HEAD, OPTIONS"

typedef struct HttpRequest {
        HttpMethod method;
        unsigned minor;   /* HTTP/1.minor, 0 or 1 */
        bool is_asterisk; /* OPTIONS *: path is empty */
        bool keep_alive;  /* what the client wants after the answer */
        size_t head_bytes;

        HttpSlice path;  /* begins with a slash; not percent-decoded */
        HttpSlice query; /* behind the question mark; start is NULL without one */

        /* The first line of each; blanks around the value are gone. */
        HttpSlice host, accept, authorization, user_agent, if_none_match;
} HttpRequest;

typedef struct HttpParseLimits {
        size_t head_bytes;   /* request line and fields together, else 431 */
        size_t target_bytes; /* else 414 */
        unsigned fields;     /* else 431 */
} HttpParseLimits;

#define HTTP_METHOD_BYTES_MAX 32 /* a longer method is none that anybody implements: 501 */

/* 8000 bytes of request line are what RFC 9112, section 3 asks for at least. */
#define HTTP_PARSE_LIMITS_DEFAULT \
        ((HttpParseLimits){ .head_bytes = 16384, .target_bytes = 8000, .fields = 64 })

/* Looks for a whole request head in the first n bytes. seen: how many of them an earlier call for
 * the same request was given, which then wanted more; 0 for a new request.
 *
 * 0: not complete, come back with more. 1: complete, *ret is filled and ret->head_bytes are used
 * up. An HTTP status (400 and up): refuse with it and close; of *ret, method alone counts. */
int http_parse(const char *data, size_t n, size_t seen, const HttpParseLimits *limits,
               HttpRequest *ret);
