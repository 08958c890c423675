/* SPDX-License-Identifier: MIT */
#pragma once

/* vitald --probe URL: one run of one check without any configuration. */

/* Prints the result and returns the exit status: 0 it passed (also with a warning), 3 it failed,
 * 1 it could not be run, 64 no such check. */
int probe_url(const char *url);
