/* SPDX-License-Identifier: MIT */
#pragma once

/* What the end of a monitoring plug-in means: its exit status, its first line, and its performance
 * data. Pure but for the types of io/process.h. For driver-exec.c. */

#include "io/process.h"
#include "model/result.h"

/* 0 passes, 1 warns, 3 is an error (the plug-in does not know), 126 and 127 are an error `exec`,
 * all others and signals fail. */
void plugin_judge(Result *ret, const ProcessEnd *end);

/* Why it could not be started. */
void plugin_judge_failure(Result *ret, const char *program, const char *user,
                          const ProcessFailure *failure);
