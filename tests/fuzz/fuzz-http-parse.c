/* SPDX-License-Identifier: MIT */

/* Any bytes, whole and in pieces: the parser must stay inside them, accept only what ends with an
 * empty line, and come to the same end however the bytes are cut. */

#include "fuzz.h"

#include "output/dialect.h"
#include "output/http-query.h"

static void check_slice(HttpSlice s, const char *data, size_t size) {
        if (!s.start || (s.length == 1 && s.start[0] == '/'))
                return;

        FUZZ_ASSERT(s.start >= data && s.start + s.length <= data + size);
        for (size_t i = 0; i < s.length; i++)
                FUZZ_ASSERT(s.start[i] != 0 && s.start[i] != '\r' && s.start[i] != '\n');
}

static void check_request(const HttpRequest *request, const char *data, size_t size) {
        FUZZ_ASSERT(request->head_bytes >= strlen("GET / HTTP/1.0\r\n\r\n"));
        FUZZ_ASSERT(request->head_bytes <= size);
        FUZZ_ASSERT(memcmp(data + request->head_bytes - 4, "\r\n\r\n", 4) == 0);
        FUZZ_ASSERT(request->method != HTTP_METHOD_OTHER);
        FUZZ_ASSERT(request->is_asterisk || request->path.start[0] == '/');
        FUZZ_ASSERT(request->minor == 0 || request->host.start);

        check_slice(request->path, data, size);
        check_slice(request->query, data, size);
        check_slice(request->host, data, size);
        check_slice(request->accept, data, size);
        check_slice(request->authorization, data, size);
        check_slice(request->user_agent, data, size);
        check_slice(request->if_none_match, data, size);
}

/* What is read out of a request that was taken. */
static void check_wishes(const HttpRequest *request) {
        const Dialect *dialect = dialect_accept(request->accept);
        HttpQuery query = {};
        char text[64];

        FUZZ_ASSERT(!dialect || (request->accept.start && dialect->media_types));
        http_slice_decode(request->path, text, sizeof(text));
        FUZZ_ASSERT(http_query_parse(request->query, &query) || query.n_excluded > 0);
        for (size_t i = 0; i < query.n_excluded; i++) {
                check_slice(query.excluded[i], request->query.start, request->query.length);
                if (http_slice_decode(query.excluded[i], text, sizeof(text)))
                        FUZZ_ASSERT(strlen(text) <= query.excluded[i].length);
        }
}

static void check_pieces(const char *data, size_t size, const HttpParseLimits *limits, size_t step,
                         int expected, const HttpRequest *whole) {
        HttpRequest request;
        size_t seen = 0;
        int r = 0;

        for (size_t n = 0; r == 0 && seen < size; seen = n) {
                n = size - seen < step ? size : seen + step;
                r = http_parse(data, n, seen, limits, &request);
        }

        FUZZ_ASSERT((r == 0) == (expected == 0) && (r == 1) == (expected == 1));
        if (r == 1)
                FUZZ_ASSERT(request.head_bytes == whole->head_bytes &&
                            request.method == whole->method &&
                            request.path.length == whole->path.length &&
                            request.keep_alive == whole->keep_alive);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
        static const HttpParseLimits tight = { .head_bytes = 96, .target_bytes = 24, .fields = 4 };
        const HttpParseLimits usual = HTTP_PARSE_LIMITS_DEFAULT, *const limits[] = { &usual,
                                                                                     &tight };
        const char *data = (const char *) bytes;

        for (size_t i = 0; i < ELEMENTSOF(limits); i++) {
                HttpRequest request;
                int r = http_parse(data, size, 0, limits[i], &request);

                FUZZ_ASSERT(r == 0 || r == 1 || (r >= 400 && r <= 505));
                if (r == 1) {
                        check_request(&request, data, size);
                        check_wishes(&request);
                }
                check_pieces(data, size, limits[i], 1, r, &request);
                check_pieces(data, size, limits[i], 7, r, &request);
        }

        return 0;
}
