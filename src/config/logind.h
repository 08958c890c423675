/* SPDX-License-Identifier: MIT */
#pragma once

/* What the linter wants to know of logind's configuration, see logind.conf(5). */

#include "base/clock.h"

/* For how long a shutdown waits at most: InhibitDelayMaxSec= as the files say, or else its default.
 * 0: there are no such files, so there may be no logind. root as in ConfigSources. 0 or -ENOMEM. */
int logind_delay_max(const char *root, usec_t *ret);
