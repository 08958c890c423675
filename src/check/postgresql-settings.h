/* SPDX-License-Identifier: MIT */
#pragma once

/* The settings of a postgresql check. */

#include "check/postgresql-conninfo.h"
#include "model/check-type.h"

#define POSTGRESQL_QUERY "SELECT 1" /* the default of Query= */

typedef struct PostgresqlSettings {
        char *connection_string; /* owned */
        Credential password;
        char *query;           /* owned */
        char *expected;        /* owned; NULL: any value will do */
        bool must_be_writable; /* the server, by others; the check itself never writes */
        bool wants_replication;

        /* By validate(). */
        size_t n_servers;
        CheckTarget target;
        bool prefers_standby; /* target_session_attrs=prefer-standby */
        bool is_console;      /* PgBouncer's own, which knows no transactions */
} PostgresqlSettings;

/* CheckType.validate and CheckType.describe of the type. */
int postgresql_settings_validate(void *settings, const char **ret_key,
                                 char why[static OPTION_WHY_MAX]);
void postgresql_settings_describe(const void *settings, CheckTarget *ret);

/* One of the servers, by its index; -ENOMEM. */
int postgresql_settings_server(const PostgresqlSettings *s, size_t index, ConninfoServer *ret);

/* Whether Query= was set. */
bool postgresql_settings_have_query(const PostgresqlSettings *s);
