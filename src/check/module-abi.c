/* SPDX-License-Identifier: MIT */
/* A part of each module. */

#include "check/module.h"

const ModuleAbi module_abi = MODULE_ABI;
