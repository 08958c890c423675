/* SPDX-License-Identifier: MIT */
#pragma once

/* What checks that ask systemd say when it cannot be asked. That says nothing about what is
 * checked, so all of these are errors. */

#include "check/driver.h"

/* Whether there is a result already: there is no bus, or no systemd on it. */
bool systemd_refuse(Engine *engine, Result *ret);

/* A question that ended with a negative errno. */
void systemd_describe_errno(Engine *engine, int error, Result *ret);

/* The deadline passed. */
void systemd_expire(CheckRun *run, Result *ret);
