/* SPDX-License-Identifier: MIT */
#include "check/push-report.h"

#include <errno.h>
#include <inttypes.h>

#include "base/parse.h"
#include "base/text.h"
#include "model/perfdata.h"

/* The lines of a report, taken apart. All point into it. */
typedef struct Text {
        const char *bytes; /* NULL: there is none */
        size_t n;
} Text;

typedef enum Key {
        KEY_CHECK,
        KEY_STATE,
        KEY_STATUS,
        KEY_AT,
        KEY_BOOTTIME,
        KEY_INVOCATION,
        KEY_COUNT_,
} Key;

static const char *const key_words[KEY_COUNT_] = {
        [KEY_CHECK] = "CHECK", [KEY_STATE] = "STATE",       [KEY_STATUS] = "STATUS",
        [KEY_AT] = "AT",       [KEY_BOOTTIME] = "BOOTTIME", [KEY_INVOCATION] = "INVOCATION",
};

#define VALUE_WORD "VALUE"

typedef struct Parts {
        Text keys[KEY_COUNT_];
        Text values[RESULT_VALUES_MAX];
        size_t n_values;
} Parts;

static bool text_is(Text t, const char *word) {
        return t.bytes && t.n == strlen(word) && memcmp(t.bytes, word, t.n) == 0;
}

/* The text as a string of at most size - 1 bytes. */
static int text_copy(Text t, char *buf, size_t size) {
        if (!t.bytes || t.n >= size)
                return -EINVAL;
        memcpy(buf, t.bytes, t.n);
        buf[t.n] = 0;
        return 0;
}

static int refuse(char why[static PUSH_WHY_MAX], const char *format, ...) _printf_(2, 3);

static int refuse(char why[static PUSH_WHY_MAX], const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        vsnprintf(why, PUSH_WHY_MAX, format, ap);
        va_end(ap);
        return -EINVAL;
}

static int take_line(Parts *p, Text name, Text value, bool is_kept, char why[static PUSH_WHY_MAX]) {
        if (text_is(name, VALUE_WORD)) {
                if (p->n_values >= ELEMENTSOF(p->values))
                        return refuse(why, "more than %d values", RESULT_VALUES_MAX);
                p->values[p->n_values++] = value;
                return 0;
        }
        for (Key k = 0; k < (is_kept ? KEY_COUNT_ : KEY_AT); k++) {
                if (!text_is(name, key_words[k]))
                        continue;
                if (p->keys[k].bytes)
                        return refuse(why, "%s= stands twice", key_words[k]);
                p->keys[k] = value;
        }
        return 0;
}

static int take_apart(Parts *p, const char *bytes, size_t n, bool is_kept,
                      char why[static PUSH_WHY_MAX]) {
        const char *end = bytes + n;
        unsigned n_lines = 0;

        while (bytes < end) {
                const char *stop = memchr(bytes, '\n', (size_t) (end - bytes)), *equals;
                int r;

                stop = stop ? stop : end;
                equals = memchr(bytes, '=', (size_t) (stop - bytes));
                if (++n_lines > PUSH_LINES_MAX)
                        return refuse(why, "more than %d lines", PUSH_LINES_MAX);
                if (stop > bytes && (!equals || equals == bytes))
                        return refuse(why, "a line is not KEY=VALUE");
                r = stop == bytes ? 0
                                  : take_line(p, (Text){ bytes, (size_t) (equals - bytes) },
                                              (Text){ equals + 1, (size_t) (stop - equals - 1) },
                                              is_kept, why);
                if (r < 0)
                        return r;
                bytes = stop + 1;
        }
        return 0;
}

/* -- what the lines mean ----------------------------------------------------------------------- */

int push_result(Result *ret, const char *state, const char *message) {
        if (str_equal(state, "pass"))
                result_pass(ret, "%s", message);
        else if (str_equal(state, "warn"))
                result_warn(ret, REASON_STATUS, "%s", message);
        else if (str_equal(state, "fail"))
                result_fail(ret, REASON_STATUS, "%s", message);
        else
                return -EINVAL;
        return 0;
}

