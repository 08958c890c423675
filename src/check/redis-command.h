/* SPDX-License-Identifier: MIT */
#pragma once

/* Command=: one command that only reads, and whose reply is a value. What may stand there is a
 * table, so that no setting can make a check write. Pure. */

#include "model/option.h"

typedef struct RedisCommandType {
        const char *name;
        const char *arguments; /* for messages: "KEY MIN MAX"; as many words are needed */
        const char *unit;      /* of its number, as in Value */
} RedisCommandType;

/* All zero: none. */
typedef struct RedisCommand {
        const RedisCommandType *type; /* constant; NULL: no command */
        char **words;                 /* owned: what is sent */
        char *field;                  /* owned: INFO's line of interest, else NULL */
} RedisCommand;

extern const OptionType option_redis_command; /* RedisCommand */

/* As it may stand in a message, "LLEN jobs". Returns buf. */
#define REDIS_COMMAND_TEXT_MAX 64
const char *redis_command_text(char buf[static REDIS_COMMAND_TEXT_MAX], const RedisCommand *c);
