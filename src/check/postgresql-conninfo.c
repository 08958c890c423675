/* SPDX-License-Identifier: MIT */
#include "check/postgresql-conninfo.h"

#include <errno.h>
#include <stdio.h>

#include "base/text.h"

#define DEFAULT_PORT "5432"

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

/* What libpq would complain about only when it connects. */
static const struct {
        const char *keyword;
        const char *words[7];
        const char *error;
} choices[] = {
        { "sslmode",
          { "disable", "allow", "prefer", "require", "verify-ca", "verify-full" },
          "sslmode= is not one of disable, allow, prefer, require, verify-ca, verify-full" },
        { "target_session_attrs",
          { "any", "read-write", "read-only", "primary", "standby", "prefer-standby" },
          "target_session_attrs= is not one of any, read-write, read-only, primary, standby, "
          "prefer-standby" },
};

void conninfo_free(PQconninfoOption *o) {
        /* Its password is refused, but it may have stood there. */
        for (PQconninfoOption *i = o; i && i->keyword; i++)
                if (i->val)
                        explicit_bzero(i->val, strlen(i->val));
        PQconninfoFree(o);
}

const char *conninfo_get(const PQconninfoOption *o, const char *keyword) {
        for (; o->keyword; o++)
                if (str_equal(o->keyword, keyword))
                        return str_is_empty(o->val) ? NULL : o->val;
        return NULL;
}

/* -- keywords and values ----------------------------------------------------------------------- */

/* libpq's error texts quote what they trip over, which may be part of a password. */
static int conninfo_split(const char *text, PQconninfoOption **ret,
                          char why[static OPTION_WHY_MAX]) {
        static const char unknown[] = "invalid connection option", no_memory[] = "out of memory";
        char *error = NULL;
        PQconninfoOption *o = PQconninfoParse(text, &error);

        if (!o && (!error || str_starts_with(error, no_memory))) {
                PQfreemem(error);
                return -ENOMEM;
        }
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

static bool is_one_of(const char *const *words, const char *word) {
        for (; *words; words++)
                if (str_equal(*words, word))
                        return true;
        return false;
}

static const char *conninfo_fault(const PQconninfoOption *o) {
        for (size_t i = 0; i < ELEMENTSOF(refused); i++)
                if (conninfo_get(o, refused[i].keyword))
                        return refused[i].instead;
        for (size_t i = 0; i < ELEMENTSOF(choices); i++) {
                const char *word = conninfo_get(o, choices[i].keyword);

                if (word && !is_one_of(choices[i].words, word))
                        return choices[i].error;
        }
        return conninfo_get(o, "user") ? NULL : "user= is missing";
}

int conninfo_parse(const char *text, PQconninfoOption **ret, char why[static OPTION_WHY_MAX]) {
        _cleanup_(conninfo_freep) PQconninfoOption *o = NULL;
        const char *fault;
        int r;

        r = conninfo_split(text, &o, why);
        if (r < 0)
                return r;
        fault = conninfo_fault(o);
        if (fault) {
                snprintf(why, OPTION_WHY_MAX, "%s", fault);
                return -EINVAL;
        }
        *ret = TAKE(o);
        return 0;
}

/* -- lists of servers -------------------------------------------------------------------------- */

static size_t list_count(const char *list) {
        size_t n = list ? 1 : 0;

        for (; list && *list; list++)
                n += *list == ',';
        return n;
}

/* Cuts what is too long, to a length that is too long for a host as well. */
static void list_item(const char *list, size_t index, char *buf, size_t size) {
        size_t n;

        for (; list && index > 0; index--) {
                list = strchr(list, ',');
                list += !!list;
        }
        n = list ? strcspn(list, ",") : 0;
        snprintf(buf, size, "%.*s", (int) n, list ? list : "");
}

int conninfo_count_servers(const PQconninfoOption *o, size_t *ret,
                           char why[static OPTION_WHY_MAX]) {
        size_t n_hosts = list_count(conninfo_get(o, "host")),
               n_addresses = list_count(conninfo_get(o, "hostaddr")),
               n_ports = list_count(conninfo_get(o, "port")), n = MAX(n_hosts, n_addresses);

        if (n == 0)
                snprintf(why, OPTION_WHY_MAX,
                         "host= is missing: a name, an address, or the directory of a unix socket "
                         "such as /run/postgresql");
        else if (n > POSTGRESQL_SERVERS_MAX)
                snprintf(why, OPTION_WHY_MAX, "more than %d hosts", POSTGRESQL_SERVERS_MAX);
        else if (n_hosts > 0 && n_addresses > 0 && n_hosts != n_addresses)
                snprintf(why, OPTION_WHY_MAX, "host= lists %zu and hostaddr= %zu", n_hosts,
                         n_addresses);
        else if (n_ports > 1 && n_ports != n)
                snprintf(why, OPTION_WHY_MAX, "%zu ports for %zu hosts", n_ports, n);
        else {
                *ret = n;
                return 0;
        }
        return -EINVAL;
}

static int address_make(const char *host, const char *port, Address *ret,
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

int conninfo_get_server(const PQconninfoOption *o, size_t index, ConninfoServer *ret,
                        char why[static OPTION_WHY_MAX]) {
        const char *ports = conninfo_get(o, "port");
        ConninfoServer s = {};
        int r;

        list_item(conninfo_get(o, "host"), index, s.host, sizeof(s.host));
        list_item(conninfo_get(o, "hostaddr"), index, s.hostaddr, sizeof(s.hostaddr));
        list_item(ports, list_count(ports) > 1 ? index : 0, s.port, sizeof(s.port));
        if (!*s.port)
                snprintf(s.port, sizeof(s.port), DEFAULT_PORT);
        if (!*s.host && !*s.hostaddr) {
                snprintf(why, OPTION_WHY_MAX, "one of the hosts is empty");
                return -EINVAL;
        }
        if (*s.host) {
                r = address_make(s.host, s.port, &s.address, why);
                if (r < 0)
                        return r;
        }
        if (*s.hostaddr) {
                r = address_make(s.hostaddr, s.port, &s.address, why);
                if (r < 0)
                        return r;
                if (s.address.kind != ADDRESS_IP) {
                        snprintf(why, OPTION_WHY_MAX, "hostaddr= is not an IP address");
                        return -EINVAL;
                }
        }
        *ret = s;
        return 0;
}
