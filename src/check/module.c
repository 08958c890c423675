/* SPDX-License-Identifier: MIT */

#include "check/module.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

enum { PATH_SHOWN_MAX = 160 };

/* Cuts the last part off. */
static int path_cut(char *path) {
        char *end = strrchr(path, '/');

        if (!end)
                return -ENOENT;
        *end = 0;
        return 0;
}

static int module_find(const char *name, char path[static PATH_MAX]) {
        char folder[PATH_MAX];
        ssize_t n;

        n = readlink("/proc/self/exe", folder, sizeof(folder) - 1);
        if (n < 0)
                return -errno;
        folder[n] = 0;
        if (path_cut(folder) < 0 || snprintf(path, PATH_MAX, "%s/check-%s.so", folder, name) < 0)
                return -ENOENT;
        if (access(path, F_OK) == 0)
                return 0;
        if (path_cut(folder) < 0 ||
            snprintf(path, PATH_MAX, "%s/lib/vitald/check-%s.so", folder, name) < 0)
                return -ENOENT;
        return access(path, F_OK) == 0 ? 0 : -errno;
}

static void *module_open(const char *name, char why[static OPTION_WHY_MAX]) {
        char path[PATH_MAX] = "";
        void *module;

        if (module_find(name, path) < 0) {
                snprintf(why, OPTION_WHY_MAX,
                         "the check type %s is not installed: there is no %.*s", name,
                         PATH_SHOWN_MAX, path);
                return NULL;
        }
        module = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
        if (!module)
                snprintf(why, OPTION_WHY_MAX, "the check type %s cannot be loaded: %s", name,
                         dlerror());
        return module;
}

static bool module_agrees(const ModuleAbi *module) {
        static const ModuleAbi own = MODULE_ABI;

        return module && str_equal(module->version, own.version) &&
               module->driver_size == own.driver_size && module->config_size == own.config_size &&
               module->result_size == own.result_size;
}

const CheckDriver *module_load(const char *name, char why[static OPTION_WHY_MAX]) {
        char symbol[NAME_MAX];
        const CheckDriver *driver;
        void *module;

        module = module_open(name, why);
        if (!module)
                return NULL;
        snprintf(symbol, sizeof(symbol), "%s_driver", name);
        driver = dlsym(module, symbol);
        if (!driver || !module_agrees(dlsym(module, "module_abi"))) {
                snprintf(
                        why, OPTION_WHY_MAX,
                        "check-%s.so is of another version than the running vitald " PACKAGE_VERSION
                        ": restart vitald.service",
                        name);
                return NULL;
        }
        return driver;
}
