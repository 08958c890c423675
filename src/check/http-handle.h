/* SPDX-License-Identifier: MIT */
#pragma once

/* libcurl's handles for the checks of a driver. A handle takes some kilobytes: a run borrows one of
 * a few that all checks share. */

#include <curl/curl.h>

#include "base/macro.h"

#define HTTP_HANDLES_SPARE_MAX 16

/* All zero: none. */
typedef struct HttpHandles {
        CURL *spare[HTTP_HANDLES_SPARE_MAX]; /* owned */
        size_t n;
} HttpHandles;

/* One with http_set_common(). What else the borrower sets may still be set from another check: set
 * it each time. NULL without memory. */
CURL *http_handle_take(HttpHandles *h);

/* Not before the transfer is over. NULL is ignored. */
void http_handle_give(HttpHandles *h, CURL *easy);

void http_handles_done(HttpHandles *h);
