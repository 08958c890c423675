/* SPDX-License-Identifier: MIT */
#include "output/http-answer.h"

#include <string.h>

#include "base/strbuf.h"

const char *http_status_to_string(unsigned status) {
        static const struct {
                unsigned status;
                const char *name;
        } names[] = {
                { 200, "OK" },
                { 204, "No Content" },
                { 304, "Not Modified" },
                { 400, "Bad Request" },
                { 403, "Forbidden" },
                { 404, "Not Found" },
                { 405, "Method Not Allowed" },
                { 408, "Request Timeout" },
                { 413, "Content Too Large" },
                { 414, "URI Too Long" },
                { 429, "Too Many Requests" },
                { 431, "Request Header Fields Too Large" },
                { 500, "Internal Server Error" },
                { 501, "Not Implemented" },
                { 503, "Service Unavailable" },
                { 505, "HTTP Version Not Supported" },
        };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (names[i].status == status)
                        return names[i].name;

        return "Unknown";
}

static HttpAnswer *answer_make(unsigned status, const StrBuf *head, const void *body, size_t n) {
        HttpAnswer *a;

        if (head->failed)
                return NULL;

        a = malloc(sizeof(HttpAnswer) + head->length + n);
        if (!a)
                return NULL;

        *a = (HttpAnswer){
                .n_ref = 1,
                .status = status,
                .head_bytes = head->length,
                .body_bytes = n,
        };
        memcpy(a->bytes, head->text, head->length);
        if (n > 0)
                memcpy(a->bytes + head->length, body, n);
        return a;
}

HttpAnswer *http_answer_new(unsigned status, const char *content_type, const char *fields,
                            const void *body, size_t n) {
        _cleanup_strbuf_ StrBuf head = {};

        assert(status >= 200 && status < 600);

        strbuf_printf(&head, "HTTP/1.1 %u %s\r\n", status, http_status_to_string(status));
        if (status == 204 || status == 304)
                n = 0;
        else
                strbuf_printf(&head, "Content-Type: %s\r\nContent-Length: %zu\r\n", content_type,
                              n);
        strbuf_append(&head, "Cache-Control: no-store\r\n");
        if (fields)
                strbuf_append(&head, fields);
        return answer_make(status, &head, body, n);
}

HttpAnswer *http_answer_new_stream(const char *content_type, const char *body) {
        _cleanup_strbuf_ StrBuf head = {};
        HttpAnswer *a;

        strbuf_printf(&head,
                      "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nCache-Control: no-store\r\n"
                      "X-Accel-Buffering: no\r\n",
                      content_type);
        a = answer_make(200, &head, body, strlen(body));
        if (a)
                a->is_stream = true;
        return a;
}

HttpAnswer *http_answer_new_status(unsigned status, const char *fields) {
        _cleanup_strbuf_ StrBuf body = {};

        strbuf_printf(&body, "%u %s\n", status, http_status_to_string(status));
        if (body.failed)
                return NULL;

        return http_answer_new(status, "text/plain; charset=utf-8", fields, body.text, body.length);
}

HttpAnswer *http_answer_ref(HttpAnswer *a) {
        a->n_ref++;
        return a;
}

HttpAnswer *http_answer_unref(HttpAnswer *a) {
        if (a && --a->n_ref == 0)
                free(a);

        return NULL;
}
