/* SPDX-License-Identifier: MIT */
#pragma once

/* What an AMQP 0-9-1 broker says, as a result. Pure. */

#include <amqp.h>

#include "model/result.h"

#define RABBIT_SERVER_MAX 64

/* "RabbitMQ 3.10.8", from what the server tells of itself; "" when it does not. Returns buf. */
const char *rabbit_server_name(const amqp_table_t *properties, char buf[static RABBIT_SERVER_MAX]);

/* Whether a blank-separated list holds the word. */
bool rabbit_list_has(amqp_bytes_t list, const char *word);

/* The server closes connection or channel; had_logged_in: it had let us in before. */
void rabbit_judge_close(uint16_t code, amqp_bytes_t text, bool had_logged_in, Result *ret);

/* What came first is no frame. */
void rabbit_judge_greeting(const char *bytes, size_t n, Result *ret);
