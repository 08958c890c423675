/* SPDX-License-Identifier: MIT */
#include "config/links.h"

#include <errno.h>
#include <limits.h>

#include "base/text.h"
#include "config/apply.h"
#include "config/check-loader.h"

typedef struct Links {
        Config *config; /* borrowed, as the others */
        const Document *document;
        Diagnostics *diagnostics;
        size_t service;
} Links;

static CheckConfig *link_check(const Links *l, size_t i) {
        return l->config->checks[l->config->services[l->service].first_check + i];
}

static void link_fault(const Links *l, const CheckConfig *c, const char *key, const char *why) {
        const Section *s = document_find_named(l->document, "Check", c->name);

        assert(s);
        section_fault_at(s, l->diagnostics, key, why);
}

static const char *link_key(const CheckConfig *c) {
        return check_config_is_combined(c) ? "Checks" : "After";
}

static char *const *link_names(const CheckConfig *c) {
        return check_config_is_combined(c) ? c->type->inputs(c->settings) : c->after;
}

/* The check of that name among the service's, or INDEX_NONE with a diagnostic. */
static size_t link_find(const Links *l, const CheckConfig *c, const char *name) {
        size_t n = l->config->services[l->service].n_checks;
        char why[OPTION_WHY_MAX];
        const char *nearest = NULL;
        unsigned best = UINT_MAX;

        for (size_t i = 0; i < n; i++) {
                const CheckConfig *other = link_check(l, i);

                if (str_equal(other->name, name))
                        return i;
                if (other != c && typo_distance(name, other->name) < best) {
                        best = typo_distance(name, other->name);
                        nearest = other->name;
                }
        }
        snprintf(why, sizeof(why), "this service has no check %s%s%s%s", name,
                 nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
        link_fault(l, c, link_key(c), why);
        return INDEX_NONE;
}

static bool link_is_known(const CheckConfig *c, size_t need) {
        for (size_t i = 0; i < c->n_needs; i++)
                if (c->needs[i] == need)
                        return true;
        return false;
}

static int link_resolve(const Links *l, CheckConfig *c) {
        char *const *names = link_names(c);
        size_t need;

        if (!names)
                return 0;
        c->needs = calloc(strv_length(names), sizeof(size_t));
        if (!c->needs)
                return -ENOMEM;
        STRV_FOREACH(name, names) {
                need = link_find(l, c, *name);
                if (need != INDEX_NONE && !link_is_known(c, need))
                        c->needs[c->n_needs++] = need;
        }
        return 0;
}

/* Names the check and what leads back to it. */
static void link_explain_cycle(const Links *l, size_t check) {
        const CheckConfig *c = link_check(l, check), *need = link_check(l, c->needs[0]);
        char why[OPTION_WHY_MAX];

        snprintf(why, sizeof(why), "%s would wait for itself%s%s", c->name,
                 need == c ? "" : ", by way of ", need == c ? "" : need->name);
        link_fault(l, c, link_key(c), why);
}

/* What a combined check has from those it is made of, each of which comes before. */
static void link_inherit(const Links *l, CheckConfig *c) {
        for (size_t i = 0; i < c->n_needs; i++) {
                const CheckConfig *input = link_check(l, c->needs[i]);

                c->target.is_remote |= input->target.is_remote;
                c->max_age_usec = MAX(c->max_age_usec, input->max_age_usec);
        }
        if (check_config_is_remote_liveness(c))
                link_fault(l, c, "Probes", CHECK_REMOTE_LIVENESS);
}

int links_make(Config *c, size_t service, const Document *document, Diagnostics *d) {
        Links l = { .config = c, .document = document, .diagnostics = d, .service = service };
        const ServiceConfig *s = c->services + service;
        size_t n_before = d->n + d->n_left_out, cyclic;
        int r;

        for (size_t i = 0; i < s->n_checks; i++) {
                r = link_resolve(&l, link_check(&l, i));
                if (r < 0)
                        return r;
        }
        if (d->n + d->n_left_out > n_before)
                return 0;
        r = config_order(c, service, &cyclic);
        if (r == -ELOOP) {
                link_explain_cycle(&l, cyclic);
                return 0;
        }
        for (size_t i = 0; r >= 0 && i < s->n_derived; i++)
                if (check_config_is_combined(link_check(&l, s->derived[i])))
                        link_inherit(&l, link_check(&l, s->derived[i]));
        return r;
}
