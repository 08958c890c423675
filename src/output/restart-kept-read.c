/* SPDX-License-Identifier: MIT */
/* A file of its own, as json-c and our writer of JSON share names. */
#include <errno.h>

#include "base/text.h"
#include "io/json-tree.h"
#include "output/restart-kept.h"

static int read_number(const json_object *o, uint64_t *ret) {
        int64_t value;

        if (!json_object_is_type(o, json_type_int))
                return -EBADMSG;
        value = json_object_get_int64(o);
        if (value < 0 || value == INT64_MAX)
                return -EBADMSG;
        *ret = (uint64_t) value;
        return 0;
}

static json_object *member(const json_object *o, const char *key, json_type type) {
        json_object *found = NULL;

        if (!json_object_object_get_ex(o, key, &found) || !json_object_is_type(found, type))
                return NULL;
        return found;
}

static int read_budget(const json_object *list, usec_t back[static RESTART_BUDGET_MAX],
                       size_t *ret) {
        size_t n = list ? json_object_array_length(list) : SIZE_MAX;
        int r;

        if (n > RESTART_BUDGET_MAX)
                return -EBADMSG;
        for (size_t i = 0; i < n; i++) {
                r = read_number(json_object_array_get_idx(list, i), &back[i]);
                if (r < 0)
                        return r;
        }
        *ret = n;
        return 0;
}

static int read_counts(const json_object *o, RestartCounts *ret) {
        if (!json_object_is_type(o, json_type_object) ||
            json_object_object_length(o) != RESTART_KEPT_NUMBERS)
                return -EBADMSG;
        for (size_t i = 0; i < RESTART_KEPT_NUMBERS; i++) {
                const json_object *value = member(o, restart_kept_numbers[i].key, json_type_int);

                if (!value || read_number(value, restart_kept_number(ret, i)) < 0)
                        return -EBADMSG;
        }
        return 0;
}

/* The first time only looks, so that nothing is taken of what is not good as a whole. */
static int take_services(Actions *a, const json_object *services, bool is_rehearsal, Time now) {
        json_object_object_foreach(services, name, value) {
                RestartCounts counts;

                if (!name_is_valid(name) || read_counts(value, &counts) < 0)
                        return -EBADMSG;
                if (!is_rehearsal)
                        actions_restore(a, name, &counts, now);
        }
        return 0;
}

static int take_tree(Actions *a, const char *boot, const json_object *o, Time now) {
        const json_object *services = member(o, "services", json_type_object),
                          *from = member(o, "boot", json_type_string);
        usec_t back[RESTART_BUDGET_MAX];
        size_t n;

        if (!services || !from || json_object_object_length(o) != 3 ||
            read_budget(member(o, "budget", json_type_array), back, &n) < 0 ||
            take_services(a, services, true, now) < 0)
                return -EBADMSG;
        if (!str_equal(json_object_get_string((json_object *) (uintptr_t) from), boot))
                return 0;
        restart_budget_restore(&a->budget, back, n, now.boottime);
        return take_services(a, services, false, now);
}

int restart_kept_take(Actions *a, const char *boot, const char *text, size_t n, Time now) {
        _cleanup_json_ json_object *o = NULL;
        JsonFault fault;
        int r;

        r = json_tree_parse(text, n, &o, &fault);
        if (r == -ENOMEM)
                return r;
        if (r < 0 || !json_object_is_type(o, json_type_object))
                return -EBADMSG;
        return take_tree(a, boot, o, now);
}
