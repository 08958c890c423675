/* SPDX-License-Identifier: MIT */
/* The table of drivers.def as C. */

#include "check/driver.h"
#include "check/engine.h"

#define DRIVER(name) extern const CheckDriver name##_driver;
#include "check/drivers.def"
#undef DRIVER

CheckTypes check_types(void) {
        static const CheckType *const types[] = {
#define DRIVER(name) &name##_driver.type,
#include "check/drivers.def"
#undef DRIVER
                NULL,
        };

        return types;
}
