/* SPDX-License-Identifier: MIT */
#include "base/json.h"

#include <string.h>

static void json_quote(StrBuf *b, const char *s) {
        strbuf_append_bytes(b, "\"", 1);
        for (;;) {
                size_t n = 0;

                while ((unsigned char) s[n] >= 0x20 && s[n] != '"' && s[n] != '\\')
                        n++;
                strbuf_append_bytes(b, s, n);
                if (!s[n])
                        break;

                if (s[n] == '"' || s[n] == '\\')
                        strbuf_printf(b, "\\%c", s[n]);
                else
                        strbuf_printf(b, "\\u%04x", (unsigned char) s[n]);
                s += n + 1;
        }
        strbuf_append_bytes(b, "\"", 1);
}

/* What stands before every value. */
static void json_lead_in(JsonWriter *w, const char *key) {
        if (w->needs_comma)
                strbuf_append_bytes(w->out, ",", 1);
        if (key) {
                json_quote(w->out, key);
                strbuf_append_bytes(w->out, ":", 1);
        }
        w->needs_comma = true;
}

void json_open(JsonWriter *w, const char *key, char bracket) {
        json_lead_in(w, key);
        strbuf_append_bytes(w->out, &bracket, 1);
        w->needs_comma = false;
}

void json_close(JsonWriter *w, char bracket) {
        strbuf_append_bytes(w->out, &bracket, 1);
        w->needs_comma = true;
}

void json_string(JsonWriter *w, const char *key, const char *value) {
        json_lead_in(w, key);
        json_quote(w->out, value);
}

void json_bool(JsonWriter *w, const char *key, bool value) {
        json_lead_in(w, key);
        strbuf_append(w->out, value ? "true" : "false");
}

void json_unsigned(JsonWriter *w, const char *key, uint64_t value) {
        char digits[20], *p = digits + sizeof(digits);

        json_lead_in(w, key);
        do {
                *--p = (char) ('0' + value % 10);
                value /= 10;
        } while (value > 0);
        strbuf_append_bytes(w->out, p, (size_t) (digits + sizeof(digits) - p));
}

void json_number(JsonWriter *w, const char *key, const char *format, ...) {
        va_list ap;

        json_lead_in(w, key);
        va_start(ap, format);
        strbuf_vprintf(w->out, format, ap);
        va_end(ap);
}
