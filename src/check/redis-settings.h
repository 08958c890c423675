/* SPDX-License-Identifier: MIT */
#pragma once

/* The settings of a redis check. */

#include "base/address.h"
#include "check/redis-command.h"
#include "check/redis-replication.h"
#include "check/tls-options.h"
#include "model/check-type.h"

#define REDIS_SENTINELS_MAX 16

typedef struct RedisSentinelList {
        Address *items; /* owned */
        size_t n;
} RedisSentinelList;

extern const OptionType option_sentinels; /* RedisSentinelList; min is the default port */

typedef struct RedisSettings {
        Address address;
        RedisSentinelList sentinels; /* n 0: the server is at address */
        char *sentinel_master;       /* owned; the name by which they know the server */
        Credential sentinel_password;
        char *username; /* owned; NULL: the default user */
        Credential password;
        uint64_t database;
        unsigned role; /* RedisRole */
        bool wants_replication;
        RedisCommand command;
        char *expected; /* owned; NULL: any value */
        bool is_tls;
        TlsOptions tls;
} RedisSettings;

/* Whether INFO is to be asked for. */
bool redis_settings_want_info(const RedisSettings *s);

/* CheckType.validate and describe of the type. */
int redis_settings_validate(void *settings, const char **ret_key, char why[static OPTION_WHY_MAX]);
void redis_settings_describe(const void *settings, CheckTarget *ret);
