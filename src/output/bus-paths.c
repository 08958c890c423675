/* SPDX-License-Identifier: MIT */
#include "output/bus-paths.h"

#include <errno.h>
#include <stdlib.h>
#include <systemd/sd-bus.h>

#include "base/strbuf.h"
#include "base/text.h"

#define CHECK_COLLECTION "/check"

static int path_compare(const void *a, const void *b) {
        const BusPath *x = a, *y = b;

        return strcmp(x->path, y->path);
}

static int append_object(BusPaths *p, const char *collection, const char *name, BusObject type,
                         size_t index, const char **ret_path) {
        BusPath *item = &p->items[p->n];
        int r;

        r = sd_bus_path_encode(collection, name, &item->path);
        if (r < 0)
                return r;
        item->type = type;
        item->index = index;
        *ret_path = item->path;
        p->n++;
        return 0;
}

static int append_service(BusPaths *p, size_t index) {
        const ServiceConfig *s = &p->config->services[index];
        _cleanup_strbuf_ StrBuf collection = {};
        int r;

        r = append_object(p, BUS_PATH_SERVICES, s->name, BUS_OBJECT_SERVICE, index,
                          &p->services[index]);
        if (r < 0)
                return r;
        strbuf_append(&collection, p->services[index]);
        strbuf_append(&collection, CHECK_COLLECTION);
        if (collection.failed)
                return -ENOMEM;
        for (size_t i = s->first_check; i < s->first_check + s->n_checks; i++) {
                r = append_object(p, collection.text, p->config->checks[i]->name, BUS_OBJECT_CHECK,
                                  i, &p->checks[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

BusPaths *bus_paths_free(BusPaths *p) {
        if (!p)
                return NULL;
        for (size_t i = 0; i < p->n; i++)
                free(p->items[i].path);
        free(p->items);
        free(p->services);
        free(p->checks);
        config_unref(p->config);
        free(p);
        return NULL;
}

int bus_paths_new(Config *config, BusPaths **ret) {
        _cleanup_(bus_paths_freep) BusPaths *p = NULL;
        int r;

        p = calloc(1, sizeof(*p));
        if (!p)
                return -ENOMEM;
        p->config = config_ref(config);
        p->items = calloc(1 + config->n_services + config->n_checks, sizeof(*p->items));
        p->services = calloc(config->n_services + 1, sizeof(*p->services));
        p->checks = calloc(config->n_checks + 1, sizeof(*p->checks));
        if (!p->items || !p->services || !p->checks)
                return -ENOMEM;
        p->items[0] = (BusPath){ strdup(BUS_PATH_MANAGER), BUS_OBJECT_MANAGER, INDEX_NONE };
        p->n = 1;
        if (!p->items[0].path)
                return -ENOMEM;
        for (size_t i = 0; i < config->n_services; i++) {
                r = append_service(p, i);
                if (r < 0)
                        return r;
        }
        qsort(p->items, p->n, sizeof(*p->items), path_compare);
        *ret = TAKE(p);
        return 0;
}

const BusPath *bus_paths_find(const BusPaths *p, const char *path) {
        /* Only read by the comparison. */
        const BusPath key = { .path = (char *) (uintptr_t) path };

        return bsearch(&key, p->items, p->n, sizeof(*p->items), path_compare);
}

static int all_objects(const BusPaths *p, char ***ret) {
        _cleanup_(strv_freep) char **l = calloc(p->n + 1, sizeof(*l));
        size_t n = 0;

        if (!l)
                return -ENOMEM;
        for (size_t i = 0; i < p->n; i++)
                if (p->items[i].type != BUS_OBJECT_MANAGER) {
                        l[n] = strdup(p->items[i].path);
                        if (!l[n++])
                                return -ENOMEM;
                }
        *ret = TAKE(l);
        return 0;
}

/* What is asked for by introspection: one level. */
static int objects_of_level(const BusPaths *p, const char *prefix, char ***ret) {
        _cleanup_(strv_freep) char **l = NULL;
        const BusPath *object = bus_paths_find(p, prefix);
        int r;

        if (object) {
                _cleanup_strbuf_ StrBuf b = {};

                if (object->type != BUS_OBJECT_SERVICE ||
                    p->config->services[object->index].n_checks == 0)
                        return 0;
                strbuf_append(&b, prefix);
                strbuf_append(&b, CHECK_COLLECTION);
                r = b.failed ? -ENOMEM : strv_append(&l, b.text);
                if (r < 0)
                        return r;
        } else {
                size_t n = strlen(prefix);

                for (size_t i = 0; i < p->n; i++) {
                        const char *path = p->items[i].path;

                        if (!str_starts_with(path, prefix) || path[n] != '/' ||
                            strchr(path + n + 1, '/'))
                                continue;
                        r = strv_append(&l, path);
                        if (r < 0)
                                return r;
                }
        }
        *ret = TAKE(l);
        return 0;
}

int bus_paths_below(const BusPaths *p, const char *prefix, char ***ret) {
        *ret = NULL;
        return str_equal(prefix, BUS_PATH_MANAGER) ? all_objects(p, ret)
                                                   : objects_of_level(p, prefix, ret);
}
