/* SPDX-License-Identifier: MIT */
#pragma once

/* Check types whose library few hosts need are modules: check-NAME.so, a driver like all others,
 * linked with its library and loaded when a configuration first names the type. So a host without
 * them neither links nor loads them. What a module uses of vitald it finds in the program itself.
 * A module stays until the process ends: libraries leave threads and exit handlers behind. */

#include "check/driver.h"

/* Beside the program, as in a build tree, or in ../lib/vitald from there, as installed. NULL with
 * why: what is missing, and the remedy. */
const CheckDriver *module_load(const char *name, char why[static OPTION_WHY_MAX]);

/* What a module and the program must agree upon: a package may be upgraded under a running vitald.
 * Each module carries module_abi, from module-abi.c. */
typedef struct ModuleAbi {
        const char *version;
        size_t driver_size, config_size, result_size;
} ModuleAbi;

#define MODULE_ABI \
        { PACKAGE_VERSION, sizeof(CheckDriver), sizeof(CheckConfig), sizeof(Result) }

extern const ModuleAbi module_abi;
