/* SPDX-License-Identifier: MIT */
#include "model/option.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>

#include "base/address.h"
#include "base/parse.h"
#include "base/text.h"

/* Leaves room for a name among the 255 bytes that a unit may have. */
#define UNIT_PATTERN_MAX 190

/* -- texts ------------------------------------------------------------------------------------- */

static void string_clear(void *field) {
        char **s = field;

        free(*s);
        *s = NULL;
}

static void string_canonical(const Option *o _unused_, const void *field, StrBuf *out) {
        const char *const *s = field;

        if (*s)
                strbuf_append(out, *s);
}

static int string_set(char **s, const char *value) {
        *s = strdup(value);
        return *s ? 0 : -ENOMEM;
}

static int string_parse(const Option *o _unused_, const char *value, void *field,
                        char why[static OPTION_WHY_MAX] _unused_) {
        return string_set(field, value);
}

static int strv_parse(const Option *o _unused_, const char *value, void *field,
                      char why[static OPTION_WHY_MAX] _unused_) {
        return strv_append(field, value);
}

static void strv_clear(void *field) {
        char ***l = field;

        *l = strv_free(*l);
}

static void strv_canonical(const Option *o _unused_, const void *field, StrBuf *out) {
        char *const *const *l = field;

        STRV_FOREACH(s, *l) {
                strbuf_append(out, *s);
                strbuf_append(out, "\n");
        }
}

/* Drops "." and doubled slashes. */
static int path_parse(const Option *o _unused_, const char *value, void *field,
                      char why[static OPTION_WHY_MAX]) {
        _cleanup_strbuf_ StrBuf b = {};

        if (value[0] != '/' || strlen(value) >= PATH_MAX)
                return -EINVAL;
        for (const char *p = value; *p;) {
                size_t n = strcspn(p, "/");

                if (n == 2 && strncmp(p, "..", n) == 0) {
                        snprintf(why, OPTION_WHY_MAX, "a path with \"..\" is not accepted");
                        return -EINVAL;
                }
                if (n > 0 && !(n == 1 && *p == '.')) {
                        strbuf_append(&b, "/");
                        strbuf_append_bytes(&b, p, n);
                }
                p += n;
                p += strspn(p, "/");
        }
        if (b.length == 0)
                strbuf_append(&b, "/");
        return strbuf_finish(&b, field);
}

static int paths_parse(const Option *o, const char *value, void *field,
                       char why[static OPTION_WHY_MAX]) {
        _cleanup_free_ char *path = NULL;
        int r;

        r = path_parse(o, value, &path, why);
        return r < 0 ? r : strv_append(field, path);
}

static int unit_parse(const Option *o _unused_, const char *value, void *field,
                      char why[static OPTION_WHY_MAX] _unused_) {
        static const char *const suffixes[] = {
                ".service", ".socket", ".target", ".device", ".mount", ".automount",
                ".swap",    ".timer",  ".path",   ".slice",  ".scope",
        };
        const char *suffix = strrchr(value, '.'), *at = strchr(value, '@');
        const char *allowed =
                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_.\\@-";

        if (!suffix || suffix == value || strlen(value) > 255 ||
            strspn(value, allowed) != strlen(value))
                return -EINVAL;
        /* A template is no unit, its instances are. */
        if (at && at + 1 == suffix)
                return -EINVAL;
        for (size_t i = 0; i < ELEMENTSOF(suffixes); i++)
                if (str_equal(suffix, suffixes[i]))
                        return string_set(field, value);
        return -EINVAL;
}

/* One place for a name, in the instance of a template or anywhere else. */
static int unit_pattern_parse(const Option *o, const char *value, void *field,
                              char why[static OPTION_WHY_MAX]) {
        _cleanup_free_ char *unit = NULL, *example = strdup(value);
        char *at = example ? strstr(example, "%s") : NULL;
        int r;

        if (!example)
                return -ENOMEM;
        if (!at || strlen(value) > UNIT_PATTERN_MAX)
                return -EINVAL;
        memcpy(at, "aa", 2);
        r = unit_parse(o, example, &unit, why);
        return r < 0 ? r : string_set(field, value);
}

static int units_parse(const Option *o, const char *value, void *field,
                       char why[static OPTION_WHY_MAX]) {
        _cleanup_free_ char *unit = NULL;
        int r;

        r = unit_parse(o, value, &unit, why);
        return r < 0 ? r : strv_append(field, unit);
}

/* -- numbers ----------------------------------------------------------------------------------- */

static int bool_parse(const Option *o _unused_, const char *value, void *field,
                      char why[static OPTION_WHY_MAX] _unused_) {
        return parse_bool(value, field);
}

static void bool_canonical(const Option *o _unused_, const void *field, StrBuf *out) {
        const bool *b = field;

        strbuf_append(out, *b ? "yes" : "no");
}

