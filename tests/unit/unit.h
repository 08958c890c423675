/* SPDX-License-Identifier: MIT */
#pragma once

/* What every cmocka test includes, in the order that cmocka wants. */

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include "base/macro.h"
