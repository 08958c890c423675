/* SPDX-License-Identifier: MIT */
#pragma once

/* Processes that have left the session of the program that was their start, and have become our
 * children when their parents ended, as we are their subreaper. For process.c. */

#include <sys/types.h>

#include "base/macro.h"

/* Kills and reaps each child of ours whose session is neither our own nor known. How many are left
 * that have not ended yet. */
unsigned escapees_end(bool (*is_known)(void *userdata, pid_t session), void *userdata);
