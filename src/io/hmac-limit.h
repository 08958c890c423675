/* SPDX-License-Identifier: MIT */
#pragma once

/* Limits how much a library hashes during one call. A server that asks for SCRAM says how many
 * rounds of HMAC the password has to go through, before it has shown who it is; some libraries go
 * through two billions, in one call that does not return for an hour. Between begin and end no more
 * than so many HMACs of OpenSSL are begun in this thread; the next one fails, and the library tells
 * its caller.
 *
 * This is done by defining HMAC_Init_ex() here: the dynamic linker gives ours to the libraries as
 * well. */

#include "base/macro.h"

/* Not nested. */
void hmac_limit_begin(unsigned max);

/* Returns whether more was wanted. */
bool hmac_limit_end(void);
