/* SPDX-License-Identifier: MIT */
#pragma once

/* What restarting a unit asks of a service's file. Called by the loader once all of it is read. */

#include "config/document.h"
#include "model/config.h"

/* No unit to restart, or a start that hangs on another host: diagnostics. */
void restarts_verify(const Config *c, size_t service, const Document *document, Diagnostics *d);
