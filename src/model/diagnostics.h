/* SPDX-License-Identifier: MIT */
#pragma once

/* All that is wrong with a load of the configuration, in the order found. */

#include "base/strbuf.h"

typedef struct Diagnostic {
        char *file;    /* owned */
        unsigned line; /* from 1; 0: the file as a whole */
        char *text;    /* owned: a sentence that names the key and says what to write instead */
} Diagnostic;

#define DIAGNOSTICS_MAX 200

typedef struct Diagnostics {
        Diagnostic *items; /* owned */
        size_t n;
        size_t n_left_out; /* beyond DIAGNOSTICS_MAX, or for lack of memory; never lost silently */
} Diagnostics;

void diagnostics_done(Diagnostics *d);

void diagnostics_add(Diagnostics *d, const char *file, unsigned line, const char *format, ...)
        _printf_(4, 5);

static inline bool diagnostics_is_empty(const Diagnostics *d) {
        return d->n == 0 && d->n_left_out == 0;
}

/* "FILE:LINE: text", without a line end. */
void diagnostic_format(const Diagnostic *d, StrBuf *out);

/* "FILE:LINE: text" lines and the number of those left out, the caller's to free; -ENOMEM. */
int diagnostics_format(const Diagnostics *d, char **ret);
