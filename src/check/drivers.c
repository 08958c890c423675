/* SPDX-License-Identifier: MIT */
/* The table of drivers.def as C. */

#include "check/driver.h"
#include "check/engine.h"
#include "check/module.h"

#define DRIVER(name) extern const CheckDriver name##_driver;
#define MODULE(name)
#include "check/drivers.def"
#undef DRIVER
#undef MODULE

static const CheckType *const built_in[] = {
#define DRIVER(name) &name##_driver.type,
#define MODULE(name)
#include "check/drivers.def"
#undef DRIVER
#undef MODULE
        NULL,
};

static const char *const modules[] = {
#define DRIVER(name)
#define MODULE(name) #name,
#include "check/drivers.def"
#undef DRIVER
#undef MODULE
        NULL,
};

static const CheckType *load(const char *name, char why[static OPTION_WHY_MAX]) {
        const CheckDriver *driver = module_load(name, why);

        return driver ? &driver->type : NULL;
}

const CheckTypes *check_types(void) {
        static const CheckTypes types = { built_in, modules, load };

        return &types;
}
