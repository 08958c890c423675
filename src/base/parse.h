/* SPDX-License-Identifier: MIT */
#pragma once

/* Strict parsers of single values: the whole text must be the value, surrounding blanks excepted
 * only where said. All return 0 and set *ret, or -EINVAL (not such a value) or -ERANGE. */

#include "base/macro.h"

/* 1 yes y true t on / 0 no n false f off, in any case. */
int parse_bool(const char *s, bool *ret);

/* Decimal digits only: no sign, no blanks, no 0x. */
int parse_uint64(const char *s, uint64_t *ret);

/* Bytes: "512", "4K", "1.5G", with K M G T P E to the base 1024, an optional final B. */
int parse_size(const char *s, uint64_t *ret);

/* "10%", "0.5%" in millionths of the whole: 100000, 5000. 0% to 100%. */
int parse_percent(const char *s, uint32_t *ret_millionths);

/* A finite decimal number, as strtod reads it in the C locale; no hex, no infinity, no NaN. */
int parse_double(const char *s, double *ret);

/* A TCP port, 1 to 65535. */
int parse_port(const char *s, uint16_t *ret);

/* Text with the escapes of C: \\ \" \' \a \b \f \n \r \t \v, \0 to \377, \x00 to \xff. The bytes
 * are the caller's, may hold NUL and end with one more. -ENOMEM. */
int parse_escaped(const char *s, char **ret, size_t *ret_n);
