/* SPDX-License-Identifier: MIT */
#pragma once

/* What a check says to an AMQP 0-9-1 broker. Each appends to out: 0, -EMSGSIZE when a name or a
 * password is too long for the protocol, -ENOMEM. Pure. */

#include "check/rabbitmq-frame.h"

#define RABBIT_CHANNEL 1 /* the only one that is opened */

/* Before all frames. */
void rabbit_append_greeting(StrBuf *out);

/* username NULL: the server knows us by our certificate. name is shown in the server's list of
 * connections. */
int rabbit_append_start_ok(StrBuf *out, const char *username, const char *password,
                           const char *name);

int rabbit_append_tune_ok(StrBuf *out, uint32_t frame_max, uint16_t heartbeat_sec);
int rabbit_append_open(StrBuf *out, const char *virtual_host);
int rabbit_append_channel_open(StrBuf *out);

/* A message that goes to no queue. */
int rabbit_append_publish(StrBuf *out);

/* What the server has to answer: queue.declare-ok, or basic.qos-ok without a queue. */
int rabbit_append_question(StrBuf *out, const char *queue);

int rabbit_append_channel_close_ok(StrBuf *out);
int rabbit_append_close(StrBuf *out);
int rabbit_append_close_ok(StrBuf *out);
