/* SPDX-License-Identifier: MIT */
#pragma once

/* Asks Redis sentinels where the master is: the one that has answered last by a held connection,
 * the next one when that fails, or is silent while there are others left. */

#include "check/redis-link.h"
#include "check/redis-settings.h"

typedef struct RedisSentinelsHandlers {
        void (*told)(void *userdata, const Address *master);
        /* None of them knows; why is what the last one said. */
        void (*failed)(void *userdata, const Result *why);
} RedisSentinelsHandlers;

/* Handlers are called from the loop, never from a function below, and may begin the next question.
 */
typedef struct RedisSentinels {
        Check *check;                           /* borrowed */
        const RedisSentinelsHandlers *handlers; /* borrowed, constant */
        void *userdata;
        TlsContext *tls; /* borrowed for a question; NULL: in the clear */
        RedisLink link;  /* to the current one */
        size_t current;  /* of the settings' list */
        size_t n_tried;  /* in this question */
        bool is_reused;  /* the connection was held already */
        bool is_asked;   /* a question is under way */
        bool is_login_due;
        sd_event_source *patience; /* owned; on while others are left */
} RedisSentinels;

int redis_sentinels_new(Check *check, RedisPool *pool, const RedisSentinelsHandlers *handlers,
                        void *userdata, RedisSentinels **ret);
RedisSentinels *redis_sentinels_free(RedisSentinels *s);
DEFINE_CLEANUP(RedisSentinels *, redis_sentinels_free);

/* One handler will be called, unless redis_sentinels_stop() comes first. */
int redis_sentinels_ask(RedisSentinels *s, TlsContext *tls);

/* Forgets the question. */
void redis_sentinels_stop(RedisSentinels *s);
