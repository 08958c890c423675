/* SPDX-License-Identifier: MIT */
#include "check/postgresql-settings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/strbuf.h"
#include "base/text.h"

#define DEFAULT_PORT "5432"

/* A file that cannot exist, for which libpq would take one of the home directory. */
#define NO_FILE "/dev/null/none"

/* Where Debian keeps the authorities that a host trusts. */
#define TRUSTED_AUTHORITIES "/etc/ssl/certs/ca-certificates.crt"

/* -- ConnectionString= ------------------------------------------------------------------------- */

static const struct {
        const char *keyword, *instead;
} refused[] = {
        { "password", "a password does not stand here; use PasswordCredential=NAME" },
        { "sslpassword", "a password does not stand here; use a key that needs none" },
        { "passfile", "passfile= is not read; use PasswordCredential=NAME" },
        { "service", "service= is not looked up; write its parameters here" },
        { "connect_timeout", "connect_timeout= is not used; use Timeout=" },
        { "gssencmode", "GSSAPI is not used: leave gssencmode= out" },
        { "krbsrvname", "GSSAPI is not used: leave krbsrvname= out" },
        { "replication", "replication= makes no sense for a check" },
};

static const char *const ssl_modes[] = { "disable", "allow",     "prefer",
                                         "require", "verify-ca", "verify-full" };

static void conninfo_free(PQconninfoOption *o) {
        /* Its password is refused, but it may have stood there. */
        for (PQconninfoOption *i = o; i && i->keyword; i++)
                if (i->val)
                        explicit_bzero(i->val, strlen(i->val));
        PQconninfoFree(o);
}
DEFINE_CLEANUP(PQconninfoOption *, conninfo_free);

/* The value, or NULL where it is absent or empty: the same to libpq. */
static const char *conninfo_get(const PQconninfoOption *o, const char *keyword) {
        for (; o->keyword; o++)
                if (str_equal(o->keyword, keyword))
                        return str_is_empty(o->val) ? NULL : o->val;
        return NULL;
}

/* libpq's error texts quote what they trip over, which may be part of a password. */
static int conninfo_parse(const char *text, PQconninfoOption **ret,
                          char why[static OPTION_WHY_MAX]) {
        static const char unknown[] = "invalid connection option";
        char *error = NULL;
        PQconninfoOption *o = PQconninfoParse(text, &error);

        if (!o && !error)
                return -ENOMEM;
        if (!o && str_starts_with(error, unknown))
                text_sanitize(why, OPTION_WHY_MAX, error, strlen(error));
        else if (!o)
                snprintf(why, OPTION_WHY_MAX,
                         "not keyword=value pairs between blanks, such as \"host=db.internal "
                         "user=health dbname=orders\", nor a postgresql:// URI");
        PQfreemem(error);
        *ret = o;
        return o ? 0 : -EINVAL;
}

static int conninfo_check(const PQconninfoOption *o, char why[static OPTION_WHY_MAX]) {
        const char *ssl_mode = conninfo_get(o, "sslmode"), *text = NULL;
        bool is_known = !ssl_mode;

        for (size_t i = 0; i < ELEMENTSOF(refused) && !text; i++)
                if (conninfo_get(o, refused[i].keyword))
                        text = refused[i].instead;
        for (size_t i = 0; i < ELEMENTSOF(ssl_modes); i++)
                is_known = is_known || str_equal(ssl_mode, ssl_modes[i]);
        if (!text && !is_known)
                text = "sslmode= is not one of disable, allow, prefer, require, verify-ca, "
                       "verify-full";
        if (!text && !conninfo_get(o, "user"))
                text = "user= is missing";
        if (text)
                snprintf(why, OPTION_WHY_MAX, "%s", text);
        return text ? -EINVAL : 0;
}

static int server_parse(const char *host, const char *port, Address *ret,
                        char why[static OPTION_WHY_MAX]) {
        char text[2 * ADDRESS_TEXT_MAX];
        const char *error;
        int n;

        if (*host == '/')
                n = snprintf(text, sizeof(text), "%s/.s.PGSQL.%s", host, port);
        else if (strchr(host, ':'))
                n = snprintf(text, sizeof(text), "[%s]:%s", host, port);
        else
                n = snprintf(text, sizeof(text), "%s:%s", host, port);
        if ((size_t) n >= sizeof(text))
                error = "the host is too long";
        else if (address_parse(text, 0, ret, &error) >= 0)
                return 0;
        snprintf(why, OPTION_WHY_MAX, "%s", error);
        return -EINVAL;
}

