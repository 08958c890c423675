/* SPDX-License-Identifier: MIT */
#pragma once

/* What the unit of OnFlip= reads, an environment file: HOOKS_DIRECTORY/NAME in the runtime
 * directory. Written by the hooks before each start. */

#include "model/snapshot.h"

#define HOOKS_DIRECTORY "hooks"

/* All borrowed. */
typedef struct HookFile {
        size_t subject;   /* a service's index, their number for the host */
        const char *name; /* of the file, and what the subject is called in it */
        const char *word, *previous;
        uint64_t n_flips; /* since the unit was told the last time */
} HookFile;

/* 0 or why it could not be written; then the old one is still there. */
int hook_file_write(const char *directory, const HookFile *f, const Snapshot *s);

/* The word that the file tells, one of those of verdict_summary() (constant); NULL if there is
 * none.
 */
const char *hook_file_word(const char *directory, const char *name);
