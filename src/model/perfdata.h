/* SPDX-License-Identifier: MIT */
#pragma once

/* Performance data of monitoring plug-ins: 'label'=value[unit];warn;crit;min;max, separated by
 * blanks. Pure; made for whatever bytes a plug-in prints. */

#include "model/result.h"

/* Adds the values that are there to the result, up to its room. Times become seconds, amounts
 * bytes (K is 1024, as the plug-ins count), other units stay. Labels are cut to a value's name and
 * hold nothing but [A-Za-z0-9_./-], other characters become '_'; of two with the same name the
 * first counts. What is not performance data, and values that are not known (U), are skipped. */
void perfdata_parse(const char *bytes, size_t n, Result *result);

/* For those who mean what they write: each word must be NAME=NUMBER[UNIT], its name not there yet,
 * and there must be room for it. 0, or -EINVAL with some of them added. */
int perfdata_parse_strict(const char *bytes, size_t n, Result *result);
