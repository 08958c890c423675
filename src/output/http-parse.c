/* SPDX-License-Identifier: MIT */
#include "output/http-parse.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

/* What a byte may be part of; the sets of RFC 9110, section 5.6.2 and RFC 3986, section 2. */
enum {
        BYTE_TOKEN = 1 << 0,
        BYTE_URI = 1 << 1,  /* path and query, with the slash, the question mark and the percent */
        BYTE_HOST = 1 << 2, /* a registered name or an IPv4 address */
};
#define T BYTE_TOKEN
#define U BYTE_URI
#define H BYTE_HOST

static const uint8_t byte_sets[256] = {
        ['!'] = T | U | H,
        ['#'] = T,
        ['$'] = T | U | H,
        ['%'] = T | U | H,
        ['&'] = T | U | H,
        ['\''] = T | U | H,
        ['('] = U | H,
        [')'] = U | H,
        ['*'] = T | U | H,
        ['+'] = T | U | H,
        [','] = U | H,
        ['-'] = T | U | H,
        ['.'] = T | U | H,
        ['/'] = U,
        ['0' ... '9'] = T | U | H,
        [':'] = U,
        [';'] = U | H,
        ['='] = U | H,
        ['?'] = U,
        ['@'] = U,
        ['A' ... 'Z'] = T | U | H,
        ['^'] = T,
        ['_'] = T | U | H,
        ['`'] = T,
        ['a' ... 'z'] = T | U | H,
        ['|'] = T,
        ['~'] = T | U | H,
};
#undef T
#undef U
#undef H

typedef struct Parser {
        const HttpParseLimits *limits; /* borrowed */
        HttpRequest *request;          /* borrowed */
        unsigned n_fields;
        bool has_host, has_length, has_coding, has_body;
        bool wants_close, wants_keep_alive;
} Parser;

static bool slice_is(HttpSlice s, const char *lower_case) {
        return s.length == strlen(lower_case) && strncasecmp(s.start, lower_case, s.length) == 0;
}

static bool slice_consists_of(HttpSlice s, uint8_t set) {
        for (size_t i = 0; i < s.length; i++)
                if (!(byte_sets[(uint8_t) s.start[i]] & set))
                        return false;

        return true;
}

static bool slice_is_digits(HttpSlice s) {
        for (size_t i = 0; i < s.length; i++)
                if (s.start[i] < '0' || s.start[i] > '9')
                        return false;

        return true;
}

static HttpSlice slice_trim(HttpSlice s) {
        while (s.length > 0 && (s.start[0] == ' ' || s.start[0] == '\t'))
                s = (HttpSlice){ s.start + 1, s.length - 1 };
        while (s.length > 0 && (s.start[s.length - 1] == ' ' || s.start[s.length - 1] == '\t'))
                s.length--;

        return s;
}

/* Cuts off what stands before the first separator, which is dropped; without one, everything. */
static HttpSlice slice_take(HttpSlice *s, char separator) {
        const char *end = memchr(s->start, separator, s->length);
        HttpSlice head = { s->start, end ? (size_t) (end - s->start) : s->length };
        size_t used = end ? head.length + 1 : head.length;

        *s = (HttpSlice){ s->start + used, s->length - used };
        return head;
}

/* What may stand in a field value: blanks, visible bytes, and those above ASCII. */
static bool byte_is_field(char c) {
        return ((uint8_t) c >= 0x20 && c != 0x7f) || c == '\t';
}

static bool slice_is_field_value(HttpSlice s) {
        for (size_t i = 0; i < s.length; i++)
                if (!byte_is_field(s.start[i]))
                        return false;

        return true;
}

