/* SPDX-License-Identifier: MIT */
#pragma once

/* Frames of AMQP 0-9-1 with the methods in them, which librabbitmq decodes and encodes. The
 * library's own reader is not used: it wants a socket, and takes a peer's word for the number of
 * channels and for what a short frame holds. Pure. */

#include <amqp.h>
#include <amqp_framing.h>
#include <sys/types.h>

#include "base/strbuf.h"

#define RABBIT_FRAME_MAX 8192 /* bytes of a whole frame, of either side */

typedef struct RabbitFrame {
        uint8_t type; /* AMQP_FRAME_METHOD, AMQP_FRAME_HEARTBEAT; others are not looked into */
        uint16_t channel;
        amqp_method_number_t method; /* of a method only */
        void *decoded;               /* borrowed from the pool and from the bytes */
} RabbitFrame;

/* Takes the first of what came. Returns its bytes, 0 when it is not whole yet, -EPROTO when it
 * cannot be one, -ENOMEM. */
ssize_t rabbit_frame_take(char *bytes, size_t n, amqp_pool_t *pool, RabbitFrame *ret);

/* decoded is only read. -EMSGSIZE when it does not fit into a frame or one of its fields, -ENOMEM.
 */
int rabbit_frame_append(StrBuf *out, uint16_t channel, amqp_method_number_t method, void *decoded);

/* The head of a message's content, without properties, for a body of 0 bytes. */
void rabbit_frame_append_empty_content(StrBuf *out, uint16_t channel);

void rabbit_frame_append_heartbeat(StrBuf *out);
