/* SPDX-License-Identifier: MIT */
#pragma once

/* What must be said to polkit so that vitald, which is not root, may restart the units that the
 * configuration names. */

#include "base/strbuf.h"
#include "model/config.h"

/* Read by the rule that vitald installs. */
#define RESTART_RULE_FILE "/etc/polkit-1/rules.d/60-vitald-units.rules"

/* The line that belongs there: var vitaldUnits = ["orders.service"]; */
void restart_rule_format(StrBuf *b, const Config *c);