static int take_check(const Parts *p, PushReport *ret, char why[static PUSH_WHY_MAX]) {
        char service[CHECK_ID_MAX] = "default";
        const char *slash;

        if (!p->keys[KEY_CHECK].bytes)
                return refuse(why, "CHECK= is missing");
        if (text_copy(p->keys[KEY_CHECK], ret->check, sizeof(ret->check)) < 0)
                return refuse(why, "CHECK= is too long");
        slash = strchr(ret->check, '/');
        if (slash)
                snprintf(service, sizeof(service), "%.*s", (int) (slash - ret->check), ret->check);
        if (!name_is_valid(service) || !name_is_valid(slash ? slash + 1 : ret->check))
                return refuse(why, "CHECK= is not SERVICE/CHECK");
        return 0;
}

static int take_state(const Parts *p, PushReport *ret, char why[static PUSH_WHY_MAX]) {
        char state[8] = "", message[RESULT_MESSAGE_MAX] = "";
        Text status = p->keys[KEY_STATUS];

        (void) text_copy(p->keys[KEY_STATE], state, sizeof(state));
        if (status.bytes)
                text_sanitize(message, sizeof(message), status.bytes, status.n);
        if (push_result(&ret->result, state, message) < 0)
                return refuse(why, "STATE= must be pass, warn or fail");
        return 0;
}

static int take_values(const Parts *p, PushReport *ret, char why[static PUSH_WHY_MAX]) {
        for (size_t i = 0; i < p->n_values; i++) {
                size_t n_before = ret->result.n_values;

                if (perfdata_parse_strict(p->values[i].bytes, p->values[i].n, &ret->result) < 0 ||
                    ret->result.n_values != n_before + 1)
                        return refuse(why, "VALUE= must be NAME=NUMBER[UNIT], each name once");
        }
        return 0;
}

static int parts_read(const Parts *p, PushReport *ret, char why[static PUSH_WHY_MAX]) {
        int r;

        *ret = (PushReport){};
        r = take_check(p, ret, why);
        if (r >= 0)
                r = take_state(p, ret, why);
        return r < 0 ? r : take_values(p, ret, why);
}

int push_report_parse(const char *bytes, size_t n, PushReport *ret, char why[static PUSH_WHY_MAX]) {
        Parts p = {};
        int r;

        /* Some count the NUL of their string in. */
        n -= n > 0 && bytes[n - 1] == 0;
        if (memchr(bytes, 0, n) || !utf8_is_valid(bytes, n))
                return refuse(why, "it is not text in UTF-8");
        r = take_apart(&p, bytes, n, false, why);
        if (r < 0)
                return r;
        if (!p.keys[KEY_CHECK].bytes && !p.keys[KEY_STATE].bytes)
                return -ENOMSG;
        return parts_read(&p, ret, why);
}

/* -- kept reports ------------------------------------------------------------------------------ */

static int take_time(Text t, usec_t *ret) {
        char digits[24];

        return text_copy(t, digits, sizeof(digits)) < 0 ? -EINVAL : parse_uint64(digits, ret);
}

int push_report_parse_kept(const char *bytes, size_t n, PushReport *ret) {
        char why[PUSH_WHY_MAX];
        Parts p = {};

        if (!utf8_is_valid(bytes, n) || memchr(bytes, 0, n) ||
            take_apart(&p, bytes, n, true, why) < 0 || parts_read(&p, ret, why) < 0 ||
            take_time(p.keys[KEY_AT], &ret->realtime) < 0 ||
            take_time(p.keys[KEY_BOOTTIME], &ret->boottime) < 0 ||
            text_copy(p.keys[KEY_INVOCATION], ret->invocation, sizeof(ret->invocation)) < 0)
                return -EINVAL;
        return 0;
}

void push_report_format_kept(StrBuf *b, const PushReport *r) {
        strbuf_printf(b, "CHECK=%s\nSTATE=%s\n", r->check, outcome_to_string(r->result.outcome));
        if (*r->result.message)
                strbuf_printf(b, "STATUS=%s\n", r->result.message);
        for (size_t i = 0; i < r->result.n_values; i++) {
                const Value *v = &r->result.values[i];

                strbuf_printf(b, "VALUE=%s=%.17g%s\n", v->name, v->number, v->unit);
        }
        strbuf_printf(b, "AT=%" PRIu64 "\nBOOTTIME=%" PRIu64 "\nINVOCATION=%s\n", r->realtime,
                      r->boottime, r->invocation);
}
