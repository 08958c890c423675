/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "output/http-parse.h"

#define H "Host: a\r\n"

/* Requests of exactly one head, or of a refused one. */
static const struct {
        const char *text;
        int r;
} requests[] = {
        /* the plain ones */
        { "GET / HTTP/1.1\r\n" H "\r\n", 1 },
        { "HEAD /health/ready HTTP/1.1\r\n" H "\r\n", 1 },
        { "OPTIONS / HTTP/1.0\r\n\r\n", 1 },
        { "OPTIONS * HTTP/1.1\r\n" H "\r\n", 1 },
        { "\r\nGET / HTTP/1.1\r\n" H "\r\n", 1 },
        { "GET /?a=b%20c&d HTTP/1.1\r\n" H "\r\n", 1 },
        { "GET http://a:80/x HTTP/1.1\r\n" H "\r\n", 1 },
        { "GET HTTP://b?q HTTP/1.1\r\n" H "\r\n", 1 },
        { "GET / HTTP/1.1\r\n" H "X:\t a \tb\r\nEmpty:\r\nHigh: \xc3\xa4\r\n\r\n", 1 },

        /* not yet whole */
        { "", 0 },
        { "\r", 0 },
        { "\r\n", 0 },
        { "GE", 0 },
        { "GET / HTTP/1.1\r\n" H, 0 },
        { "GET / HTTP/1.1\r\n" H "\r", 0 },

        /* line ends */
        { "\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n", 400 },
        { "\nGET / HTTP/1.1\r\n" H "\r\n", 400 },
        { "GET / HTTP/1.1\n" H "\r\n", 400 },
        { "GET / HTTP/1.1\r\nHost: a\n\r\n", 400 },
        { "GET / HTTP/1.1\r\n" H "\n", 400 },
        { "GET / HTTP/1.1\r\n" H "A: b\rC: d\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\r\n" H "\r\n", 400 },

        /* request line */
        { " GET / HTTP/1.1\r\n" H "\r\n", 400 },
        { "GET  / HTTP/1.1\r\n" H "\r\n", 400 },
        { "GET /  HTTP/1.1\r\n" H "\r\n", 400 },
        { "GET / HTTP/1.1 \r\n" H "\r\n", 400 },
        { "GET\t/ HTTP/1.1\r\n" H "\r\n", 400 },
        { "GET /\tHTTP/1.1\r\n" H "\r\n", 400 },
        { "GET /\r\n", 400 },
        { "GET\r\n", 400 },
        { "G@T / HTTP/1.1\r\n" H "\r\n", 400 },
        { "GET / a HTTP/1.1\r\n" H "\r\n", 400 },
        { "GET / http/1.1\r\n" H "\r\n", 400 },
        { "GET / HTTP/1\r\n" H "\r\n", 400 },
        { "GET / HTTP/1.10\r\n" H "\r\n", 400 },
        { "GET / HTTP/1,1\r\n" H "\r\n", 400 },
        { "GET / HTTP/+1.1\r\n" H "\r\n", 400 },
        { "GET / HTTP/0.9\r\n" H "\r\n", 505 },
        { "GET / HTTP/1.2\r\n" H "\r\n", 505 },
        { "GET / HTTP/2.0\r\n" H "\r\n", 505 },
        { "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505 },
        { "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n", 400 },
        { "\r\n\r\n\0\r\nQUIT\n", 400 },
        { "\x16\x03\x01\x02", 400 },
        { "SSH-2.0-OpenSSH_9.2\r\n", 400 },
        { "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG", 501 },
        { "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1\r\n", 501 },

        /* targets */
        { "GET * HTTP/1.1\r\n" H "\r\n", 400 },
        { "GET x HTTP/1.1\r\n" H "\r\n", 400 },
        { "GET a:80 HTTP/1.1\r\n" H "\r\n", 400 },
        { "GET /# HTTP/1.1\r\n" H "\r\n", 400 },
        { "GET /%2 HTTP/1.1\r\n" H "\r\n", 400 },
        { "GET /%zz HTTP/1.1\r\n" H "\r\n", 400 },
        { "GET /\x7f HTTP/1.1\r\n" H "\r\n", 400 },
        { "GET /\x01 HTTP/1.1\r\n" H "\r\n", 400 },
        { "GET /\xc3\xa4 HTTP/1.1\r\n" H "\r\n", 400 },
        { "GET /\" HTTP/1.1\r\n" H "\r\n", 400 },
        { "GET ftp://a/ HTTP/1.1\r\n" H "\r\n", 400 },
        { "GET http:/a/ HTTP/1.1\r\n" H "\r\n", 400 },
        { "GET http:///x HTTP/1.1\r\n" H "\r\n", 400 },
        { "GET http://:80/ HTTP/1.1\r\n" H "\r\n", 400 },
        { "GET http://me@a/ HTTP/1.1\r\n" H "\r\n", 400 },
        { "GET http://a:b/ HTTP/1.1\r\n" H "\r\n", 400 },

        /* fields */
        { "GET / HTTP/1.1\r\n" H " folded\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\n" H "A: b\r\n\tfolded\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\n folded: x\r\n" H "\r\n", 400 },
        { "GET / HTTP/1.1\r\n" H "A : b\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\n" H "A\t: b\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\n" H ": b\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\n" H "A\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\n" H "A(b): c\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\n" H "A\xc3: c\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\n" H "A: b\x01\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\n" H "A: b\x7f\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\n" H "A: \x1b", 400 },

        /* Host */
        { "GET / HTTP/1.1\r\n\r\n", 400 },
        { "GET / HTTP/1.0\r\n\r\n", 1 },
        { "GET / HTTP/1.0\r\nHost: a b\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\n" H H "\r\n", 400 },
        { "GET / HTTP/1.0\r\n" H H "\r\n", 400 },
        { "GET / HTTP/1.1\r\nHost:\r\n\r\n", 1 },
        { "GET / HTTP/1.1\r\nhOST: a.b-c_d:8080\r\n\r\n", 1 },
        { "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 1 },
        { "GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n", 1 },
        { "GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nHost: [::g]\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nHost: ::1\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nHost: a,b:\r\n\r\n", 1 },
        { "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nHost: %4\r\n\r\n", 400 },

        /* framing, then the method, then the body */
        { "GET / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", 1 },
        { "GET / HTTP/1.1\r\n" H "Content-Length: 000\r\n\r\n", 1 },
        { "GET / HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\n", 413 },
        { "GET / HTTP/1.1\r\n" H "Content-Length: 99999999999999999999999\r\n\r\n", 413 },
        { "GET / HTTP/1.1\r\n" H "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n", 413 },
        { "POST / HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\n", 405 },
        { "POST / HTTP/1.1\r\n" H "Content-Length: +5\r\n\r\n", 400 },
        { "get / HTTP/1.1\r\n" H "\r\n", 405 },
        { "CONNECT a:443 HTTP/1.1\r\n" H "\r\n", 405 },
        { "GET / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\n" H "Content-Length: -0\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\n" H "Content-Length: +5\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\n" H "Content-Length: 0x5\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\n" H "Content-Length: 5,5\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\n" H "Content-Length: 5 5\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\n" H "Content-Length: 0\r\nContent-Length: 0\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\n" H "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n", 413 },
        { "GET / HTTP/1.1\r\n" H "Transfer-Encoding: CHUNKED\r\n\r\n", 413 },
        { "GET / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n", 501 },
        { "GET / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, chunked\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, gzip\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\n" H "Transfer-Encoding: \"chunked\"\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
          400 },
};

static void test_requests(void **state _unused_) {
        const HttpParseLimits limits = HTTP_PARSE_LIMITS_DEFAULT;

        for (size_t i = 0; i < ELEMENTSOF(requests); i++) {
                HttpRequest request;
                int r = http_parse(requests[i].text, strlen(requests[i].text), 0, &limits,
                                   &request);

                if (r != requests[i].r)
                        print_error("%s\n", requests[i].text);
                assert_int_equal(r, requests[i].r);
                if (r == 1)
                        assert_int_equal(request.head_bytes, strlen(requests[i].text));
        }
}

/* Cut anywhere, a good request is only ever "more" before its last byte, and a bad one is refused
 * at the latest where it is refused when it comes at once. */
static void test_pieces(void **state _unused_) {
        const HttpParseLimits limits = HTTP_PARSE_LIMITS_DEFAULT;

        for (size_t i = 0; i < ELEMENTSOF(requests); i++) {
                size_t length = strlen(requests[i].text);
                HttpRequest request;
                int r = 0;

                for (size_t n = 1; n <= length && r == 0; n++) {
                        r = http_parse(requests[i].text, n, n - 1, &limits, &request);
                        if (requests[i].r == 1)
                                assert_int_equal(r, n == length);
                }
                assert_int_equal(r, requests[i].r);
        }
}

static void assert_slice(HttpSlice s, const char *expected) {
        if (!expected) {
                assert_null(s.start);
                return;
        }

        assert_non_null(s.start);
        assert_int_equal(s.length, strlen(expected));
        assert_memory_equal(s.start, expected, s.length);
}

static void test_slices(void **state _unused_) {
        static const char text[] =
                "HEAD http://h:1/a/b?c=%2F?d HTTP/1.1\r\nHost: other\r\nAccept:  text/plain \t\r\n"
                "Accept: second\r\nAuthorization: Bearer x y\r\nUser-Agent: probe/1 (a)\r\n"
                "If-None-Match: \"7\"\r\n\r\nGET";
        const HttpParseLimits limits = HTTP_PARSE_LIMITS_DEFAULT;
        HttpRequest request;

        assert_int_equal(http_parse(text, strlen(text), 0, &limits, &request), 1);
        assert_int_equal(request.method, HTTP_HEAD);
        assert_int_equal(request.minor, 1);
        assert_int_equal(request.head_bytes, strlen(text) - 3);
        assert_slice(request.path, "/a/b");
        assert_slice(request.query, "c=%2F?d");
        assert_slice(request.host, "other");
        assert_slice(request.accept, "text/plain");
        assert_slice(request.authorization, "Bearer x y");
        assert_slice(request.user_agent, "probe/1 (a)");
        assert_slice(request.if_none_match, "\"7\"");

        assert_int_equal(http_parse("GET http://h HTTP/1.0\r\n\r\n", 25, 0, &limits, &request), 1);
        assert_slice(request.path, "/");
        assert_slice(request.query, NULL);
        assert_slice(request.host, NULL);

        assert_int_equal(http_parse("GET /? HTTP/1.0\r\n\r\n", 19, 0, &limits, &request), 1);
        assert_slice(request.query, "");

        assert_int_equal(http_parse("OPTIONS * HTTP/1.0\r\n\r\n", 22, 0, &limits, &request), 1);
        assert_true(request.is_asterisk);
}

static void test_keep_alive(void **state _unused_) {
        static const struct {
                const char *version, *fields;
                bool keep_alive;
        } table[] = {
                { "1.1", "", true },
                { "1.1", "Connection: close\r\n", false },
                { "1.1", "Connection: TE , Close\r\n", false },
                { "1.1", "Connection: TE\r\nConnection: close\r\n", false },
                { "1.1", "Connection: closed,,\r\n", true },
                { "1.1", "Connection: keep-alive, close\r\n", false },
                { "1.1", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n", true },
                { "1.0", "", false },
                { "1.0", "Connection: Keep-Alive\r\n", true },
                { "1.0", "Connection: keep-alive\r\nConnection: close\r\n", false },
        };
        const HttpParseLimits limits = HTTP_PARSE_LIMITS_DEFAULT;

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                HttpRequest request;
                char text[256];
                int n = snprintf(text, sizeof(text), "GET / HTTP/%s\r\nHost: a\r\n%s\r\n",
                                 table[i].version, table[i].fields);

                assert_int_equal(http_parse(text, (size_t) n, 0, &limits, &request), 1);
                assert_int_equal(request.keep_alive, table[i].keep_alive);
        }
}

static void test_limits(void **state _unused_) {
        static const struct {
                const char *text;
                int r;
        } table[] = {
                { "GET /0123456 HTTP/1.0\r\n\r\n", 1 },
                { "GET /01234567 HTTP/1.0\r\n\r\n", 414 },
                { "GET /01234567", 414 },
                { "POST /01234567 HTTP/1.0\r\n\r\n", 414 },
                { "GET / HTTP/1.0\r\na:b\r\na:b\r\n\r\n", 1 },
                { "GET / HTTP/1.0\r\na:b\r\na:b\r\na:b\r\n", 431 },
                { "GET / HTTP/1.0\r\na:0123456789012345678\r\n\r\n", 1 },
                { "GET / HTTP/1.0\r\na:01234567890123456789\r\n\r\n", 431 },
                { "GET / HTTP/1.0\r\na:01234567890123456789xxx", 431 },
                { "GET / HTTP/1.0\r\na:01234567890123456789xx", 0 },
        };
        const HttpParseLimits limits = { .head_bytes = 41, .target_bytes = 8, .fields = 2 };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                HttpRequest request;

                assert_int_equal(
                        http_parse(table[i].text, strlen(table[i].text), 0, &limits, &request),
                        table[i].r);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_requests), cmocka_unit_test(test_pieces),
                cmocka_unit_test(test_slices),   cmocka_unit_test(test_keep_alive),
                cmocka_unit_test(test_limits),
        };

        return cmocka_run_group_tests_name("http-parse", tests, NULL, NULL);
}
