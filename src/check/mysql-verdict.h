/* SPDX-License-Identifier: MIT */
#pragma once

/* What an error of libmariadb, or of the server, means for a check. Pure. */

#include "base/address.h"
#include "model/result.h"

/* number is mysql_errno(), text mysql_error(), which is not trusted. */
void sql_judge_error(const Address *server, unsigned number, const char *text, Result *ret);

/* Whether the server itself said so, over a connection that works: no reason to try another. */
bool sql_error_is_answer(unsigned number);
