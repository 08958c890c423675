/* SPDX-License-Identifier: MIT */
#pragma once

/* Grading of a raw result by the limits that every check type shares. Pure. */

#include "model/config.h"

/* Applies WarnLatency=, MaxLatency=, Warn= and Fail= to a success: what is beyond them is warn or
 * fail with the reason `threshold` and the value's name. A limit for a value that was not measured
 * warns, lest it be taken for kept. Failures and errors stay as they are. */
void result_grade(const CheckConfig *c, Result *r);
