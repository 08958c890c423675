/* SPDX-License-Identifier: MIT */
#pragma once

/* A row of numbers as a row of bars, one character each; "x" for what failed. */

#include "base/strbuf.h"
#include "ctl/screen.h"

typedef struct SparkPoint {
        uint64_t value;
        bool is_bad;
} SparkPoint;

/* Bars are as high as the largest number that is not bad. In plain letters where the terminal knows
 * no UTF-8. Failures are in red where there are colours. */
void sparkline_append(StrBuf *b, const Screen *s, const SparkPoint points[], size_t n);
