/* SPDX-License-Identifier: MIT */
#pragma once

/* How restarts of a service's unit are put into words for people. */

#include "base/strbuf.h"
#include "ctl/model.h"
#include "ctl/screen.h"

/* "3 restarts of orders.service did not help: left running (fail-static) since 03:12:44"; nothing
 * where there is nothing to tell of. */
void restart_describe(StrBuf *b, const ServiceInfo *s, const View *v);

Tone restart_tone(const ServiceInfo *s);

/* Its unit is being restarted, or will be if nothing changes. */
bool restart_is_near(const ServiceInfo *s);

/* "restart in 8s", "left running"; "" where nothing is known. */
void restart_describe_briefly(StrBuf *b, const ServiceInfo *s, const View *v);
