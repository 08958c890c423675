/* SPDX-License-Identifier: MIT */
#include "io/json-tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "base/text.h"

/* json-c 0.16 brings its own parser, which dereferences NULL where it has no memory for a name. So
 * the tree is made here, of a text that json_scan() has found good, and nothing is looked for
 * twice.
 */
typedef struct Builder {
        const char *at, *end;
        json_object *root;                 /* owned */
        json_object *open[JSON_DEPTH_MAX]; /* borrowed: what is open at present, of the root */
        size_t depth;
        StrBuf name; /* of the next value, where that is in an object */
        StrBuf text; /* the latest string or number */
} Builder;

static void builder_done(Builder *b) {
        json_object_put(b->root);
        strbuf_done(&b->name);
        strbuf_done(&b->text);
}

/* The first byte of the next value, name or closing bracket. */
static char next(Builder *b) {
        while (memchr(" \t\r\n,:", *b->at, 6))
                b->at++;
        return *b->at;
}

static bool is_in_object(const Builder *b) {
        return b->depth > 0 && json_object_is_type(b->open[b->depth - 1], json_type_object);
}

/* Puts a value where it belongs; takes it over. */
static int put(Builder *b, json_object *value) {
        json_object *parent = b->depth > 0 ? b->open[b->depth - 1] : NULL;
        int r = 0;

        if (!parent)
                b->root = value;
        else if (is_in_object(b))
                r = json_object_object_add_ex(parent, b->name.text, value,
                                              JSON_C_OBJECT_ADD_KEY_IS_NEW);
        else
                r = json_object_array_add(parent, value);
        if (r >= 0)
                return 0;
        json_object_put(value);
        return -ENOMEM;
}

static unsigned build_unit(Builder *b) {
        char digits[5] = "";

        memcpy(digits, b->at, 4);
        b->at += 4;
        return (unsigned) strtoul(digits, NULL, 16);
}

/* Behind the backslash. */
static void build_escape(Builder *b, StrBuf *out) {
        static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
        char bytes[UTF8_MAX];
        unsigned rune;

        if (*b->at++ != 'u') {
                strbuf_append_bytes(out, &meanings[strchr(letters, b->at[-1]) - letters], 1);
                return;
        }
        rune = build_unit(b);
        if (rune >= 0xd800 && rune <= 0xdbff) {
                b->at += strlen("\\u");
                rune = 0x10000 + ((rune - 0xd800) << 10) + (build_unit(b) - 0xdc00);
        }
        strbuf_append_bytes(out, bytes, utf8_encode(bytes, rune));
}

static int build_text(Builder *b, StrBuf *out) {
        strbuf_reset(out);
        strbuf_append(out, "");
        b->at++;
        while (*b->at != '"') {
                const char *from = b->at;

                while (*b->at != '"' && *b->at != '\\')
                        b->at++;
                strbuf_append_bytes(out, from, (size_t) (b->at - from));
                if (*b->at == '\\') {
                        b->at++;
                        build_escape(b, out);
                }
        }
        b->at++;
        return out->failed ? -ENOMEM : 0;
}

static int build_string(Builder *b, json_object **ret) {
        int r = build_text(b, &b->text);

        if (r < 0)
                return r;
        *ret = json_object_new_string_len(b->text.text, (int) b->text.length);
        return *ret ? 0 : -ENOMEM;
}

/* One with a fraction is written again as it came. */
static int build_number(Builder *b, json_object **ret) {
        const char *from = b->at;

        while (b->at < b->end && memchr("+-.0123456789Ee", *b->at, 15))
                b->at++;
        strbuf_reset(&b->text);
        strbuf_append_bytes(&b->text, from, (size_t) (b->at - from));
        if (b->text.failed)
                return -ENOMEM;
        if (strpbrk(b->text.text, ".eE"))
                *ret = json_object_new_double_s(strtod(b->text.text, NULL), b->text.text);
        else if (*from == '-' || strtoull(b->text.text, NULL, 10) <= INT64_MAX)
                *ret = json_object_new_int64(strtoll(b->text.text, NULL, 10));
        else
                *ret = json_object_new_uint64(strtoull(b->text.text, NULL, 10));
        return *ret ? 0 : -ENOMEM;
}

/* What is neither object nor array. */
static int build_single(Builder *b, json_object **ret) {
        switch (*b->at) {
        case '"':
                return build_string(b, ret);
        case 't':
        case 'f':
                *ret = json_object_new_boolean(*b->at == 't');
                b->at += *b->at == 't' ? strlen("true") : strlen("false");
                return *ret ? 0 : -ENOMEM;
        case 'n':
                *ret = NULL;
                b->at += strlen("null");
                return 0;
        }
        return build_number(b, ret);
}

static int build_open(Builder *b) {
        json_object *o = *b->at++ == '{' ? json_object_new_object() : json_object_new_array();
        int r;

        if (!o)
                return -ENOMEM;
        r = put(b, o);
        if (r >= 0)
                b->open[b->depth++] = o;
        return r;
}

static int build_value(Builder *b) {
        json_object *value;
        char c = next(b);
        int r;

        if (c == '{' || c == '[')
                return build_open(b);
        r = build_single(b, &value);
        return r < 0 ? r : put(b, value);
}

static int build_all(Builder *b) {
        int r;

        do {
                char c = next(b);

                if (c == '}' || c == ']') {
                        b->at++;
                        b->depth--;
                        continue;
                }
                r = is_in_object(b) ? build_text(b, &b->name) : 0;
                if (r >= 0)
                        r = build_value(b);
                if (r < 0)
                        return r;
        } while (b->depth > 0);
        return 0;
}

int json_tree_parse(const char *text, size_t n, json_object **ret, JsonFault *ret_fault) {
        _cleanup_(builder_done) Builder b = { .at = text, .end = text + n };
        int r;

        if (n >= INT32_MAX) {
                *ret_fault = (JsonFault){ "the text is too long", 1, 1 };
                return -EINVAL;
        }
        r = json_scan(text, n, ret_fault);
        if (r < 0)
                return r;
        *ret_fault = (JsonFault){ "out of memory", 1, 1 };
        r = build_all(&b);
        if (r >= 0)
                *ret = TAKE(b.root);
        return r;
}
