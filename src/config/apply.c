/* SPDX-License-Identifier: MIT */
#include "config/apply.h"

#include <errno.h>
#include <limits.h>

#include "base/text.h"

static void apply_fault(const SectionApply *a, const char *file, unsigned line, const char *key,
                        const char *why) {
        char title[SECTION_TITLE_MAX];

        if (a->diagnostics)
                diagnostics_add(a->diagnostics, file, line, "%s= in %s: %s", key,
                                section_title(title, a->section), why);
}

/* The option of that key and the target that has it, or NULL. */
static const Option *apply_find(const SectionApply *a, const char *key, SettingsTarget **ret) {
        for (size_t i = 0; i < a->n_targets; i++) {
                const Option *o = schema_find(a->targets[i].schema, key);

                if (o) {
                        *ret = &a->targets[i];
                        return o;
                }
        }
        return NULL;
}

/* "PasswordCredential" for "Password", if the section knows such a key. */
static const char *credential_key(const SectionApply *a, const char *key) {
        SettingsTarget *t;
        char name[NAME_SHOWN_MAX];
        const Option *o;

        if ((size_t) snprintf(name, sizeof(name), "%sCredential", key) >= sizeof(name))
                return NULL;
        o = apply_find(a, name, &t);
        return o ? o->key : NULL;
}

static const char *nearest_key(const SectionApply *a, const char *key) {
        const char *nearest = NULL;
        unsigned best = UINT_MAX;

        for (size_t i = 0; i < a->n_targets; i++) {
                const char *near = schema_nearest(a->targets[i].schema, key);

                if (near && typo_distance(key, near) < best) {
                        best = typo_distance(key, near);
                        nearest = near;
                }
        }
        return nearest;
}

static void apply_unknown_key(const SectionApply *a, const Assignment *s) {
        const char *nearest = nearest_key(a, s->key), *credential = credential_key(a, s->key);
        char title[SECTION_TITLE_MAX], shown[NAME_SHOWN_MAX];

        if (!a->diagnostics)
                return;
        section_title(title, a->section);
        text_sanitize(shown, sizeof(shown), s->key, strlen(s->key));
        if (credential)
                diagnostics_add(a->diagnostics, s->file, s->line,
                                "unknown key %s= in %s; secrets do not stand in these files, "
                                "%s= names one",
                                shown, title, credential);
        else if (nearest)
                diagnostics_add(a->diagnostics, s->file, s->line,
                                "unknown key %s= in %s; did you mean %s=?", shown, title, nearest);
        else if (a->takes_any_key)
                return;
        else
                diagnostics_add(a->diagnostics, s->file, s->line, "unknown key %s= in %s", shown,
                                title);
}

/* Why a key that is known may not stand here, or NULL. */
static const char *apply_refusal(const SectionApply *a, const SettingsTarget *t, const Option *o) {
        if (a->is_for_all && o->flags & OPTION_OWN)
                return "stands in the check that it is for";
        return (t->flags | o->flags) & a->refused ? a->refusal : NULL;
}

static int apply_assignment(const SectionApply *a, const Assignment *s) {
        char why[OPTION_WHY_MAX];
        const Assignment **set;
        const char *refusal;
        SettingsTarget *t;
        const Option *o;
        int r;

        o = apply_find(a, s->key, &t);
        if (!o) {
                apply_unknown_key(a, s);
                return 0;
        }
        assert(t->schema->n <= SCHEMA_OPTIONS_MAX);
        refusal = apply_refusal(a, t, o);
        if (refusal) {
                apply_fault(a, s->file, s->line, s->key, refusal);
                return 0;
        }
        set = &t->set[o - t->schema->options];
        if (*set && *s->value && !o->type->is_list && (*set)->file == s->file) {
                snprintf(why, sizeof(why), "set twice in this file, first in line %u",
                         (*set)->line);
                apply_fault(a, s->file, s->line, s->key, why);
        }
        if (!*set && o->type->is_list)
                option_clear(o, t->settings);
        r = schema_set(t->schema, t->settings, o, s->value, why);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                apply_fault(a, s->file, s->line, s->key, why);
        *set = *s->value ? s : NULL;
        return 0;
}

int section_apply(const SectionApply *a) {
        int r;

        for (size_t i = 0; i < a->section->n; i++) {
                r = apply_assignment(a, &a->section->items[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

void section_require(const SectionApply *a) {
        for (size_t i = 0; i < a->n_targets; i++) {
                const SettingsTarget *t = &a->targets[i];

                for (size_t j = 0; j < t->schema->n; j++)
                        if (t->schema->options[j].flags & OPTION_REQUIRED && !t->set[j])
                                section_fault(a, t->schema->options[j].key,
                                              "required, but not set");
        }
}

void section_fault(const SectionApply *a, const char *key, const char *why) {
        SettingsTarget *t;
        const Option *o = apply_find(a, key, &t);
        const Assignment *s = o ? t->set[o - t->schema->options] : NULL;

        if (s)
                apply_fault(a, s->file, s->line, key, why);
        else
                apply_fault(a, a->section->file, a->section->line, key, why);
}

void section_fault_at(const Section *s, Diagnostics *d, const char *key, const char *why) {
        char title[SECTION_TITLE_MAX];
        const char *file = s->file;
        unsigned line = s->line;

        for (size_t i = 0; i < s->n; i++)
                if (str_equal(s->items[i].key, key) && *s->items[i].value) {
                        file = s->items[i].file;
                        line = s->items[i].line;
                }
        diagnostics_add(d, file, line, "%s= in %s: %s", key, section_title(title, s), why);
}
