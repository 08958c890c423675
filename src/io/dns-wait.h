/* SPDX-License-Identifier: MIT */
#pragma once

/* The one call to a library that passes the system's time_t, in a file of its own: where this build
 * makes that 64 bits wide and the distribution does not, the library's is the narrow one. */

#include <ares.h>

#include "base/clock.h"

/* When c-ares wants to be called, from now; USEC_INFINITY: it waits for nothing. */
usec_t dns_wait_usec(ares_channel channel);
