/* SPDX-License-Identifier: MIT */
#include "model/option.h"

#include <errno.h>
#include <limits.h>

#include "base/text.h"

static void *option_field(const Option *o, void *settings) {
        return (char *) settings + o->offset;
}

/* How a parser says no: names the value, unless it did so itself. */
static int option_parse(const Option *o, const char *value, void *field,
                        char why[static OPTION_WHY_MAX]) {
        char shown[OPTION_VALUE_SHOWN_MAX];
        int r;

        why[0] = 0;
        r = o->type->parse(o, value, field, why);
        if ((r == -EINVAL || r == -ERANGE) && !why[0])
                snprintf(why, OPTION_WHY_MAX, "\"%s\" is not %s", option_show(shown, value),
                         o->type->expected);
        return r;
}

/* Parsed aside, so that what was there before stays when the text is bad. */
static int option_replace(const Option *o, const char *value, void *field,
                          char why[static OPTION_WHY_MAX]) {
        _cleanup_free_ void *parsed = NULL;
        int r;

        parsed = calloc(1, o->type->size);
        if (!parsed)
                return -ENOMEM;
        r = option_parse(o, value, parsed, why);
        if (r < 0)
                return r;
        if (o->type->clear)
                o->type->clear(field);
        memcpy(field, parsed, o->type->size);
        return 0;
}

/* Where a password seems to begin: behind that word, or after the colon in "user:pw@host". */
static const char *password_find(const char *value) {
        const char *at = strrchr(value, '@'), *password = strcasestr(value, "password");
        const char *user = strstr(value, "://"), *colon;

        if (password)
                return password + strcspn(password, "=: ");
        if (!at)
                return NULL;
        colon = strchr(user && user < at ? user + 3 : value, ':');
        return colon && colon < at ? colon + 1 : NULL;
}

const char *option_show(char buf[static OPTION_VALUE_SHOWN_MAX], const char *value) {
        const char *password = password_find(value);
        size_t n = password ? (size_t) (password - value) : strlen(value);

        text_sanitize(buf, OPTION_VALUE_SHOWN_MAX - strlen("***"), value, n);
        return password ? strcat(buf, "***") : buf;
}

void option_clear(const Option *o, void *settings) {
        void *field = option_field(o, settings);

        if (o->type->clear)
                o->type->clear(field);
        else
                memset(field, 0, o->type->size);
}

const Option *schema_find(const Schema *s, const char *key) {
        for (size_t i = 0; i < s->n; i++)
                if (str_equal(s->options[i].key, key))
                        return &s->options[i];
        return NULL;
}

const char *schema_nearest(const Schema *s, const char *key) {
        unsigned best = UINT_MAX;
        const char *nearest = NULL;

        for (size_t i = 0; i < s->n; i++) {
                unsigned distance = typo_distance(key, s->options[i].key);

                if (distance < best) {
                        best = distance;
                        nearest = s->options[i].key;
                }
        }
        return nearest;
}

int schema_init(const Schema *s, void *settings) {
        char why[OPTION_WHY_MAX];
        int r;

        for (size_t i = 0; i < s->n; i++)
                memset(option_field(&s->options[i], settings), 0, s->options[i].type->size);
        for (size_t i = 0; i < s->n; i++) {
                r = schema_set(s, settings, &s->options[i], "", why);
                assert(r == 0 || r == -ENOMEM);
                if (r < 0) {
                        schema_clear(s, settings);
                        return r;
                }
        }
        return 0;
}

void schema_clear(const Schema *s, void *settings) {
        for (size_t i = 0; i < s->n; i++)
                option_clear(&s->options[i], settings);
}

int schema_set(const Schema *s, void *settings, const Option *o, const char *value,
               char why[static OPTION_WHY_MAX]) {
        void *field = option_field(o, settings);

        assert(o >= s->options && o < s->options + s->n);
        if (!*value) {
                option_clear(o, settings);
                if (!o->fallback)
                        return 0;
                value = o->fallback;
        }
        return o->type->is_list ? option_parse(o, value, field, why)
                                : option_replace(o, value, field, why);
}

int schema_resolve(const Schema *s, void *settings, CredentialLookup lookup, void *userdata,
                   char why[static OPTION_WHY_MAX]) {
        int r;

        for (size_t i = 0; i < s->n; i++) {
                const Option *o = &s->options[i];

                if (!o->type->resolve)
                        continue;
                r = o->type->resolve(option_field(o, settings), lookup, userdata, why);
                if (r < 0)
                        return r;
        }
        return 0;
}

void schema_hide_secrets(const Schema *s, const void *settings, char *text) {
        for (size_t i = 0; i < s->n; i++) {
                const Option *o = &s->options[i];

                if (o->type->hide)
                        o->type->hide((const char *) settings + o->offset, text);
        }
}

void schema_canonical(const Schema *s, const void *settings, StrBuf *out) {
        for (size_t i = 0; i < s->n; i++) {
                const Option *o = &s->options[i];

                strbuf_printf(out, "%s=", o->key);
                o->type->canonical(o, (const char *) settings + o->offset, out);
                strbuf_append(out, "\n");
        }
}
