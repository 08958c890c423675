/* SPDX-License-Identifier: MIT */
#pragma once

/* GetHistory() of a check: its last runs, its last changes of state, and percentiles of latency. A
 * handler of a vtable's signature, userdata being the row of the check. */

#include "output/bus-link.h"

int bus_method_get_history(sd_bus_message *m, void *userdata, sd_bus_error *error);
