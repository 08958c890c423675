/* SPDX-License-Identifier: MIT */
#pragma once

/* The settings of a mysql check. */

#include "base/address.h"
#include "check/tls-options.h"
#include "model/check-type.h"

typedef struct MysqlSettings {
        Address address;
        char *username; /* owned */
        Credential password;
        char *database; /* owned, may be NULL */
        char *query;    /* owned */
        char *expected; /* owned; NULL: any value will do */
        bool is_tls;
        TlsOptions tls;
} MysqlSettings;
