/* SPDX-License-Identifier: MIT */
#pragma once

/* A set of HTTP's status codes, as a field of a check type's options. Pure. */

#include "model/option.h"

#define HTTP_STATUS_MIN 100
#define HTTP_STATUS_MAX 599

/* A set of status codes. */
typedef struct StatusSet {
        uint8_t bits[(HTTP_STATUS_MAX - HTTP_STATUS_MIN) / 8 + 1];
} StatusSet;

extern const OptionType option_status_set; /* StatusSet: "200-299 401", a list */

bool status_set_has(const StatusSet *s, long status);
