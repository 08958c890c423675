/* SPDX-License-Identifier: MIT */
#pragma once

/* The strict layer in front of json-c, which takes more than JSON, even in its strict mode.
 * Whatever reads JSON that came from outside (a peer's reply, a state file, a pushed report) has it
 * looked through here first, see io/json-tree.h.
 *
 * Good is one value of RFC 8259 with blanks around it and nothing else. No comments, single quotes,
 * final commas, NaN or Infinity, raw control characters, bytes that are no UTF-8, halves of
 * surrogate pairs. And what the RFC leaves to the reader: no name twice in one object, no name with
 * a NUL, no number beyond what a double, or if it is whole a 64 bit integer, can hold, nothing
 * nested too deeply. Pure. */

#include "base/macro.h"

#define JSON_DEPTH_MAX 32

/* Of what we keep for ourselves in JSON: no time and no count comes near this, and sums of a few do
 * not overflow. */
#define JSON_NUMBER_MAX (UINT64_C(1) << 60)

typedef struct JsonFault {
        const char *text;    /* constant: "a name stands twice in one object" */
        size_t line, column; /* from 1; the column counts bytes */
} JsonFault;

/* 0, or with ret_fault set -EINVAL (it is not such a text) or -ENOMEM. */
int json_scan(const char *text, size_t n, JsonFault *ret_fault);