static int unsigned_parse(const Option *o, const char *value, void *field,
                          char why[static OPTION_WHY_MAX]) {
        char shown[OPTION_VALUE_SHOWN_MAX];
        uint64_t v;
        int r;

        r = parse_uint64(value, &v);
        if (r == -EINVAL)
                return r;
        if (r == 0 && (o->max == 0 || (v >= o->min && v <= o->max))) {
                *(uint64_t *) field = v;
                return 0;
        }
        snprintf(why, OPTION_WHY_MAX, "\"%s\" is not from %" PRIu64 " to %" PRIu64,
                 option_show(shown, value), o->min, o->max > 0 ? o->max : UINT64_MAX);
        return -ERANGE;
}

static void unsigned_canonical(const Option *o _unused_, const void *field, StrBuf *out) {
        strbuf_printf(out, "%" PRIu64, *(const uint64_t *) field);
}

static int timespan_option_parse(const Option *o, const char *value, void *field,
                                 char why[static OPTION_WHY_MAX]) {
        char shown[OPTION_VALUE_SHOWN_MAX], min[TIMESPAN_MAX], max[TIMESPAN_MAX];
        usec_t v;
        int r;

        r = timespan_parse(value, USEC_PER_SEC, &v);
        if (r == -EINVAL)
                return r;
        if (r == 0 && (o->max == 0 || (v >= o->min && v <= o->max))) {
                *(usec_t *) field = v;
                return 0;
        }
        if (o->max == 0)
                snprintf(why, OPTION_WHY_MAX, "\"%s\" is too long", option_show(shown, value));
        else if (o->max == USEC_INFINITY)
                snprintf(why, OPTION_WHY_MAX, "\"%s\" is not at least %s",
                         option_show(shown, value), timespan_format(min, o->min));
        else
                snprintf(why, OPTION_WHY_MAX, "\"%s\" is not from %s to %s",
                         option_show(shown, value), timespan_format(min, o->min),
                         timespan_format(max, o->max));
        return -ERANGE;
}

static int size_option_parse(const Option *o, const char *value, void *field,
                             char why[static OPTION_WHY_MAX]) {
        char shown[OPTION_VALUE_SHOWN_MAX];
        uint64_t v;
        int r;

        r = parse_size(value, &v);
        if (r == -EINVAL)
                return r;
        if (r == 0 && (o->max == 0 || (v >= o->min && v <= o->max))) {
                *(uint64_t *) field = v;
                return 0;
        }
        snprintf(why, OPTION_WHY_MAX, "\"%s\" is not from %" PRIu64 " to %" PRIu64 " bytes",
                 option_show(shown, value), o->min, o->max > 0 ? o->max : UINT64_MAX);
        return -ERANGE;
}

static int amount_parse(const Option *o _unused_, const char *value, void *field,
                        char why[static OPTION_WHY_MAX] _unused_) {
        Amount *a = field;
        int r;

        if (strchr(value, '%'))
                r = parse_percent(value, &a->millionths);
        else
                r = parse_size(value, &a->bytes);
        a->is_set = r == 0;
        return r;
}

static void amount_canonical(const Option *o _unused_, const void *field, StrBuf *out) {
        const Amount *a = field;

        if (a->is_set)
                strbuf_printf(out, "%" PRIu64 "+%" PRIu32 "ppm", a->bytes, a->millionths);
}

uint64_t amount_of(const Amount *a, uint64_t whole) {
        if (a->millionths == 0)
                return a->bytes;
        return whole / 1000000 * a->millionths + whole % 1000000 * a->millionths / 1000000;
}

/* -- words ------------------------------------------------------------------------------------- */

/* The index of the word of n bytes; -EINVAL with why naming all words. */
static int word_find(const Option *o, const char *word, size_t n, unsigned *ret,
                     char why[static OPTION_WHY_MAX]) {
        char shown[OPTION_VALUE_SHOWN_MAX];
        int used;

        for (unsigned i = 0; o->words[i]; i++)
                if (strlen(o->words[i]) == n && strncmp(o->words[i], word, n) == 0) {
                        *ret = i;
                        return 0;
                }
        used = snprintf(why, OPTION_WHY_MAX, "\"%s\" is not one of",
                        text_sanitize(shown, sizeof(shown), word, n));
        for (unsigned i = 0; o->words[i] && used < OPTION_WHY_MAX; i++)
                used += snprintf(why + used, OPTION_WHY_MAX - (size_t) used, "%s %s",
                                 i == 0 ? "" : ",", o->words[i]);
        return -EINVAL;
}

static int word_parse(const Option *o, const char *value, void *field,
                      char why[static OPTION_WHY_MAX]) {
        return word_find(o, value, strlen(value), field, why);
}

