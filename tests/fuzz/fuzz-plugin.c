/* SPDX-License-Identifier: MIT */

/* What a plug-in prints, and a command line: whatever the bytes, results are fit to show and no
 * name stands twice, and a line of words that were split can be put together again. The first byte
 * is the exit status. */

#include "fuzz.h"

#include <math.h>

#include "base/strbuf.h"
#include "base/text.h"
#include "check/command-line.h"
#include "check/plugin-verdict.h"

static void check_shown(const char *s) {
        FUZZ_ASSERT(utf8_is_valid(s, strlen(s)));
        for (; *s; s++)
                FUZZ_ASSERT((unsigned char) *s >= 0x20 && *s != 0x7f);
}

static void check_result(const Result *r) {
        check_shown(r->message);
        check_shown(r->detail);
        FUZZ_ASSERT(r->n_values <= RESULT_VALUES_MAX);
        for (size_t i = 0; i < r->n_values; i++) {
                check_shown(r->values[i].unit);
                FUZZ_ASSERT(isfinite(r->values[i].number) && *r->values[i].name);
                FUZZ_ASSERT(strspn(r->values[i].name,
                                   "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                   "0123456789_./-") == strlen(r->values[i].name));
                for (size_t k = 0; k < i; k++)
                        FUZZ_ASSERT(!str_equal(r->values[i].name, r->values[k].name));
        }
}

static void check_output(const uint8_t *data, size_t size) {
        Result r;

        plugin_judge(&r, &(ProcessEnd){ .is_signal = size > 0 && data[0] & 0x80,
                                        .code = size > 0 ? data[0] & 0x7f : 0,
                                        .output = (const char *) data + (size > 0),
                                        .n_output = size - (size > 0),
                                        .errors = (const char *) data,
                                        .n_errors = size });
        check_result(&r);
}

static void check_command_line(const char *line) {
        _cleanup_strv_ char **words = NULL, **again = NULL;
        _cleanup_strbuf_ StrBuf b = {};
        const char *why = NULL;

        if (command_line_split(line, &words, &why) < 0) {
                FUZZ_ASSERT(why && *why && !words);
                return;
        }
        STRV_FOREACH(word, words) {
                strbuf_append(&b, "\"");
                for (const char *p = *word; *p; p++)
                        strbuf_printf(&b, "\\x%02x", (unsigned char) *p);
                strbuf_append(&b, "\" ");
        }
        FUZZ_ASSERT(command_line_split(b.text ? b.text : "", &again, &why) == 0);
        FUZZ_ASSERT(strv_equal(words, again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        char *line = strndup((const char *) data, size);

        FUZZ_ASSERT(line);
        check_output(data, size);
        check_command_line(line);
        free(line);
        return 0;
}
