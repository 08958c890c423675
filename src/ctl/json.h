/* SPDX-License-Identifier: MIT */
#pragma once

/* The picture as JSON. Keys are the names of properties in org.vitald1(5); dates and spans are
 * microseconds as there, null for "never" and "none". */

#include <json-c/json.h>

#include "ctl/ctl.h"

/* All NULL without memory; the object is the caller's. */
json_object *json_of_view(const View *v);
json_object *json_of_service(const ServiceInfo *s);
json_object *json_of_check(const CheckInfo *c);

/* Prints and drops it. 0, or the exit code when there was no memory for it. */
int json_print(const Ctl *ctl, json_object *o);
