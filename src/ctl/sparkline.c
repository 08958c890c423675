/* SPDX-License-Identifier: MIT */
#include "ctl/sparkline.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

static const char *const bars[] = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
static const char *const plain_bars[] = { "_", ".", "-", "~", "=", "+", "*", "#" };

/* By the locale's variables in their order, as setlocale() would. */
static bool is_utf8(void) {
        static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                const char *value = getenv(names[i]);

                if (!str_is_empty(value))
                        return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
        }
        return false;
}

void sparkline_append(StrBuf *b, const Screen *s, const SparkPoint points[], size_t n) {
        const char *const *set = is_utf8() ? bars : plain_bars;
        uint64_t largest = 1;

        for (size_t i = 0; i < n; i++)
                if (!points[i].is_bad)
                        largest = MAX(largest, points[i].value);
        for (size_t i = 0; i < n; i++) {
                double share = (double) points[i].value / (double) largest;

                if (points[i].is_bad)
                        strbuf_printf(b, "%sx%s", tone_begin(s, TONE_BAD), tone_end(s, TONE_BAD));
                else
                        strbuf_append(b, set[(size_t) (share * (ELEMENTSOF(bars) - 1))]);
        }
}
