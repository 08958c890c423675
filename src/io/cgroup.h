/* SPDX-License-Identifier: MIT */
#pragma once

/* Control groups as files: where that of a unit is, and numbers in it. Needs no bus and no right.
 * Version 2 is meant; where a host mounts version 1 beside it, its directories are found too. */

#include <sys/types.h>

#include "base/macro.h"

/* The directory of a running unit (also a slice) in which there is this file, such as
 * "cgroup.procs"; owned by the caller. -ENOENT: the unit does not run, or the controller of that
 * file is off. */
int cgroup_of_unit(const char *unit, const char *file, char **ret);

/* Whether this process is one of a unit's, whatever groups the unit makes below its own. */
bool cgroup_has_process(const char *unit, pid_t pid);

/* The number that a file holds; UINT64_MAX for "max". Negative errno of open(2), -ENODATA. */
int cgroup_read(const char *directory, const char *file, uint64_t *ret);

/* The number behind a key at the beginning of a line: "inactive_file 4096". */
int cgroup_read_key(const char *directory, const char *file, const char *key, uint64_t *ret);
