/* SPDX-License-Identifier: MIT */
#pragma once

/* A connection to an AMQP 0-9-1 broker: frames over a stream, with heartbeats both ways. What is
 * said on it is the driver's affair. One is part of each check, all zero before
 * rabbit_connection_init(), and dialled any number of times, each time after the end of the one
 * before. */

#include <systemd/sd-event.h>

#include "check/rabbitmq-frame.h"
#include "io/stream.h"

typedef struct RabbitHandlers {
        StreamHandlers stream; /* received calls rabbit_connection_take() */
        void (*method)(void *userdata, const RabbitFrame *f);
        /* What came is no frame (-EPROTO; n bytes that begin with it) or cannot be held (-ENOMEM).
         */
        void (*broken)(void *userdata, int error, const char *bytes, size_t n);
        /* No sign of life for two heartbeats. */
        void (*silent)(void *userdata);
} RabbitHandlers;

typedef struct RabbitConnection {
        const RabbitHandlers *handlers; /* borrowed */
        void *userdata;
        Stream *stream;        /* owned; NULL: no connection */
        StrBuf in;             /* what came of a frame */
        amqp_pool_t pool;      /* of the frame that was taken last */
        sd_event_source *beat; /* owned */
        usec_t heartbeat_usec; /* 0: none */
        usec_t heard_usec;     /* CLOCK_MONOTONIC: when the server said anything last */
        unsigned n_ended;      /* connections before this one */
} RabbitConnection;

/* handlers are borrowed for good, and all of them call back with userdata. Negative errno. */
int rabbit_connection_init(RabbitConnection *c, sd_event *event, const RabbitHandlers *handlers,
                           void *userdata);
void rabbit_connection_done(RabbitConnection *c);

/* tls: NULL: in the clear; name: the certificate's. Negative errno. */
int rabbit_connection_dial(RabbitConnection *c, PollSet *set, Resolver *resolver,
                           const Address *address, TlsContext *tls, const char *name);

/* Without a word. Nothing happens if there is none. */
void rabbit_connection_end(RabbitConnection *c);

/* Sends what was made and empties it without a trace, as it may hold a password. r < 0 is what
 * making it has come to, and returned. */
int rabbit_connection_send(RabbitConnection *c, StrBuf *out, int r);

/* What the stream has received. */
void rabbit_connection_take(RabbitConnection *c, const void *bytes, size_t n);

/* From now on until the end; 0: none. */
void rabbit_connection_beat(RabbitConnection *c, usec_t heartbeat_usec);
