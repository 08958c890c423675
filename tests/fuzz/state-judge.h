/* SPDX-License-Identifier: MIT */
#pragma once

/* What must hold whatever stands in the files that outlast a restart, and good ones to begin with.
 * For the fuzz target and the test that mutates. */

#include "fuzz.h"
#include "model/kept.h"

#define JUDGE_BOOT "0123456789abcdef0123456789abcdef"

typedef enum JudgeFile { JUDGE_STATE, JUDGE_HISTORY, JUDGE_DRAINS, JUDGE_FILES_ } JudgeFile;

/* Gives the text to each of the parsers and looks at what they make of it. Returns whether that of
 * this file took it. */
bool judge(JudgeFile file, const char *text, size_t n);

/* A good text, the caller's, in which there is some of everything. */
char *judge_example(JudgeFile file);
