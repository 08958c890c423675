/* SPDX-License-Identifier: MIT */
#include "check/status-set.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#include "base/text.h"

bool status_set_has(const StatusSet *s, long status) {
        size_t i = (size_t) (status - HTTP_STATUS_MIN);

        return status >= HTTP_STATUS_MIN && status <= HTTP_STATUS_MAX &&
               s->bits[i / 8] & 1U << i % 8;
}

static void status_set_add(StatusSet *s, unsigned status) {
        size_t i = status - HTTP_STATUS_MIN;

        s->bits[i / 8] |= (uint8_t) (1U << i % 8);
}

/* Exactly three digits, "200". */
static int status_parse(const char *s, unsigned *ret) {
        unsigned v = 0;

        for (size_t i = 0; i < 3; i++) {
                if (!isdigit((unsigned char) s[i]))
                        return -EINVAL;
                v = v * 10 + (unsigned) (s[i] - '0');
        }
        if (v < HTTP_STATUS_MIN || v > HTTP_STATUS_MAX)
                return -ERANGE;
        *ret = v;
        return 0;
}

/* "200" or "200-299", n bytes long. */
static int status_range_parse(const char *s, size_t n, unsigned *ret_first, unsigned *ret_last) {
        int r;

        if (n != 3 && !(n == 7 && s[3] == '-'))
                return -EINVAL;
        r = status_parse(s, ret_first);
        if (r < 0)
                return r;
        r = status_parse(s + n - 3, ret_last);
        if (r < 0)
                return r;
        return *ret_first <= *ret_last ? 0 : -EINVAL;
}

static int status_set_parse(const Option *o _unused_, const char *value, void *field,
                            char why[static OPTION_WHY_MAX]) {
        StatusSet *set = field, parsed = *set;
        char shown[OPTION_VALUE_SHOWN_MAX];

        for (const char *p = value; *p; p += strspn(p, " \t")) {
                size_t n = strcspn(p, " \t");
                unsigned first, last;
                int r;

                r = status_range_parse(p, n, &first, &last);
                if (r < 0) {
                        snprintf(why, OPTION_WHY_MAX,
                                 "\"%s\" is not a status code from %d to %d or a range of them",
                                 text_sanitize(shown, sizeof(shown), p, n), HTTP_STATUS_MIN,
                                 HTTP_STATUS_MAX);
                        return r;
                }
                for (unsigned i = first; i <= last; i++)
                        status_set_add(&parsed, i);
                p += n;
        }
        *set = parsed;
        return 0;
}

static void status_set_canonical(const Option *o _unused_, const void *field, StrBuf *out) {
        for (long i = HTTP_STATUS_MIN; i <= HTTP_STATUS_MAX; i++)
                if (status_set_has(field, i))
                        strbuf_printf(out, " %ld", i);
}

const OptionType option_status_set = {
        .expected = "status codes and ranges of them, such as 200-299 401",
        .is_list = true,
        .parse = status_set_parse,
        .canonical = status_set_canonical,
        .size = sizeof(StatusSet),
};
