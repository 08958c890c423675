/* SPDX-License-Identifier: MIT */
#include "model/diagnostics.h"

#include <string.h>

#include "base/strbuf.h"

void diagnostics_done(Diagnostics *d) {
        for (size_t i = 0; i < d->n; i++) {
                free(d->items[i].file);
                free(d->items[i].text);
        }
        free(d->items);
        *d = (Diagnostics){};
}

/* Sizes 1, 2, 4, 8, ...: room for one more is made when n is such a size. */
static bool diagnostics_reserve(Diagnostics *d) {
        Diagnostic *items;

        if (d->n & (d->n - 1))
                return true;
        items = reallocarray(d->items, MAX(d->n * 2, (size_t) 1), sizeof(Diagnostic));
        if (!items)
                return false;
        d->items = items;
        return true;
}

void diagnostics_add(Diagnostics *d, const char *file, unsigned line, const char *format, ...) {
        _cleanup_strbuf_ StrBuf b = {};
        Diagnostic new = { .line = line };
        va_list ap;

        va_start(ap, format);
        strbuf_vprintf(&b, format, ap);
        va_end(ap);
        new.file = strdup(file);
        if (d->n >= DIAGNOSTICS_MAX || !new.file || strbuf_finish(&b, &new.text) < 0 ||
            !diagnostics_reserve(d)) {
                free(new.file);
                free(new.text);
                d->n_left_out++;
                return;
        }
        d->items[d->n++] = new;
}

void diagnostic_format(const Diagnostic *d, StrBuf *out) {
        if (d->line > 0)
                strbuf_printf(out, "%s:%u: %s", d->file, d->line, d->text);
        else
                strbuf_printf(out, "%s: %s", d->file, d->text);
}

int diagnostics_format(const Diagnostics *d, char **ret) {
        _cleanup_strbuf_ StrBuf b = {};

        for (size_t i = 0; i < d->n; i++) {
                diagnostic_format(&d->items[i], &b);
                strbuf_append(&b, "\n");
        }
        if (d->n_left_out > 0)
                strbuf_printf(&b, "%zu more faults are not listed\n", d->n_left_out);
        return strbuf_finish(&b, ret);
}