static int server_find(const PQconninfoOption *o, Address *ret, char why[static OPTION_WHY_MAX]) {
        const char *host = conninfo_get(o, "host"), *hostaddr = conninfo_get(o, "hostaddr");
        const char *port = conninfo_get(o, "port");
        int r;

        if (!host && !hostaddr) {
                snprintf(why, OPTION_WHY_MAX,
                         "host= is missing: a name, an address, or the directory of a unix socket "
                         "such as /run/postgresql");
                return -EINVAL;
        }
        if ((host && strchr(host, ',')) || (hostaddr && strchr(hostaddr, ','))) {
                snprintf(why, OPTION_WHY_MAX, "more than one host; make a check for each");
                return -EINVAL;
        }
        if (!port)
                port = DEFAULT_PORT;
        if (host) {
                r = server_parse(host, port, ret, why);
                if (r < 0 || !hostaddr)
                        return r;
        }
        r = server_parse(hostaddr, port, ret, why);
        if (r < 0 || ret->kind == ADDRESS_IP)
                return r;
        snprintf(why, OPTION_WHY_MAX, "hostaddr= is not an IP address");
        return -EINVAL;
}

int postgresql_settings_validate(void *settings, const char **ret_key,
                                 char why[static OPTION_WHY_MAX]) {
        _cleanup_(conninfo_freep) PQconninfoOption *o = NULL;
        PostgresqlSettings *s = settings;
        int r;

        *ret_key = "ConnectionString";
        r = conninfo_parse(s->connection_string, &o, why);
        if (r < 0)
                return r;
        r = conninfo_check(o, why);
        return r < 0 ? r : server_find(o, &s->server, why);
}

void postgresql_settings_describe(const void *settings, CheckTarget *ret) {
        _cleanup_(conninfo_freep) PQconninfoOption *o = NULL;
        const PostgresqlSettings *s = settings;
        char address[ADDRESS_TEXT_MAX];
        const char *database = NULL, *host = NULL;

        o = PQconninfoParse(s->connection_string, NULL);
        if (o) {
                database = conninfo_get(o, "dbname");
                host = conninfo_get(o, "host");
        }
        address_format(address, &s->server);
        *ret = (CheckTarget){ .is_remote = !address_is_local(&s->server) };
        snprintf(ret->text, sizeof(ret->text), "%s%s%s", address, database ? "/" : "",
                 database ? database : "");
        if (host && s->server.kind == ADDRESS_NAME)
                snprintf(ret->host, sizeof(ret->host), "%s", s->server.name);
}

/* -- what libpq gets --------------------------------------------------------------------------- */

static void params_add(PostgresqlParams *p, const char *keyword, const char *value) {
        assert(p->n < POSTGRESQL_PARAMS_MAX);
        p->keywords[p->n] = keyword;
        p->values[p->n++] = value;
}

/* For each address the name once more: libpq wants lists of equal length, and the name for the
 * certificate. */
static int params_set_hosts(PostgresqlParams *p, const PostgresqlSettings *s, const char *addresses,
                            size_t n_addresses) {
        const char *host = conninfo_get(p->given, "host"),
                   *given = conninfo_get(p->given, "hostaddr");
        StrBuf hosts = {};
        int r;

        if (s->server.kind != ADDRESS_NAME) {
                if (host)
                        params_add(p, "host", host);
                if (given || s->server.kind == ADDRESS_IP)
                        params_add(p, "hostaddr", given ? given : host);
                return 0;
        }
        for (size_t i = 0; i < n_addresses; i++) {
                strbuf_append(&hosts, i > 0 ? "," : "");
                strbuf_append(&hosts, host);
        }
        r = strbuf_finish(&hosts, &p->hosts);
        strbuf_done(&hosts);
        if (r < 0)
                return r;
        params_add(p, "host", p->hosts);
        params_add(p, "hostaddr", addresses);
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
        static const char *const ours[] = { "host", "hostaddr", "options" };

        for (const PQconninfoOption *o = p->given; o->keyword; o++) {
                bool is_ours = str_is_empty(o->val);

                for (size_t i = 0; i < ELEMENTSOF(ours); i++)
                        is_ours = is_ours || str_equal(o->keyword, ours[i]);
                if (!is_ours)
                        params_add(p, o->keyword, o->val);
        }
}

int postgresql_params_make(const PostgresqlSettings *s, const char *addresses, size_t n_addresses,
                           usec_t statement_timeout_usec, PostgresqlParams *ret) {
        PostgresqlParams p = { .given = PQconninfoParse(s->connection_string, NULL) };
        int r = -ENOMEM;

        if (p.given)
                r = params_set_hosts(&p, s, addresses, n_addresses);
        if (r >= 0)
                r = params_set_options(&p, statement_timeout_usec);
        if (r < 0) {
                postgresql_params_done(&p);
                return r;
        }
        params_set_given(&p);
        params_set_defaults(&p);
        params_add(&p, "gssencmode", "disable");
        params_add(&p, "passfile", NO_FILE);
        if (s->password.secret)
                params_add(&p, "password", s->password.secret);
        *ret = p;
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
