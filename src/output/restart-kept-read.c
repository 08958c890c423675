/* SPDX-License-Identifier: MIT */
/* A file of its own, as json-c and our writer of JSON share names. */
#include <errno.h>

#include "base/text.h"
#include "io/json-reader.h"
#include "output/restart-kept.h"

#define RESTART_KEPT_MEMBERS 3 /* of the whole */

static size_t read_budget(JsonReader *r, json_object *o, usec_t back[static RESTART_BUDGET_MAX]) {
        json_object *list = json_get(r, o, "budget", json_type_array);
        size_t n = list ? json_object_array_length(list) : SIZE_MAX;

        if (n > RESTART_BUDGET_MAX) {
                json_refuse(r, "budget");
                return 0;
        }
        for (size_t i = 0; i < n; i++)
                back[i] = json_number_of(r, json_object_array_get_idx(list, i), "budget");
        return n;
}

static void read_counts(JsonReader *r, json_object *o, RestartCounts *ret) {
        for (size_t i = 0; i < RESTART_KEPT_NUMBERS; i++) {
                const char *key = restart_kept_numbers[i].key;

                if (!json_get(r, o, key, json_type_int))
                        json_refuse(r, key);
                *restart_kept_number(ret, i) = json_get_number(r, o, key, 0);
        }
}

/* The first time only looks, so that nothing is taken of what is not good as a whole. */
static void take_services(JsonReader *r, Actions *a, json_object *services, bool is_rehearsal,
                          Time now) {
        json_object_object_foreach(services, name, value) {
                RestartCounts counts;

                if (!name_is_valid(name) || !json_object_is_type(value, json_type_object) ||
                    json_object_object_length(value) != RESTART_KEPT_NUMBERS) {
                        json_refuse(r, "services");
                        return;
                }
                read_counts(r, value, &counts);
                if (!is_rehearsal)
                        actions_restore(a, name, &counts, now);
        }
}

static int take_tree(Actions *a, const char *boot, json_object *o, Time now) {
        JsonReader r = {};
        json_object *services = json_get(&r, o, "services", json_type_object);
        const char *from = json_get_string(&r, o, "boot");
        usec_t back[RESTART_BUDGET_MAX];
        size_t n = read_budget(&r, o, back);

        if (services)
                take_services(&r, a, services, true, now);
        if (!services || !*from || json_object_object_length(o) != RESTART_KEPT_MEMBERS || r.what)
                return -EBADMSG;
        if (!str_equal(from, boot))
                return 0;
        restart_budget_restore(&a->budget, back, n, now.boottime);
        take_services(&r, a, services, false, now);
        return 0;
}

int restart_kept_take(Actions *a, const char *boot, const char *text, size_t n, Time now) {
        _cleanup_json_ json_object *o = NULL;
        char why[JSON_WHY_MAX];
        int r;

        r = json_parse_object(text, n, &o, why);
        return r < 0 ? r : take_tree(a, boot, o, now);
}
