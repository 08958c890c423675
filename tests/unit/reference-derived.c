/* SPDX-License-Identifier: MIT */
/* Checks that hang on others, as the manual tells of them. */

#include "reference.h"

static size_t need_of(const Reference *r, size_t check, size_t i) {
        const CheckConfig *c = r->config->checks[check];

        return r->config->services[config_service_of(r->config, check)].first_check + c->needs[i];
}

/* What enough of the checks being good means: letter() says how each is. */
static char combined(const Reference *r, size_t check,
                     char (*letter)(const Reference *r, size_t check)) {
        const CheckConfig *c = r->config->checks[check];
        size_t needed = fixture_minimum(c->settings, c->n_needs);
        char letters[FIXTURE_CHECKS_MAX + 1] = "";
        size_t n_good = 0, n_bad = 0;

        for (size_t i = 0; i < c->n_needs; i++) {
                letters[i] = letter(r, need_of(r, check, i));
                n_good += letters[i] == 'H' || letters[i] == 'D';
                n_bad += letters[i] == 'U';
        }
        if (n_good >= needed)
                return strspn(letters, "H") == c->n_needs ? 'H' : 'D';
        if (n_bad > c->n_needs - needed)
                return 'U';
        return strchr(letters, 'P') ? 'P' : strchr(letters, '?') ? '?' : 'S';
}

char reference_measured(const Reference *r, size_t check) {
        const RefCheck *c = r->checks + check;

        if (check_config_is_combined(c->config))
                return combined(r, check, reference_measured);
        return c->is_waiting ? 'S' : reference_own_measured(c);
}

char reference_published(const Reference *r, size_t check) {
        const RefCheck *c = r->checks + check;

        if (c->override.is_active)
                return reference_letter(c->override.state);
        if (check_config_is_combined(c->config))
                return combined(r, check, reference_published);
        return reference_measured(r, check);
}

bool reference_is_dead(const Reference *r, size_t check) {
        const RefCheck *c = r->checks + check;

        if (check_config_is_combined(c->config))
                return c->is_combined_dead;
        return !c->is_waiting && reference_own_is_dead(c);
}

/* Whether it must wait, now that the others and the unit are as they are. */
static bool must_wait(const Reference *r, size_t check) {
        if (!reference_is_up(r->services[config_service_of(r->config, check)].unit) &&
            !check_config_is_lasting(r->config->checks[check]))
                return true;
        for (size_t i = 0; i < r->config->checks[check]->n_needs; i++)
                if (strchr("US", reference_measured(r, need_of(r, check, i))))
                        return true;
        return false;
}

/* Returns whether that changed. */
static bool wait_or_go_on(Reference *r, size_t check) {
        RefCheck *c = r->checks + check;
        bool must = must_wait(r, check);

        if (must == c->is_waiting)
                return false;
        c->is_waiting = must;
        reference_cut(c, 'P');
        c->fresh_boottime = 0;
        return true;
}

static void note_combined(Reference *r, size_t check, const char *failed) {
        RefCheck *c = r->checks + check;
        char letter = reference_measured(r, check);

        c->had_result = c->had_result || letter != 'P';
        c->was_good = c->was_good || letter == 'H' || letter == 'D';
        if (letter != 'U' || c->config->is_shadow || !(c->config->probes & LIVENESS))
                c->is_combined_dead = false;
        else if (failed && str_equal(failed, c->config->service))
                c->is_combined_dead = true;
}

void reference_derive(Reference *r, const char *failed) {
        bool again = true;

        while (again) {
                again = false;
                for (size_t i = 0; i < r->config->n_checks; i++)
                        if (!check_config_is_combined(r->config->checks[i]) && wait_or_go_on(r, i))
                                again = true;
        }
        for (size_t i = 0; i < r->config->n_checks; i++)
                if (check_config_is_combined(r->config->checks[i]))
                        note_combined(r, i, failed);
}