static void word_canonical(const Option *o, const void *field, StrBuf *out) {
        strbuf_append(out, o->words[*(const unsigned *) field]);
}

static int words_parse(const Option *o, const char *value, void *field,
                       char why[static OPTION_WHY_MAX]) {
        unsigned *mask = field, found = 0, i;
        int r;

        for (const char *p = value + strspn(value, " \t"); *p; p += strspn(p, " \t")) {
                size_t n = strcspn(p, " \t");

                r = word_find(o, p, n, &i, why);
                if (r < 0)
                        return r;
                found |= 1U << i;
                p += n;
        }
        *mask |= found;
        return 0;
}

static void words_canonical(const Option *o, const void *field, StrBuf *out) {
        for (unsigned i = 0; o->words[i]; i++)
                if (*(const unsigned *) field & 1U << i)
                        strbuf_printf(out, " %s", o->words[i]);
}

/* -- addresses --------------------------------------------------------------------------------- */

static int address_option_parse(const Option *o, const char *value, void *field,
                                char why[static OPTION_WHY_MAX]) {
        char shown[OPTION_VALUE_SHOWN_MAX];
        const char *error;
        int r;

        r = address_parse(value, (uint16_t) o->min, field, &error);
        if (r < 0)
                snprintf(why, OPTION_WHY_MAX, "\"%s\": %s", option_show(shown, value), error);
        return r;
}

static void address_canonical(const Option *o _unused_, const void *field, StrBuf *out) {
        char buf[ADDRESS_TEXT_MAX];
        const Address *a = field;

        if (a->name[0] || a->port > 0)
                strbuf_append(out, address_format(buf, a));
}

/* -- the table --------------------------------------------------------------------------------- */

const OptionType option_string = {
        .expected = "a text",
        .parse = string_parse,
        .clear = string_clear,
        .canonical = string_canonical,
        .size = sizeof(char *),
};

const OptionType option_strv = {
        .expected = "a text",
        .is_list = true,
        .parse = strv_parse,
        .clear = strv_clear,
        .canonical = strv_canonical,
        .size = sizeof(char **),
};

const OptionType option_bool = {
        .expected = "yes or no",
        .parse = bool_parse,
        .canonical = bool_canonical,
        .size = sizeof(bool),
};

const OptionType option_unsigned = {
        .expected = "a whole number",
        .parse = unsigned_parse,
        .canonical = unsigned_canonical,
        .size = sizeof(uint64_t),
};

const OptionType option_timespan = {
        .expected = "a time span such as 5s or 1min 30s",
        .parse = timespan_option_parse,
        .canonical = unsigned_canonical,
        .size = sizeof(usec_t),
};

const OptionType option_size = {
        .expected = "a size in bytes such as 64K or 1G",
        .parse = size_option_parse,
        .canonical = unsigned_canonical,
        .size = sizeof(uint64_t),
};

const OptionType option_amount = {
        .expected = "a size such as 1G or a share such as 10%",
        .parse = amount_parse,
        .canonical = amount_canonical,
        .size = sizeof(Amount),
};

const OptionType option_word = {
        .expected = "one of the known words",
        .parse = word_parse,
        .canonical = word_canonical,
        .size = sizeof(unsigned),
};

const OptionType option_words = {
        .expected = "a list of the known words",
        .is_list = true,
        .parse = words_parse,
        .canonical = words_canonical,
        .size = sizeof(unsigned),
};

const OptionType option_path = {
        .expected = "an absolute path",
        .parse = path_parse,
        .clear = string_clear,
        .canonical = string_canonical,
        .size = sizeof(char *),
};

const OptionType option_paths = {
        .expected = "an absolute path",
        .is_list = true,
        .parse = paths_parse,
        .clear = strv_clear,
        .canonical = strv_canonical,
        .size = sizeof(char **),
};

const OptionType option_address = {
        .expected = "HOST:PORT, [IPV6]:PORT or an absolute path",
        .parse = address_option_parse,
        .canonical = address_canonical,
        .size = sizeof(Address),
};

const OptionType option_unit = {
        .expected = "a unit's name with its suffix, such as orders.service",
        .parse = unit_parse,
        .clear = string_clear,
        .canonical = string_canonical,
        .size = sizeof(char *),
};

const OptionType option_unit_pattern = {
        .expected = "a unit's name with %s in it, such as vitald-alert@%s.service",
        .parse = unit_pattern_parse,
        .clear = string_clear,
        .canonical = string_canonical,
        .size = sizeof(char *),
};

const OptionType option_units = {
        .expected = "a unit's name with its suffix, such as orders.service",
        .is_list = true,
        .parse = units_parse,
        .clear = strv_clear,
        .canonical = strv_canonical,
        .size = sizeof(char **),
};
