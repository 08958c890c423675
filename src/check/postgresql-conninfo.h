/* SPDX-License-Identifier: MIT */
#pragma once

/* ConnectionString= of a postgresql check, in libpq's two forms, and the servers that it names. For
 * the files postgresql-*.c. libpq does the parsing and nothing else here. */

#include <libpq-fe.h>

#include "base/address.h"
#include "model/option.h"

#define POSTGRESQL_SERVERS_MAX 8

void conninfo_free(PQconninfoOption *o);
DEFINE_CLEANUP(PQconninfoOption *, conninfo_free);

/* The value, or NULL where it is absent or empty: the same to libpq. */
const char *conninfo_get(const PQconninfoOption *o, const char *keyword);

/* The text as keywords and values; a user is there, and nothing is that a check has no use for or
 * that is a secret. 0, -ENOMEM, or -EINVAL with why, which holds no part of a password. */
int conninfo_parse(const char *text, PQconninfoOption **ret, char why[static OPTION_WHY_MAX]);

/* The servers that host=, hostaddr= and port= list; 0 or -EINVAL with why. */
int conninfo_count_servers(const PQconninfoOption *o, size_t *ret, char why[static OPTION_WHY_MAX]);

/* What a list says of one server, as it is written there; "" where it says nothing. */
typedef struct ConninfoServer {
        char host[ADDRESS_TEXT_MAX];     /* a name, an address, or the directory of a socket */
        char hostaddr[ADDRESS_TEXT_MAX]; /* an address that stands in for the host's name */
        char port[8];
        Address address; /* where to connect: hostaddr=, else host=, with port= */
} ConninfoServer;

/* 0 or -EINVAL with why. */
int conninfo_get_server(const PQconninfoOption *o, size_t index, ConninfoServer *ret,
                        char why[static OPTION_WHY_MAX]);
