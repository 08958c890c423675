/* SPDX-License-Identifier: MIT */
#pragma once

/* What a postgresql check asks, what came back, and what that means. For driver-postgresql.c. */

#include <libpq-fe.h>

#include "check/postgresql-replication.h"
#include "check/postgresql-settings.h"
#include "check/postgresql-verdict.h"
#include "check/query-answer.h"
#include "model/config.h"

/* The text that is sent: what the settings want to know of the server, then Query=, in a
 * transaction that may not write. A timeout is that of the server, for those that were not told one
 * when the session began; 0: none. -ENOMEM; ret is the caller's. */
int postgresql_query_make(const PostgresqlSettings *s, usec_t statement_timeout_usec, char **ret);

/* All zero: nothing has come. */
typedef struct PostgresqlAnswer {
        bool has_error;
        PostgresqlError error; /* the first one */
        bool has_state;
        ServerState state;

        QueryAnswer rows; /* of the last statement of Query= that gave any */
} PostgresqlAnswer;

/* Takes rows, in the order in which they come. */
void answer_take_rows(PostgresqlAnswer *a, const PostgresqlSettings *s, const PGresult *rows);

/* Takes an error, of which the first one counts. */
void answer_take_error(PostgresqlAnswer *a, const PGresult *error);

/* server: words for it, "PostgreSQL 15.4". lag: used where replication is asked for. */
void answer_judge(const PostgresqlAnswer *a, const CheckConfig *config, const PostgresqlSettings *s,
                  const char *server, const ReplicationLag *lag, Result *ret);
