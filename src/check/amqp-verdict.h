/* SPDX-License-Identifier: MIT */
#pragma once

/* What an AMQP 1.0 broker says, as a result. Pure. */

#include <proton/codec.h>
#include <proton/condition.h>
#include <proton/sasl.h>

#include "model/result.h"

#define AMQP_SERVER_MAX 64

/* "RabbitMQ 3.10.8", from the properties of its open; "" when it does not say. Returns buf. */
const char *amqp_server_name(pn_data_t *properties, char buf[static AMQP_SERVER_MAX]);

/* Why the server has ended connection, session or link. */
void amqp_judge_condition(pn_condition_t *c, Result *ret);

/* Why the engine has given up: it could not log in, what came is not AMQP, or nothing came. */
void amqp_judge_transport(pn_condition_t *c, pn_sasl_t *sasl, Result *ret);
