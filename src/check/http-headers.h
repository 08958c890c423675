/* SPDX-License-Identifier: MIT */
#pragma once

/* The headers that a configuration may have sent. Pure. */

#include "model/option.h"

/* "Name: value" lines, none of which holds a secret or changes where the request ends. 0, or
 * -EINVAL with why. */
int http_headers_check(char *const *headers, char why[static OPTION_WHY_MAX]);

/* Whether one of them has the name of this one, "Name: value" or "Name" alone. */
bool http_headers_have(char *const *headers, const char *header);
bool http_header_credentials_have(const HeaderCredentials *l, const char *header);
