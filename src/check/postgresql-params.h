/* SPDX-License-Identifier: MIT */
#pragma once

/* What libpq is given to connect to one server of a check. libpq never looks a host name up and
 * takes nothing from its environment or from files in the home directory. */

#include "check/postgresql-settings.h"

#define POSTGRESQL_PARAMS_MAX 64

/* Parallel arrays for PQconnectStartParams(), ended by NULL. Must not move in memory. */
typedef struct PostgresqlParams {
        const char *keywords[POSTGRESQL_PARAMS_MAX + 1];
        const char *values[POSTGRESQL_PARAMS_MAX + 1]; /* borrowed from below and the settings */
        size_t n;
        PQconninfoOption *given; /* owned */
        char *hosts, *options;   /* owned */
        ConninfoServer server;
} PostgresqlParams;

typedef struct PostgresqlPeer {
        size_t server;         /* index in the settings */
        const char *addresses; /* numeric ones in order of preference, with commas between; of a
                                * server that is given by its name alone */
        size_t n_addresses;
        const char *session_attributes; /* NULL: as the settings say */
        usec_t statement_timeout_usec;  /* 0: the server is not told any */
} PostgresqlPeer;

/* -ENOMEM; call postgresql_params_done() in any case. */
int postgresql_params_make(PostgresqlParams *p, const PostgresqlSettings *s,
                           const PostgresqlPeer *peer);

void postgresql_params_done(PostgresqlParams *p);

/* Makes libpq's environment variables go away, for the process. */
void postgresql_forget_environment(void);
