/* SPDX-License-Identifier: MIT */
#pragma once

/* Grading of a raw result by the limits that every check type shares. Pure. */

#include "model/config.h"

/* Applies WarnLatency= and MaxLatency= to a success: slower is warn, or fail with reason
 * `threshold`. Failures and errors stay as they are. */
void result_grade(const CheckConfig *c, Result *r);
