/* SPDX-License-Identifier: MIT */
#pragma once

/* The settings of a postgresql check, and what libpq is given to connect by them. libpq never looks
 * a host name up and takes nothing from its environment or from files in the home directory. */

#include <libpq-fe.h>

#include "base/address.h"
#include "model/check-type.h"

typedef struct PostgresqlSettings {
        char *connection_string; /* owned */
        Credential password;
        char *query;    /* owned */
        Address server; /* by validate(): hostaddr=, else host=, with port= */
} PostgresqlSettings;

/* CheckType.validate and CheckType.describe of the type. */
int postgresql_settings_validate(void *settings, const char **ret_key,
                                 char why[static OPTION_WHY_MAX]);
void postgresql_settings_describe(const void *settings, CheckTarget *ret);

#define POSTGRESQL_PARAMS_MAX 64

/* Parallel arrays for PQconnectStartParams(), ended by NULL. */
typedef struct PostgresqlParams {
        const char *keywords[POSTGRESQL_PARAMS_MAX + 1];
        const char *values[POSTGRESQL_PARAMS_MAX + 1]; /* borrowed from below and the settings */
        size_t n;
        PQconninfoOption *given; /* owned */
        char *hosts, *options;   /* owned */
} PostgresqlParams;

/* addresses: numeric ones in order of preference; none where the settings hold no name. A timeout
 * of 0 asks for none on the server's side. -ENOMEM. */
int postgresql_params_make(const PostgresqlSettings *s, const char *addresses, size_t n_addresses,
                           usec_t statement_timeout_usec, PostgresqlParams *ret);

void postgresql_params_done(PostgresqlParams *p);

/* Makes libpq's environment variables go away, for the process. */
void postgresql_forget_environment(void);
