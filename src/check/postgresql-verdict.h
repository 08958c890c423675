/* SPDX-License-Identifier: MIT */
#pragma once

/* What PostgreSQL's and libpq's complaints mean for a check. Pure. Their texts are not trusted:
 * they may come from whoever answers at the address. */

#include "base/address.h"
#include "model/result.h"

/* An error that the server has sent. */
typedef struct PostgresqlError {
        char sqlstate[6]; /* five characters; "" for none */
        char text[RESULT_MESSAGE_MAX];
} PostgresqlError;

/* Copies; either may be NULL. */
void postgresql_error_set(PostgresqlError *e, const char *sqlstate, const char *text);

/* Finds the last error of the server in what libpq says of a failed connection; libpq has to be
 * verbose then (PQERRORS_VERBOSE), since it tells the code nowhere else. */
bool postgresql_error_find(PostgresqlError *e, const char *message);

/* Whether it is about the server at present, so that another one may do better. */
bool postgresql_error_is_passing(const PostgresqlError *e);

/* A fail by SQLSTATE. */
void postgresql_judge_error(const PostgresqlError *e, Result *ret);

/* What is known of a connection that could not be made or was lost. */
typedef struct PostgresqlLoss {
        const Address *server; /* borrowed */
        const char *message;   /* borrowed: libpq's, never NULL */
        bool is_reset;         /* the socket reported an error */
        uint64_t received_bytes;
} PostgresqlLoss;

/* By the server's error in the message, by the errno whose text stands there, or by libpq's words.
 */
void postgresql_judge_loss(const PostgresqlLoss *loss, Result *ret);
