/* SPDX-License-Identifier: MIT */
#pragma once

/* The object paths of one configuration, and back from a path to its object. */

#include "model/config.h"

#define BUS_PATH_MANAGER  "/org/vitald1"
#define BUS_PATH_SERVICES BUS_PATH_MANAGER "/service"

typedef enum BusObject {
        BUS_OBJECT_MANAGER,
        BUS_OBJECT_SERVICE,
        BUS_OBJECT_CHECK,
        BUS_OBJECT_COUNT_,
} BusObject;

typedef struct BusPath {
        char *path; /* owned */
        BusObject type;
        size_t index; /* of the service or check; INDEX_NONE for the manager */
} BusPath;

typedef struct BusPaths {
        Config *config;        /* owned reference */
        BusPath *items;        /* owned; sorted by path */
        size_t n;              /* the manager, the services, the checks */
        const char **services; /* owned array of borrowed paths, by index */
        const char **checks;   /* likewise */
} BusPaths;

int bus_paths_new(Config *config, BusPaths **ret);
BusPaths *bus_paths_free(BusPaths *p);
DEFINE_CLEANUP(BusPaths *, bus_paths_free);

/* NULL if there is no such object. */
const BusPath *bus_paths_find(const BusPaths *p, const char *path);

/* The object paths directly below prefix, those between objects ("/org/vitald1/service/x/check")
 * included; below the manager all objects. The list is the caller's. */
int bus_paths_below(const BusPaths *p, const char *prefix, char ***ret);
