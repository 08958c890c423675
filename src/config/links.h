/* SPDX-License-Identifier: MIT */
#pragma once

/* Finds the checks that others of their service name: After=, and what combined checks are made of.
 * Called by the loader once all checks of a service are there. */

#include "config/document.h"
#include "model/config.h"

/* Sets needs and the order of a service's checks. Names that there are not, a check that hangs on
 * itself, and combined checks that would make liveness depend on another host are diagnostics. 0 or
 * -ENOMEM. */
int links_make(Config *c, size_t service, const Document *document, Diagnostics *d);