static bool byte_is_hex(char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool percents_are_valid(HttpSlice s) {
        for (size_t i = 0; i < s.length; i++)
                if (s.start[i] == '%' && (s.length - i < 3 || !byte_is_hex(s.start[i + 1]) ||
                                          !byte_is_hex(s.start[i + 2])))
                        return false;

        return true;
}

static bool ipv6_is_valid(HttpSlice s) {
        char text[INET6_ADDRSTRLEN];
        struct in6_addr address;

        if (s.length >= sizeof(text))
                return false;

        memcpy(text, s.start, s.length);
        text[s.length] = 0;
        return inet_pton(AF_INET6, text, &address) == 1;
}

/* uri-host [ ":" port ], where both may be empty. */
static bool authority_is_valid(HttpSlice s) {
        HttpSlice host;

        if (s.length > 0 && s.start[0] == '[') {
                s = (HttpSlice){ s.start + 1, s.length - 1 };
                if (!memchr(s.start, ']', s.length))
                        return false;
                host = slice_take(&s, ']');
                if (!ipv6_is_valid(host))
                        return false;
                if (s.length == 0)
                        return true;
                return s.start[0] == ':' &&
                       slice_is_digits((HttpSlice){ s.start + 1, s.length - 1 });
        }

        host = slice_take(&s, ':');
        return slice_consists_of(host, BYTE_HOST) && percents_are_valid(host) && slice_is_digits(s);
}

static int parse_field_host(Parser *p, HttpSlice value) {
        if (p->has_host || !authority_is_valid(value))
                return 400;

        p->has_host = true;
        p->request->host = value;
        return 0;
}

/* A list of lengths, also of equal ones, is refused: some hop before us may read it otherwise. */
static int parse_field_content_length(Parser *p, HttpSlice value) {
        if (p->has_length || value.length == 0 || !slice_is_digits(value))
                return 400;

        p->has_length = true;
        for (size_t i = 0; i < value.length; i++)
                if (value.start[i] != '0')
                        p->has_body = true;

        return 0;
}

/* RFC 9112, section 6.3: if chunked is not the last coding the length cannot be known. */
static int parse_field_transfer_encoding(Parser *p, HttpSlice value) {
        HttpSlice coding;
        bool others = false;

        if (p->has_coding || value.length == 0)
                return 400;

        p->has_coding = p->has_body = true;
        for (;;) {
                coding = slice_trim(slice_take(&value, ','));
                if (value.length == 0)
                        break;
                if (slice_is(coding, "chunked"))
                        return 400;
                others = true;
        }

        if (!slice_is(coding, "chunked"))
                return 400;
        return others ? 501 : 0;
}

static int parse_field_connection(Parser *p, HttpSlice value) {
        while (value.length > 0) {
                HttpSlice option = slice_trim(slice_take(&value, ','));

                if (slice_is(option, "close"))
                        p->wants_close = true;
                else if (slice_is(option, "keep-alive"))
                        p->wants_keep_alive = true;
        }

        return 0;
}

/* The fields that mean something here: read by a function, or kept in the request. */
static const struct Field {
        const char *name;
        int (*parse)(Parser *p, HttpSlice value);
        size_t offset;
} fields[] = {
        { "host", parse_field_host },
        { "content-length", parse_field_content_length },
        { "transfer-encoding", parse_field_transfer_encoding },
        { "connection", parse_field_connection },
        { "accept", .offset = offsetof(HttpRequest, accept) },
        { "authorization", .offset = offsetof(HttpRequest, authorization) },
        { "user-agent", .offset = offsetof(HttpRequest, user_agent) },
        { "if-none-match", .offset = offsetof(HttpRequest, if_none_match) },
};

static int parse_known_field(Parser *p, const struct Field *field, HttpSlice value) {
        HttpSlice *kept;

        if (field->parse)
                return field->parse(p, value);

        kept = (HttpSlice *) (void *) ((char *) p->request + field->offset);
        if (!kept->start)
                *kept = value;
        return 0;
}

static int parse_field(Parser *p, HttpSlice line) {
        HttpSlice name;

        if (!memchr(line.start, ':', line.length))
                return 400;
        if (++p->n_fields > p->limits->fields)
                return 431;

        name = slice_take(&line, ':');
        if (name.length == 0 || !slice_consists_of(name, BYTE_TOKEN) || !slice_is_field_value(line))
                return 400;

        for (size_t i = 0; i < ELEMENTSOF(fields); i++)
                if (slice_is(name, fields[i].name))
                        return parse_known_field(p, &fields[i], slice_trim(line));

        return 0;
}

static int parse_version(Parser *p, HttpSlice s) {
        if (s.length != strlen("HTTP/1.1") || memcmp(s.start, "HTTP/", 5) != 0 || s.start[6] != '.')
                return 400;
        if (!slice_is_digits((HttpSlice){ s.start + 5, 1 }) ||
            !slice_is_digits((HttpSlice){ s.start + 7, 1 }))
                return 400;
        if (s.start[5] != '1' || s.start[7] > '1')
                return 505;

        p->request->minor = (unsigned) (s.start[7] - '0');
        return 0;
}

static int parse_path(Parser *p, HttpSlice s) {
        bool has_query = memchr(s.start, '?', s.length);

        if (!slice_consists_of(s, BYTE_URI) || !percents_are_valid(s))
                return 400;

        p->request->path = slice_take(&s, '?');
        if (has_query)
                p->request->query = s;
        if (p->request->path.length == 0)
                p->request->path = (HttpSlice){ "/", 1 };
        return 0;
}

/* http://host:port/path. The authority counts, not the Host field (RFC 9112, section 3.2.2), but
 * nothing here depends on either, so that it only has to be valid; it cannot name a user. */
static int parse_absolute_form(Parser *p, HttpSlice s) {
        HttpSlice scheme = slice_take(&s, ':'), authority;
        size_t n = 0;

        if (!slice_is(scheme, "http") && !slice_is(scheme, "https"))
                return 400;
        if (s.length < 2 || memcmp(s.start, "//", 2) != 0)
                return 400;

        s = (HttpSlice){ s.start + 2, s.length - 2 };
        while (n < s.length && s.start[n] != '/' && s.start[n] != '?')
                n++;
        authority = (HttpSlice){ s.start, n };
        if (n == 0 || s.start[0] == ':' || !authority_is_valid(authority))
                return 400;

        return parse_path(p, (HttpSlice){ s.start + n, s.length - n });
}

static int parse_target(Parser *p, HttpSlice s) {
        if (p->request->method == HTTP_METHOD_OTHER)
                return 0;
        if (p->request->method == HTTP_OPTIONS && slice_is(s, "*")) {
                p->request->is_asterisk = true;
                return 0;
        }
        if (s.start[0] == '/')
                return parse_path(p, s);

        return parse_absolute_form(p, s);
}

static HttpMethod method_from_slice(HttpSlice s) {
        static const char *const names[] = {
                [HTTP_GET] = "GET",
                [HTTP_HEAD] = "HEAD",
                [HTTP_OPTIONS] = "OPTIONS",
        };

        for (HttpMethod m = HTTP_GET; m <= HTTP_OPTIONS; m++)
                if (s.length == strlen(names[m]) && memcmp(s.start, names[m], s.length) == 0)
                        return m;

        return HTTP_METHOD_OTHER;
}

static int parse_request_line(Parser *p, HttpSlice line) {
        HttpSlice method = slice_take(&line, ' '), target = slice_take(&line, ' ');
        int r;

        if (method.length == 0 || !slice_consists_of(method, BYTE_TOKEN))
                return 400;
        if (method.length > HTTP_METHOD_BYTES_MAX)
                return 501;
        if (target.length == 0)
                return 400;
        if (target.length > p->limits->target_bytes)
                return 414;
        for (size_t i = 0; i < target.length; i++)
                if ((uint8_t) target.start[i] <= 0x20 || (uint8_t) target.start[i] >= 0x7f)
                        return 400;

        p->request->method = method_from_slice(method);
        r = parse_version(p, line);
        if (r != 0)
                return r;

        return parse_target(p, target);
}

/* The empty line was read: what holds for the head as a whole. */
static int parse_finish(Parser *p, size_t head_bytes) {
        HttpRequest *request = p->request;

        if (head_bytes > p->limits->head_bytes)
                return 431;
        if (request->minor == 1 && !p->has_host)
                return 400;
        if (p->has_coding && (p->has_length || request->minor == 0))
                return 400;
        if (request->method == HTTP_METHOD_OTHER)
                return 405;
        if (p->has_body)
                return 413;

        request->keep_alive = !p->wants_close && (request->minor == 1 || p->wants_keep_alive);
        request->head_bytes = head_bytes;
        return 1;
}

/* The last line has not ended yet, but may already be hopeless: nobody should have to wait for the
 * deadline who sends a TLS greeting or a megabyte of address. */
static int parse_unfinished(const char *data, size_t n, const HttpParseLimits *limits) {
        const char *feed = memrchr(data, '\n', n);
        HttpSlice line = { feed ? feed + 1 : data, feed ? (size_t) (data + n - feed - 1) : n };
        bool is_first = !feed || (feed == data + 1 && data[0] == '\r');

        if (line.length > 0 && line.start[line.length - 1] == '\r')
                line.length--;
        if (!slice_is_field_value(line))
                return 400;

        if (is_first) {
                HttpSlice target = line, method = slice_take(&target, ' ');

                if (!slice_consists_of(method, BYTE_TOKEN))
                        return 400;
                if (method.length > HTTP_METHOD_BYTES_MAX)
                        return 501;
                if (slice_take(&target, ' ').length > limits->target_bytes)
                        return 414;
        }

        return n >= limits->head_bytes ? 431 : 0;
}

int http_parse(const char *data, size_t n, size_t seen, const HttpParseLimits *limits,
               HttpRequest *ret) {
        Parser p = { .limits = limits, .request = ret };
        bool has_request_line = false;
        size_t at = 0;
        int r;

        *ret = (HttpRequest){};
        if (n == 0)
                return 0;

        /* Without a new line end there is nothing new to parse: a head that trickles in byte by
         * byte is read once a line, not once a byte. */
        if (!memchr(data + seen, '\n', n - seen))
                return parse_unfinished(data, n, limits);

        for (;;) {
                const char *feed = memchr(data + at, '\n', n - at);
                HttpSlice line;

                if (!feed)
                        return parse_unfinished(data, n, limits);
                line = (HttpSlice){ data + at, (size_t) (feed - data) - at };
                if (line.length == 0 || line.start[line.length - 1] != '\r')
                        return 400;

                line.length--;
                at += line.length + 2;
                if (line.length == 0 && has_request_line)
                        return parse_finish(&p, at);
                if (line.length == 0 && at == 2)
                        continue; /* one empty line before the request (RFC 9112, section 2.2) */

                r = has_request_line ? parse_field(&p, line) : parse_request_line(&p, line);
                if (r != 0)
                        return r;
                has_request_line = true;
        }
}
