/* SPDX-License-Identifier: MIT */
#pragma once

/* What every fuzz target includes. A target is one file fuzz-NAME.c with LLVMFuzzerTestOneInput()
 * and a folder corpus/NAME. Configured with --enable-fuzzers (clang) it is a libFuzzer program;
 * else replay.c makes it a test that reads its corpus. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As assert(), but also where NDEBUG is set. */
#define FUZZ_ASSERT(x)                                                          \
        do {                                                                    \
                if (!(x)) {                                                     \
                        fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x); \
                        abort();                                                \
                }                                                               \
        } while (false)
