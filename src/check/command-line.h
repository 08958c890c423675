/* SPDX-License-Identifier: MIT */
#pragma once

/* A command line as unit files have it, made into words: blanks separate them, "..." and '...' hold
 * them together, and the escapes of C and \s (a blank) are understood. There is no shell: $, %, *
 * and ; stand for themselves. Pure. */

#include "base/macro.h"

/* The words are the caller's (strv_free()). -EINVAL with why set: a quote or an escape that does
 * not end well, or a NUL byte in a word; -ENOMEM. */
int command_line_split(const char *s, char ***ret, const char **ret_why);
