/* SPDX-License-Identifier: MIT */
#include "check/postgresql-params.h"

#include <errno.h>
#include <inttypes.h>

#include "base/strbuf.h"
#include "base/text.h"

/* A file that cannot exist, for which libpq would take one of the home directory. */
#define NO_FILE "/dev/null/none"

/* Where Debian keeps the authorities that a host trusts. */
#define TRUSTED_AUTHORITIES "/etc/ssl/certs/ca-certificates.crt"

static void params_add(PostgresqlParams *p, const char *keyword, const char *value) {
        assert(p->n < POSTGRESQL_PARAMS_MAX);
        p->keywords[p->n] = keyword;
        p->values[p->n++] = value;
}

/* For each address the name once more: libpq wants lists of equal length, and the name for the
 * certificate. */
static int params_set_hosts(PostgresqlParams *p, const PostgresqlPeer *peer) {
        const ConninfoServer *server = &p->server;
        StrBuf hosts = {};
        int r;

        params_add(p, "port", server->port);
        if (server->address.kind != ADDRESS_NAME) {
                if (*server->host)
                        params_add(p, "host", server->host);
                if (server->address.kind == ADDRESS_IP)
                        params_add(p, "hostaddr",
                                   *server->hostaddr ? server->hostaddr : server->host);
                return 0;
        }
        for (size_t i = 0; i < peer->n_addresses; i++) {
                strbuf_append(&hosts, i > 0 ? "," : "");
                strbuf_append(&hosts, server->host);
        }
        r = strbuf_finish(&hosts, &p->hosts);
        strbuf_done(&hosts);
        if (r < 0)
                return r;
        params_add(p, "host", p->hosts);
        params_add(p, "hostaddr", peer->addresses);
        return 0;
}

/* Ours first, so that the settings' own -c statement_timeout= wins. */
static int params_set_options(PostgresqlParams *p, usec_t statement_timeout_usec) {
        const char *given = conninfo_get(p->given, "options");
        usec_t msec = MAX(statement_timeout_usec / USEC_PER_MSEC, (usec_t) 1);
        StrBuf b = {};
        int r;

        if (statement_timeout_usec > 0)
                strbuf_printf(&b, "-c statement_timeout=%" PRIu64 " ",
                              MIN(msec, (usec_t) INT32_MAX));
        strbuf_append(&b, given ? given : "");
        r = strbuf_finish(&b, &p->options);
        strbuf_done(&b);
        if (r >= 0)
                params_add(p, "options", p->options);
        return r;
}

/* Taken where the settings say nothing. */
static void params_set_defaults(PostgresqlParams *p) {
        static const struct {
                const char *keyword, *value;
        } defaults[] = {
                { "application_name", PACKAGE_NAME },
                { "client_encoding", "UTF8" },
                { "target_session_attrs", "any" },
                { "sslcert", NO_FILE },
                { "sslkey", NO_FILE },
                { "keepalives", "1" },
                { "keepalives_idle", "15" },
                { "keepalives_interval", "5" },
                { "keepalives_count", "3" },
                { "tcp_user_timeout", "30000" },
        };
        const char *ssl_mode = conninfo_get(p->given, "sslmode");

        for (size_t i = 0; i < ELEMENTSOF(defaults); i++)
                if (!conninfo_get(p->given, defaults[i].keyword))
                        params_add(p, defaults[i].keyword, defaults[i].value);
        if (!conninfo_get(p->given, "sslrootcert"))
                params_add(p, "sslrootcert",
                           ssl_mode && str_starts_with(ssl_mode, "verify") ? TRUSTED_AUTHORITIES
                                                                           : NO_FILE);
        if (!conninfo_get(p->given, "sslcrl") && !conninfo_get(p->given, "sslcrldir"))
                params_add(p, "sslcrl", NO_FILE);
}

static void params_set_given(PostgresqlParams *p) {
        static const char *const ours[] = { "host", "hostaddr", "port", "options" };

        for (const PQconninfoOption *o = p->given; o->keyword; o++) {
                bool is_ours = str_is_empty(o->val);

                for (size_t i = 0; i < ELEMENTSOF(ours); i++)
                        is_ours = is_ours || str_equal(o->keyword, ours[i]);
                if (!is_ours)
                        params_add(p, o->keyword, o->val);
        }
}

int postgresql_params_make(PostgresqlParams *p, const PostgresqlSettings *s,
                           const PostgresqlPeer *peer) {
        char why[OPTION_WHY_MAX];
        int r;

        *p = (PostgresqlParams){ .given = PQconninfoParse(s->connection_string, NULL) };
        if (!p->given || conninfo_get_server(p->given, peer->server, &p->server, why) < 0)
                return -ENOMEM;
        r = params_set_hosts(p, peer);
        if (r >= 0)
                r = params_set_options(p, peer->statement_timeout_usec);
        if (r < 0)
                return r;
        params_set_given(p);
        params_set_defaults(p);
        /* Of a keyword that is there twice the last one counts. */
        if (peer->session_attributes)
                params_add(p, "target_session_attrs", peer->session_attributes);
        params_add(p, "gssencmode", "disable");
        params_add(p, "passfile", NO_FILE);
        if (s->password.secret)
                params_add(p, "password", s->password.secret);
        return 0;
}

void postgresql_params_done(PostgresqlParams *p) {
        conninfo_free(p->given);
        free(p->hosts);
        free(p->options);
        *p = (PostgresqlParams){};
}

void postgresql_forget_environment(void) {
        static const char *const more[] = { "PGSERVICEFILE", "PGSYSCONFDIR", "PGTZ", "PGDATESTYLE",
                                            "PGGEQO" };
        _cleanup_(conninfo_freep) PQconninfoOption *o = PQconninfoParse("", NULL);

        for (PQconninfoOption *i = o; i && i->keyword; i++)
                if (i->envvar)
                        (void) unsetenv(i->envvar);
        for (size_t i = 0; i < ELEMENTSOF(more); i++)
                (void) unsetenv(more[i]);
}
