/* SPDX-License-Identifier: MIT */
#include "config/places.h"

#include <errno.h>

#include "base/text.h"

static void place_done(KeyPlace *p) {
        free(p->folder);
        free(p->owner);
        free(p->kind);
        free(p->argument);
        free(p->key);
        free(p->file);
}

void places_done(Places *p) {
        for (size_t i = 0; i < p->n; i++)
                place_done(&p->items[i]);
        free(p->items);
        *p = (Places){};
}

static int places_grow(Places *p) {
        size_t n = MAX(p->n_allocated * 2, (size_t) 64);
        KeyPlace *items;

        if (p->n < p->n_allocated)
                return 0;
        items = reallocarray(p->items, n, sizeof(KeyPlace));
        if (!items)
                return -ENOMEM;
        p->items = items;
        p->n_allocated = n;
        return 0;
}

/* A header when a is NULL. */
static int places_append(Places *p, const char *folder, const char *owner, const Section *s,
                         const Assignment *a) {
        KeyPlace new = {
                .folder = strdup(folder),
                .owner = strdup(owner),
                .kind = strdup(s->kind),
                .argument = strdup(s->argument ? s->argument : ""),
                .key = strdup(a ? a->key : ""),
                .file = strdup(a ? a->file : s->file),
                .line = a ? a->line : s->line,
        };

        if (!new.folder || !new.owner || !new.kind || !new.argument || !new.key || !new.file ||
            places_grow(p) < 0) {
                place_done(&new);
                return -ENOMEM;
        }
        p->items[p->n++] = new;
        return 0;
}

int places_add(Places *p, const char *folder, const char *owner, const Document *d) {
        int r = 0;

        if (p && d->n_files > 0)
                r = places_append(p, folder, owner,
                                  &(Section){ .kind = "", .file = d->files[0].file.path }, NULL);
        for (size_t i = 0; r >= 0 && p && i < d->n_sections; i++) {
                const Section *s = &d->sections[i];

                r = places_append(p, folder, owner, s, NULL);
                for (size_t j = 0; r >= 0 && j < s->n; j++)
                        if (*s->items[j].value)
                                r = places_append(p, folder, owner, s, &s->items[j]);
                if (r < 0)
                        return r;
        }
        return r;
}

const KeyPlace *places_find(const Places *p, const char *folder, const char *owner,
                            const char *kind, const char *argument, const char *key) {
        for (size_t i = p->n; i-- > 0;) {
                const KeyPlace *x = &p->items[i];

                if (str_equal(x->key, key) && str_equal(x->owner, owner) &&
                    str_equal(x->folder, folder) && str_equal(x->kind, kind) &&
                    str_equal(x->argument, argument ? argument : ""))
                        return x;
        }
        return NULL;
}
