/* SPDX-License-Identifier: MIT */
/* Checks that hang on other checks of their service: After= and combined types. */

#include "model/config.h"

#include <errno.h>

#include "base/text.h"

/* -- names of checks --------------------------------------------------------------------------- */

static int names_parse(const Option *o _unused_, const char *value, void *field,
                       char why[static OPTION_WHY_MAX]) {
        char name[NAME_LENGTH_MAX + 1], shown[OPTION_VALUE_SHOWN_MAX];
        int r;

        for (const char *p = value + strspn(value, " \t"); *p; p += strspn(p, " \t")) {
                size_t n = strcspn(p, " \t");

                snprintf(name, sizeof(name), "%.*s", (int) MIN(n, (size_t) NAME_LENGTH_MAX), p);
                if (n > NAME_LENGTH_MAX || !name_is_valid(name)) {
                        snprintf(why, OPTION_WHY_MAX, "\"%s\" is no name of a check",
                                 text_sanitize(shown, sizeof(shown), p, n));
                        return -EINVAL;
                }
                r = strv_append(field, name);
                if (r < 0)
                        return r;
                p += n;
        }
        return 0;
}

static void names_clear(void *field) {
        option_strv.clear(field);
}

static void names_canonical(const Option *o, const void *field, StrBuf *out) {
        option_strv.canonical(o, field, out);
}

const OptionType option_names = {
        .expected = "a list of names",
        .is_list = true,
        .parse = names_parse,
        .clear = names_clear,
        .canonical = names_canonical,
        .size = sizeof(char **),
};

/* -- the order --------------------------------------------------------------------------------- */

bool check_config_is_derived(const CheckConfig *c) {
        return c->n_needs > 0;
}

enum { MARK_NEW, MARK_OPEN, MARK_DONE };

/* The way from one check to what it needs, without recursion. */
typedef struct Walk {
        CheckConfig *const *checks; /* borrowed: the service's own */
        unsigned char *marks;       /* owned, as the others */
        size_t *stack, *next;
        size_t depth;
} Walk;

static void walk_done(Walk *w) {
        free(w->marks);
        free(w->stack);
        free(w->next);
}

static void walk_enter(Walk *w, size_t check) {
        w->marks[check] = MARK_OPEN;
        w->next[check] = 0;
        w->stack[w->depth++] = check;
}

/* Appends all that start needs and itself to the order. INDEX_NONE, or a check that needs itself.
 */
static size_t walk_from(Walk *w, size_t start, ServiceConfig *s) {
        walk_enter(w, start);
        while (w->depth > 0) {
                size_t check = w->stack[w->depth - 1], need;
                const CheckConfig *c = w->checks[check];

                if (w->next[check] == c->n_needs) {
                        w->marks[check] = MARK_DONE;
                        if (check_config_is_derived(c))
                                s->derived[s->n_derived++] = check;
                        w->depth--;
                        continue;
                }
                need = c->needs[w->next[check]++];
                if (w->marks[need] == MARK_OPEN)
                        return need;
                if (w->marks[need] == MARK_NEW)
                        walk_enter(w, need);
        }
        return INDEX_NONE;
}

int config_order(Config *c, size_t service, size_t *ret_cyclic) {
        ServiceConfig *s = c->services + service;
        _cleanup_(walk_done) Walk w = { .checks = c->checks + s->first_check };
        size_t n = MAX(s->n_checks, (size_t) 1);

        w.marks = calloc(n, 1);
        w.stack = calloc(n, sizeof(size_t));
        w.next = calloc(n, sizeof(size_t));
        free(s->derived);
        s->derived = calloc(n, sizeof(size_t));
        s->n_derived = 0;
        if (!w.marks || !w.stack || !w.next || !s->derived)
                return -ENOMEM;
        for (size_t i = 0; i < s->n_checks; i++) {
                size_t cyclic = w.marks[i] == MARK_NEW ? walk_from(&w, i, s) : INDEX_NONE;

                if (cyclic == INDEX_NONE)
                        continue;
                s->n_derived = 0;
                *ret_cyclic = cyclic;
                return -ELOOP;
        }
        return 0;
}
