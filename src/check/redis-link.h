/* SPDX-License-Identifier: MIT */
#pragma once

/* A connection that speaks the protocol of Redis, to a server or a sentinel: commands go out
 * together, and their replies, parsed by hiredis, come back in order. It may be held: it is read
 * all the time, so that its end is seen when it happens.
 *
 * The link stands in its holder's memory, all zero before its first use. Handlers may close it and
 * dial anew; no function of this header calls one. */

#include <hiredis/read.h>

#include "check/driver.h"
#include "check/redis-verdict.h"
#include "io/stream.h"

/* What all links share. A reader takes some kilobytes, and replies come whole as a rule: one with
 * nothing in it serves all. */
typedef struct RedisPool {
        /* Tables, filled in once; hiredis wants its own to be changeable. */
        redisReplyObjectFunctions functions;
        StreamHandlers handlers;
        redisReader *spare; /* owned, may be NULL */
} RedisPool;

void redis_pool_init(RedisPool *p);
void redis_pool_done(RedisPool *p);

typedef struct RedisLinkHandlers {
        void (*progressed)(void *userdata, StreamPhase phase); /* while dialling; may be NULL */
        void (*connected)(void *userdata);
        void (*replied)(void *userdata, const RedisReply *reply); /* whole, and one that was due */
        /* Nothing more will come and the handler closes the link. is_lost: another connection may
         * do better. */
        void (*failed)(void *userdata, const Result *result, bool is_lost);
        /* Something came that nobody waits for, the end as a rule; the link is closed. May be NULL.
         */
        void (*disturbed)(void *userdata);
} RedisLinkHandlers;

typedef struct RedisLink {
        RedisPool *pool;                   /* borrowed */
        const RedisLinkHandlers *handlers; /* borrowed, constant */
        void *userdata;
        Stream *stream;      /* owned; NULL: closed */
        redisReader *reader; /* owned; while part of a reply is there */
        Address address;
        unsigned n_due;    /* replies */
        unsigned n_closed; /* how often, by which a handler's doing is seen */
        RedisReply reply;  /* the one read last */
} RedisLink;

/* tls: NULL: in the clear; name: the certificate's. Negative errno: only what hinders every
 * attempt. */
int redis_link_dial(RedisLink *l, Engine *engine, const Address *address, TlsContext *tls,
                    const char *name);

void redis_link_close(RedisLink *l);

static inline bool redis_link_is_open(const RedisLink *l) {
        return l->stream;
}

/* Sends commands, to which so many replies are due. Negative errno as stream_write(). */
int redis_link_send(RedisLink *l, const StrBuf *commands, unsigned n_replies);

/* Appends a command; words end with NULL. */
void redis_command_append(StrBuf *b, const char *const words[]);

/* AUTH, if there is a password; returns how many replies that makes. */
unsigned redis_command_append_login(StrBuf *b, const char *username, const char *password);

/* Wipes the text, which may hold a password, and frees it. */
void redis_commands_done(StrBuf *b);
#define _cleanup_commands_ _cleanup_(redis_commands_done)
