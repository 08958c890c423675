/* SPDX-License-Identifier: MIT */
#pragma once

/* What INFO says: a line of it, and what its section `replication` means for a check. Pure. */

#include "base/text.h"
#include "model/result.h"

typedef enum RedisRole { REDIS_ROLE_ANY, REDIS_ROLE_MASTER, REDIS_ROLE_REPLICA } RedisRole;

/* The value of "field:value" as a copy in buf, cut. Whether there is such a line. */
#define REDIS_INFO_MAX 128
bool redis_info_find(const char *text, const char *field, char buf[static REDIS_INFO_MAX]);

/* A server of that role, and on a replica a link to its master that works: a pass that says what it
 * is, else a fail. server is its address, for the message. Adds the values to a result that has its
 * verdict. */
void redis_judge_replication(const char *text, const char *server, RedisRole wanted, Result *ret);
void redis_add_replication(const char *text, Result *r);
