/* SPDX-License-Identifier: MIT */
#include "output/dialect.h"

#include <string.h>
#include <strings.h>

#define DIALECT(name) extern const Dialect name##_dialect;
#include "output/dialects.def"
#undef DIALECT

static const Dialect *const dialects[] = {
#define DIALECT(name) &name##_dialect,
#include "output/dialects.def"
#undef DIALECT
};

/* -- ?format= --------------------------------------------------------------------------------- */

static bool slice_is(HttpSlice s, const char *word) {
        return s.length == strlen(word) && strncasecmp(s.start, word, s.length) == 0;
}

bool dialect_find(HttpSlice name, const Dialect **ret) {
        *ret = NULL;
        for (size_t i = 0; i < ELEMENTSOF(dialects); i++)
                if (slice_is(name, dialects[i]->name)) {
                        *ret = dialects[i];
                        return true;
                }

        return slice_is(name, DIALECT_OWN_NAME);
}

void dialect_append_names(StrBuf *out) {
        strbuf_append(out, DIALECT_OWN_NAME);
        for (size_t i = 0; i < ELEMENTSOF(dialects); i++)
                strbuf_printf(out, " %s", dialects[i]->name);
}

/* -- Accept: ---------------------------------------------------------------------------------- */

static HttpSlice trim(HttpSlice s) {
        while (s.length > 0 && (s.start[0] == ' ' || s.start[0] == '\t')) {
                s.start++;
                s.length--;
        }
        while (s.length > 0 && (s.start[s.length - 1] == ' ' || s.start[s.length - 1] == '\t'))
                s.length--;

        return s;
}

static HttpSlice take_until(HttpSlice *s, char end) {
        const char *at = memchr(s->start, end, s->length);
        HttpSlice taken = { s->start, at ? (size_t) (at - s->start) : s->length };
        size_t used = taken.length + (at ? 1 : 0);

        *s = (HttpSlice){ s->start + used, s->length - used };
        return trim(taken);
}

/* The weight in thousandths, "0.5" or "1.000"; what is none counts as 1. */
static unsigned weight_parse(HttpSlice s) {
        unsigned weight = 0, unit = 100;

        if (s.length == 0 || s.length > 5 || s.start[0] != '0' ||
            (s.length > 1 && s.start[1] != '.'))
                return 1000;
        for (size_t i = 2; i < s.length; i++, unit /= 10) {
                if (s.start[i] < '0' || s.start[i] > '9')
                        return 1000;
                weight += (unsigned) (s.start[i] - '0') * unit;
        }

        return weight;
}

static unsigned parameters_weight(HttpSlice parameters) {
        while (parameters.length > 0) {
                HttpSlice value = take_until(&parameters, ';'), name = take_until(&value, '=');

                if (slice_is(name, "q"))
                        return weight_parse(trim(value));
        }

        return 1000;
}

static const Dialect *media_type_find(HttpSlice type) {
        for (size_t i = 0; i < ELEMENTSOF(dialects); i++)
                for (const char *const *t = dialects[i]->media_types; t && *t; t++)
                        if (slice_is(type, *t))
                                return dialects[i];

        return NULL;
}

/* The heaviest wins, then the first. Plain text is what many libraries list beside JSON without
 * thinking, and a wildcard is no wish. */
const Dialect *dialect_accept(HttpSlice accept) {
        const Dialect *best = NULL;
        unsigned best_rank = 0;

        while (accept.length > 0) {
                HttpSlice parameters = take_until(&accept, ','),
                          type = take_until(&parameters, ';');
                const Dialect *dialect = media_type_find(type);
                unsigned rank;

                if (!dialect && !slice_is(type, "application/json"))
                        continue;
                rank = 2 * parameters_weight(parameters);
                if (rank > 0 && (!dialect || !dialect->is_plain))
                        rank++;
                if (rank <= best_rank)
                        continue;
                best = dialect;
                best_rank = rank;
        }

        return best;
}
