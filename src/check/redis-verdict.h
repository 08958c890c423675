/* SPDX-License-Identifier: MIT */
#pragma once

/* What a Redis server's replies mean for a check. Pure: knows no sockets. */

#include "check/redis-command.h"
#include "model/result.h"

#define REDIS_TEXT_MAX  160
#define REDIS_WORDS_MAX 2

typedef enum RedisKind {
        REDIS_STATUS,
        REDIS_ERROR,
        REDIS_INTEGER,
        REDIS_STRING,
        REDIS_NIL,
        REDIS_ARRAY,
} RedisKind;

/* One whole reply. */
typedef struct RedisReply {
        RedisKind kind;
        char text[REDIS_TEXT_MAX];    /* of a status or an error; sanitised and cut */
        long long number;             /* of an integer */
        char *words[REDIS_WORDS_MAX]; /* owned: a string's bytes; an array's first strings */
} RedisReply;

/* Frees what it owns and makes it all zero. */
void redis_reply_reset(RedisReply *r);

/* Whether the reply to the command is the status that is hoped for; otherwise ret says what is
 * wrong. */
bool redis_judge_status(const char *command, const char *expected, const RedisReply *reply,
                        Result *ret);

/* Whether it is of that kind. */
bool redis_judge_kind(const char *command, RedisKind wanted, const RedisReply *reply, Result *ret);

/* The reply to Command=: makes ret a pass with its value, or a fail: there is none, or it is not
 * what was expected (NULL: anything). */
bool redis_judge_value(const RedisCommand *c, const char *expected, const RedisReply *reply,
                       Result *ret);
