/* SPDX-License-Identifier: MIT */
#include "check/postgresql-settings.h"

#include <errno.h>
#include <stdio.h>

#include "base/text.h"

static int settings_set_target(PostgresqlSettings *s, PQconninfoOption *o,
                               char why[static OPTION_WHY_MAX]) {
        const char *database = conninfo_get(o, "dbname");
        CheckTarget *t = &s->target;
        char address[ADDRESS_TEXT_MAX];
        ConninfoServer server = {};
        size_t n = 0;
        int r;

        *t = (CheckTarget){};
        for (size_t i = 0; i < s->n_servers; i++) {
                r = conninfo_get_server(o, i, &server, why);
                if (r < 0)
                        return r;
                n += (size_t) snprintf(t->text + n, sizeof(t->text) - n, "%s%s", i > 0 ? "," : "",
                                       address_format(address, &server.address));
                n = MIN(n, sizeof(t->text) - 1);
                t->is_remote |= !address_is_local(&server.address);
        }
        if (database)
                snprintf(t->text + n, sizeof(t->text) - n, "/%s", database);
        if (s->n_servers == 1 && server.address.kind == ADDRESS_NAME)
                snprintf(t->host, sizeof(t->host), "%s", server.address.name);
        return 0;
}

int postgresql_settings_validate(void *settings, const char **ret_key,
                                 char why[static OPTION_WHY_MAX]) {
        _cleanup_(conninfo_freep) PQconninfoOption *o = NULL;
        PostgresqlSettings *s = settings;
        const char *attributes, *database;
        int r;

        *ret_key = "ConnectionString";
        r = conninfo_parse(s->connection_string, &o, why);
        if (r >= 0)
                r = conninfo_count_servers(o, &s->n_servers, why);
        if (r >= 0)
                r = settings_set_target(s, o, why);
        if (r < 0)
                return r;
        attributes = conninfo_get(o, "target_session_attrs");
        s->prefers_standby = attributes && str_equal(attributes, "prefer-standby");
        database = conninfo_get(o, "dbname");
        s->is_console = database && str_equal(database, "pgbouncer");
        return 0;
}

void postgresql_settings_describe(const void *settings, CheckTarget *ret) {
        const PostgresqlSettings *s = settings;

        *ret = s->target;
}

int postgresql_settings_server(const PostgresqlSettings *s, size_t index, ConninfoServer *ret) {
        _cleanup_(conninfo_freep) PQconninfoOption *o = PQconninfoParse(s->connection_string, NULL);
        char why[OPTION_WHY_MAX];

        /* validate() has seen to all other errors. */
        return o && conninfo_get_server(o, index, ret, why) >= 0 ? 0 : -ENOMEM;
}

bool postgresql_settings_have_query(const PostgresqlSettings *s) {
        return !str_equal(s->query, POSTGRESQL_QUERY);
}
