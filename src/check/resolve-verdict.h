/* SPDX-License-Identifier: MIT */
#pragma once

/* What a failed name resolution means for a check. For drivers that resolve names themselves. */

#include "io/resolver.h"
#include "model/result.h"

/* A fail `dns` with a detail (`dns/not-found`), or an error `resource` when it was our own lack.
 * status is not RESOLVE_OK. */
void result_resolve(Result *ret, const char *host, ResolveStatus status);

/* Says in a pass or fail's message that the addresses were the last good ones, and why. */
void result_note_stale(Result *r, ResolveStatus why);
