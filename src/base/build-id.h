/* SPDX-License-Identifier: MIT */
#pragma once

#include "base/macro.h"

/* The linker's build id of this program, in hexadecimal: what file(1) and core dumps say. "" if it
 * was linked without. Returns buf. */
#define BUILD_ID_MAX 65
const char *build_id(char buf[static BUILD_ID_MAX]);
