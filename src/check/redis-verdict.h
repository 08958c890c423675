/* SPDX-License-Identifier: MIT */
#pragma once

/* What a Redis server's replies mean for a check. Pure: knows no sockets. */

#include "model/result.h"

#define REDIS_TEXT_MAX 160

/* The commands that one run sends, in this order; those that the settings do not ask for are left
 * out. */
typedef enum RedisStep { REDIS_AUTH, REDIS_SELECT, REDIS_PING, REDIS_STEP_COUNT_ } RedisStep;

/* One whole reply, of which only the kind and the beginning matter. */
typedef enum RedisKind { REDIS_STATUS, REDIS_ERROR, REDIS_OTHER } RedisKind;

typedef struct RedisReply {
        RedisKind kind;
        char text[REDIS_TEXT_MAX]; /* of a status or an error; sanitised and cut */
} RedisReply;

/* Whether the reply is the one that the step hopes for; otherwise ret says what is wrong. */
bool redis_judge(RedisStep step, const RedisReply *reply, Result *ret);
