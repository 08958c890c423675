/* SPDX-License-Identifier: MIT */
#pragma once

/* A reported state as text: the KEY=VALUE lines of sd_notify(3), one a line.
 *
 *     CHECK=SERVICE/CHECK   which check it is
 *     STATE=pass            or warn, or fail
 *     STATUS=...            in words
 *     VALUE=NAME=NUMBER[UNIT]   may be repeated
 *
 * Other keys are left alone, so that what is meant for a service manager may stand beside. Pure;
 * made for whatever bytes a peer sends. A report that is kept over a restart has the same form. */

#include "base/strbuf.h"
#include "check/unit-invocation.h"
#include "model/config.h"
#include "model/result.h"

#define PUSH_LINES_MAX 64
#define PUSH_WHY_MAX   128

typedef struct PushReport {
        char check[CHECK_ID_MAX];
        Result result;

        /* Of kept reports alone. */
        usec_t realtime, boottime; /* when it came */
        char invocation[INVOCATION_TEXT_MAX];
} PushReport;

/* 0, or -EINVAL with why; -ENOMSG: nothing in it is for us, neither CHECK= nor STATE=. */
int push_report_parse(const char *bytes, size_t n, PushReport *ret, char why[static PUSH_WHY_MAX]);

/* The same of a kept one. */
int push_report_parse_kept(const char *bytes, size_t n, PushReport *ret);
void push_report_format_kept(StrBuf *b, const PushReport *r);

/* "pass", "warn" or "fail" as a result without values; -EINVAL. What an application says of itself
 * is its status. */
int push_result(Result *ret, const char *state, const char *message);
